"""Workers whose daemon goes, and what they make of what no daemon would say."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from jamaint.host.processes.run import MARK
from jamaint.protocol import worker as dialogue
from jamaint.worker_client import child_process
from worker_processes import (
    STRAYS,
    Message,
    all_ended,
    opening,
    shell,
)

pytestmark = pytest.mark.parametrize("link", ["child"], indirect=True)


class Alone:
    """A worker whose daemon is this test, pipe by pipe."""

    def __init__(self, words: Message) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-c",
                child_process._BOOT,
                child_process._HOME,
                "jamaint-worker",
                words["execution"],
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={MARK: words["execution"]},
            start_new_session=True,
        )
        self.send(dialogue.line(words))

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self) -> Message:
        assert self.process.stdout is not None
        return dialogue.parse(self.process.stdout.readline())

    def begin(self) -> list[int]:
        """Sets the strays going and returns their descriptors."""
        self.send(b'{"do":"plan"}\n')
        self.send(dialogue.line({"do": "run", "step": self.line()["steps"][0]}))
        descriptors = []
        while (text := self.line()["message"]) != "begun":
            descriptors.append(os.pidfd_open(int(text.split()[1])))
        return descriptors

    def close(self) -> tuple[int, bytes]:
        """Exit status, and what is left on stderr."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        self.process.stdout.close()
        said = self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(30), said


def leave(worker: Alone) -> None:
    """As when the daemon is killed."""
    assert worker.process.stdin is not None
    assert worker.process.stdout is not None
    worker.process.stdin.close()
    worker.process.stdout.close()


def terminate(worker: Alone) -> None:
    worker.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("end", [leave, terminate])
async def test_a_worker_without_a_daemon_ends_all_and_goes(
    execution: str, impatient: None, end: Callable[[Alone], None]
) -> None:
    worker = Alone(shell(execution, STRAYS))
    strays = worker.begin()
    end(worker)
    assert worker.close() == (0, b"")
    assert len(strays) == 2
    assert all_ended(strays)


async def test_a_worker_that_is_terminated_answers_before_it_goes(execution: str) -> None:
    worker = Alone(shell(execution, "tail -f /dev/null & echo begun; wait"))
    worker.begin()
    terminate(worker)
    assert worker.line()["is"] == "cancelled"
    assert worker.close() == (0, b"")


async def test_a_daemon_that_goes_without_a_word_leaves_no_worker(execution: str) -> None:
    worker = Alone(opening(execution))
    assert worker.close()[0] == 0


async def test_lines_that_are_no_orders_are_answered_with_failures(execution: str) -> None:
    worker = Alone(opening(execution))
    for garbage in (b"garbage\n", b"[]\n", b'{"do":"plan","do":"run"}\n', b"\xff\n", b"\n"):
        worker.send(garbage)
        assert worker.line()["is"] == "failed"
    worker.send(b'{"do":"cancel"}\n{"do":"plan"}\n')
    assert worker.line()["is"] == "plan"
    assert worker.close()[0] == 0


async def test_a_cancel_while_nothing_is_under_way_is_not_one_of_what_comes_next(execution: str) -> None:
    worker = Alone(shell(execution, "true"))
    worker.send(b'{"do":"plan"}\n')
    step = worker.line()["steps"][0]
    worker.send(b'{"do":"cancel"}\n' + dialogue.line({"do": "run", "step": step}))
    assert worker.line()["is"] == "done"
    assert worker.close() == (0, b"")
