"""Workers that look: few, reused, replaced when they die, and gone with everything when they are done."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

import echoing_servers
from jamaint.core.conditions import Unknown
from jamaint.core.conditions.command import Ended
from jamaint.core.safety.sandbox import digest_of_look
from jamaint.core.tasks import Condition
from jamaint.probes.worker_pool import WORKERS, ProbePool
from jamaint.worker_client import child_process

SECONDS = 60.0


class Web:
    """A web server that says 200; with `gate` shut, not before it is opened. `asked` counts."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Semaphore(0)
        self.port = 0

    def serve(self, connection: socket.socket) -> None:
        connection.recv(65536)
        self.asked.release()
        self.gate.wait(SECONDS)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")

    def condition(self, path: str = "") -> Condition:
        url = f"http://127.0.0.1:{self.port}/{path}"
        return Condition("http", {"url": url, "status": (200,), "timeout_seconds": SECONDS})

    async def is_asked(self) -> None:
        assert await trio.to_thread.run_sync(lambda: self.asked.acquire(timeout=SECONDS))


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    with echoing_servers.listening(made.serve) as made.port:
        yield made
        made.gate.set()


@contextlib.asynccontextmanager
async def lookers(idle_seconds: float = SECONDS) -> AsyncIterator[ProbePool]:
    made = ProbePool(lambda _text: None, idle_seconds)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.serve)
        yield made
        nursery.cancel_scope.cancel()
    await all_ended()


def workers() -> set[int]:
    """The processes that look: of one that is a unit, not its supervisor."""
    below = {one.pid: one.ppid() for one in psutil.Process().children(recursive=True) if _is_a_worker(one)}
    return below.keys() - set(below.values())


def _is_a_worker(process: psutil.Process) -> bool:
    try:
        return "jamaint-worker" in process.cmdline()
    except psutil.NoSuchProcess:  # gone, or not yet waited for
        return False


async def all_ended() -> None:
    with trio.fail_after(SECONDS):
        while workers():  # noqa: ASYNC110 - a process that ends sets no event
            await trio.sleep(0.01)


def command(script: str, seconds: float = SECONDS) -> Condition:
    argv = ("/bin/sh", "-c", script)
    return Condition("command", {"command": argv, "exit_codes": (0,), "user": None, "timeout_seconds": seconds})


async def test_one_look_after_the_other_is_one_process(web: Web) -> None:
    async with lookers() as ours:
        assert await ours.look(web.condition()) == 200
        first = workers()
        assert await ours.look(web.condition()) == 200
        assert workers() == first
        assert len(first) == 1


async def test_many_at_once_are_one_process_and_each_is_answered(web: Web) -> None:
    async with lookers() as ours:
        answers: dict[int, Any] = {}

        async def ask(number: int) -> None:
            answers[number] = await ours.look(web.condition(str(number)))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
        assert answers == dict.fromkeys(range(20), 200)
        assert len(workers()) == 1


async def test_one_that_takes_its_time_holds_up_no_other(web: Web) -> None:
    async with lookers() as ours, trio.open_nursery() as nursery:
        web.gate.clear()
        nursery.start_soon(ours.look, web.condition("slow"))
        await web.is_asked()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            params = {"host": "127.0.0.1", "port": listener.getsockname()[1], "timeout_seconds": SECONDS}
            assert await ours.look(Condition("tcp", params)) == ""
        assert not web.gate.is_set()
        assert 1 < len(workers()) <= WORKERS
        web.gate.set()


async def test_one_that_is_killed_in_the_midst_is_told_and_the_next_look_works(web: Web) -> None:
    async with lookers() as ours:
        found: list[Any] = []

        async def ask() -> None:
            found.append(await ours.look(web.condition()))

        web.gate.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await web.is_asked()
            (pid,) = workers()
            os.kill(pid, signal.SIGKILL)
        assert isinstance(found[0], Unknown)
        assert not found[0].is_pending
        assert found[0].why == "what looks at it was lost: the worker was killed by SIGKILL"
        web.gate.set()
        assert await ours.look(web.condition()) == 200


async def test_one_that_is_killed_while_it_idles_is_nobody_s_failure(web: Web) -> None:
    async with lookers() as ours:
        assert await ours.look(web.condition()) == 200
        (pid,) = workers()
        os.kill(pid, signal.SIGKILL)
        await all_ended()  # a signal that is sent is not yet heeded
        assert await ours.look(web.condition()) == 200
        assert pid not in workers()


async def test_one_that_has_nothing_to_do_ends(web: Web) -> None:
    async with lookers(idle_seconds=0.0) as ours:
        assert await ours.look(web.condition()) == 200
        await all_ended()
        assert await ours.look(web.condition()) == 200


async def test_a_command_whose_time_is_up_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    async with lookers() as ours:
        hangs = command(f"exec 3>{fifo}; echo up >&3; setsid sleep 1000 & trap '' TERM; sleep 1000", seconds=0.5)
        assert await ours.look(hangs) == Unknown("no answer within 0.5 s")
        await trio.lowlevel.wait_readable(held)
        said = b""
        while chunk := os.read(held, 99):  # the last that had it open is gone
            said += chunk
        assert said in (b"up\n", b"")
        assert await ours.look(command("echo fine; exit 3")) == Ended(3, "fine")
    os.close(held)


async def test_commands_beside_each_other_do_not_end_each_other() -> None:
    async with lookers() as ours:
        found: set[Any] = set()

        async def ask(number: int) -> None:
            found.add(await ours.look(command(f"sleep 0.0{number}; echo {number}; exit {number}")))

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(ask, number)
        assert found == {Ended(number, str(number)) for number in range(8)}
        assert len(workers()) <= WORKERS


async def test_one_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch, link: str, web: Web) -> None:
    if link == "child":
        monkeypatch.setattr("sys.executable", "/no/such/python")
    else:
        monkeypatch.setenv("JAMAINT_WORKERS", "/no/such/directory")
    async with lookers() as ours:
        found = await ours.look(web.condition())
        assert isinstance(found, Unknown)
        assert "nothing can look at it: " in found.why


async def test_a_look_that_nobody_waits_for_any_more_leaves_nothing_that_hangs(web: Web) -> None:
    async with lookers() as ours:
        web.gate.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.look, web.condition())
            await web.is_asked()
            nursery.cancel_scope.cancel()
        web.gate.set()
        assert await ours.look(web.condition()) == 200


async def test_a_unit_looks_only_at_what_root_has_applied(monkeypatch: pytest.MonkeyPatch, web: Web) -> None:
    named = web.condition("named")
    applied = {"kinds": {"databases": []}, "conditions": [digest_of_look(named.kind, named.params)]}
    take_up = "from jamaint.worker import main as worker; from jamaint.worker import authorization as it"
    boot = f"{take_up}; it.applied = lambda: {applied!r}; worker.main('databases')"
    monkeypatch.setattr(
        child_process, "_BOOT", child_process._BOOT.replace("from jamaint.worker.main import main; main()", boot)
    )
    async with lookers() as ours:
        found: dict[str, Any] = {}

        async def ask(name: str, condition: Condition) -> None:
            found[name] = await ours.look(condition)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "other", web.condition("other"))
            nursery.start_soon(ask, "named", named)
        assert found["named"] == 200
        assert "jamaintctl config apply" in found["other"].why
