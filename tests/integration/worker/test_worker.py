"""Workers as real processes under trio: what one does, as whom, and what it tells on its way."""

import os

import pytest
import trio
import trio.testing

from jamaint.host.processes.run import MARK
from jamaint.worker_client.session import open_worker
from worker_processes import (
    STRAYS,
    Heard,
    Message,
    all_ended,
    executes,
    marked,
    opening,
    plan,
    planned,
    shell,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


# Operations


async def test_plan_run_undo_and_purge(execution: str, heard: Heard) -> None:
    words = shell(execution, "echo one; echo two >&2", rollback_command=["/bin/echo", "back"])
    async with open_worker(words, heard, heard.stderr.append) as worker:
        step = await planned(worker)
        assert (step["name"], step["undo"]) == ("command", {"command": ["/bin/echo", "back"], "once": True})
        done = await worker.ask({"do": "run", "step": step})
        assert done["is"] == "done"
        assert (done["details"]["exit_code"], done["details"]["output_lines"]) == (0, 2)
        undone = await worker.ask({"do": "undo", "step": step, "dry_run": False})
        assert undone == {
            "is": "done",
            "details": {"restored": 1, "removed": 0, "kept": [], "problems": [], "unit": "command"},
        }
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


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_a_timeout_ends_all_that_the_command_has_started(execution: str, heard: Heard, impatient: None) -> None:
    words = shell(execution, STRAYS)
    words["task"]["timeout_seconds"] = 3
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


async def test_a_cancel_stops_the_operation_and_the_worker_serves_on(
    execution: str, heard: Heard, impatient: None
) -> None:
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


# Executors that do what they should not


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
        ("raise StepError('no\\nway \\udcff', 'unsafe', {'files': 2})", ("no\\nway \\udcff", "unsafe")),
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
    except StopRequestedError:
        raise StopRequestedError({"files": 3})
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


@pytest.mark.parametrize("link", ["child"], indirect=True)
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
    assert heard.lines[0] == str(max(10, os.nice(0)))  # the tests may be nice themselves
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


@pytest.mark.parametrize("link", ["child"], indirect=True)
@as_root
async def test_a_worker_that_is_not_root_refuses_to_be_somebody_else(execution: str, heard: Heard) -> None:
    words = shell(execution, "true", user="root") | {"user": "nobody"}
    async with open_worker(words, heard, heard.stderr.append) as worker:
        answer = await worker.ask({"do": "plan"})
    assert answer["is"] == "failed"
    assert "this process is nobody and cannot become root: only root can" in answer["error"]["message"]


@pytest.mark.parametrize("link", ["child"], indirect=True)
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
    async with open_worker(opening(execution) | change, heard, heard.stderr.append, kind="files") as worker:
        for _ in range(2):
            answer = await worker.ask({"do": "plan"})
            assert answer == {"is": "failed", "error": {"message": message, "kind": kind}, "details": {}}


async def test_an_operation_that_is_none_is_a_failure(execution: str, heard: Heard) -> None:
    async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
        for order in ({"do": "dance"}, {}, {"do": ["plan"]}, {"do": "run"}):
            assert (await worker.ask(order))["is"] == "failed"
        assert (await worker.ask({"do": "plan"}))["is"] == "plan"
