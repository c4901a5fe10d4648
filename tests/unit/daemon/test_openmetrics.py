"""Metrics as text: read back by the client library's parser, and by promtool where it is installed."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from core_examples import execution
from jamaint.core.executions import State
from jamaint.daemon.monitoring.openmetrics import OTHER, SERIES_LIMIT, Figures, openmetrics, textfile
from jamaint.daemon.monitoring.run_counters import RunCounters

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def figures(**changes: object) -> Figures:
    given = Figures(
        next_due={"cleanup": NOON},
        windows={"night": True},
        alerts=[("database_away", "critical")],
        gauges={"load1": ("The load average over one minute.", 1.5), "processor_seconds": ("Processor time.", 2.0)},
    )
    return given._replace(**changes)  # type: ignore[arg-type]


def ran(counters: RunCounters, task: str, status: State, seconds: float | None = 1.0, freed: int = 0) -> None:
    start = None if seconds is None else NOON
    end = NOON + timedelta(seconds=seconds or 0.0)
    counters.note(
        execution(task_name=task, status=status, started_at=start, completed_at=end, metrics={"freed_space": freed})
    )


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """By name and labels, as OpenMetrics' own parser reads them."""
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_what_ended_is_counted_by_task_and_status() -> None:
    counters = RunCounters(lambda task: "logs")
    ran(counters, "cleanup", State.COMPLETED, 5.0, freed=100)
    ran(counters, "cleanup", State.COMPLETED, 70.0, freed=-7)
    ran(counters, "cleanup", State.FAILED)
    ran(counters, "cleanup", State.CANCELLED, None)
    counters.note_freed("cleanup", 11)
    found = samples(openmetrics(counters, figures()))
    ended = {key[1]: value for key, value in found.items() if key[0] == "jamaint_executions_total"}
    assert ended == {
        "status=cancelled,task=cleanup": 0,
        "status=completed,task=cleanup": 2,
        "status=failed,task=cleanup": 1,
        "status=rolled_back,task=cleanup": 0,
        "status=skipped,task=cleanup": 1,
    }
    assert found["jamaint_execution_duration_seconds_bucket", "le=10.0,task=cleanup"] == 1
    assert found["jamaint_execution_duration_seconds_count", "task=cleanup"] == 2
    assert found["jamaint_execution_duration_seconds_sum", "task=cleanup"] == 75
    assert found["jamaint_freed_bytes_total", "kind=logs"] == 104
    assert found["jamaint_last_success_timestamp_seconds", "task=cleanup"] == (NOON + timedelta(seconds=70)).timestamp()
    assert found["jamaint_next_due_timestamp_seconds", "task=cleanup"] == NOON.timestamp()
    assert found["jamaint_alert_firing", "alert=database_away,severity=critical"] == 1
    assert found["jamaint_window_open", "window=night"] == 1
    assert found["jamaint_processor_seconds_total", ""] == 2


def test_freed_bytes_never_fall_and_are_never_more_than_what_was_freed() -> None:
    counters = RunCounters(lambda task: "logs")
    told = []
    for count in (-50, 30, 40, -5, 10):
        counters.note_freed("cleanup", count)
        told.append(counters.freed_bytes["logs"])
    assert told == [0, 0, 20, 20, 25]


def test_many_tasks_are_summed_as_other() -> None:
    counters = RunCounters(lambda task: "")
    names = [f"task-{number}" for number in range(300)]
    for place, name in enumerate(names):
        for _ in range(1 + (place == 299)):
            ran(counters, name, State.COMPLETED)
    found = samples(openmetrics(counters, figures(next_due=dict.fromkeys(names, NOON))))
    assert len(found) <= SERIES_LIMIT
    ended = {key[1]: value for key, value in found.items() if key[0] == "jamaint_executions_total"}
    assert sum(ended.values()) == 301
    assert ended["status=completed,task=task-299"] == 2
    assert ended[f"status=completed,task={OTHER}"] > 200


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of the package prometheus")
def test_prometheus_has_nothing_against_the_textfile() -> None:
    counters = RunCounters(lambda task: "logs")
    ran(counters, "cleanup", State.COMPLETED)
    text = textfile(counters, figures())
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
