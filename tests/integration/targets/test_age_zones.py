"""Times without a zone: which it is, is said, or known because the server keeps UTC; else it is refused."""

from typing import Any

import pytest

from database_runs import cleanup, planned, rule, run_script, value
from jamaint.executors.shared.executor import StepError

HOUR = 3600.0
TABLE = """
CREATE TABLE seen (id int PRIMARY KEY, at timestamp, day date, whole timestamptz);
INSERT INTO seen SELECT i, m AT TIME ZONE 'UTC', m AT TIME ZONE 'UTC', m FROM (
    SELECT i, now() - i * interval '1 min' AS m FROM generate_series(1, 600) i) x; ANALYZE seen;
"""


@pytest.fixture
def jakarta(empty_database: str) -> str:
    run_script(empty_database, TABLE)
    name = value(empty_database, "SELECT current_database()")
    run_script(empty_database, f"ALTER DATABASE {name} SET timezone = 'Asia/Jakarta'")
    return empty_database


def seen(column: str = "at", **changes: Any) -> dict[str, Any]:
    return rule("seen", age_column=column, older_than_seconds=6 * HOUR, **changes)


@pytest.mark.parametrize("column", ["at", "day"])
def test_a_zone_that_is_not_known_is_refused(jakarta: str, column: str) -> None:
    with pytest.raises(StepError, match=r"Say `timezone: UTC`.* or `timezone: Asia/Jakarta`") as failed:
        cleanup(jakarta, seen(column)).plan()
    assert failed.value.kind == "refused"


def test_the_zone_that_is_said_counts(jakarta: str) -> None:
    executor = cleanup(jakarta, seen(timezone="UTC"))
    step = planned(executor)
    assert abs(step.items - 241) <= 1
    assert "in the zone UTC" in step.says
    assert abs(planned(cleanup(jakarta, seen(timezone="Asia/Jakarta"))).items - 600) <= 1
    assert abs(planned(cleanup(jakarta, seen(timezone="America/New_York"))).items - 0) <= 1
    assert abs(executor.run(step)["rows"] - 241) <= 2


def test_times_with_a_zone_need_none(jakarta: str) -> None:
    assert abs(planned(cleanup(jakarta, seen("whole"))).items - 241) <= 1
    with pytest.raises(StepError, match="has its zone in it"):
        cleanup(jakarta, seen("whole", timezone="UTC")).plan()


def test_a_server_that_keeps_utc_needs_none(empty_database: str) -> None:
    run_script(empty_database, TABLE)
    assert abs(planned(cleanup(empty_database, seen())).items - 241) <= 1
