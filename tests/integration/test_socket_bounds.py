"""What one client may cost by its slowness, silence, deafness or number; the bounds are short here."""

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio

import postgres_server as server
from jamaint.config import load
from jamaint.daemon import app
from jamaint.daemon.control import client_limits, connection
from jamaint.daemon.control import server as server_module
from jamaint.daemon.state import audit_writer, events
from jamaint.errors import NOT_AUTHORISED, NOT_FOUND, UNAVAILABLE
from socket_peers import CAN_BE_OTHERS, Who, connecting_as, users

CONFIG = """
database: {{ dsn: "{dsn}" }}
socket: {{ path: {directory}/sock, mode: "0666" }}
state_dir: {directory}/state
roles: {{ viewer: [], operator: [], admin: [] }}
tasks:
  nothing: {{ type: custom, category: system, executor: noop }}
  waits: {{ type: custom, category: system, config: {{ command: [cat, {directory}/gate] }} }}
"""
PATIENCE_SECONDS = 20.0
needs_root = pytest.mark.skipif(not CAN_BE_OTHERS, reason="only root can connect as somebody else")


class Caller:
    """A connection in trio."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._rest = b""

    async def send(self, ident: Any, method: str, **params: Any) -> None:
        await self.stream.send_all(line(ident, method, params))

    async def receive(self) -> dict[str, Any] | None:
        """The next line; None when the daemon has hung up."""
        with trio.fail_after(PATIENCE_SECONDS):
            while b"\n" not in self._rest:
                try:
                    chunk = await self.stream.receive_some(65536)
                except trio.BrokenResourceError:
                    return None
                if not chunk:
                    return None
                self._rest += chunk
        first, self._rest = self._rest.split(b"\n", 1)
        value: dict[str, Any] = json.loads(first)
        return value

    async def call(self, method: str, **params: Any) -> Any:
        """The answer of one call, result or error."""
        await self.send("call", method, **params)
        while (reply := await self.receive()) is not None:
            if reply.get("id") == "call":
                return reply.get("result", reply.get("error"))
        raise EOFError


def line(ident: Any, method: str, params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}).encode() + b"\n"


class Scene:
    """A daemon in this process, and connections to it."""

    def __init__(self, directory: str, daemon: app.App, dsn: str) -> None:
        self.directory = Path(directory)
        self.config = self.directory / "jamaintd.yaml"
        self.app = daemon
        self.dsn = dsn

    @asynccontextmanager
    async def caller(self, who: Who | None = None) -> AsyncIterator[Caller]:
        path = self.directory / "sock"
        if who is None:
            stream = await trio.open_unix_socket(path)
        else:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(connecting_as(who)(path)))
        async with stream:
            yield Caller(stream)

    async def gate(self) -> None:
        """Lets `waits` end."""
        await trio.to_thread.run_sync((self.directory / "gate").write_text, "go on\n")

    async def sql(self, statement: str) -> Any:
        return await trio.to_thread.run_sync(server.on_connection, self.dsn, lambda one: one.fetch(statement))


def _write_config(directory: Path, dsn: str) -> Path:
    config = directory / "jamaintd.yaml"
    config.write_text(CONFIG.format(dsn=dsn, directory=directory))
    return config


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    with server.short_directory() as directory:
        os.mkfifo(f"{directory}/gate")
        config = _write_config(Path(directory), database)
        read = partial(load, str(config), environ={}, euid=os.geteuid())
        async with trio.open_nursery() as nursery:
            daemon = app.App(read(), read, structlog.get_logger())
            await nursery.start(daemon.serve)
            yield Scene(directory, daemon, database)
            daemon.stop()


class TestSlow:
    async def test_a_line_that_never_ends_is_hung_up_on_however_it_drips(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "LINE_SECONDS", 0.3)
        async with scene.caller() as slow, scene.caller() as other:
            began = trio.current_time()
            hung_up = False
            while not hung_up:
                assert trio.current_time() < began + PATIENCE_SECONDS
                with trio.move_on_after(0.05):
                    hung_up = await slow.receive() is None
                if not hung_up:
                    try:
                        await slow.stream.send_all(b" ")
                    except trio.BrokenResourceError:
                        hung_up = True
                assert (await other.call("daemon.version"))["protocol"] == 1

    async def test_silence_is_hung_up_on_unless_something_is_under_way(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "IDLE_SECONDS", 0.2)
        async with scene.caller() as waiting, scene.caller() as subscribed, scene.caller() as silent:
            await subscribed.call("event.subscribe")
            execution = (await waiting.call("execution.start", task="waits"))["execution_id"]
            await waiting.send("wait", "execution.wait", execution=execution)
            assert await silent.receive() is None
            await scene.gate()
            ended = await waiting.receive()
            assert ended is not None
            assert ended["result"]["status"] == "completed"
            assert (await subscribed.receive() or {})["method"] == "event"
            assert await waiting.receive() is None


class TestDeaf:
    async def test_one_that_reads_no_replies_is_cut_off_and_cannot_ask_for_ever(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "SEND_SECONDS", 0.3)
        asked = b"".join(line(number, "task.list", {}) for number in range(100))
        sent = 0
        async with scene.caller() as deaf, scene.caller() as other:
            with suppress(trio.BrokenResourceError):
                while sent < 100_000:
                    await deaf.stream.send_all(asked)
                    sent += 100
            assert (await other.call("daemon.version"))["protocol"] == 1
        assert sent < 10_000, "it went on reading what it could not answer"

    async def test_one_that_reads_no_events_falls_behind_and_harms_no_other(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "BUFFER", 20)
        async with scene.caller() as deaf, scene.caller() as other:
            deaf.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            await deaf.call("event.subscribe")
            for _ in range(150):
                execution = (await other.call("execution.start", task="nothing"))["execution_id"]
                ended = await other.call("execution.wait", execution=execution)
                assert ended["status"] == "completed"
            last = ""
            while last != "daemon.cut_off":
                event = await deaf.receive()
                assert event is not None
                last = event["params"]["event"]


class TestMany:
    async def test_those_of_one_user_are_counted_and_the_next_is_told(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client_limits, "CONNECTIONS_OF_ONE_USER", 3)
        async with scene.caller() as first, scene.caller() as second, scene.caller() as third:
            for one in (first, second, third):
                assert (await one.call("daemon.version"))["protocol"] == 1
            async with scene.caller() as fourth:
                told = await fourth.receive()
                assert told is not None
                assert (told["id"], told["error"]["code"]) == (None, UNAVAILABLE)
                assert await fourth.receive() is None
        async with scene.caller() as later:
            assert (await later.call("daemon.version"))["protocol"] == 1

    @needs_root
    async def test_others_and_root_above_all_get_in(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_limits, "CONNECTIONS_OF_ONE_USER", 2)
        monkeypatch.setattr(client_limits, "CONNECTIONS", 3)
        one, other = (Who(user.pw_uid, user.pw_gid) for user in users(2))
        async with scene.caller(one) as first, scene.caller(one) as second, scene.caller(other) as third:
            for caller in (first, second, third):
                assert (await caller.call("status"))["code"] == NOT_AUTHORISED
            async with scene.caller(other) as one_too_many:
                assert ((await one_too_many.receive()) or {})["error"]["code"] == UNAVAILABLE
            async with scene.caller() as root:
                assert (await root.call("daemon.version"))["protocol"] == 1


@needs_root
async def test_a_role_that_is_taken_away_is_gone_on_connections_that_are_open(scene: Scene) -> None:
    user = users(1)[0]
    text = scene.config.read_text()
    scene.config.write_text(text.replace("admin: []", f"admin: [user:{user.pw_name}]"))
    async with scene.caller() as root, scene.caller(Who(user.pw_uid, user.pw_gid)) as admin:
        assert (await admin.call("config.show"))["code"] == NOT_AUTHORISED
        await root.call("daemon.reload")
        assert "config" in await admin.call("config.show")
        scene.config.write_text(text)
        await root.call("daemon.reload")
        assert (await admin.call("config.show"))["code"] == NOT_AUTHORISED


async def test_refusals_without_end_are_counted_in_the_audit_log_and_nobody_elses_is_left_out(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_writer, "REFUSALS", 5)
    monkeypatch.setattr(audit_writer, "HOUR_SECONDS", 0.5)
    counted = "SELECT (detail->>'entries')::int AS n FROM audit_log WHERE outcome = 'entries left out'"
    written = "SELECT count(*) AS n FROM audit_log WHERE outcome = 'refused' AND method = 'task.disable'"
    async with scene.caller() as flooding:
        for number in range(100):
            await flooding.send(number, "task.disable", task="nosuch\n" * number)
        for _ in range(100):
            assert ((await flooding.receive()) or {})["error"]["code"] == NOT_FOUND
        await flooding.call("task.disable", task="nothing")  # what is done is never left out
        with trio.fail_after(PATIENCE_SECONDS):
            while sum(row["n"] for row in await scene.sql(counted)) + (await scene.sql(written))[0]["n"] < 100:
                pass
        assert (await scene.sql(written))[0]["n"] < 100
        assert (await scene.sql("SELECT outcome FROM audit_log WHERE object = 'nothing'"))[0]["outcome"] == "done"


class TestTheDatabaseIsAway:
    @pytest.fixture
    async def away(self, scene: Scene) -> AsyncIterator[Scene]:
        """The database takes no connections, and has ended those it had."""
        name = scene.dsn.split("@/")[1].split("?")[0]
        admin = server.with_name(scene.dsn.replace(f"@/{name}?", "@/jamaint?"), "jamaint")

        async def allow(allowed: str) -> None:
            sql = f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}"
            await trio.to_thread.run_sync(server.execute, admin, sql)

        async with scene.caller() as one:  # the answer is in memory, and what was asked stands in the audit log
            await one.call("status")
        await allow("false")
        sql = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"
        await trio.to_thread.run_sync(server.execute, admin, sql)
        yield scene
        await allow("true")

    async def test_status_answers_from_memory_and_says_so(self, away: Scene) -> None:
        async with away.caller() as one:
            with trio.fail_after(PATIENCE_SECONDS):
                while (found := await one.call("status"))["daemon"]["database"]["state"] == "ok":
                    pass
            assert found["daemon"]["database"]["state"] == "degraded"
            assert found["overall"] == "issues"
            assert [alert["kind"] for alert in found["alerts"]] == ["database_away"]

    async def test_what_cannot_be_kept_is_not_promised(self, away: Scene) -> None:
        async with away.caller() as one:
            with trio.fail_after(PATIENCE_SECONDS):
                while (await one.call("status"))["daemon"]["database"]["state"] == "ok":
                    pass
            for method, params in (
                ("execution.start", {"task": "nothing"}),
                ("task.disable", {"task": "nothing"}),
                ("execution.list", {}),
                ("execution.get", {"execution": "last"}),
            ):
                assert (await one.call(method, **params))["code"] == UNAVAILABLE, method

    async def test_what_needs_no_database_is_done_without_one(
        self, away: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its entry in the audit log is written later."""
        monkeypatch.setattr(server_module, "AUDIT_SECONDS", 0.2)
        async with away.caller() as one:
            with trio.fail_after(PATIENCE_SECONDS):
                assert (await one.call("config.check"))["ok"] is True
                assert (await one.call("daemon.drain"))["state"] == "draining"
                assert (await one.call("status"))["scheduler"]["state"] == "draining"
