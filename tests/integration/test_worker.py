"""Workers as real processes under trio: every way one can end, and that nothing of it is left."""

import os
import resource
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from jamaint.host import worker as host_worker
from jamaint.host.processes import MARK, children
from jamaint.host.worker import Worker, WorkerLost, open_worker

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

Message = dict[str, Any]

# `exec` with an own environment and session: found by descent alone. The other: by its mark alone, or both.
STRAYS = """
    (setsid sh -c 'trap "" TERM HUP; echo stray $$; exec env -i tail -f /dev/null' &)
    (setsid tail -f /dev/null & echo stray $!)
    tail -f /dev/null & echo begun; wait
"""


class Heard:
    """What a worker says on its way, and a wait for one line of it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.stderr: list[str] = []
        self._changed = trio.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()
        self._changed = trio.Event()

    @property
    def lines(self) -> list[str]:
        return [message["message"] for message in self.messages if message["is"] == "log"]

    async def line(self, text: str) -> None:
        with trio.fail_after(30):
            while text not in self.lines:
                await self._changed.wait()

    def strays(self) -> list[int]:
        """Process descriptors of what the command said it had started."""
        return [os.pidfd_open(int(line.split()[1])) for line in self.lines if line.startswith("stray ")]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def execution() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture(autouse=True)
def no_process_left(execution: str) -> Iterator[None]:
    before = children()
    descriptors = set(os.listdir("/proc/self/fd"))
    yield
    assert children() == before
    assert not list(marked(execution))
    assert set(os.listdir("/proc/self/fd")) <= descriptors


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    before = trio.lowlevel.current_statistics().tasks_living
    yield
    assert trio.lowlevel.current_statistics().tasks_living <= before


def marked(execution: str) -> Iterator[int]:
    """Found without the code under test."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={execution}".encode() in environ.read_bytes().split(b"\0"):
                yield int(environ.parent.name)
        except OSError:
            continue


def opening(execution: str, executor: str = "noop", **config: Any) -> Message:
    task = {
        "name": "reindex-search",
        "config": config,
        "rollback": True,
        "mass_deletion": {"share": 0.25, "items": 50},
        "timeout_seconds": None,
    }
    return {
        "do": "open",
        "execution": execution,
        "executor": executor,
        "task": task,
        "now": "2026-11-24T02:00:00.000Z",
        "user": None,
        "limits": {"low_space": 0.1},
    }


def shell(execution: str, script: str, **more: Any) -> Message:
    return opening(execution, "command", command=["/bin/sh", "-c", script], **more)


async def planned(worker: Worker) -> Message:
    """The only step of the plan."""
    answer = await worker.ask({"do": "plan"})
    assert answer["is"] == "plan", answer
    (step,) = answer["steps"]
    assert isinstance(step, dict)
    return step


def all_ended(descriptors: list[int]) -> bool:
    ended, _, _ = select.select(descriptors, [], [], 0)
    for descriptor in descriptors:
        os.close(descriptor)
    return ended == descriptors


# Operations


async def test_plan_run_undo_and_purge(execution: str, heard: Heard) -> None:
    words = shell(execution, "echo one; echo two >&2", rollback_command=["/bin/echo", "back"])
    async with open_worker(words, heard, heard.stderr.append) as worker:
        step = await planned(worker)
        assert (step["name"], step["undo"]) == ("command", {"command": ["/bin/echo", "back"]})
        done = await worker.ask({"do": "run", "step": step})
        assert done["is"] == "done"
        assert (done["details"]["exit_code"], done["details"]["output_lines"]) == (0, 2)
        undone = await worker.ask({"do": "undo", "step": step, "dry_run": False})
        assert undone == {"is": "done", "details": {"restored": 1, "removed": 0, "kept": [], "problems": []}}
        purged = await worker.ask({"do": "purge", "step": step})
        assert purged == {"is": "done", "details": {"freed_space": 0, "items": 0}}
    assert heard.messages == [{"is": "log", "level": "info", "message": text} for text in ("one", "two", "back")]
    assert heard.stderr == []


async def test_a_failure_is_an_answer(execution: str, heard: Heard) -> None:
    async with open_worker(shell(execution, "echo no; exit 3"), heard, heard.stderr.append) as worker:
        answer = await worker.ask({"do": "run", "step": await planned(worker)})
    assert answer["is"] == "failed"
    assert answer["error"] == {"message": "reindex-search exited with 3; last line: no", "kind": "exit"}
    assert answer["details"]["exit_code"] == 3


async def test_an_async_listener_is_waited_for(execution: str) -> None:
    taken: list[str] = []

    async def listen(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        taken.append(message["message"])

    async with open_worker(shell(execution, "seq 500"), listen, print) as worker:
        await worker.ask({"do": "run", "step": await planned(worker)})
        assert taken == [str(number) for number in range(1, 501)]


async def test_a_timeout_ends_all_that_the_command_has_started(execution: str, heard: Heard) -> None:
    words = shell(execution, STRAYS)
    words["task"]["timeout_seconds"] = 0.5
    async with open_worker(words, heard, heard.stderr.append) as worker, trio.open_nursery() as nursery:
        step = await planned(worker)
        strays: list[int] = []

        async def look() -> None:
            await heard.line("begun")
            strays.extend(heard.strays())

        nursery.start_soon(look)
        answer = await worker.ask({"do": "run", "step": step})
        assert (answer["is"], answer["error"]["kind"]) == ("failed", "timeout")
        assert len(strays) == 2
        assert all_ended(strays)
        assert set(marked(execution)) == {worker.pid}


async def test_huge_output_is_bounded_on_its_way_to_the_daemon(execution: str, heard: Heard) -> None:
    script = "yes 0123456789012345678901234567890 | head -c 30000000; printf 'the end'"
    async with open_worker(shell(execution, script), heard, heard.stderr.append) as worker:
        answer = await worker.ask({"do": "run", "step": await planned(worker)})
    assert answer["details"]["output_bytes"] == 30_000_007
    assert sum(len(line) for line in heard.lines) < 1_200_000
    assert heard.lines[-1].endswith("the end")


async def test_a_cancel_stops_the_operation_and_the_worker_serves_on(execution: str, heard: Heard) -> None:
    words = shell(execution, STRAYS, rollback_command=["/bin/echo", "back"])
    async with open_worker(words, heard, heard.stderr.append) as worker:
        step = await planned(worker)
        answers: list[Message] = []

        async def run() -> None:
            answers.append(await worker.ask({"do": "run", "step": step}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await heard.line("begun")
            strays = heard.strays()
            await worker.cancel()
        assert answers[0]["is"] == "cancelled"
        assert answers[0]["details"]["output_lines"] == 3
        assert all_ended(strays)
        await worker.cancel()  # nothing is under way: nothing happens
        assert (await worker.ask({"do": "undo", "step": step, "dry_run": False}))["details"]["restored"] == 1
    assert heard.lines[-1] == "back"


# Ends that nobody asked for


async def test_a_worker_that_is_killed_is_lost_and_what_it_started_is_ended(execution: str, heard: Heard) -> None:
    script = "(setsid tail -f /dev/null & echo stray $!); tail -f /dev/null & echo begun; wait"
    with pytest.raises(WorkerLost) as lost:
        async with open_worker(shell(execution, script), heard, heard.stderr.append) as worker:
            step = await planned(worker)
            async with trio.open_nursery() as nursery:

                async def kill() -> None:
                    await heard.line("begun")
                    os.kill(worker.pid, signal.SIGKILL)

                nursery.start_soon(kill)
                try:
                    await worker.ask({"do": "run", "step": step})
                except WorkerLost as error:
                    failure = error
            strays = heard.strays()
            with pytest.raises(WorkerLost):
                await worker.ask({"do": "plan"})
            raise failure
    assert (lost.value.exit_status, lost.value.message) == (-9, "the worker was killed by SIGKILL")
    assert len(strays) == 1
    assert all_ended(strays)


async def test_a_cancelled_daemon_side_leaves_nothing(execution: str, heard: Heard) -> None:
    with trio.CancelScope() as scope:
        async with open_worker(shell(execution, STRAYS), heard, heard.stderr.append, grace_seconds=1) as worker:
            step = await planned(worker)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.ask, {"do": "run", "step": step})
                await heard.line("begun")
                strays = heard.strays()
                scope.cancel()
    assert scope.cancelled_caught
    assert len(strays) == 2
    assert all_ended(strays)


async def test_cancelled_while_it_starts(execution: str, heard: Heard) -> None:
    for checkpoints in range(6):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel_after(count: int = checkpoints) -> None:
                    for _ in range(count):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                nursery.start_soon(cancel_after)
                async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
                    await worker.ask({"do": "plan"})
                    await trio.sleep_forever()
        assert scope.cancelled_caught
        assert not list(marked(execution))


async def test_an_abandoned_operation_leaves_a_worker_of_no_use(execution: str, heard: Heard) -> None:
    async with open_worker(shell(execution, STRAYS), heard, heard.stderr.append, grace_seconds=1) as worker:
        step = await planned(worker)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.ask, {"do": "run", "step": step})
                await heard.line("begun")
                scope.cancel()
        with pytest.raises(WorkerLost, match="abandoned"):
            await worker.ask({"do": "plan"})


async def test_what_the_body_raises_comes_out_as_it_is(execution: str, heard: Heard) -> None:
    with pytest.raises(LookupError):
        async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
            await worker.ask({"do": "plan"})
            raise LookupError


async def test_one_operation_at_a_time(execution: str, heard: Heard) -> None:
    async with open_worker(shell(execution, STRAYS), heard, heard.stderr.append) as worker:
        step = await planned(worker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.ask, {"do": "run", "step": step})
            await heard.line("begun")
            with pytest.raises(RuntimeError):
                await worker.ask({"do": "plan"})
            await worker.cancel()


async def test_a_worker_that_cannot_start_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerLost, match="no worker could be started: "):
        async with open_worker(opening(execution), heard, heard.stderr.append):
            pass


async def test_no_descriptors_left_is_a_lost_worker_and_no_more(execution: str, heard: Heard) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    started = 0
    try:
        for room in range(1, 16):
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + room, hard))
            try:
                async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
                    assert (await worker.ask({"do": "plan"}))["is"] == "plan"
                    started += 1
            except WorkerLost:
                continue
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert 0 < started < 15


# Workers that are not what they should be


def boots(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Lets the next worker run `code`; `daemon` in it is the pipe that it answers on."""
    monkeypatch.setattr(host_worker, "_BOOT", f"import os, sys, signal\ndaemon = sys.stdout.buffer.raw\n{code}")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("daemon.write(b'garbage\\n')", "the worker said what is no answer: no whole value at character 0"),
        ("daemon.write(b'[1]\\n')", "the worker said what is no answer: not an object"),
        ("daemon.write(b'\\xff\\n')", "the worker said what is no answer: 'utf-8' codec"),
        ('daemon.write(b\'{"is":"odd"}\\n\')', "the worker said what is no answer: a line that is 'odd'"),
        ("daemon.write(b'{}\\n')", "the worker said what is no answer: a line that is None"),
        (
            "while True: daemon.write(b'x' * 65536)",
            "the worker said what is no answer: a line may have at most 16777216 bytes",
        ),
        ("daemon.write(b'half a li'); sys.exit(4)", "the worker exited with 4"),
        ("sys.exit('out of paper')", "the worker exited with 1: out of paper"),
        ("os.close(1)", "the worker exited with 0"),
    ],
)
async def test_a_worker_that_speaks_nonsense_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
) -> None:
    boots(monkeypatch, f"sys.stdin.readline()\n{code}\nsys.stdin.read()")
    if code == "os.close(1)":
        monkeypatch.setattr(host_worker, "_BOOT", "import os")
    async with open_worker(opening(execution), heard, heard.stderr.append, grace_seconds=0.5) as worker:
        with pytest.raises(WorkerLost) as lost, trio.fail_after(30):
            await worker.ask({"do": "plan"})
    assert lost.value.message.startswith(problem)


async def test_one_that_closes_its_pipe_and_lives_on_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_worker, "_STATUS_SECONDS", 0.2)
    boots(monkeypatch, "os.close(1); signal.pause()")
    async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
        with pytest.raises(WorkerLost, match="closed its pipe and lives on"):
            await worker.ask({"do": "plan"})


async def test_one_that_never_answers_is_ended_by_a_cancel(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, "signal.signal(15, signal.SIG_IGN); print('deaf', file=sys.stderr, flush=True); signal.pause()")
    async with open_worker(opening(execution), heard, heard.stderr.append, grace_seconds=0.2) as worker:
        async with trio.open_nursery() as nursery:
            lost: list[WorkerLost] = []

            async def ask() -> None:
                try:
                    await worker.ask({"do": "plan"})
                except WorkerLost as error:
                    lost.append(error)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await worker.cancel()
    assert lost[0].message == "the worker did not stop within 0.2 s and was ended"
    assert lost[0].exit_status == -9


async def test_one_that_reads_nothing_and_heeds_nothing_is_ended_when_the_daemon_side_is_cancelled(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, 'signal.signal(15, signal.SIG_IGN); daemon.write(b\'{"is":"progress"}\\n\'); signal.pause()')
    words = opening(execution, config="x" * 1_000_000)  # more than the pipe holds
    with trio.move_on_after(0.2) as scope:
        async with open_worker(words, heard, heard.stderr.append, grace_seconds=0.2):
            raise AssertionError("the opening cannot have been taken")
    assert scope.cancelled_caught


async def test_stderr_comes_line_by_line_escaped_and_bounded(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
for number in range(1000): print('line', number, '\\x1b[31m', file=sys.stderr)
sys.stderr.write('y' * 1000000); sys.stderr.flush(); sys.exit(9)
"""
    boots(monkeypatch, code)
    async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
        with pytest.raises(WorkerLost) as lost:
            await worker.ask({"do": "plan"})
    assert heard.stderr[:2] == ["line 0 \\x1b[31m", "line 1 \\x1b[31m"]
    assert sum(line.count("y") for line in heard.stderr) == 1_000_000
    assert len(lost.value.stderr) == 20
    assert max(map(len, heard.stderr)) == 8192


# Executors that do what they should not


def executes(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Gives the next worker an executor `test` whose `plan` is `body`."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    code = f"""
import sys; sys.path.insert(0, sys.argv[1]); import jamaint; del sys.path[0]
import os, signal, subprocess
from jamaint.core.plans import Plan, Step
from jamaint.executors import EXECUTORS
from jamaint.executors.executor import StepFailed, Stopped
from jamaint.worker import main
class Test:
    def __init__(self, work, host):
        self.work, self.host = work, host
    def plan(self):
        work, host = self.work, self.host
{lines}
        return Plan((), ())
EXECUTORS["test"] = Test
main()
"""
    monkeypatch.setattr(host_worker, "_BOOT", code)


async def plan(execution: str, heard: Heard) -> Message:
    async with open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker:
        return await worker.ask({"do": "plan"})


async def test_an_unexpected_exception_is_a_failure_and_its_traceback_goes_to_stderr(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, "raise KeyError('paths\\x1b')")
    assert await plan(execution, heard) == {
        "is": "failed",
        "error": {"message": "KeyError: 'paths\\x1b'", "kind": "failed"},
        "details": {},
    }
    assert heard.stderr[0] == "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise StepFailed('no\\nway \\udcff', 'unsafe', {'files': 2})", ("no\\nway \\udcff", "unsafe")),
        ("def f(): f()\nf()", ("RecursionError: maximum recursion depth exceeded", "failed")),
        ("bytearray(1 << 60)", ("MemoryError: ", "failed")),
        ("return Plan((), (object(),))", ("the answer cannot be sent: object cannot go on the wire", "failed")),
        ("return Plan((), (float('nan'),))", ("the answer cannot be sent: ", "failed")),
        ("return Plan((), ('x' * (16 << 20),))", ("the answer cannot be sent: a line of 16777", "failed")),
    ],
)
async def test_whatever_an_executor_does_there_is_an_answer(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch, body: str, error: tuple[str, str]
) -> None:
    executes(monkeypatch, body)
    answer = await plan(execution, heard)
    assert answer["is"] == "failed"
    assert answer["error"]["message"].startswith(error[0])
    assert answer["error"]["kind"] == error[1]


async def test_what_an_executor_prints_does_not_disturb_the_dialogue(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, "print('hello', flush=True)\nsubprocess.run(['cat'])\nsubprocess.run(['echo', 'there'])")
    assert (await plan(execution, heard))["is"] == "plan"
    assert heard.stderr == ["hello", "there"]


async def test_log_lines_are_one_line_each_and_of_a_known_level(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, "host.log('warning', 'a\\nb\\x1b \\udcff')\nhost.log('odd', 'x' * 100000)")
    await plan(execution, heard)
    assert heard.messages[0] == {"is": "log", "level": "warning", "message": "a\\nb\\x1b \\udcff"}
    assert (heard.messages[1]["level"], len(heard.messages[1]["message"])) == ("info", 65536)


async def test_progress_is_thinned_out_and_ends_with_the_last(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, "for done in range(100001): host.progress(done, 100000, 'items')")
    began = trio.current_time()
    await plan(execution, heard)
    assert len(heard.messages) <= 3 + 10 * (trio.current_time() - began)
    assert heard.messages[0] == {"is": "progress", "done": 0, "total": 100000, "unit": "items"}
    assert heard.messages[-1] == {"is": "progress", "done": 100000, "total": 100000, "unit": "items"}


async def test_a_cancelled_executor_may_tell_what_it_had_done(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
host.log("info", "begun")
while True:
    try:
        host.checkpoint()
    except Stopped:
        raise Stopped({"files": 3})
"""
    executes(monkeypatch, body)
    async with open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker:
        for _ in range(2):  # the cancel of the first is not one of the second
            heard.messages.clear()
            answers: list[Message] = []

            async def ask(answers: list[Message] = answers) -> None:
                answers.append(await worker.ask({"do": "plan"}))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await heard.line("begun")
                assert not answers
                await worker.cancel()
            assert answers == [{"is": "cancelled", "details": {"files": 3}}]


async def test_what_an_executor_leaves_running_is_ended_with_the_worker(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = 'host.log(\'info\', f\'stray {subprocess.Popen(["tail", "-f", "/dev/null"]).pid}\')'
    executes(monkeypatch, body)
    async with open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker:
        await worker.ask({"do": "plan"})
        strays = heard.strays()
    assert len(strays) == 1
    assert all_ended(strays)


async def test_a_worker_is_given_a_fixed_environment_and_yields_to_others(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LD_PRELOAD", "PYTHONPATH", "PGPASSFILE", "TZ", "HOME"):
        monkeypatch.setenv(name, "/from/the/caller")
    body = """
host.log("info", open("/proc/self/environ").read().rstrip("\\0").replace("\\0", " "))
host.log("info", f"{os.getcwd()} {os.getsid(0) == os.getpid()} {os.umask(0):o} {os.getpriority(os.PRIO_PROCESS, 0)}")
host.log("info", " ".join(sorted(set(os.listdir("/proc/self/fd")) - set("012"))))
host.log("info", open("/proc/self/oom_score_adj").read().strip())
host.log("info", subprocess.run(["ionice", "-p", str(os.getpid())], capture_output=True, text=True).stdout.strip())
"""
    executes(monkeypatch, body)
    inherited = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    await plan(execution, heard)
    os.close(inherited)
    environment, rest, descriptors, oom, disk = heard.lines
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert environment.split(" ") == [path, "LANG=C.UTF-8", f"{MARK}={execution}"]
    assert rest == "/ True 77 19"
    assert len(descriptors.split()) == 3  # two pipes, and the directory that is being listed
    assert (oom, disk) == ("500", "idle")


async def test_a_command_is_nice_but_not_starved(execution: str, heard: Heard) -> None:
    async with open_worker(shell(execution, "nice; ionice -p $$"), heard, heard.stderr.append) as worker:
        await worker.ask({"do": "run", "step": await planned(worker)})
    assert heard.lines[0] == "10"
    assert heard.lines[1] != "idle"


# Users


@as_root
async def test_a_worker_drops_to_its_user_wholly(execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
host.log("info", f"{os.getresuid()} {os.getresgid()} {os.getgroups()} {os.umask(0):o} {os.environ['HOME']}")
with open("/proc/self/status") as status:
    host.log("info", next(line for line in status if line.startswith("CapEff")).split()[1])
os.setuid(0)
"""
    executes(monkeypatch, body)
    words = opening(execution, "test") | {"user": "nobody"}
    async with open_worker(words, heard, heard.stderr.append) as worker:
        answer = await worker.ask({"do": "plan"})
    three = (65534, 65534, 65534)
    assert heard.lines == [f"{three} {three} [65534] 77 /nonexistent", "0000000000000000"]
    assert answer["error"]["message"].startswith("PermissionError")


@as_root
async def test_a_worker_that_is_not_root_refuses_to_be_somebody_else(execution: str, heard: Heard) -> None:
    words = shell(execution, "true", user="root") | {"user": "nobody"}
    async with open_worker(words, heard, heard.stderr.append) as worker:
        answer = await worker.ask({"do": "plan"})
    assert answer["is"] == "failed"
    assert "this process is nobody and cannot become root: only root can" in answer["error"]["message"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
async def test_a_daemon_that_is_not_root_has_no_worker_of_another_user(execution: str, heard: Heard) -> None:
    async with open_worker(opening(execution) | {"user": "root"}, heard, heard.stderr.append) as worker:
        answer = await worker.ask({"do": "plan"})
    assert (answer["is"], answer["error"]["kind"]) == ("failed", "refused")


@pytest.mark.parametrize(
    ("change", "message", "kind"),
    [
        ({"user": "no-such-user"}, "there is no user no-such-user on this machine", "refused"),
        ({"executor": "no-such"}, "this worker knows no executor no-such", "refused"),
        ({"now": "yesterday"}, "ValueError: Invalid isoformat string: 'yesterday'", "failed"),
    ],
)
async def test_an_opening_that_cannot_be_is_the_answer_to_every_operation(
    execution: str, heard: Heard, change: Message, message: str, kind: str
) -> None:
    async with open_worker(opening(execution) | change, heard, heard.stderr.append) as worker:
        for _ in range(2):
            answer = await worker.ask({"do": "plan"})
            assert answer == {"is": "failed", "error": {"message": message, "kind": kind}, "details": {}}


async def test_an_operation_that_is_none_is_a_failure(execution: str, heard: Heard) -> None:
    async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
        for order in ({"do": "dance"}, {}, {"do": ["plan"]}, {"do": "run"}):
            assert (await worker.ask(order))["is"] == "failed"
        assert (await worker.ask({"do": "plan"}))["is"] == "plan"


# A daemon that goes


class Alone:
    """A worker whose daemon is this test, pipe by pipe."""

    def __init__(self, words: Message) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", host_worker._BOOT, host_worker._HOME, "jamaint-worker", words["execution"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={MARK: words["execution"]},
            start_new_session=True,
        )
        self.send(host_worker.line(words))

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self) -> Message:
        assert self.process.stdout is not None
        return host_worker.parse(self.process.stdout.readline())

    def begin(self) -> list[int]:
        """Sets the strays going and returns their descriptors."""
        self.send(b'{"do":"plan"}\n')
        self.send(host_worker.line({"do": "run", "step": self.line()["steps"][0]}))
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
def test_a_worker_without_a_daemon_ends_all_and_goes(execution: str, end: Callable[[Alone], None]) -> None:
    worker = Alone(shell(execution, STRAYS))
    strays = worker.begin()
    end(worker)
    assert worker.close() == (0, b"")
    assert len(strays) == 2
    assert all_ended(strays)


def test_a_worker_that_is_terminated_answers_before_it_goes(execution: str) -> None:
    worker = Alone(shell(execution, "tail -f /dev/null & echo begun; wait"))
    worker.begin()
    terminate(worker)
    assert worker.line()["is"] == "cancelled"
    assert worker.close() == (0, b"")


def test_a_daemon_that_goes_without_a_word_leaves_no_worker(execution: str) -> None:
    worker = Alone(opening(execution))
    assert worker.close()[0] == 0


def test_an_order_that_came_before_the_end_is_not_begun_after_it(execution: str, tmp_path: Path) -> None:
    step = {"name": "command", "says": "", "args": {"command": ["/bin/touch", f"{tmp_path}/ran"]}, "undo": None}
    run = host_worker.line({"do": "run", "step": step | {"items": 0, "bytes": 0}})
    worker = Alone(opening(execution, "command", command=["/bin/touch", f"{tmp_path}/ran"]))
    worker.process.send_signal(signal.SIGSTOP)
    worker.send(run)
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    worker.process.send_signal(signal.SIGCONT)
    assert worker.close()[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_lines_that_are_no_orders_are_answered_with_failures(execution: str) -> None:
    worker = Alone(opening(execution))
    for garbage in (b"garbage\n", b"[]\n", b'{"do":"plan","do":"run"}\n', b"\xff\n", b"\n"):
        worker.send(garbage)
        assert worker.line()["is"] == "failed"
    worker.send(b'{"do":"cancel"}\n{"do":"plan"}\n')
    assert worker.line()["is"] == "plan"
    assert worker.close()[0] == 0
