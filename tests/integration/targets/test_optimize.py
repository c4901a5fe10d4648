"""Indexes are rebuilt, dropped and built again; statistics are refreshed; the analysis says what it sees."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from database_runs import EXECUTION, Stored, Talk, optimize, rule, run_script, value
from jamaint.core.plans import Step
from jamaint.databases.indexes import build, catalog, rebuild, unused
from jamaint.databases.maintenance import analyze_vacuum
from jamaint.databases.rules import indexes as rules
from jamaint.executors.shared.executor import StepError, StopRequestedError
from jamaint.store.embedded import files
from postgres_server import on_connection, serving

FULL_OF_AIR = """
CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, body text);
INSERT INTO t SELECT i, now(), md5(i::text) FROM generate_series(1, 60000) i;
CREATE INDEX t_body ON t (body); CREATE INDEX t_lower ON t (lower(body));
DELETE FROM t WHERE id % 6 <> 0; VACUUM t; ANALYZE t;
"""
BROKEN = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(rebuild, "REST_SECONDS", 0.0)


@pytest.fixture
def airy(empty_database: str) -> str:
    for statement in FULL_OF_AIR.strip().split(";")[:-1]:
        run_script(empty_database, statement)
    return empty_database


def step_of(executor: Any, name: str) -> Step:
    return next(step for step in executor.plan().steps if step.name == name)


class TestRebuilding:
    def test_the_worst_go_first_and_what_is_left_says_why(self, airy: str) -> None:
        host = Talk()
        executor = optimize(airy, host, optimize_indexes=True)
        plan = executor.plan()
        assert [step.name for step in plan.steps] == ["database_analysis", "index_optimization"]
        assert any("t_lower is not rebuilt: it is over an expression" in line for line in plan.warnings)
        details = executor.run(plan.steps[1])
        assert [one["index"] for one in details["indexes"]] == ["public.t_body", "public.t_pkey"]
        assert all(one["bytes_after"] < one["bytes_before"] / 3 for one in details["indexes"])
        assert details["freed_space"] == sum(one["bytes_before"] - one["bytes_after"] for one in details["indexes"])
        assert value(airy, BROKEN) == 0
        assert value(airy, "SELECT count(*) FROM jamaint.builds") == 0
        assert step_of(executor, "index_optimization").items == 0

    def test_a_stored_plan_is_kept_to(self, airy: str) -> None:
        stored = Stored(optimize(airy, optimize_indexes=True, fragmentation=0.3))
        run_script(airy, "CREATE INDEX more ON t (body, at) WITH (fillfactor = 20)")
        run_script(airy, "ALTER INDEX more RESET (fillfactor)")
        run_script(airy, "REINDEX INDEX t_pkey")
        executor = optimize(airy, optimize_indexes=True, planned=stored)
        details = executor.run(step_of(executor, "index_optimization"))
        assert [one["index"] for one in details["indexes"]] == ["public.t_body"]

    def test_expressions_by_opt_in_keep_their_statistics(self, airy: str) -> None:
        executor = optimize(airy, optimize_indexes=True, expression_indexes=True)
        details = executor.run(step_of(executor, "index_optimization"))
        assert "public.t_lower" in [one["index"] for one in details["indexes"]]
        assert value(airy, "SELECT count(*) FROM pg_stats WHERE tablename = 't_lower'") == 1

    def test_statistics_that_were_wrong_are_seen_through(self, airy: str) -> None:
        executor = optimize(airy, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        run_script(airy, "REINDEX INDEX t_body")
        details = executor.run(step)
        assert [one["path"] for one in details["skipped"]] == ["public.t_body"]

    def test_an_index_that_is_gone_meanwhile(self, airy: str) -> None:
        executor = optimize(airy, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        run_script(airy, "DROP INDEX t_body")
        assert "it was dropped or rebuilt" in executor.run(step)["skipped"][0]["why"]

    def test_no_room_on_the_disk(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catalog, "SPACE_FACTOR", 1e15)
        warnings = optimize(airy, optimize_indexes=True).plan().warnings
        assert any("are free at" in line for line in warnings)

    def test_the_windows_end(self, airy: str) -> None:
        executor = optimize(airy, optimize_indexes=True, ends_at=datetime.now(UTC))
        details = executor.run(step_of(executor, "index_optimization"))
        assert (details["rebuilt"], details["skipped_count"]) == (0, 2)
        assert "of the window are left: next time" in details["skipped"][0]["why"]

    def test_near_wraparound_nothing_is_built(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rebuild, "WRAPAROUND_AGE", 0)
        warnings = optimize(airy, optimize_indexes=True).plan().warnings
        assert any("VACUUM it before anything else" in line for line in warnings)

    def test_the_exact_measure_is_taken_where_it_is_there(self, airy: str) -> None:
        if not value(airy, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgstattuple'"):
            pytest.skip("this server has no pgstattuple: Debian's package postgresql-contrib, or the embedded wheel")
        run_script(airy, "CREATE EXTENSION pgstattuple")
        executor = optimize(airy, optimize_indexes=True)
        details = executor.run(step_of(executor, "index_optimization"))
        assert details["rebuilt"] == 2
        assert all(one["air"] > 0.5 for one in details["indexes"])

    def test_what_others_have_left_is_theirs(self, airy: str) -> None:
        run_script(airy, "CREATE INDEX t_body_ccnew ON t (body)")
        run_script(airy, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_body_ccnew'::regclass")
        executor = optimize(airy, optimize_indexes=True)
        executor.run(step_of(executor, "index_optimization"))
        assert value(airy, "SELECT to_regclass('t_body_ccnew')") is not None

    def test_a_transaction_that_does_not_end_is_waited_for_no_longer_than_that(
        self, airy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "BUILD_LOCK_SECONDS", 0.1)
        executor = optimize(airy, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        with reading(airy):
            details = executor.run(step)
            assert value(airy, BROKEN) == 0
        assert details["rebuilt"] == 0
        assert "gave up after 3 tries" in details["skipped"][0]["why"]

    def test_it_steps_aside_for_whoever_waits_for_it(self, airy: str) -> None:
        host = Talk()
        executor = optimize(airy, host, optimize_indexes=True, lock_timeout_seconds=0.05)
        step = step_of(executor, "index_optimization")
        with reading(airy) as let_go:  # so that the build cannot end

            def alter() -> None:
                wait_for(airy, "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
                run_script(airy, "ALTER TABLE t SET (fillfactor = 90)")
                let_go()

            thread = threading.Thread(target=alter)
            thread.start()
            details = executor.run(step)
            thread.join()
        assert any("gave way to process" in line for line in host.logged)
        assert (details["rebuilt"], value(airy, BROKEN)) == (2, 0)

    def test_cancelled_in_the_middle_it_leaves_nothing(self, airy: str) -> None:
        host = Talk()
        executor = optimize(airy, host, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        with reading(airy), stop_in_a_build(airy, host), pytest.raises(StopRequestedError):
            executor.run(step)
        assert value(airy, BROKEN) == 0
        assert value(airy, "SELECT count(*) FROM jamaint.builds") == 0

    def test_a_pause_in_the_middle_begins_again(self, airy: str) -> None:
        host = Talk(pauses=(3, 4))
        executor = optimize(airy, host, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        assert executor.run(step)["rebuilt"] == 2
        assert value(airy, BROKEN) == 0
        assert host.held_in

    def test_while_it_is_paused_nothing_is_half_built(self, airy: str) -> None:
        host = Paused(airy)
        executor = optimize(airy, host, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        with reading(airy) as let_go, once_half_built(airy, lambda: (host.pause(), let_go())):
            assert executor.run(step)["rebuilt"] == 2
        assert host.broken == [0]

    def test_its_progress_never_goes_back(self, airy: str) -> None:
        host = Talk()
        executor = optimize(airy, host, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        with reading(airy) as let_go, once_half_built(airy, let_go):
            executor.run(step)
        done = [done for done, _, _ in host.progressed]
        assert done == sorted(done)
        assert done[-1] == step.bytes

    def test_killed_in_the_middle_the_next_run_ends_clean(self, airy: str) -> None:
        executor = optimize(airy, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        with reading(airy):
            pid = os.fork()
            if pid == 0:
                try:
                    executor.run(step)
                finally:
                    os._exit(1)
            wait_for(airy, "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        wait_for(
            airy, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND state = 'active')"
        )
        host = Talk()
        again = optimize(airy, host, optimize_indexes=True, execution="e2")
        again.run(step_of(again, "index_optimization"))
        assert value(airy, BROKEN) == 0


class TestUnused:
    NOW = datetime.now(UTC)

    @pytest.fixture(autouse=True)
    def any_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rules, "UNUSED_BYTES", 0)
        monkeypatch.setattr(unused, "around", counting_for_ever)

    def watched(self, dsn: str, days: int = 40) -> Any:
        """An executor that has looked so often that unused indexes may go."""
        for ago in (days, days // 2):
            early = optimize(dsn, remove_unused_indexes=True, now=self.NOW - timedelta(days=ago), execution=f"e{ago}")
            step = step_of(early, "unused_indexes")
            assert early.run(step)["dropped"] == []
        return optimize(dsn, remove_unused_indexes=True, now=self.NOW)

    def test_it_goes_after_long_enough_and_comes_back_as_it_was(self, airy: str) -> None:
        run_script(airy, "COMMENT ON INDEX t_body IS 'for the ''search''; really'")
        definition = "SELECT pg_get_indexdef('t_body'::regclass)"
        before = value(airy, definition)
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        assert [item["path"] for item in step.sample] == ["public.t_body"]
        details = executor.run(step)
        assert [one["index"] for one in details["dropped"]] == ["public.t_body"]
        assert details["freed_space"] > 0
        assert value(airy, "SELECT to_regclass('t_body')") is None
        assert executor.undo(step, dry_run=True)["restored"] == 1
        assert executor.undo(step, dry_run=False) == {
            "restored": 1, "removed": 0, "kept": [], "problems": [], "unit": "item",
        }  # fmt: skip
        assert value(airy, definition) == before
        assert value(airy, "SELECT obj_description('t_body'::regclass)") == "for the 'search'; really"
        assert value(airy, BROKEN) == 0
        assert executor.undo(step, dry_run=False)["restored"] == 0

    def test_while_the_server_has_counted_for_less_long_nothing_goes(
        self, airy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executor = self.watched(airy)
        monkeypatch.setattr(unused, "around", catalog.around)
        run_script(airy, "SELECT pg_stat_reset()")
        plan = executor.plan()
        assert next(step for step in plan.steps if step.name == "unused_indexes").items == 0
        assert any("public.t_body: the server's counters were reset on" in line for line in plan.warnings)

    def test_one_that_is_scanned_begins_anew(self, airy: str) -> None:
        executor = self.watched(airy)
        run_script(airy, "SET enable_seqscan = off; SELECT FROM t WHERE body = 'x'")
        assert step_of(executor, "unused_indexes").items == 0

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE UNIQUE INDEX other ON t (body)",
            "CREATE INDEX other ON t (upper(body))",
            "ALTER TABLE t ADD CONSTRAINT other UNIQUE (body)",
            "ALTER TABLE t ADD CONSTRAINT other EXCLUDE USING btree (body WITH =)",
            "CREATE TABLE u (id bigint PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES u NOT VALID;"
            "CREATE INDEX other ON t (id)",
            "CREATE INDEX other ON t (at); ALTER TABLE t CLUSTER ON other",
            "ALTER TABLE t ALTER at SET NOT NULL; CREATE UNIQUE INDEX other ON t (id, at);"
            "ALTER TABLE t REPLICA IDENTITY USING INDEX other",
        ],
    )
    def test_those_with_another_duty_stay(self, airy: str, statement: str) -> None:
        run_script(airy, statement)
        executor = self.watched(airy)
        assert [item["path"] for item in step_of(executor, "unused_indexes").sample] == ["public.t_body"]

    def test_one_that_is_missed_comes_back_by_itself(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unused, "LEAST_ROWS", 1000)
        executor = self.watched(airy)
        run_script(airy, "SELECT FROM t WHERE id = 6; SELECT pg_stat_force_next_flush()")
        executor.run(step_of(executor, "unused_indexes"))
        for _ in range(20):
            run_script(airy, "SELECT count(*) FROM t WHERE body = 'x'")
        later = optimize(airy, remove_unused_indexes=True, now=self.NOW + timedelta(days=1), execution="later")
        details = later.run(step_of(later, "unused_indexes"))
        assert [one["index"] for one in details["built_again"]] == ["public.t_body"]
        assert value(airy, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_body'::regclass")

    def test_whoever_is_at_the_table_is_waited_for_before_its_index_is_touched(
        self, airy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build, "BUILD_LOCK_SECONDS", 0.1)
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        with reading(airy, "t"):
            details = executor.run(step)
            assert value(airy, BROKEN) == 0
        assert "has the table in a transaction that does not end" in details["skipped"][0]["why"]
        assert value(airy, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_body'::regclass")

    @pytest.mark.parametrize("comes_back", [False, True])
    def test_stopped_in_the_midst_of_a_drop(self, airy: str, monkeypatch: pytest.MonkeyPatch, comes_back: bool) -> None:
        monkeypatch.setattr(build, "wait_until_free", nobody_was_there)
        monkeypatch.setattr(build, "LEAVING_SECONDS", 0.05)
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        host = Talk()
        stopped = optimize(airy, host, remove_unused_indexes=True, now=self.NOW)
        with reading(airy, "t"), stop_in_a_build(airy, host), pytest.raises(StopRequestedError):
            stopped.run(step)
        assert any("is partly dropped; the next execution drops the rest" in line for line in host.logged)
        if comes_back:
            assert executor.undo(step, dry_run=False)["restored"] == 1
            assert value(airy, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_body'::regclass")
        else:
            later = optimize(airy, remove_unused_indexes=True, now=self.NOW, execution="later")
            later.run(step_of(later, "unused_indexes"))
            assert value(airy, "SELECT to_regclass('t_body')") is None
        assert value(airy, BROKEN) == 0

    def test_another_in_its_place_is_not_touched(self, airy: str) -> None:
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        executor.run(step)
        run_script(airy, "CREATE INDEX t_body ON t (at)")
        assert "another index has its name now" in executor.undo(step, dry_run=False)["problems"][0]["why"]

    def test_killed_between_note_and_drop(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        real = unused.drop

        async def dies(*_: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr(unused, "drop", dies)
        with pytest.raises(RuntimeError):
            executor.run(step)
        monkeypatch.setattr(unused, "drop", real)
        assert executor.undo(step, dry_run=False)["problems"] == []
        assert value(airy, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_body'::regclass")

    def test_killed_in_the_midst_of_a_drop(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        real = unused.drop

        async def half(*_: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr(unused, "drop", half)
        with pytest.raises(RuntimeError):
            executor.run(step)
        monkeypatch.setattr(unused, "drop", real)
        run_script(airy, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_body'::regclass")
        assert executor.undo(step, dry_run=False)["restored"] == 1
        assert value(airy, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_body'::regclass")
        assert value(airy, BROKEN) == 0

    def test_a_purge_forgets(self, airy: str) -> None:
        executor = self.watched(airy)
        step = step_of(executor, "unused_indexes")
        executor.run(step)
        executor.purge(step)
        assert executor.undo(step, dry_run=False)["restored"] == 0


class TestStatistics:
    def test_what_is_due_is_done(self, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(analyze_vacuum, "LEAST_ROWS", 10)
        run_script(
            empty_database,
            "CREATE TABLE never (id int); INSERT INTO never SELECT generate_series(1, 1000);"
            "CREATE TABLE dead (id int) WITH (autovacuum_enabled = off);"
            "INSERT INTO dead SELECT generate_series(1, 1000)",
        )
        run_script(empty_database, "ANALYZE dead")
        run_script(empty_database, "DELETE FROM dead WHERE id > 500")
        wait_for(empty_database, "SELECT n_dead_tup > 0 FROM pg_stat_user_tables WHERE relname = 'dead'")
        executor = optimize(empty_database, update_statistics=True)
        step = step_of(executor, "statistics_update")
        assert step.items == 2
        details = executor.run(step)
        did = {one["table"]: (one["did"], one["dead_rows_after"]) for one in details["tables"]}
        assert did == {"public.never": ("analyze", 0), "public.dead": ("vacuum", 0)}
        assert step_of(executor, "statistics_update").items == 0


class TestAnalysis:
    def test_what_it_sees(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("jamaint.databases.maintenance.analysis.LARGE_BYTES", 1)
        run_script(
            airy,
            "CREATE INDEX twice ON t (body); CREATE INDEX narrow ON t (at);"
            "CREATE INDEX wide ON t (at, body); CREATE TABLE child (t bigint REFERENCES t);"
            "INSERT INTO child VALUES (6); CREATE INDEX half ON t (at)",
        )
        run_script(airy, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass")
        executor = optimize(airy)
        (step,) = executor.plan().steps
        details = executor.run(step)
        said = {one["sql"]: one["reason"] for one in details["recommendations"]}
        assert "the same as public.t_body" in said["DROP INDEX CONCURRENTLY public.twice"]
        assert "public.wide begins with its columns" in said["DROP INDEX CONCURRENTLY public.narrow"]
        assert "has no index" in said["CREATE INDEX CONCURRENTLY ON public.child (t)"]
        assert "invalid" in said["REINDEX INDEX CONCURRENTLY public.half"]
        assert "bloat" in said["REINDEX INDEX CONCURRENTLY public.t_body"]
        assert details["database_bytes"] > 0
        assert details["transactions_left"] > 2_000_000_000
        assert details["tables"][0]["table"] == "public.t"
        assert details["effect_of_last"] is None
        assert value(airy, "SELECT to_regnamespace('jamaint')") is None

    def test_air_is_counted_where_it_can_be(self, airy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if not value(airy, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgstattuple'"):
            pytest.skip("this server has no pgstattuple: Debian's package postgresql-contrib, or the embedded wheel")
        monkeypatch.setattr("jamaint.databases.maintenance.analysis.LARGE_BYTES", 1)
        executor = optimize(airy)
        (step,) = executor.plan().steps
        assert {one["air_is"] for one in executor.run(step)["tables"]} == {"estimated"}
        run_script(airy, "CREATE EXTENSION pgstattuple")
        details = executor.run(step)
        (table,) = details["tables"]
        assert table["air_is"] == "counted"
        assert table["air_bytes"] > 0.7 * value(airy, "SELECT pg_relation_size('t')")
        assert {one["air_is"] for one in details["indexes"]} == {"counted"}
        assert "VACUUM (FULL, ANALYZE) public.t" in [one["sql"] for one in details["recommendations"]]

    def test_old_rows_go_too(self, airy: str) -> None:
        executor = optimize(airy, cleanup_old_data=[rule("t", where="id <= 600")])
        step = step_of(executor, "data_cleanup")
        assert executor.run(step)["rows"] == 100
        assert executor.undo(step, dry_run=False)["restored"] == 100


class Paused(Talk):
    """A host that counts invalid indexes in each pause."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._dsn = dsn
        self.broken: list[int] = []

    def checkpoint(self) -> None:
        """See Host: after `held`, it is where a pause is waited out."""
        if len(self.broken) < len(self.held_in):
            self.broken.append(value(self._dsn, BROKEN))
        super().checkpoint()


async def counting_for_ever(target: Any) -> catalog.Around:
    """What the server says of itself, but that its counters, which have just begun, are as old as they can be."""
    return replace(await catalog.around(target), counting_since=None)


async def nobody_was_there(*_: Any) -> None:
    """In the place of wait_until_free: whoever is at the table came in the very next moment."""


@contextmanager
def reading(dsn: str, table: str = "pg_class") -> Iterator[Callable[[], None]]:
    """Somebody looks at a table while the block lasts, or until told to let go: every build waits for that."""
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        async def read(connection: Any) -> None:
            async with connection.transaction(isolation="repeatable_read"):
                await connection.execute(f"SELECT count(*) FROM {table}")
                held.set()
                while not go.is_set():
                    await connection.execute("SELECT pg_sleep(0.01)")

        on_connection(dsn, read)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield go.set
    finally:
        go.set()
        thread.join()


def stop_in_a_build(dsn: str, host: Talk) -> AbstractContextManager[None]:
    """Asks to stop once a build has made its index."""
    return once_half_built(dsn, lambda: host.stop_after(0))


@contextmanager
def once_half_built(dsn: str, do: Callable[[], Any]) -> Iterator[None]:
    """Does it, once in the block, as soon as there is an invalid index."""
    thread = threading.Thread(target=lambda: (wait_for(dsn, BROKEN), do()))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def wait_for(dsn: str, sql: str) -> None:
    """Asks until it is so; a test that would hang for ever is ended by its limit."""

    async def ask(connection: Any) -> None:
        for _ in range(6000):
            if await connection.fetchval(sql):
                return
            await connection.execute("SELECT pg_sleep(0.01)")
        raise AssertionError(f"never so: {sql}")

    on_connection(dsn, ask)


def test_a_failure_keeps_its_figures(airy: str) -> None:
    executor = optimize(airy, optimize_indexes=True)
    step = step_of(executor, "index_optimization")
    run_script(
        airy, "DROP SCHEMA IF EXISTS jamaint CASCADE; CREATE ROLE mallory; CREATE SCHEMA jamaint AUTHORIZATION mallory"
    )
    try:
        with pytest.raises(StepError, match="belongs to mallory") as failed:
            executor.run(step)
        assert failed.value.details["rebuilt"] == 0
        assert EXECUTION
    finally:
        run_script(airy, "DROP OWNED BY mallory; DROP ROLE mallory")


def test_a_prepared_transaction_that_holds_the_table_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(files._SETTINGS, "max_prepared_transactions", 2)
    monkeypatch.setattr(build, "BUILD_LOCK_SECONDS", 0.1)
    with serving() as server:
        for statement in FULL_OF_AIR.strip().split(";")[:-1]:
            run_script(server, statement)
        executor = optimize(server, optimize_indexes=True)
        step = step_of(executor, "index_optimization")
        run_script(server, "BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'orphan'")
        details = executor.run(step)
        run_script(server, "ROLLBACK PREPARED 'orphan'")
        assert "ROLLBACK PREPARED 'orphan'" in details["skipped"][0]["why"]
        assert executor.run(step_of(executor, "index_optimization"))["rebuilt"] == 2
