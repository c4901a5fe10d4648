"""A daemon that is wrong, silent, gone or somebody else's: bounded, escaped, one line, exit code 3 or 1."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jamaint.ctl.cli.client import Client, UnreachableError, default_path
from jamaint.errors import JamaintError
from jamaint.protocol.control import LINE_LIMIT, event

SOURCES = Path(__file__).parents[3] / "src"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


def line_of(done: Any) -> str:
    """The one line of a failure."""
    assert done.stdout == ""
    assert done.stderr.startswith("jamaintctl: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return str(done.stderr)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b'{"jsonrpc":"2.0","id":1}\n',
        b'{"jsonrpc":"2.0","id":77,"result":{}}\n',
        b'{"jsonrpc":"2.0","id":[],"result":{}}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":1}}\n',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m","data":7}}\n',
        b'{"jsonrpc":"2.0","method":"event","params":7}\n',
        b'{"jsonrpc":"2.0","id":1,"result":[]}\n',
        b'{"jsonrpc":"2.0","id":1,"result":{"daemon":7}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":{"daemon":{},"overall":[],"scheduler":null}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000 + b"\n",
        b"x" * (LINE_LIMIT + 2),
        event({"event": "e"}) * 10_001,
    ],
    ids=lambda answer: answer[:50].decode("latin-1"),
)
def test_nonsense_is_one_line_and_exit_1(daemon: Any, ctl: Any, answer: bytes) -> None:
    daemon.answers["status"] = answer
    done = ctl("status")
    assert done.returncode == 1
    line_of(done)


def test_a_connection_that_is_closed_is_exit_3(daemon: Any, ctl: Any) -> None:
    daemon.answers["status"] = b""
    done = ctl("status")
    assert done.returncode == 3
    assert "closed the connection" in line_of(done)


def test_half_an_answer_is_no_answer(daemon: Any, ctl: Any) -> None:
    daemon.answers["status"] = b'{"jsonrpc":"2.0","id":1,"res'
    done = ctl("--timeout", "0.3", "status")
    assert done.returncode == 3
    assert "no answer to status within 0.3 s" in line_of(done)


def test_drops_that_never_make_a_line_do_not_keep_us(daemon: Any, tmp_path: Path) -> None:
    client = Client(str(daemon.path), 0.3, lambda value: value)
    daemon.answers["status"] = b" "
    client.begin("status", {})
    began = time.monotonic()
    assert client.answer(0.3) == (False, None)
    assert time.monotonic() - began < 5
    client.close()


EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"


def evil(value: Any) -> Any:
    """The same value with every text replaced."""
    if isinstance(value, dict):
        return {key: evil(item) for key, item in value.items()}
    if isinstance(value, list):
        return [evil(item) for item in value]
    return EVIL if isinstance(value, str) else value


EXECUTION = {
    "id": "a", "task_name": "t", "status": "s", "window_name": "w", "steps": [
        {"name": "n", "status": "s", "details": {"skipped": [{"path": "p", "why": "w"}], "k": "v"}, "error": "e"}
    ], "error": {"message": "m", "kind": "k"}, "reasons": [{"guard": "g", "verdict": "v", "detail": "d"}],
    "rollback_point": {"id": "r", "status": "s", "problems": []}, "metrics": {}, "requested_by": "u",
}  # fmt: skip
ANSWERS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("execution.get", ["execution", "show", "last"], EXECUTION),
    ("execution.list", ["execution", "list"], {"items": [EXECUTION], "next_cursor": None}),
    ("execution.list", ["events"], {"items": [{**EXECUTION, "started_at": "x"}], "next_cursor": None}),
    ("execution.logs", ["execution", "log", "x"],
     {"items": [{"seq": 1, "at": "a", "level": "l", "step": "s", "message": "m"}], "next_cursor": None}),
    ("task.get", ["task", "show", "a"], {"name": "n", "config": {"k": ["v"]}, "schedule": {"cron": "c"}}),
    ("window.get", ["window", "show", "a"], {"name": "n", "duration": 1, "timezone": "z", "allowed_tasks": ["a"]}),
    ("policy.get", ["policy", "show", "a"], {"name": "n", "rules": [{"k": "v"}]}),
    ("audit.list", ["audit"], {"items": [{"at": "a", "user": "u", "detail": {"message": "m"}}], "next_cursor": None}),
    ("task.explain", ["why", "a"],
     {"task": "t", "at": "a", "verdict": "v", "guards": [{"guard": "g", "verdict": "v", "detail": "d"}],
      "last": EXECUTION}),
    ("config.show", ["config", "show"], {"path": "p", "config": {"a": "b"}}),
    ("daemon.version", ["version"], {"version": "v", "python": "p"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "words", "answer"), ANSWERS, ids=lambda value: str(value)[:20])
def test_no_text_of_the_daemons_reaches_the_terminal_as_it_is(
    daemon: Any, ctl: Any, method: str, words: list[str], answer: dict[str, Any]
) -> None:
    daemon.answers[method] = evil(answer)
    done = ctl(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "\\x1b" in done.stdout
    done = ctl("--json", *words)
    assert done.stdout.rstrip("\n").isprintable()
    assert json.dumps(EVIL) in json.dumps(json.loads(done.stdout))


def test_no_refusal_reaches_the_terminal_as_it_is(daemon: Any, ctl: Any) -> None:
    data = {"reasons": [{"guard": EVIL, "detail": EVIL}], "mistakes": [{"file": EVIL, "key": EVIL, "problem": EVIL}]}
    for problem in (JamaintError(-32002, EVIL, data), JamaintError(-32602, EVIL, {"reasons": data["reasons"]})):
        daemon.answers["status"] = problem
        assert line_of(ctl("status")).rstrip("\n").isprintable()
        assert ctl("--json", "status").stderr.rstrip("\n").isprintable()


def test_no_socket(tmp_path: Path, ctl: Any) -> None:
    done = ctl("--socket", str(tmp_path / "none"), "status")
    assert done.returncode == 3
    line = line_of(done)
    assert str(tmp_path / "none") in line
    assert "systemctl start jamaintd" in line


def test_a_socket_that_nobody_listens_at(tmp_path: Path, ctl: Any) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    done = ctl("status", JAMAINT_SOCKET=str(tmp_path / "stale"))
    assert done.returncode == 3
    assert "nothing listens there" in line_of(done)


@pytest.mark.parametrize("name", ["a" * 300, "\0", "file\x1b[2J"])
def test_a_path_that_is_no_socket(tmp_path: Path, name: str) -> None:
    if "\0" not in name and len(name) < 200:
        (tmp_path / name).touch()
    with pytest.raises(UnreachableError, match="cannot reach the daemon"):
        Client(str(tmp_path / name), None, lambda value: value)


def as_user(uid: int, work: Callable[[], str]) -> str:
    """What `work` gives in a child that has become that user."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.write(write, work().encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


def refusal(path: Path) -> str:
    try:
        Client(str(path), None, lambda value: value).close()
    except UnreachableError as error:
        return error.message
    return "connected"


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that anybody may enter and write to."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.geteuid() and directory != Path("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o011)
    tmp_path.chmod(0o777)
    return tmp_path


@as_root
def test_a_socket_without_permission_says_who_may(daemon: Any, open_path: Path) -> None:
    daemon.path.chmod(0o660)
    message = as_user(12345, lambda: refusal(daemon.path))
    assert "permission denied; only uid 0 and the group 0 may use it" in message


@as_root
def test_an_impostors_socket_is_refused_before_a_word(open_path: Path) -> None:
    path = open_path / "jamaintd.sock"

    def listen() -> str:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            (open_path / "ready").touch()
            connection, _ = listener.accept()
            with connection:
                return repr(connection.recv(100))

    child = os.fork()
    if child == 0:
        said = as_user(12345, listen)
        (open_path / "said").write_text(said)
        os._exit(0)
    while not (open_path / "ready").exists():
        os.sched_yield()
    os.chown(path, 12346, 12346)
    assert "uid 12345 listens there, who is neither root, nor you, nor its owner" in refusal(path)
    os.waitpid(child, 0)
    assert (open_path / "said").read_text() == "b''"


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({"JAMAINT_SOCKET": "/a"}, 0, "/a"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 0, "/run/jamaint/jamaintd.sock"),
        ({"XDG_RUNTIME_DIR": "/r", "HOME": "/h"}, 7, "/r/jamaint/jamaintd.sock"),
        ({"XDG_RUNTIME_DIR": "relative", "HOME": "/h"}, 7, "/h/.local/state/jamaint/jamaintd.sock"),
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, 7, "/s/jamaint/jamaintd.sock"),
        ({"JAMAINT_STATE_DIR": "/j/", "HOME": "/h"}, 7, "/j/jamaintd.sock"),
    ],
)
def test_where_the_daemon_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], uid: int, expected: str
) -> None:
    for name in ("JAMAINT_SOCKET", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "JAMAINT_STATE_DIR", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr("jamaint.ctl.cli.client.SYSTEM_SOCKET", "/run/jamaint/jamaintd.sock")
    if not os.path.exists("/run/jamaint/jamaintd.sock"):
        assert default_path() == expected


def test_a_full_disk_under_the_output_is_said(daemon: Any, ctl_process: Any) -> None:
    daemon.answers["daemon.drain"] = {"state": "draining", "running": 0}
    full = os.open("/dev/full", os.O_WRONLY)
    process = ctl_process("drain", out=full)
    os.close(full)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, "jamaintctl: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_output_that_nobody_reads_is_silent(daemon: Any, ctl_process: Any, flags: list[str]) -> None:
    daemon.answers["execution.list"] = {"items": [EXECUTION] * 20, "next_cursor": None}
    read, write = os.pipe()
    os.close(read)
    process = ctl_process("execution", "list", *flags, out=write)
    os.close(write)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_another_encoding_than_utf8_loses_nothing(daemon: Any, ctl: Any) -> None:
    daemon.answers["policy.get"] = {"name": "文件"}
    latin = {"PYTHONIOENCODING": "latin-1"}
    assert ctl("policy", "show", "p", **latin).stdout == "name: \\u6587\\u4ef6\n"
    assert ctl("--json", "policy", "show", "p", **latin).stdout == '{"name":"\\u6587\\u4ef6"}\n'


LOADED = """
import sys
before = set(sys.modules)
from jamaint.ctl.main import main
main()
print(*set(sys.modules) - before)
"""


@pytest.mark.parametrize("words", [["status"], ["execute", "a"], ["rollback", "a"]])
def test_the_verbs_people_wait_for_load_nothing_they_do_not_need(daemon: Any, words: list[str]) -> None:
    """Half of what a call costs is imports; see the figures in docs/explanation/performance.md."""
    environ = {**os.environ, "JAMAINT_SOCKET": str(daemon.path), "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-c", LOADED, *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=True)
    loaded = set(done.stdout.split())
    assert loaded >= {"jamaint.ctl.main", "jamaint.protocol.control"}
    assert {name for name in loaded if not name.startswith("jamaint")} <= {"_socket", "_json", "__future__"}
