"""The recorder on a real server: what it promises is durable, in order, once, and only while the lock is its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import structlog
import trio

import postgres_server as server
from jamaint.core.executions import Execution, State, advance
from jamaint.core.tasks import Task
from jamaint.daemon.state.recorder import UNWRITTEN_LINES, Recorder
from jamaint.errors import CONFLICT, JamaintError
from jamaint.store import daemon_lock, definitions, executions, migrations
from jamaint.store.executions import LogLine
from jamaint.store.postgres import DatabaseAwayError, OccurrenceTakenError, Postgres, open_postgres

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TASK = Task(
    id=str(uuid4()),
    name="nightly",
    type="custom",
    category="system",
    executor="noop",
    schedule=None,
    config={},
    definition={"name": "nightly"},
)
PATIENCE_SECONDS = 30.0


def occurrence(minutes: int = 0, ident: str | None = None) -> Execution:
    return Execution(
        id=ident or str(uuid4()),
        task_id=TASK.id,
        task_name=TASK.name,
        status=State.SCHEDULED,
        trigger="schedule",
        scheduled_for=NOON + timedelta(minutes=minutes),
    )


def running(execution: Execution) -> Execution:
    return advance(execution, State.RUNNING, started_at=NOON)


def ended(execution: Execution) -> Execution:
    return advance(execution, State.COMPLETED, completed_at=NOON + timedelta(hours=1))


def line(execution: Execution, number: int) -> LogLine:
    return LogLine(execution.id, number, NOON, "info", None, f"line {number}")


def new(pool: Postgres, holder: str = "the first daemon") -> Recorder:
    return Recorder(pool, holder, lambda: NOON, structlog.get_logger())


@asynccontextmanager
async def at_work(dsn: str) -> AsyncIterator[Recorder]:
    """A recorder that has the lock, is served and guarded, and knows the task."""
    async with open_postgres(dsn) as pool, trio.open_nursery() as nursery:
        recorder = new(pool)
        await recorder.connect()
        await recorder.run(definitions.put_task, TASK, NOON)
        nursery.start_soon(recorder.serve)
        nursery.start_soon(recorder.guard)
        yield recorder
        nursery.cancel_scope.cancel()


@pytest.fixture
async def recorder(database: str) -> AsyncIterator[Recorder]:
    async with at_work(database) as found:
        yield found


async def rows(dsn: str, sql: str, *args: Any) -> list[Any]:
    found: list[Any] = await trio.to_thread.run_sync(server.on_connection, dsn, lambda one: one.fetch(sql, *args))
    return found


async def end_sessions(dsn: str) -> int:
    """The server ends all connections of the daemon; how many there were."""
    sql = "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity WHERE application_name = 'jamaintd'"
    found: int = (await rows(dsn, f"{sql} AND datname = current_database()"))[0]["n"]
    return found


class TestWrites:
    async def test_what_comes_while_a_commit_is_under_way_goes_together(
        self, recorder: Recorder, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []
        write = executions.write

        async def counted(connection: Any, found: Any, logs: Any = ()) -> None:
            sizes.append(len(found))
            await write(connection, found, logs)

        monkeypatch.setattr(executions, "write", counted)
        async with trio.open_nursery() as nursery:
            for minute in range(500):
                nursery.start_soon(recorder.put, occurrence(minute))
        assert sum(sizes) == 500
        assert len(sizes) <= 3
        assert (await rows(database, "SELECT count(*) AS n FROM maintenance_executions"))[0]["n"] == 500

    async def test_it_is_durable_when_put_returns(self, recorder: Recorder, database: str) -> None:
        execution = occurrence()
        for state in (execution, running(execution), ended(running(execution))):
            await recorder.put(state)
            found = await rows(database, "SELECT status FROM maintenance_executions WHERE id = $1", execution.id)
            assert [row["status"] for row in found] == [state.status.value]

    async def test_of_several_states_in_one_commit_the_last_stands(self, recorder: Recorder, database: str) -> None:
        chains = []
        for minute in range(20):
            first = occurrence(minute)
            chains.append((first, running(first), ended(running(first))))
        async with trio.open_nursery() as nursery:
            for chain in chains:
                for state in chain:
                    await start_in_order(nursery, recorder.put, state)
        found = await rows(database, "SELECT DISTINCT status, completed_at FROM maintenance_executions")
        assert [(row["status"], row["completed_at"]) for row in found] == [("completed", NOON + timedelta(hours=1))]

    async def test_lines_go_with_the_execution_they_belong_to(self, recorder: Recorder, database: str) -> None:
        execution = running(occurrence())
        await recorder.put(execution)
        for number in range(1, 301):
            recorder.log_line(line(execution, number))
        await recorder.put(ended(execution))
        found = await rows(database, "SELECT seq, message FROM maintenance_execution_logs ORDER BY seq")
        assert [(row["seq"], row["message"]) for row in found] == [(n, f"line {n}") for n in range(1, 301)]

    async def test_one_taken_occurrence_among_many(self, recorder: Recorder, database: str) -> None:
        """Only whoever brought it hears of it; all else is written, the lines of the same commit too."""
        other = running(replace(occurrence(), trigger="request"))
        await recorder.put(other)
        await recorder.put(occurrence(3))
        outcomes: dict[int, str] = {}

        async def put(minute: int) -> None:
            try:
                await recorder.put(occurrence(minute))
                outcomes[minute] = "written"
            except OccurrenceTakenError:
                outcomes[minute] = "taken"

        async with trio.open_nursery() as nursery:
            for minute in range(8):
                nursery.start_soon(put, minute)
            recorder.log_line(line(other, 1))
        assert outcomes == {minute: "taken" if minute == 3 else "written" for minute in range(8)}
        count = "SELECT count(*) AS n FROM maintenance_executions WHERE trigger = 'schedule'"
        assert (await rows(database, count))[0]["n"] == 8
        await recorder.put(ended(other))
        assert (await rows(database, "SELECT count(*) AS n FROM maintenance_execution_logs"))[0]["n"] == 1

    async def test_the_same_occurrence_twice_in_one_commit_is_written_once(
        self, recorder: Recorder, database: str
    ) -> None:
        taken: list[str] = []

        async def put(execution: Execution) -> None:
            try:
                await recorder.put(execution)
            except OccurrenceTakenError:
                taken.append(execution.id)

        pair = [occurrence(5), occurrence(5)]
        async with trio.open_nursery() as nursery:
            for execution in pair:
                nursery.start_soon(put, execution)
        found = await rows(database, "SELECT id FROM maintenance_executions")
        assert {*taken, *(str(row["id"]) for row in found)} == {execution.id for execution in pair}
        assert (len(taken), len(found)) == (1, 1)


async def start_in_order(nursery: trio.Nursery, work: Any, *args: Any) -> None:
    """Starts `work` and returns when it waits for something: tasks that are started together begin in any order."""
    begun = trio.Event()

    async def run() -> None:
        begun.set()
        await work(*args)

    nursery.start_soon(run)
    await begun.wait()


class TestAway:
    async def test_restarts_under_load_lose_nothing_and_double_nothing(self, database: str) -> None:
        """Forty chains of three states each; eight times on the way the server ends every session."""
        strikes: list[int] = []
        async with at_work(database) as recorder:
            chains = [replace(occurrence(minute), trigger="request") for minute in range(40)]
            written = trio.Semaphore(0)

            async def put(execution: Execution) -> None:
                await recorder.put(execution)
                written.release()

            async def go_through(first: Execution) -> None:
                await put(first)
                second = running(first)
                await put(second)
                for number in range(1, 6):
                    recorder.log_line(line(second, number))
                    await recorder.run(daemon_lock.note_holder, "the first daemon", NOON)
                await put(ended(second))

            async def strike() -> None:
                for _ in range(8):
                    for _ in range(12):
                        await written.acquire()
                    strikes.append(await end_sessions(database))

            with trio.fail_after(PATIENCE_SECONDS):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(strike)
                    for first in chains:
                        nursery.start_soon(go_through, first)
        assert sum(strikes) >= 3, "the server ended nothing"
        states = await rows(database, "SELECT status, count(*) AS n FROM maintenance_executions GROUP BY status")
        assert [(row["status"], row["n"]) for row in states] == [("completed", 40)]
        lines = await rows(
            database,
            "SELECT execution_id, array_agg(seq ORDER BY seq) AS seqs FROM maintenance_execution_logs GROUP BY 1",
        )
        assert [row["seqs"] for row in lines] == [[1, 2, 3, 4, 5]] * 40

    async def test_an_idle_daemon_notices_and_takes_its_lock_again(self, recorder: Recorder, database: str) -> None:
        told: list[str | None] = []
        back = trio.Event()

        def hear() -> None:
            told.append(recorder.away)
            if recorder.away is None:
                back.set()

        recorder.on_change = hear
        assert await end_sessions(database) >= 1
        with trio.fail_after(PATIENCE_SECONDS):
            await back.wait()
        assert told[0] == "the session with the daemon's lock has ended"
        async with open_postgres(database) as other:
            assert await other.open_session(daemon_lock.KEY) is None

    async def test_too_many_lines_are_counted_and_the_count_is_written(self, recorder: Recorder, database: str) -> None:
        execution = running(occurrence())
        await recorder.put(execution)
        for number in range(1, UNWRITTEN_LINES + 101):
            recorder.log_line(line(execution, number))
        await recorder.put(ended(execution))
        recorder.log_line(line(execution, UNWRITTEN_LINES + 101))
        await recorder.put(ended(execution))
        found = await rows(database, "SELECT count(*) AS n FROM maintenance_execution_logs")
        assert found[0]["n"] == UNWRITTEN_LINES + 1
        last = await rows(database, "SELECT message FROM maintenance_execution_logs ORDER BY seq DESC LIMIT 1")
        number = UNWRITTEN_LINES + 101
        assert last[0]["message"] == f"line {number} (before this, 100 lines were left out)"


class TestTheLock:
    async def test_the_second_daemon_is_refused_and_told_by_whom(self, recorder: Recorder, database: str) -> None:
        async with open_postgres(database) as other:
            with pytest.raises(JamaintError) as refused:
                await new(other, "the second daemon").connect()
        assert refused.value.code == CONFLICT
        assert refused.value.message == (
            "cannot use the database: the first daemon, since 2026-11-24 12:00:00 UTC uses it already; "
            "one daemon at a time"
        )

    async def test_it_is_refused_too_while_the_first_has_no_tables_yet(self, empty_database: str) -> None:
        async with open_postgres(empty_database) as pool, open_postgres(empty_database) as other:
            first = await pool.open_session(daemon_lock.KEY)
            assert first is not None
            with pytest.raises(JamaintError, match="another daemon uses it already"):
                await new(other).connect()
            await first.close()

    async def test_another_daemon_that_took_it_ends_this_one(self, database: str) -> None:
        """Out of serve, out of guard, and out of every put that still waits: none is told that it is durable."""
        async with open_postgres(database) as pool, open_postgres(database) as other:
            recorder = new(pool)
            await recorder.connect()
            outcomes: dict[str, Any] = {}

            async def note(name: str, work: Any, *args: Any) -> None:
                try:
                    await work(*args)
                except JamaintError as problem:
                    outcomes[name] = (problem.code, "the second daemon" in problem.message)

            taking = await take_over(recorder, database, other)
            with trio.fail_after(PATIENCE_SECONDS):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(note, "serve", recorder.serve)
                    nursery.start_soon(note, "guard", recorder.guard)
                    for minute in range(3):
                        nursery.start_soon(note, f"put {minute}", recorder.put, occurrence(minute))
            assert outcomes == dict.fromkeys(["serve", "guard", "put 0", "put 1", "put 2"], (CONFLICT, True))
            await note("late", recorder.put, occurrence(9))
            assert "late" in outcomes
            await taking.close()
            with pytest.raises(
                JamaintError
            ):  # also when the other one has gone: what was known here may be out of date
                await recorder.connect()
        assert await rows(database, "SELECT 1 FROM maintenance_executions") == []

    async def test_a_guard_alone_notices_it(self, database: str) -> None:
        async with open_postgres(database) as pool, open_postgres(database) as other:
            recorder = new(pool)
            await recorder.connect()
            taking = await take_over(recorder, database, other)
            with trio.fail_after(PATIENCE_SECONDS), pytest.raises(JamaintError) as refused:
                await recorder.guard()
            assert refused.value.code == CONFLICT
            await taking.close()

    async def test_its_own_lost_session_that_lives_on_at_the_server_is_ended(self, database: str) -> None:
        """A network that swallows everything: the server still thinks that the session is well, and keeps its lock."""
        async with open_postgres(database) as pool:
            recorder = new(pool)
            session = await recorder.connect()
            session.lost.set()  # as the bridge does when no answer comes
            with pytest.raises(DatabaseAwayError, match="our last session"):
                await recorder.connect()
            with trio.fail_after(PATIENCE_SECONDS):
                while (recovered := await connected(recorder)) is None:
                    pass
            assert recovered.backend != session.backend

    async def test_a_lock_is_not_kept_by_a_session_that_failed_to_migrate(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_postgres(database) as pool:
            recorder = new(pool)
            real, tries = migrations.migrate, []

            async def migrate(connection: Any) -> Any:
                tries.append(1)
                if len(tries) == 1:
                    raise TimeoutError
                return await real(connection)

            monkeypatch.setattr(migrations, "migrate", migrate)
            with pytest.raises(DatabaseAwayError):
                await recorder.connect()
            with trio.fail_after(PATIENCE_SECONDS):
                await recorder.run(daemon_lock.note_holder, "the first daemon", NOON)
        assert len(tries) == 2


async def connected(recorder: Recorder) -> Any:
    """One try."""
    try:
        return await recorder.connect()
    except DatabaseAwayError:
        return None


async def take_over(recorder: Recorder, dsn: str, other: Postgres) -> Any:
    """The first daemon's session ends, and another daemon has the lock before it notices."""
    async with trio.open_nursery() as nursery:
        taken: list[Any] = []

        async def take() -> None:
            while not taken:
                session = await other.open_session(daemon_lock.KEY)
                if session is not None:
                    await session.run(partial(daemon_lock.note_holder, holder="the second daemon", now=NOON))
                    taken.append(session)

        nursery.start_soon(take)
        await end_sessions_of(recorder, dsn)
    return taken[0]


async def end_sessions_of(recorder: Recorder, dsn: str) -> None:
    session = await recorder.connect()
    await rows(dsn, "SELECT pg_terminate_backend($1)", session.backend.pid)
    await session.lost.wait()
