"""Where all tables are published, nothing of ours is: no subscriber ever stops at a table that it does not have."""

import threading
from collections.abc import Iterator

import pytest

from database_runs import EXECUTION, Talk, cleanup, look, optimize, planned, rule, run_script, value
from jamaint.databases.rows import delete
from jamaint.executors.shared.executor import StepError
from jamaint.store.embedded import files
from postgres_server import fresh_database, serving

TABLE = "CREATE TABLE ev (id bigint PRIMARY KEY, created_at timestamptz);"
FILL = "INSERT INTO ev SELECT i, now() - i * interval '1 day' FROM generate_series(1, 400) i; ANALYZE ev;"
KEPT = f"jamaint.kept_{EXECUTION.replace('-', '')}_1"
OURS = "SELECT count(*) FROM pg_publication_tables WHERE schemaname = 'jamaint'"


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", lambda *_: 0.0)
    monkeypatch.setattr(delete, "PAUSES", (0.0, 0.0))


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    """Two that can replicate from one another."""
    with pytest.MonkeyPatch.context() as patch:
        for name, setting in {
            "wal_level": "logical",
            "max_wal_senders": 5,
            "max_worker_processes": 8,
            "max_logical_replication_workers": 4,
        }.items():
            patch.setitem(files._SETTINGS, name, setting)
        with serving() as one, serving() as other:
            yield one, other


@pytest.fixture
def publisher(servers: tuple[str, str]) -> Iterator[str]:
    with fresh_database(servers[0]) as dsn:
        run_script(dsn, TABLE + FILL)
        yield dsn


@pytest.fixture
def subscriber(servers: tuple[str, str], publisher: str) -> Iterator[str]:
    name, (_, place) = value(publisher, "SELECT current_database()"), servers[0].split("?")
    with fresh_database(servers[1]) as dsn:
        run_script(dsn, TABLE)
        run_script(publisher, "CREATE PUBLICATION cdc FOR ALL TABLES")
        options = " ".join(part for part in place.split("&"))
        value(dsn, f"CREATE SUBSCRIPTION s CONNECTION 'dbname={name} user=jamaint {options}' PUBLICATION cdc")
        _same(publisher, dsn)
        try:
            yield dsn
        finally:
            value(dsn, "ALTER SUBSCRIPTION s DISABLE")
            value(dsn, "DROP SUBSCRIPTION s")


def _same(publisher: str, subscriber: str) -> None:
    """The limit only ends a test that would hang for ever."""
    for _ in range(600):
        if look(publisher, "ev") == look(subscriber, "ev"):
            return
        value(subscriber, "SELECT pg_sleep(0.1)")
    pytest.fail("the subscriber has stopped")


def test_a_way_back_is_refused_with_the_cure(publisher: str, subscriber: str) -> None:
    with pytest.raises(StepError) as failed:
        cleanup(publisher, rule("ev")).plan()
    assert failed.value.kind == "refused"
    assert "publication cdc would send what is kept for a rollback to its subscribers" in failed.value.message
    executor = cleanup(publisher, rule("ev"), keeps_way_back=False)  # the cure
    executor.run(planned(executor))
    run_script(publisher, "INSERT INTO ev VALUES (1000, now())")
    _same(publisher, subscriber)
    assert value(publisher, OURS) == 0


def test_the_other_cure_keeps_the_way_back(publisher: str, subscriber: str) -> None:
    run_script(publisher, "DROP PUBLICATION cdc; CREATE PUBLICATION cdc FOR TABLES IN SCHEMA public")
    before = look(publisher, "ev")
    executor = cleanup(publisher, rule("ev"))
    step = planned(executor)
    executor.run(step)
    _same(publisher, subscriber)
    executor.undo(step, dry_run=False)
    assert look(publisher, "ev") == before
    _same(publisher, subscriber)


def test_rows_go_back_where_the_publication_came_later(publisher: str, subscriber: str) -> None:
    run_script(publisher, "DROP PUBLICATION cdc; CREATE PUBLICATION cdc FOR TABLE ev")
    before = look(publisher, "ev")
    executor = cleanup(publisher, rule("ev"))
    step = planned(executor)
    executor.run(step)
    _same(publisher, subscriber)
    run_script(publisher, "DROP PUBLICATION cdc; CREATE PUBLICATION cdc FOR ALL TABLES")
    run_script(publisher, "INSERT INTO ev SELECT * FROM " + KEPT + " WHERE id = 300")  # as an undo that was cut short
    undone = executor.undo(step, dry_run=False)
    assert undone["kept"], undone
    assert undone["kept"][0]["path"] == "public.ev id=300"
    run_script(publisher, "DELETE FROM ev WHERE id = 300")
    assert executor.undo(step, dry_run=False)["problems"] == []
    assert look(publisher, "ev") == before
    assert value(publisher, f"SELECT to_regclass('{KEPT}')") is None
    run_script(publisher, "INSERT INTO ev VALUES (1000, now())")
    _same(publisher, subscriber)


def test_a_publication_that_comes_in_the_middle_stops_it(publisher: str) -> None:
    host = Talk()
    executor = cleanup(publisher, rule("ev", batch_size=50), host=host)
    step = planned(executor)

    def publish(*_: object) -> None:
        host.progress = Talk().progress  # type: ignore[method-assign]
        thread = threading.Thread(target=run_script, args=(publisher, "CREATE PUBLICATION cdc FOR ALL TABLES"))
        thread.start()
        thread.join()

    host.progress = publish  # type: ignore[method-assign]
    with pytest.raises(StepError, match="a publication FOR ALL TABLES was made meanwhile"):
        executor.run(step)
    assert value(publisher, "SELECT count(*) FROM ev") > 300


def test_what_is_noted_for_indexes_is_not_published(publisher: str, subscriber: str) -> None:
    executor = optimize(publisher, optimize_indexes=True, remove_unused_indexes=True, update_statistics=True)
    for step in executor.plan().steps:
        executor.run(step)
    _same(publisher, subscriber)
    run_script(publisher, "INSERT INTO ev VALUES (1000, now())")
    _same(publisher, subscriber)
    assert value(publisher, f"{OURS} AND tablename <> 'dropped_indexes'") == 0


def test_notes_are_logged_again_when_the_publication_is_gone(publisher: str) -> None:
    run_script(publisher, "CREATE PUBLICATION cdc FOR ALL TABLES")
    persistence = "SELECT relpersistence::text FROM pg_class WHERE oid = 'jamaint.cursors'::regclass"
    for sql, expected in (("SELECT 1", "u"), ("DROP PUBLICATION cdc", "p")):
        run_script(publisher, sql)
        executor = cleanup(publisher, rule("ev"), keeps_way_back=False)
        executor.run(planned(executor))
        assert value(publisher, persistence) == expected
