"""What guards divide by and wait for is what is there: rows, parts of tables, receivers of the log, limits."""

import contextlib
import glob
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from database_runs import Talk, cleanup, optimize, planned, rule, run_script, value
from jamaint.core.plans import MassDeletion
from jamaint.databases.pacing import SQL as VITALS
from jamaint.databases.rows import delete
from jamaint.executors.shared.executor import StepError
from jamaint.store.embedded import files
from postgres_server import BINARIES, serving

AGED = "CREATE TABLE ev (id bigint PRIMARY KEY, created_at timestamptz);"
DEFAULT = MassDeletion(0.25, 50)
VERSION = "SELECT current_setting('server_version_num')::int"
SLOW_TO_GO = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END$$;
CREATE TRIGGER slow AFTER DELETE ON ev FOR EACH STATEMENT EXECUTE FUNCTION slowly();
"""
"""Each batch takes longer than the limits of these tests."""


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", lambda *_: 0.0)
    monkeypatch.setattr(delete, "PAUSES", (0.0, 0.0))


def insert(first: int, last: int, age: str) -> str:
    return f"INSERT INTO ev SELECT i, now() - interval '{age}' FROM generate_series({first}, {last}) i;"


class TestTheShareOfAMassDeletion:
    def test_rows_that_went_since_the_last_analyze_do_not_count(self, empty_database: str) -> None:
        run_script(empty_database, AGED + insert(1, 20000, "1 year") + "ANALYZE ev; DELETE FROM ev WHERE id > 100")
        assert "100 of 100 rows would be deleted (100%)" in refused(empty_database)

    def test_rows_that_came_since_do(self, empty_database: str) -> None:
        run_script(empty_database, AGED + insert(1, 100, "1 day") + "ANALYZE ev;" + insert(101, 20000, "1 day"))
        run_script(empty_database, insert(30001, 30641, "1 year"))
        assert planned(cleanup(empty_database, rule("ev"), mass_deletion=DEFAULT)).items == 641

    def test_where_counting_takes_too_long_the_estimate_is_no_third(
        self, empty_database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_script(empty_database, AGED + insert(1, 12000, "1 year") + insert(12001, 20000, "1 day") + "ANALYZE ev")
        monkeypatch.setitem(_rows(), "count", "SELECT pg_sleep(1)")
        monkeypatch.setattr("jamaint.databases.rows.selection.COUNT_SECONDS", 0.05)
        plan = cleanup(empty_database, rule("ev"), mass_deletion=DEFAULT).plan()
        assert 11000 <= plan.steps[0].items <= 13000
        assert plan.refusals

    def test_where_counting_takes_too_long_the_least_figure_counts(
        self, empty_database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_script(empty_database, AGED + insert(1, 20000, "1 year") + "ANALYZE ev; DELETE FROM ev WHERE id > 100")
        value(empty_database, "SELECT pg_stat_force_next_flush()")
        monkeypatch.setitem(_rows(), "count", "SELECT pg_sleep(1)")
        monkeypatch.setattr("jamaint.databases.rows.selection.COUNT_SECONDS", 0.05)
        assert "would be deleted" in refused(empty_database)


def test_where_counting_takes_too_long_the_estimate_leaves_out_what_is_held(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time left goes by it; an estimate of a hundredth would make it false from the first minute on."""
    run_script(empty_database, AGED + insert(1, 20000, "1 year") + "ANALYZE ev")
    executor = cleanup(empty_database, rule("ev"))
    step = planned(executor)
    executor.run(step)
    executor.undo(step, dry_run=False)
    run_script(empty_database, insert(20001, 60000, "1 year") + "ANALYZE ev")
    again = cleanup(empty_database, rule("ev"), execution="e2")
    assert planned(again).items == 40000
    monkeypatch.setitem(_rows(), "count", "SELECT pg_sleep(1)")
    monkeypatch.setattr("jamaint.databases.rows.selection.COUNT_SECONDS", 0.05)
    assert 35000 <= planned(again).items <= 45000


def refused(dsn: str) -> str:
    """Why the plan has to be approved."""
    (why,) = cleanup(dsn, rule("ev"), mass_deletion=DEFAULT).plan().refusals
    return str(why["detail"])


def _rows() -> Any:
    from jamaint.databases.rows.selection import SQL

    return SQL


def test_a_partitioned_table_that_refers_here_is_as_large_as_its_parts(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_script(
        empty_database,
        AGED + insert(1, 100, "1 year") + "CREATE TABLE child (id bigint, event bigint REFERENCES ev)"
        " PARTITION BY HASH (id); CREATE TABLE c1 PARTITION OF child FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "INSERT INTO child SELECT i, 1 + i % 100 FROM generate_series(1, 1000) i; ANALYZE ev",
    )
    monkeypatch.setattr("jamaint.databases.tables.UNINDEXED_BYTES", 8192)
    with pytest.raises(StepError, match=r"CREATE INDEX .*public.child \(event\)"):
        cleanup(empty_database, rule("ev")).plan()


def test_what_goes_from_a_partitioned_table_has_a_size(empty_database: str) -> None:
    run_script(
        empty_database,
        "CREATE TABLE ev (id bigint, created_at timestamptz, PRIMARY KEY (id)) PARTITION BY HASH (id);"
        "CREATE TABLE p1 PARTITION OF ev FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        + insert(1, 1000, "1 year")
        + "ANALYZE p1",
    )
    step = planned(cleanup(empty_database, rule("ev")))
    assert step.bytes >= 1000 * 30


def test_who_only_receives_the_log_is_no_replica_that_lags(empty_database: str) -> None:
    """As Barman and pg_receivewal show in pg_stat_replication, whose view is stood in for."""
    shown = (
        "(VALUES ('streaming', pg_current_wal_lsn(), pg_current_wal_lsn(), NULL::pg_lsn, NULL::pg_lsn, NULL::interval))"
        " AS pg_stat_replication (state, sent_lsn, write_lsn, flush_lsn, replay_lsn, replay_lag)"
    )
    sql = VITALS["vitals"].replace("$1", "0").replace("$2", "ARRAY[0]")
    assert "FROM pg_stat_replication" in sql
    assert value(empty_database, f"SELECT lag_bytes FROM ({sql.replace('pg_stat_replication', shown)}) AS v") < 1 << 20
    hidden = shown.replace("pg_current_wal_lsn()", "NULL::pg_lsn")
    assert value(empty_database, f"SELECT lag_bytes FROM ({sql.replace('pg_stat_replication', hidden)}) AS v") is None


RECEIVERS = sorted(glob.glob(f"{BINARIES or '/usr/lib/postgresql/*/bin'}/pg_receivewal"))


@pytest.mark.skipif(not RECEIVERS, reason="pg_receivewal is not installed")
def test_with_the_real_pg_receivewal_it_works_and_waits_for_nobody(tmp_path: Path) -> None:
    """It never says what it has replayed, which is nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(files._SETTINGS, "wal_level", "replica")
        patch.setitem(files._SETTINGS, "max_wal_senders", 2)
        with serving() as dsn:
            run_script(dsn, AGED + insert(1, 400, "1 year") + "ANALYZE ev")
            with open(value(dsn, "SHOW hba_file"), "a") as hba:
                hba.write("local replication all trust\n")
            value(dsn, "SELECT pg_reload_conf()")
            with receiving(dsn, tmp_path):
                host = Talk()
                executor = cleanup(dsn, rule("ev", batch_size=50), host=host)
                assert executor.run(planned(executor))["rows"] == 400
                assert value(dsn, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NULL") == 1
    assert not [line for line in host.logged if "replica" in line]


@contextlib.contextmanager
def receiving(dsn: str, directory: Path) -> Iterator[None]:
    """Have pg_receivewal stream the log for the block."""
    argv = [RECEIVERS[-1], "-D", str(directory), "-d", dsn, "--no-loop"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not value(dsn, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"):
                assert process.poll() is None, process.stderr and process.stderr.read()
                value(dsn, "SELECT pg_sleep(0.05)")
            yield
        finally:
            process.terminate()


class TestLimitsOfARole:
    @pytest.mark.parametrize(
        "setting",
        ["idle_session_timeout", "idle_in_transaction_session_timeout", "statement_timeout", "transaction_timeout"],
    )
    def test_they_do_not_end_ours(self, empty_database: str, setting: str) -> None:
        if setting == "transaction_timeout" and value(empty_database, VERSION) < 170000:
            pytest.skip("PostgreSQL has it from version 17 on")
        run_script(empty_database, AGED + insert(1, 400, "1 year") + SLOW_TO_GO + "ANALYZE ev")
        name = value(empty_database, "SELECT current_database()")
        run_script(empty_database, f"ALTER DATABASE {name} SET {setting} = '80ms'")

        class Slow(Talk):
            """Between two batches as much time passes as in a pause."""

            def checkpoint(self) -> None:
                super().checkpoint()
                if self.looks < 4:
                    thread = threading.Thread(
                        target=value,
                        args=(empty_database.replace("?", f"?{setting}=0&"), "SELECT pg_sleep(0.2)"),
                    )
                    thread.start()
                    thread.join()

        executor = cleanup(empty_database, rule("ev", batch_size=100), host=Slow())
        assert executor.run(planned(executor))["rows"] == 400

    def test_a_session_in_which_nothing_is_checked_is_refused(self, empty_database: str) -> None:
        run_script(empty_database, AGED)
        name = value(empty_database, "SELECT current_database()")
        run_script(empty_database, f"ALTER DATABASE {name} SET session_replication_role = replica")
        with pytest.raises(StepError, match="RESET session_replication_role"):
            cleanup(empty_database, rule("ev")).plan()


class TestStatistics:
    def test_one_tables_error_leaves_no_other_behind(self, empty_database: str) -> None:
        run_script(
            empty_database,
            "CREATE SCHEMA hidden; CREATE FUNCTION hidden.f(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
            " $$BEGIN RETURN g(t); END$$;"
            "CREATE FUNCTION hidden.g(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t';"
            "CREATE TABLE a (t text); SET search_path = public, hidden; CREATE INDEX ON a (hidden.f(t));"
            "INSERT INTO a SELECT i FROM generate_series(1, 5000) i;"
            "CREATE TABLE b (t text); INSERT INTO b SELECT i FROM generate_series(1, 4000) i",
        )
        executor = optimize(empty_database, update_statistics=True)
        step = next(step for step in executor.plan().steps if step.name == "statistics_update")
        details = executor.run(step)
        assert [one["table"] for one in details["tables"]] == ["public.b"]
        (skipped,) = details["skipped"]
        assert skipped["path"] == "public.a"
        assert "ALTER FUNCTION … SET search_path" in skipped["why"]

    def test_the_whole_of_a_partitioned_table_is_analysed(self, empty_database: str) -> None:
        run_script(
            empty_database,
            "CREATE TABLE p (id bigint, t text) PARTITION BY HASH (id);"
            "CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
            "INSERT INTO p SELECT i, i FROM generate_series(1, 5000) i",
        )
        executor = optimize(empty_database, update_statistics=True)
        step = next(step for step in executor.plan().steps if step.name == "statistics_update")
        executor.run(step)
        assert value(empty_database, "SELECT count(*) FROM pg_stats WHERE tablename = 'p' AND inherited") == 2
        again = next(step for step in executor.plan().steps if step.name == "statistics_update")
        assert again.items == 0
