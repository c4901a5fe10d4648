"""The bridge to PostgreSQL: what a cancel, a server that hangs, and one that restarts leave behind. Nothing."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import asyncpg
import pytest
import trio

import postgres_server as server
from jamaint.errors import CONFLICT, INVALID_PARAMS, JamaintError
from jamaint.store import migrations
from jamaint.store import postgres as bridge
from jamaint.store.postgres import DatabaseAwayError, OccurrenceTakenError, Postgres, open_postgres

KEY = 4711
LEFT = """
SELECT count(*) FILTER (WHERE state = 'active') AS busy, count(*) FILTER (WHERE state LIKE 'idle in%') AS open,
    count(*) AS connections FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'jamaintd'
"""
PATIENCE_SECONDS = 20.0


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Postgres]:
    async with open_postgres(database) as found:
        yield found


async def ask(dsn: str, sql: str, *args: Any) -> Any:
    """One row, on a connection that the bridge knows nothing of."""
    return await trio.to_thread.run_sync(server.on_connection, dsn, lambda connection: connection.fetchrow(sql, *args))


async def end_all(dsn: str) -> None:
    """The server ends every connection of the bridge, as a restart does."""
    sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'jamaintd'"
    await ask(dsn, f"{sql} AND datname = current_database()")


async def until(dsn: str, holds: Callable[[Any], bool], sql: str = LEFT) -> None:
    """Returns when the server's word of the bridge's connections is as it should be."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not holds(await ask(dsn, sql)):
            pass


def is_quiet(left: Any) -> bool:
    return left["busy"] == 0 and left["open"] == 0


async def add_note(connection: Any, text: str, then: str | None = None) -> None:
    """A transaction of two statements, the second of which may take long."""
    async with connection.transaction():
        await connection.execute("INSERT INTO notes VALUES ($1)", text)
        if then is not None:
            await connection.execute(then)


async def one(connection: Any) -> int:
    found: int = await connection.fetchval("SELECT 1")
    return found


async def slow(connection: Any) -> None:
    await connection.execute("SELECT pg_sleep(30)")


async def cancelled_when(pool: Postgres, dsn: str, busy: Callable[[Any], bool], work: Any, *args: Any) -> None:
    """Runs `work` and cancels it as soon as the server says that it is there."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(pool.run, work, *args))
        await until(dsn, busy)
        nursery.cancel_scope.cancel()


class TestCancelled:
    async def test_in_a_query(self, pool: Postgres, database: str) -> None:
        before = await pool.run(pid_of)
        await cancelled_when(pool, database, lambda left: left["busy"] == 1, slow)
        await until(database, is_quiet)
        assert await pool.run(pid_of) == before, "the connection was good, and was thrown away"

    async def test_in_a_transaction(self, pool: Postgres, database: str) -> None:
        await ask(database, "CREATE TABLE notes (text text)")
        await cancelled_when(pool, database, lambda left: left["busy"] == 1, add_note, "gone", "SELECT pg_sleep(30)")
        await until(database, is_quiet)
        await pool.run(add_note, "kept")
        assert (await ask(database, "SELECT array_agg(text) AS texts FROM notes"))["texts"] == ["kept"]

    async def test_in_a_commit(self, pool: Postgres, database: str) -> None:
        """A commit takes long where a constraint is looked at last; what is cancelled then may not stand."""
        await ask(database, "CREATE TABLE notes (text text)")
        await ask(database, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$"
                  " BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$")  # fmt: skip
        await ask(database, "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION slow()")  # fmt: skip
        committing = "SELECT count(*) AS n FROM pg_stat_activity WHERE query = 'COMMIT;' AND state = 'active'"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.run, add_note, "gone")
            await until(database, lambda found: found["n"] == 1, committing)
            nursery.cancel_scope.cancel()
        await until(database, is_quiet)
        assert (await ask(database, "SELECT count(*) AS n FROM notes"))["n"] == 0
        assert await pool.run(one) == 1

    async def test_while_it_waits_for_a_connection(self, pool: Postgres, database: str) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(bridge.POOL_SIZE):
                nursery.start_soon(pool.run, slow)
            await until(database, lambda left: left["busy"] == bridge.POOL_SIZE)
            with trio.move_on_after(0.05) as waiting:
                await pool.run(one)
            assert waiting.cancelled_caught
            nursery.cancel_scope.cancel()
        await until(database, is_quiet)
        async with trio.open_nursery() as nursery:
            for _ in range(2 * bridge.POOL_SIZE):
                nursery.start_soon(pool.run, one)

    async def test_before_it_began_nothing_is_asked(self, pool: Postgres) -> None:
        begun: list[int] = []

        async def work(_connection: Any) -> None:
            begun.append(1)

        with trio.CancelScope() as scope:
            scope.cancel()
            await pool.run(work)
        assert scope.cancelled_caught
        assert not begun

    async def test_what_was_done_is_not_lost_to_a_late_cancel(self, pool: Postgres) -> None:
        with trio.CancelScope() as scope:

            async def work(_connection: Any) -> str:
                trio.from_thread.run_sync(scope.cancel, trio_token=token)
                return "done"

            token = trio.lowlevel.current_trio_token()
            assert await pool.run(work) == "done"
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught

    async def test_sixty_transactions(self, pool: Postgres, database: str) -> None:
        """At sixty moments from before the connection to after the commit; the pool has five connections."""
        await ask(database, "CREATE TABLE notes (text text)")
        ended: list[str] = []

        async def add(number: int) -> None:
            with trio.move_on_after(number * 0.0005):
                await pool.run(add_note, f"note {number}", "SELECT pg_sleep(0.005)")
                ended.append(f"note {number}")

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(add, number)
        # A server's process takes a moment to notice that a connection was given up while it was made.
        await until(database, lambda left: is_quiet(left) and left["connections"] <= bridge.POOL_SIZE)
        kept = (await ask(database, "SELECT coalesce(array_agg(text), '{}') AS texts FROM notes"))["texts"]
        assert set(ended) <= set(kept)
        assert len(kept) == len(set(kept))
        async with trio.open_nursery() as nursery:
            for _ in range(2 * bridge.POOL_SIZE):
                nursery.start_soon(pool.run, one)

    async def test_while_it_takes_the_lock(self, pool: Postgres, database: str) -> None:
        """Whoever is cancelled then has no lock, and no connection that has it."""
        for number in range(20):
            session = None
            with trio.move_on_after(number * 0.001):
                session = await pool.open_session(KEY)
            if session is not None:
                await session.close()
        await until(database, lambda left: left["connections"] == 0)
        session = await pool.open_session(KEY)
        assert session is not None
        await session.close()


async def pid_of(connection: Any) -> int:
    found: int = connection.get_server_pid()
    return found


class TestHung:
    """A server that does not answer holds nobody longer than the bounds, which are short here."""

    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bridge, "COMMAND_TIMEOUT_SECONDS", 0.3)
        monkeypatch.setattr(bridge, "ACQUIRE_TIMEOUT_SECONDS", 0.3)

    async def test_a_stopped_backend(self, pool: Postgres, database: str) -> None:
        pid = await pool.run(pid_of)
        os.kill(pid, signal.SIGSTOP)
        try:
            with trio.fail_after(5), pytest.raises(DatabaseAwayError):
                await pool.run(one)
            with trio.fail_after(5):
                assert await pool.run(one) == 1
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(database, is_quiet)

    async def test_a_stopped_backend_in_a_transaction_that_is_cancelled(self, pool: Postgres, database: str) -> None:
        pid: list[int] = []
        stopped = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def work(connection: Any) -> None:
            async with connection.transaction():
                pid.append(connection.get_server_pid())
                os.kill(pid[0], signal.SIGSTOP)
                trio.from_thread.run_sync(stopped.set, trio_token=token)
                await connection.execute("SELECT 1")

        try:
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(pool.run, work)
                    await stopped.wait()
                    nursery.cancel_scope.cancel()
        finally:
            os.kill(pid[0], signal.SIGCONT)
        assert await pool.run(one) == 1
        await until(database, is_quiet)

    async def test_packets_that_vanish(self, database: str) -> None:
        with black_hole(database) as (dsn, swallow):
            async with open_postgres(dsn) as pool:
                session = await pool.open_session(KEY)
                assert session is not None
                assert await pool.run(one) == 1
                swallow.set()
                for call in (pool.run, session.run, pool.run, session.run):
                    with trio.fail_after(5), pytest.raises(DatabaseAwayError):
                        await call(one)
                with trio.move_on_after(0.05) as scope, trio.fail_after(5):
                    await pool.run(one)
                assert scope.cancelled_caught
                with trio.fail_after(5):
                    await session.lost.wait()
                    await session.close()

    async def test_it_ends_while_the_server_hangs(self, database: str) -> None:
        with black_hole(database) as (dsn, swallow), trio.fail_after(10):
            async with open_postgres(dsn) as pool:
                assert await pool.run(one) == 1
                swallow.set()


@contextlib.contextmanager
def black_hole(dsn: str) -> Iterator[tuple[str, threading.Event]]:
    """A way to the server through which nothing comes any more once the event is set; connecting goes on."""
    target = dsn.rsplit("host=", 1)[1].split("&", maxsplit=1)[0]
    swallow, open_ends = threading.Event(), list[socket.socket]()
    with server.short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/.s.PGSQL.5432")
        listener.listen()
        threads = [threading.Thread(target=_forward_all, args=(listener, target, swallow, open_ends))]
        threads[0].start()
        try:
            yield dsn.replace(target, directory), swallow
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            for end in open_ends:
                end.close()


def _forward_all(
    listener: socket.socket, target: str, swallow: threading.Event, open_ends: list[socket.socket]
) -> None:
    threads = []
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            break
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{target}/.s.PGSQL.5432")
        open_ends += [near, far]
        for one_end, other in ((near, far), (far, near)):
            threads.append(threading.Thread(target=_forward, args=(one_end, other, swallow)))
            threads[-1].start()
    for end in open_ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


def _forward(source: socket.socket, sink: socket.socket, swallow: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not swallow.is_set():
                sink.sendall(data)
    if not swallow.is_set():
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class TestRestarted:
    async def test_what_is_under_way_is_told_and_the_next_call_works(self, pool: Postgres, database: str) -> None:
        raised: list[BaseException] = []

        async def run() -> None:
            try:
                await pool.run(slow)
            except DatabaseAwayError as error:
                raised.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(run)
            await until(database, lambda left: left["busy"] == 3)
            await end_all(database)
        assert len(raised) == 3
        assert all("terminating connection due to administrator command" in str(error) for error in raised)
        assert await pool.run(one) == 1

    async def test_idle_connections_are_replaced_without_a_word(self, pool: Postgres, database: str) -> None:
        first = await pool.run(pid_of)
        await end_all(database)
        with trio.fail_after(PATIENCE_SECONDS):
            while (second := await heal(pool)) is None:
                pass
        assert second != first

    async def test_nobody_listens(self) -> None:
        with server.short_directory() as directory:
            async with open_postgres(f"postgresql://jamaint@/jamaint?host={directory}") as pool:
                with pytest.raises(DatabaseAwayError):
                    await pool.run(one)
                with pytest.raises(DatabaseAwayError):
                    await pool.open_session(KEY)

    @pytest.mark.parametrize("name", ["nosuch", "jamaint"])
    async def test_a_database_or_role_that_is_not_there_is_away_and_says_which(
        self, postgres_dsn: str, name: str
    ) -> None:
        """An administrator may make it in a moment, and a daemon that has died would not notice."""
        dsn = server.with_name(postgres_dsn, name)
        dsn = dsn if name == "nosuch" else dsn.replace("//jamaint@", "//nosuch@")
        async with open_postgres(dsn) as pool:
            with pytest.raises(DatabaseAwayError, match="nosuch"):
                await pool.run(one)

    async def test_a_mistake_of_ours_is_no_database_that_is_away(self, pool: Postgres) -> None:
        """It would be tried again for ever."""

        async def wrong_value(connection: Any) -> None:
            await connection.execute("SELECT $1::uuid", "not one")

        async def wrong_statement(connection: Any) -> None:
            await connection.execute("SELECT nosuch")

        for work in (wrong_value, wrong_statement):
            with pytest.raises(asyncpg.PostgresError):
                await pool.run(work)


async def heal(pool: Postgres) -> int | None:
    """One try; the end of the old connection may not have been heard of yet."""
    try:
        return await pool.run(pid_of)
    except DatabaseAwayError:
        return None


class TestSession:
    async def test_the_lock_is_one_session_s(self, pool: Postgres, database: str) -> None:
        session = await pool.open_session(KEY)
        assert session is not None
        async with open_postgres(database) as other:
            assert await other.open_session(KEY) is None
            await until(database, lambda left: left["connections"] == 1)
            apart = await other.open_session(KEY + 1)
            assert apart is not None
            await apart.close()
            await session.close()
            second = await other.open_session(KEY)
            assert second is not None
            await second.close()

    async def test_its_end_is_heard_of_and_frees_the_lock(self, pool: Postgres, database: str) -> None:
        session = await pool.open_session(KEY)
        assert session is not None
        assert not session.lost.is_set()
        await end_all(database)
        with trio.fail_after(PATIENCE_SECONDS):
            await session.lost.wait()
        with pytest.raises(DatabaseAwayError):
            await session.run(one)
        await session.close()
        again = await pool.open_session(KEY)
        assert again is not None
        assert await again.run(one) == 1
        await again.close()

    async def test_an_end_of_which_asyncpg_does_not_tell_is_noticed_by_the_next_call(self, pool: Postgres) -> None:
        session = await pool.open_session(KEY)
        assert session is not None

        async def give_up(connection: Any) -> None:
            connection._protocol.abort()  # as asyncpg does where it no longer understands the server
            await connection.fetchval("SELECT 1")

        with pytest.raises(DatabaseAwayError):
            await session.run(give_up)
        with trio.fail_after(PATIENCE_SECONDS):
            await session.lost.wait()

    async def test_calls_take_turns(self, pool: Postgres) -> None:
        session = await pool.open_session(KEY)
        assert session is not None
        seen: list[str] = []

        async def work(connection: Any, name: str) -> None:
            seen.append(f"{name} begins")
            async with connection.transaction():
                await connection.execute("SELECT 1")
            seen.append(f"{name} ends")

        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(session.run, work, name)
        assert [line.split()[0] for line in seen[::2]] == [line.split()[0] for line in seen[1::2]]
        await session.close()

    async def test_a_call_that_is_cancelled_leaves_the_session_and_its_lock(
        self, pool: Postgres, database: str
    ) -> None:
        session = await pool.open_session(KEY)
        assert session is not None
        await ask(database, "CREATE TABLE notes (text text)")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run, add_note, "gone", "SELECT pg_sleep(30)")
            await until(database, lambda left: left["busy"] == 1)
            nursery.start_soon(session.run, one)  # waits for its turn
            nursery.cancel_scope.cancel()
        await session.run(add_note, "kept")
        assert (await ask(database, "SELECT array_agg(text) AS texts FROM notes"))["texts"] == ["kept"]
        assert not session.lost.is_set()
        assert await pool.open_session(KEY) is None
        await session.close()

    async def test_the_occurrence_that_has_a_row(self, pool: Postgres, database: str) -> None:
        await ask(database, "CREATE TABLE notes (text text)")
        await ask(database, "CREATE UNIQUE INDEX one_note ON notes (text)")
        await ask(database, "DROP INDEX one_execution_per_occurrence")
        await ask(database, "CREATE UNIQUE INDEX one_execution_per_occurrence ON notes (text)")
        await ask(database, "DROP INDEX one_note")
        await pool.run(add_note, "taken")
        with pytest.raises(OccurrenceTakenError):
            await pool.run(add_note, "taken")

    async def test_any_other_doubled_row_is_no_taken_occurrence(self, pool: Postgres, database: str) -> None:
        await ask(database, "CREATE TABLE notes (text text PRIMARY KEY)")
        await pool.run(add_note, "doubled")
        with pytest.raises(asyncpg.UniqueViolationError):
            await pool.run(add_note, "doubled")


class TestMigrations:
    async def test_several_at_once_apply_each_file_once(self, empty_database: str) -> None:
        applied: list[tuple[str, ...]] = []

        async def migrate() -> None:
            async with open_postgres(empty_database) as pool:
                applied.append(await pool.run(migrations.migrate))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(migrate)
        names = tuple(migration.name for migration in migrations.known())
        assert sorted(applied) == [(), (), (), (), names]
        rows = await ask(empty_database, "SELECT array_agg(name ORDER BY version) AS names FROM schema_migrations")
        assert tuple(rows["names"]) == names

    async def test_a_newer_schema_is_refused_and_left_alone(self, pool: Postgres, database: str) -> None:
        await ask(
            database, "INSERT INTO schema_migrations (version, name, sha256, duration_ms) VALUES (9999, 'x', 'x', 1)"
        )
        assert await refusal(pool) == (
            CONFLICT,
            f"the database has schema 9999, this jamaintd knows up to {migrations.known()[-1].version}: "
            "start the newer version, or restore a database of this one",
        )

    async def test_an_edited_file_is_refused(self, pool: Postgres, database: str) -> None:
        await ask(database, "UPDATE schema_migrations SET sha256 = 'other' WHERE version = 1")
        assert await refusal(pool) == (CONFLICT, "migration 0001_tables.sql was changed after it had been applied here")

    async def test_a_pooler_before_the_database_is_refused(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It gives its clients a number of its own for the server's process."""
        monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: -1)
        async with open_postgres(database) as pool:
            with pytest.raises(JamaintError, match="name the server itself") as refused:
                await pool.open_session(1)
        assert refused.value.code == INVALID_PARAMS

    async def test_a_database_without_a_schema_for_them(self, empty_database: str) -> None:
        await ask(empty_database, "DROP SCHEMA public CASCADE")
        async with open_postgres(empty_database) as pool:
            with pytest.raises(JamaintError, match="CREATE SCHEMA jamaintd AUTHORIZATION") as failed:
                await pool.run(migrations.migrate)
            assert failed.value.code == INVALID_PARAMS
            name = await ask(empty_database, "SELECT current_database() AS name")
            await ask(empty_database, "CREATE SCHEMA jamaintd")  # the cure
            await ask(empty_database, f"ALTER DATABASE {name['name']} SET search_path = jamaintd")
        async with open_postgres(empty_database) as pool:
            assert await pool.run(migrations.migrate)

    async def test_one_that_fails_leaves_nothing_half_done(
        self, empty_database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = migrations.known()
        wrong = migrations.Migration(2, "0002_wrong.sql", "CREATE TABLE half (); SELECT nosuch;")
        monkeypatch.setattr(migrations, "known", lambda: (*whole, wrong))
        async with open_postgres(empty_database) as pool:
            with pytest.raises(JamaintError, match='column "nosuch" does not exist'):
                await pool.run(migrations.migrate)
            monkeypatch.setattr(migrations, "known", lambda: whole)
            tables = await ask(
                empty_database, "SELECT to_regclass('half') AS half, to_regclass('audit_log') AS audit_log"
            )
            assert (tables["half"], tables["audit_log"]) == (None, None)
            assert await pool.run(migrations.migrate) == tuple(migration.name for migration in whole)


async def refusal(pool: Postgres) -> tuple[int, str]:
    with pytest.raises(JamaintError) as refused:
        await pool.run(migrations.migrate)
    return refused.value.code, refused.value.message


@pytest.mark.parametrize("change", ["UPDATE audit_log SET uid = 0", "DELETE FROM audit_log", "TRUNCATE audit_log"])
async def test_the_audit_log_only_grows(pool: Postgres, database: str, change: str) -> None:
    row = "(at, uid, pid, user_name, role, method, outcome) VALUES (now(), 1, 2, 'a', 'admin', 'x', 'done')"
    await ask(database, f"INSERT INTO audit_log {row}")

    async def work(connection: Any) -> None:
        await connection.execute(change)

    with pytest.raises(asyncpg.RestrictViolationError, match="the audit log only grows"):
        await pool.run(work)
    assert (await ask(database, "SELECT count(*) AS n FROM audit_log"))["n"] == 1
