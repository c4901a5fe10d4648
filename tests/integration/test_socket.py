"""The control socket of a real daemon under clients that mean no good, and under the table of who may do what."""

import contextlib
import fcntl
import grp
import json
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import postgres_server as server
from daemon_harness import Client, Daemon, client, daemon, refusal
from jamaint.daemon.control.commands import COMMANDS
from jamaint.errors import (
    CONFLICT,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_AUTHORISED,
    NOT_FOUND,
    PARSE_ERROR,
    TOO_LARGE,
    JamaintError,
)
from jamaint.host import listen_socket
from jamaint.protocol.control import LINE_LIMIT
from jamaint.store.postgres import POOL_SIZE
from socket_peers import CAN_BE_OTHERS, Who, connecting_as, groups, users

CONFIG = """
database: {{ dsn: "{dsn}" }}
socket: {{ path: {directory}/sock, mode: "0666" }}
state_dir: {directory}/state
log: {{ format: json, level: warning }}
roles: {{ viewer: [{viewer}], operator: [{operator}], admin: [{admin}] }}
tasks:
  nothing: {{ type: custom, category: system, executor: noop }}
  waits:
    type: custom
    category: system
    config: {{ command: [cat, {directory}/gate] }}
"""
SPARE = POOL_SIZE + 1
"""Connections to the database may still be opened; each test would leave many more descriptors."""
needs_root = pytest.mark.skipif(not CAN_BE_OTHERS, reason="only root can connect as somebody else")


@pytest.fixture(scope="module")
def place(postgres_dsn: str, _template: str) -> Iterator[Path]:
    """Where one daemon serves all tests of this module; `place / "sock"` is its socket."""
    with server.fresh_database(postgres_dsn, _template) as dsn, server.short_directory() as directory:
        os.mkfifo(f"{directory}/gate")
        config = Path(directory, "jamaintd.yaml")
        config.write_text(CONFIG.format(dsn=dsn, directory=directory, **_roles()))
        with daemon(config) as running:
            Path(directory, "pid").write_text(str(running.process.pid))
            Path(directory, "dsn").write_text(dsn)
            # All connections to the database that it will ever have, so that descriptors can be counted.
            exchange(Path(directory), b"".join(line(id=n, method="execution.list") for n in range(300)))
            yield Path(directory)


@pytest.fixture
def caller(place: Path) -> Iterator[Client]:
    with client(place / "sock") as found:
        yield found


def _roles() -> dict[str, str]:
    """Each role has a user, a group that is somebody's own, and a group that is nobody's own."""
    names = users(8)
    shared = groups(3)
    found = {}
    for index, role in enumerate(("viewer", "operator", "admin")):
        user, own = names[2 * index], names[2 * index + 1]
        own_group = next(one.gr_name for one in grp.getgrall() if one.gr_gid == own.pw_gid)
        found[role] = f"user:{user.pw_name}, group:{own_group}, group:{shared[index].gr_name}"
    return found


def line(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


def exchange(place: Path, data: bytes) -> list[dict[str, Any]]:
    """Sends bytes, says no more, and reads what comes until the daemon hangs up: strict JSON, a line each."""
    with client(place / "sock") as one:
        one.send_raw(data)
        one.end_sending()
        return [strict(reply) for reply in one.receive_all()]


def strict(reply: bytes) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON: {reply!r}")

    value: dict[str, Any] = json.loads(reply.decode("utf-8"), parse_constant=refuse)
    assert value["jsonrpc"] == "2.0"
    assert ("result" in value) != ("error" in value)
    return value


def code_of(replies: list[dict[str, Any]]) -> int:
    assert len(replies) == 1, replies
    found: int = replies[0]["error"]["code"]
    return found


def descriptors(place: Path) -> int:
    return len(os.listdir(f"/proc/{(place / 'pid').read_text()}/fd"))


def settled_descriptors(place: Path, wanted: Callable[[int], bool]) -> int:
    """How many the daemon has once it has heard of what hung up; each look is a call, so it has had its turn."""
    with client(place / "sock") as one:
        for _ in range(200):
            one.call("daemon.version")
            found = descriptors(place)
            if wanted(found):
                break
        return found


class TestHostileLines:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"hello\n", PARSE_ERROR),
            (b"\n", PARSE_ERROR),
            (b"   \n", PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"method":"status"\n', PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"method":"status"} {}\n', PARSE_ERROR),
            (b"\xff\xfe{\x00}\x00\n", PARSE_ERROR),
            (b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"status"}\n', PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"method":"\xc0\xaf"}\n', PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}\n', PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":NaN}}\n', PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":-Infinity}}\n', PARSE_ERROR),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":1e999}}\n', INVALID_PARAMS),
            (b'{"jsonrpc":"2.0","id":9223372036854775808,"method":"status"}\n', INVALID_REQUEST),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":' + b"9" * 5000 + b"}}\n", INVALID_PARAMS),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":"\\u0000"}}\n', INVALID_PARAMS),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a\\ud800":1}}\n', INVALID_PARAMS),
            (b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":"x\x00y"}}\n', PARSE_ERROR),
            (b"[" * 100_000 + b"]" * 100_000 + b"\n", PARSE_ERROR),
            (b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", PARSE_ERROR),
            (b"[" * 100_000 + b"\n", PARSE_ERROR),
            (b'[{"jsonrpc":"2.0","id":1,"method":"status"}]\n', INVALID_REQUEST),
            (b"[]\n", INVALID_REQUEST),
            (b"1\n", INVALID_REQUEST),
            (b'"status"\n', INVALID_REQUEST),
            (b"null\n", INVALID_REQUEST),
            (line(id=1, method=5), INVALID_REQUEST),
            (line(id=1), INVALID_REQUEST),
            (line(id=1, method="status", params=[]), INVALID_REQUEST),
            (line(id=1, method="status", params=None), INVALID_REQUEST),
            (line(id=1, method="status", colour="red"), INVALID_REQUEST),
            (line(id=True, method="status"), INVALID_REQUEST),
            (line(id=1.5, method="status"), INVALID_REQUEST),
            (line(id=[1], method="status"), INVALID_REQUEST),
            (b'{"jsonrpc":"1.0","id":1,"method":"status"}\n', INVALID_REQUEST),
            (b'{"id":1,"method":"status"}\n', INVALID_REQUEST),
            (line(id=1, method="nosuch"), METHOD_NOT_FOUND),
            (line(id=1, method="__class__"), METHOD_NOT_FOUND),
            (line(id=1, method="status", params={"colour": "red"}), INVALID_PARAMS),
            (line(id=1, method="task.get", params={"task": True}), INVALID_PARAMS),
            (line(id=1, method="task.get", params={"task": None}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"limit": True}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"limit": 0}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"limit": 1 << 62}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"since": "yesterday"}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"since": "0001-01-01T00:00:00+23:59"}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"since": "9999-12-31T23:59:59-12:00"}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"cursor": "x"}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"cursor": "2026-11-24T00:00:00Z|x"}), INVALID_PARAMS),
            (line(id=1, method="execution.list", params={"status": "asleep"}), INVALID_PARAMS),
            (line(id=1, method="audit.list", params={"cursor": "1e30"}), INVALID_PARAMS),
            (line(id=1, method="audit.list", params={"cursor": "-1"}), INVALID_PARAMS),
            (line(id=1, method="audit.list", params={"cursor": "9" * 400}), INVALID_PARAMS),
            (line(id=1, method="audit.list", params={"cursor": "²"}), INVALID_PARAMS),
            (line(id=1, method="task.explain", params={"task": "nothing", "at": "9999-12-31T23:59:59-12:00"}),
             INVALID_PARAMS),
            (line(id=1, method="task.pause", params={"task": "nothing", "until": "9999-12-31T23:59:59-12:00"}),
             INVALID_PARAMS),
            (line(id=1, method="execution.wait", params={"execution": "last", "timeout": "1"}), INVALID_PARAMS),
            (line(id=1, method="task.create", params={"task": {}}), INVALID_PARAMS),
            (line(id=1, method="task.create", params={"task": {"name": ["a"]}}), INVALID_PARAMS),
            (line(id=1, method="execution.get", params={"execution": ""}), NOT_FOUND),
            (line(id=1, method="execution.get", params={"execution": "'; DROP TABLE audit_log; --"}), NOT_FOUND),
            (line(id=1, method="task.get", params={"task": "x" * 100_000}), NOT_FOUND),
        ],
    )  # fmt: skip
    def test_it_gets_its_error_and_nobody_else_notices(self, place: Path, data: bytes, code: int) -> None:
        assert code_of(exchange(place, data)) == code

    def test_the_good_line_after_a_bad_one_is_answered(self, place: Path) -> None:
        replies = exchange(place, b"nonsense\n" + line(id="x", method="daemon.version"))
        assert {str(reply["id"]) for reply in replies} == {"None", "x"}

    def test_a_notification_is_carried_out_and_not_answered(self, place: Path) -> None:
        data = line(method="nosuch") + line(method="daemon.version") + line(id=2, method="daemon.version")
        assert [reply["id"] for reply in exchange(place, data)] == [2]

    def test_half_a_line_is_never_carried_out(self, place: Path) -> None:
        before = _count(place, "nothing")
        assert exchange(place, line(id=1, method="execution.start", params={"task": "nothing"})[:-1]) == []
        assert _count(place, "nothing") == before

    @pytest.mark.parametrize("piece", [1 << 21, 4096, 7919])
    @pytest.mark.parametrize(("over", "code"), [(-1, INVALID_PARAMS), (0, INVALID_PARAMS), (1, TOO_LARGE)])
    def test_the_limit_is_the_same_however_the_line_is_split(
        self, place: Path, caller: Client, piece: int, over: int, code: int
    ) -> None:
        empty = line(id=1, method="status", params={"a": ""})
        data = empty.replace(b'""', b'"' + b"x" * (LINE_LIMIT + over - len(empty) + 1) + b'"')
        assert len(data) == LINE_LIMIT + over + 1
        for at in range(0, len(data), piece):
            caller.send_raw(data[at : at + piece])
        reply = caller.receive()
        assert reply.error is not None
        assert (reply.error.code, reply.id) == (code, None if over == 1 else 1)

    @pytest.mark.parametrize(("over", "code"), [(0, INVALID_PARAMS), (1, TOO_LARGE)])
    def test_the_limit_is_the_same_where_its_last_bytes_come_one_by_one(
        self, place: Path, caller: Client, over: int, code: int
    ) -> None:
        empty = line(id=1, method="status", params={"a": ""})
        data = empty.replace(b'""', b'"' + b"x" * (LINE_LIMIT + over - len(empty) + 1) + b'"')
        caller.send_raw(data[:-4])
        with client(place / "sock") as other:
            for byte in data[-4:]:
                while fcntl.ioctl(caller._socket, termios.TIOCOUTQ, b"\0" * 4) != b"\0" * 4:
                    other.call("daemon.version")  # the daemon has not read what was sent
                caller.send_raw(bytes([byte]))
        reply = caller.receive()
        assert reply.error is not None
        assert reply.error.code == code

    def test_who_says_far_too_much_is_told_so_and_can_read_it(self, place: Path) -> None:
        """The kernel throws away what was sent to a client that is hung up on while it still talks."""
        with client(place / "sock") as one:
            for _ in range(64):
                one.send_raw(b"x" * 65536)
            one.end_sending()
            assert code_of([strict(reply) for reply in one.receive_all()]) == TOO_LARGE


def _count(place: Path, task: str) -> int:
    with client(place / "sock") as one:
        return len(one.call("execution.list", task=task, limit=1000)["items"])


class TestManyAtOnce:
    def test_a_thousand_pipelined_requests_each_have_their_answer(self, place: Path) -> None:
        methods = ["daemon.version", "status", "task.list", "execution.list", "nosuch"]
        data = b"".join(line(id=number, method=methods[number % 5]) for number in range(1000))
        with client(place / "sock") as one:
            sending = threading.Thread(target=one.send_raw, args=(data,))
            sending.start()
            replies = [one.receive() for _ in range(1000)]
            sending.join()
        assert sorted(reply.id for reply in replies) == list(range(1000))
        for reply in replies:
            if reply.id % 5 == 4:
                assert reply.error is not None
                assert reply.error.code == METHOD_NOT_FOUND
            else:
                assert reply.error is None

    def test_a_slow_call_holds_up_no_other(self, place: Path, caller: Client) -> None:
        execution = caller.call("execution.start", task="waits")["execution_id"]
        with client(place / "sock") as one:
            one.send_raw(line(id="slow", method="execution.wait", params={"execution": execution}))
            one.send_raw(line(id="quick", method="daemon.version"))
            assert one.receive().id == "quick"
            one.end_sending()
            (place / "gate").write_text("go on\n")
            ended = one.receive()
        assert (ended.id, ended.result["status"]) == ("slow", "completed")

    def test_one_that_hangs_up_has_changed_something_wholly_or_not_at_all(self, place: Path, caller: Client) -> None:
        """In the daemon, in its database and in its audit log; half a change would come to light at the next start."""
        before = settled_descriptors(place, lambda _: True)
        for number in range(30):
            task = {"name": f"hasty-{number}", "type": "custom", "category": "system", "executor": "noop"}
            data = line(id=1, method="task.create", params={"task": task})
            with client(place / "sock") as one:
                one.send_raw(
                    data + line(id=2, method="status") * 3 if number % 2 else line(id=2, method="status") + data
                )
        assert settled_descriptors(place, lambda found: found <= before + SPARE) <= before + SPARE
        for _ in range(200):  # what was begun goes on after the connection has gone
            known, told, kept = _known(caller), _told(caller), _kept((place / "dsn").read_text())
            if known == told == kept:
                break
        assert known == told == kept
        assert len(known) >= 15
        for name in known:
            caller.call("task.delete", task=name)

    def test_subscriptions_of_one_connection_are_counted(self, place: Path) -> None:
        data = b"".join(line(id=number, method="event.subscribe") for number in range(20))
        replies = exchange(place, data)
        assert sum("result" in reply for reply in replies) == 16
        assert {reply["error"]["code"] for reply in replies if "error" in reply} == {CONFLICT}


def _known(caller: Client) -> set[str]:
    return {task["name"] for task in caller.call("task.list")["items"] if task["origin"] == "api"}


def _told(caller: Client) -> set[str]:
    entries = caller.call("audit.list", limit=200)["items"]
    return {entry["object"] for entry in entries if entry["method"] == "task.create" and entry["outcome"] == "done"}


def _kept(dsn: str) -> set[str]:
    rows = server.on_connection(dsn, lambda one: one.fetch("SELECT name FROM maintenance_tasks WHERE origin = 'api'"))
    return {row["name"] for row in rows}


class TestDescriptors:
    def test_those_that_are_passed_are_closed(self, place: Path) -> None:
        before = settled_descriptors(place, lambda _: True)
        with client(place / "sock") as one:
            for number in range(50):
                data = line(id=number, method="daemon.version")
                passed = struct.pack("8i", *[one._socket.fileno()] * 8)
                one._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
                assert one.receive().id == number
            assert settled_descriptors(place, lambda found: found <= before + SPARE) <= before + SPARE
        assert settled_descriptors(place, lambda found: found <= before + SPARE) <= before + SPARE

    def test_connections_that_are_broken_off_leave_none(self, place: Path) -> None:
        before = settled_descriptors(place, lambda _: True)
        rude = struct.pack("ii", 1, 0)
        for number in range(60):
            with client(place / "sock") as one:
                one._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, rude)
                one.send_raw(line(id=1, method="event.subscribe")[: 5 + number])
        assert settled_descriptors(place, lambda found: found <= before + SPARE) <= before + SPARE


class TestWhoMayDoWhat:
    """Each method by each role, by each way to have it: exactly the table of daemon.control.commands."""

    @pytest.fixture
    def callers(self) -> dict[str, tuple[str, Who]]:
        names, shared, found = users(8), groups(3), {}
        stranger = names[7]
        for index, role in enumerate(("viewer", "operator", "admin")):
            user, own = names[2 * index], names[2 * index + 1]
            found[f"{role} by user"] = (role, Who(user.pw_uid, stranger.pw_gid))
            found[f"{role} by own group"] = (role, Who(stranger.pw_uid, own.pw_gid))
            found[f"{role} by another group"] = (
                role, Who(stranger.pw_uid, stranger.pw_gid, (stranger.pw_gid, shared[index].gr_gid))
            )  # fmt: skip
        found["root"] = ("admin", Who(0, stranger.pw_gid))
        found["a stranger"] = ("nobody", Who(stranger.pw_uid, stranger.pw_gid))
        found["root's group"] = ("nobody", Who(stranger.pw_uid, 0, (0,)))
        found["the largest uid"] = ("nobody", Who(2**32 - 2, 2**32 - 2))
        found["a uid beyond int"] = ("nobody", Who(2**31, stranger.pw_gid))
        return found

    @needs_root
    def test_the_table(self, place: Path, callers: dict[str, tuple[str, Who]], caller: Client) -> None:
        rank = {"nobody": 0, "viewer": 1, "operator": 2, "admin": 3}
        last = caller.call("audit.list", limit=1)["items"]
        expected_entries = 0
        for name, (role, who) in callers.items():
            with_role = Client(place / "sock", connecting_as(who))
            for method, command in COMMANDS.items():
                # Every command looks at its parameters first, and none of them has this one.
                code = refusal(with_role, method, nosuch=1).code
                allowed = rank[role] >= rank[command.role]
                assert code == (INVALID_PARAMS if allowed else NOT_AUTHORISED), (name, method)
                expected_entries += not allowed or command.changes
            with_role.close()
        entries = _entries_since(caller, last[0]["id"] if last else 0)
        assert len(entries) == expected_entries
        assert {entry["outcome"] for entry in entries} == {"refused"}
        assert {(entry["uid"], entry["role"]) for entry in entries} == {(w.uid, role) for role, w in callers.values()}
        assert {entry["pid"] for entry in entries} == {os.getpid()}

    @needs_root
    def test_a_name_that_a_caller_gives_its_own_socket_says_nothing(
        self, place: Path, callers: dict[str, tuple[str, Who]], tmp_path: Path
    ) -> None:
        own = connecting_as(callers["a stranger"][1], bound=b"\0/tmp/x;uid=0;pid=1;")(place / "sock")
        with contextlib.closing(Client(place / "sock", lambda _: own)) as stranger:
            assert refusal(stranger, "status").code == NOT_AUTHORISED

    @needs_root
    def test_root_of_a_user_namespace_is_who_he_is_outside(
        self, place: Path, callers: dict[str, tuple[str, Who]]
    ) -> None:
        who = callers["a stranger"][1]
        script = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
            "s.sendall(sys.argv[2].encode()); print(s.makefile().readline())"
        )
        asked = line(id=1, method="status").decode()
        python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
        become = ["setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", "--clear-groups"]
        inside = ["unshare", "--user", "--map-root-user"]
        if python is None or subprocess.run([*become, *inside, "true"], check=False, capture_output=True).returncode:
            pytest.skip("may not make a user namespace here")
        done = subprocess.run(
            [*become, *inside, python, "-I", "-c", script, str(place / "sock"), asked],
            check=True, capture_output=True, text=True, cwd="/",
        )  # fmt: skip
        assert strict(done.stdout.strip().encode())["error"]["code"] == NOT_AUTHORISED

    @needs_root
    def test_a_refusal_says_what_is_needed_and_who_asked(self, place: Path, callers: dict[str, Any]) -> None:
        viewer = Client(place / "sock", connecting_as(callers["viewer by user"][1]))
        problem = refusal(viewer, "execution.start", task="nothing")
        viewer.close()
        name = users(1)[0].pw_name
        assert problem.message.startswith(
            f"execution.start needs the role operator, and {name} has the role viewer (as root: adduser {name} "
        )
        assert problem.data == {"needs": "operator", "role": "viewer"}

    @needs_root
    def test_a_viewer_sees_that_something_runs_and_not_what_it_says(
        self, place: Path, callers: dict[str, Any], caller: Client
    ) -> None:
        seen: dict[str, set[str]] = {}
        watchers = {}
        for role in ("viewer", "operator"):
            watchers[role] = Client(place / "sock", connecting_as(callers[f"{role} by user"][1]))
            watchers[role].call("event.subscribe")
        execution = caller.call("execution.start", task="waits")["execution_id"]
        (place / "gate").write_text("a secret\n")
        caller.call("execution.wait", execution=execution)
        for role, watcher in watchers.items():
            seen[role] = set()
            while "execution.ended" not in seen[role]:
                event = watcher.receive().event
                assert event is not None
                seen[role].add(event["event"])
                assert role == "operator" or "a secret" not in json.dumps(event)
            watcher.close()
        assert seen["operator"] - seen["viewer"] == {"execution.log"}

    def test_changing_calls_stand_in_the_audit_log_and_looks_do_not(self, place: Path, caller: Client) -> None:
        before = caller.call("audit.list", limit=1)["items"][0]["id"]
        caller.call("task.disable", task="nothing")
        caller.call("task.list")
        refusal(caller, "execution.start", task="nothing")
        caller.call("task.enable", task="nothing")
        refusal(caller, "task.delete", task="nothing")
        told = [
            (entry["method"], entry["object"], entry["outcome"], entry["detail"].get("code"))
            for entry in reversed(_entries_since(caller, before))
        ]
        assert told == [
            ("task.disable", "nothing", "done", None),
            ("execution.start", "nothing", "refused", -32002),
            ("task.enable", "nothing", "done", None),
            ("task.delete", "nothing", "refused", CONFLICT),
        ]

    def test_a_name_with_line_breaks_forges_no_entry(self, place: Path, caller: Client) -> None:
        before = caller.call("audit.list", limit=1)["items"][0]["id"]
        forged = 'nothing"}\n{"method":"task.delete","outcome":"done'
        refusal(caller, "task.disable", task=forged)
        entries = _entries_since(caller, before)
        assert [(entry["object"], entry["outcome"]) for entry in entries] == [(forged, "refused")]


def _entries_since(caller: Client, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = caller.call("audit.list", limit=500, **cursor)
        fresh = [entry for entry in answer["items"] if entry["id"] > number]
        found += fresh
        if len(fresh) < len(answer["items"]) or answer["next_cursor"] is None:
            return found
        cursor = {"cursor": answer["next_cursor"]}


class TestTheFile:
    """Another daemon, whose configuration and database are of the test's own."""

    @pytest.fixture
    def config(self, database: str) -> Iterator[Path]:
        with server.short_directory() as directory:
            config = Path(directory, "jamaintd.yaml")
            text = CONFIG.format(dsn=database, directory=directory, **_roles())
            config.write_text(text.replace('"0666"', '"0640"'))
            yield config

    def test_a_dead_socket_is_replaced(self, config: Path) -> None:
        path = config.parent / "sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        with daemon(config), client(path) as one:
            assert one.call("daemon.version")["protocol"] == 1
            assert stat.S_IMODE(path.lstat().st_mode) == 0o640
        assert not path.exists()

    @pytest.mark.parametrize("kind", ["file", "directory", "link to a socket", "link to nothing"])
    def test_anything_else_is_left_alone_and_said(self, config: Path, kind: str) -> None:
        path = config.parent / "sock"
        other = config.parent / "other"
        if kind == "file":
            path.write_text("precious")
        elif kind == "directory":
            path.mkdir()
        else:
            path.symlink_to(other)
            if kind == "link to a socket":
                with socket.socket(socket.AF_UNIX) as dead:
                    dead.bind(str(other))
        before = path.lstat()
        assert "something that is no socket stands there" in _fails(config)
        assert (path.lstat().st_ino, path.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert other.exists() == (kind == "link to a socket")

    def test_a_link_at_the_lock_is_not_followed(self, config: Path) -> None:
        target = config.parent / "target"
        (config.parent / "sock.lock").symlink_to(target)
        assert "cannot listen at" in _fails(config)
        assert not target.exists()

    def test_a_place_that_cannot_be_made_is_said_in_a_line(self, config: Path) -> None:
        (config.parent / "file").write_text("")
        config.write_text(config.read_text().replace("/sock,", "/file/sock,"))
        assert re.search(r"cannot listen at \S+/file/sock: \S+/file: File exists", _fails(config))

    def test_a_second_daemon_on_the_same_socket(self, config: Path, empty_database: str) -> None:
        second = config.with_name("second.yaml")
        text = config.read_text().replace("/state", "/state2")
        second.write_text(re.sub(r'dsn: "[^"]*"', f'dsn: "{empty_database}"', text))
        with daemon(config), client(config.parent / "sock") as one:
            assert "another jamaintd does; stop it first" in _fails(second)
            assert one.call("daemon.version")["protocol"] == 1

    def test_nobody_can_connect_before_it_has_its_mode(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """At each moment from bind on: only the owner has a right to it, or it has just the mode that was asked for."""
        path = tmp_path / "sock"
        seen: list[int] = []

        class Watched(socket.socket):
            def bind(self, address: Any) -> None:
                super().bind(address)
                seen.append(stat.S_IMODE(path.lstat().st_mode))

            def listen(self, backlog: int = 0) -> None:
                seen.append(stat.S_IMODE(path.lstat().st_mode))
                super().listen(backlog)

        chmod = os.chmod

        def watched_chmod(at: str, mode: int) -> None:
            seen.append(stat.S_IMODE(path.lstat().st_mode))
            with socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
                early.connect(at)
            chmod(at, mode)

        monkeypatch.setattr(listen_socket.socket, "socket", Watched)
        monkeypatch.setattr(listen_socket.os, "chmod", watched_chmod)
        before = os.umask(0)
        try:
            with listen_socket.listening(str(path), 0o666, None):
                assert stat.S_IMODE(path.lstat().st_mode) == 0o666
        finally:
            os.umask(before)
        assert seen == [0o600, 0o600, 0o666]

    def test_a_path_that_is_too_long_is_said(self, tmp_path: Path) -> None:
        with (
            pytest.raises(JamaintError, match="107 bytes; name a shorter one"),
            listen_socket.listening(f"/{'x' * 107}", 0o600, None),
        ):
            pass


def _fails(config: Path) -> str:
    """The last words of a daemon that does not start."""
    failing = Daemon(config)
    assert not failing.wait_ready()
    assert failing.wait() == 1
    said = config.with_suffix(".log").read_text()
    assert "Traceback" not in said, said
    return said
