"""A role that may do nothing is told so, with the statement that lets it; and nothing is said to be completed."""

from collections.abc import Iterator
from typing import Any

import pytest

from database_runs import optimize, run_script, value
from jamaint.databases.indexes import rebuild
from jamaint.databases.maintenance import analyze_vacuum
from jamaint.executors.shared.executor import StepError

TABLES = """
CREATE TABLE due (id int PRIMARY KEY, body text); ALTER TABLE due OWNER TO shop;
INSERT INTO due SELECT i, md5(i::text) FROM generate_series(1, 60000) i;
CREATE INDEX due_body ON due (body);
"""


@pytest.fixture
def shared(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a database where the tables are another role's."""
    monkeypatch.setattr(analyze_vacuum, "LEAST_ROWS", 10)
    monkeypatch.setattr(rebuild, "REST_SECONDS", 0.0)
    name = value(empty_database, "SELECT current_database()")
    run_script(empty_database, "CREATE ROLE shop; CREATE ROLE helper IN ROLE pg_monitor")
    run_script(empty_database, f"GRANT CREATE ON DATABASE {name} TO helper")
    try:
        run_script(empty_database, TABLES)
        yield empty_database
    finally:
        run_script(empty_database, "DROP OWNED BY helper, shop CASCADE; DROP ROLE helper, shop")


def as_helper(dsn: str, **changes: Any) -> Any:
    return optimize(f"{dsn}&role=helper", **changes)


def cure_of(failed: pytest.ExceptionInfo[StepError]) -> str:
    """The statement that the message ends with."""
    assert failed.value.kind == "refused"
    return failed.value.message.partition("To let it: ")[2]


def test_statistics_of_tables_of_another_role(shared: str) -> None:
    executor = as_helper(shared, update_statistics=True)
    plan = executor.plan()
    assert any("public.due is left out, because it is owned by shop" in line for line in plan.warnings)
    with pytest.raises(StepError, match=r"nothing could be vacuumed or analysed: public.due would be") as failed:
        executor.run(plan.steps[1])
    run_script(shared, cure_of(failed))
    assert executor.run(executor.plan().steps[1])["analysed"] == 1


def test_the_owner_of_the_database_needs_no_grant(shared: str) -> None:
    name = value(shared, "SELECT current_database()")
    run_script(shared, f"ALTER DATABASE {name} OWNER TO helper")
    try:
        executor = as_helper(shared, update_statistics=True)
        assert executor.run(executor.plan().steps[1])["analysed"] == 1
    finally:
        run_script(shared, f"ALTER DATABASE {name} OWNER TO CURRENT_USER")


def test_what_may_be_done_is_done_beside_what_may_not(shared: str) -> None:
    run_script(shared, "CREATE TABLE ours AS SELECT generate_series(1, 1000) AS id; ALTER TABLE ours OWNER TO helper")
    executor = as_helper(shared, update_statistics=True)
    details = executor.run(executor.plan().steps[1])
    assert [one["table"] for one in details["tables"]] == ["public.ours"]


def test_indexes_of_tables_of_another_role(shared: str) -> None:
    for statement in ("DELETE FROM due WHERE id % 6 <> 0", "VACUUM due", "ANALYZE due"):
        run_script(shared, statement)
    run_script(shared, "GRANT SELECT ON due TO helper")  # statistics are shown to those who may read
    executor = as_helper(shared, optimize_indexes=True)
    plan = executor.plan()
    with pytest.raises(StepError, match=r"nothing could be rebuilt: public.due_body, public.due_pkey would") as failed:
        executor.run(plan.steps[1])
    run_script(shared, cure_of(failed))
    assert executor.run(executor.plan().steps[1])["rebuilt"] == 2


def test_a_step_that_may_do_nothing_keeps_no_other_from_its_work(shared: str) -> None:
    steps = as_helper(shared, update_statistics=True, optimize_indexes=True, remove_unused_indexes=True).plan().steps
    assert [(step.name, step.independent) for step in steps] == [
        ("database_analysis", False),
        ("index_optimization", True),
        ("unused_indexes", True),
        ("statistics_update", True),
    ]
