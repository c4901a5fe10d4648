"""System cleanup: which kinds an execution does, and what the history keeps of it."""

from datetime import timedelta
from typing import Any

import pytest

from core_examples import NOON, execution, task
from jamaint.core.cleanup_kinds import KINDS, SYSTEM
from jamaint.core.executions import Execution, State, StepRecord
from jamaint.core.system_cleanup import narrowed, of_execution, wrong_options

ALL = task("cleanup", executor=SYSTEM, config={"kinds": [{"kind": "logs"}, {"kind": "cache"}]})


def ended(*steps: StepRecord, **changes: Any) -> Execution:
    usual = {"status": State.COMPLETED, "started_at": NOON, "completed_at": NOON + timedelta(seconds=3)}
    return execution(steps=steps, **{**usual, **changes})


def step(name: str, status: str = "completed", **details: Any) -> StepRecord:
    error = None if status == "completed" else "why"
    return StepRecord(name, status, NOON, 1000, details, error)


def test_the_order_is_the_specification_s() -> None:
    assert [kind.operation for kind in KINDS.values()] == [
        "temp_cleanup",
        "log_cleanup",
        "database_cleanup",
        "cache_cleanup",
        "filesystem_cleanup",
    ]


def test_an_execution_does_the_kinds_that_were_asked_for() -> None:
    assert narrowed(ALL, {}) is ALL
    assert narrowed(ALL, {"kinds": ["cache"]}).config == {"kinds": [{"kind": "cache"}]}
    other = task(config={"kinds": "its own"})
    assert narrowed(other, {"kinds": ["cache"]}) is other


@pytest.mark.parametrize(
    "options",
    [{"kinds": []}, {"kinds": "logs"}, {"kinds": ["logs", "temp"]}, {"kind": ["logs"]}, {"kinds": ["logs"], "x": 1}],
)
def test_other_options_are_refused(options: dict[str, Any]) -> None:
    assert wrong_options(ALL, options) == "system.cleanup takes `kinds`, a list of some of logs, cache"


def test_good_options_are_not() -> None:
    assert wrong_options(ALL, {"kinds": ["logs"]}) is None
    assert "system.cleanup" in str(wrong_options(task(), {"kinds": ["logs"]}))


def test_each_operation_is_kept_and_their_sums() -> None:
    found = of_execution(
        ended(
            step("log_cleanup", files=3, freed_space=100, freed_on_purge=7),
            step("cache_cleanup", "failed", files=1, freed_space=20),
            StepRecord("filesystem_cleanup"),
            status=State.FAILED,
            error={"message": "cache_cleanup: why"},
        ),
        SYSTEM,
    )
    assert found is not None
    assert [operation["type"] for operation in found.operations] == ["log_cleanup", "cache_cleanup"]
    assert [operation["success"] for operation in found.operations] == [True, False]
    assert found.operations[1]["error"] == "why"
    assert (found.freed_space, found.processed_items, found.success, found.duration_ms) == (120, 4, False, 3000)
    assert (found.cleanup_type, found.error_message) == ("system", "cache_cleanup: why")


def test_an_execution_of_one_kind_is_one_operation_and_its_analysis_has_done_nothing() -> None:
    found = of_execution(
        ended(step("analysis", files=9, bytes=9), step("cleanup", files=2, freed_space=5)), "logs.cleanup"
    )
    assert found is not None
    (operation,) = found.operations
    assert (operation["type"], operation["processed_items"], operation["freed_space"]) == ("log_cleanup", 2, 5)
    assert (found.cleanup_type, operation["duration"]) == ("logs", 2000)


def test_rows_are_processed_items_too() -> None:
    found = of_execution(ended(step("data_cleanup", rows=7, freed_space=5)), "database.cleanup")
    assert found is not None
    assert found.processed_items == 7


def test_what_cleans_nothing_up_or_never_started_is_not_kept() -> None:
    assert of_execution(ended(), "command") is None
    assert of_execution(execution(status=State.CANCELLED, completed_at=NOON), SYSTEM) is None
    assert of_execution(execution(status=State.RUNNING, started_at=NOON), SYSTEM) is None
