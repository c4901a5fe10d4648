"""Fit and freeze: what would not end in time does not start, shorter work does, and freezes name themselves."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core_examples import HOUR, MINUTE, NOON, execution, task, window
from jamaint.core.calendar.freezes import Freeze, state_at
from jamaint.core.calendar.periods import Periods
from jamaint.core.calendar.windows import Opening, joined
from jamaint.core.estimates import Estimate, expected
from jamaint.core.guards.guard import Snapshot, Waiting, span
from jamaint.core.recurrence import Schedule
from jamaint.core.scheduling.agenda import decide, explain, order
from jamaint.core.scopes import Scope

MINUTE_MS = 60_000


def waits(name: str, minutes: float | None = None, *, trigger: str = "schedule", **changes: Any) -> Waiting:
    """An execution in window `night` of a task that declares so many minutes."""
    declared = None if minutes is None else minutes * 60
    its_task = task(name, expected_duration_seconds=declared, **changes)
    return Waiting(execution(f"of {name}", task_name=name, window_name="night", trigger=trigger), its_task)


def seen(*waiting: Waiting, left: timedelta = HOUR, **more: Any) -> Snapshot:
    opening = Opening(window("night"), NOON - HOUR, NOON + left)
    return Snapshot(**{"waiting": sorted(waiting, key=order), "openings": {"night": opening}, **more})


def freeze(begins: timedelta, ends: timedelta, **changes: Any) -> Freeze:
    return Freeze("year-end", (Periods(((NOON + begins, NOON + ends),)),), **changes)


def test_what_takes_longer_than_is_left_waits_and_shorter_work_behind_it_starts() -> None:
    urgent, short = waits("urgent", 61, priority="critical"), waits("short", 60, priority="low")
    agenda = decide(seen(urgent, short), NOON)
    assert agenda.start == ("of short",)
    (verdict,) = agenda.held["of urgent"]
    assert verdict.guard == "fit"
    assert verdict.detail == (
        "it takes 1 h 1 min (declared), and window night closes at 2026-11-24 13:00:00 UTC, in 1 h"
    )


def test_asked_for_by_hand_it_is_refused_at_once() -> None:
    (skipped,) = decide(seen(waits("long", 90, trigger="request")), NOON).skip
    assert [(verdict.guard, verdict.verdict) for verdict in skipped[1]] == [("fit", "refuse")]


def test_history_counts_where_it_says_more_than_the_task() -> None:
    history = {"slow": [70 * MINUTE_MS] * 5}
    agenda = decide(seen(waits("slow", 10), durations=history), NOON)
    assert "(p90 of 5 executions)" in agenda.held["of slow"][0].detail
    assert decide(seen(waits("slow", 10), durations={"slow": [70 * MINUTE_MS] * 2}), NOON).start == ("of slow",)


@pytest.mark.parametrize(
    ("changes", "durations", "found"),
    [
        ({}, [], None),
        ({}, [1000] * 2, None),
        ({}, list(range(1000, 21000, 1000)), Estimate(18, "p90 of 20 executions")),
        ({"expected_duration_seconds": 5}, [1000] * 3, Estimate(5, "declared")),
        ({"timeout_seconds": 60}, [], None),
        ({"timeout_seconds": 60}, [1000] * 2, None),
        ({"timeout_seconds": 60, "expected_duration_seconds": 50}, [], Estimate(50, "declared")),
        ({"timeout_seconds": 60}, [90_000] * 3, Estimate(60, "stopped then by its timeout")),
    ],
)
def test_an_estimate_is_the_longest_that_is_known_up_to_the_timeout(
    changes: dict[str, Any], durations: list[int], found: Estimate | None
) -> None:
    assert expected(task(**changes), durations) == found


def test_a_timeout_as_long_as_the_window_keeps_nothing_from_starting() -> None:
    assert decide(seen(waits("any", timeout_seconds=3600), left=HOUR - MINUTE), NOON).start == ("of any",)


def test_what_pauses_at_its_window_s_end_may_take_longer_than_that_is_open() -> None:
    assert decide(seen(waits("patient", 300, on_window_end="pause")), NOON).start == ("of patient",)
    states = [state_at(freeze(30 * MINUTE, HOUR), NOON)]
    held = decide(seen(waits("patient", 300, on_window_end="pause"), freezes=states), NOON).held
    assert "freeze year-end begins" in held["of patient"][0].detail


def test_openings_that_adjoin_with_the_same_rights_are_one_for_the_fit() -> None:
    first = window("first", schedule=Schedule(cron="30 23 * * *"), duration_minutes=60)
    second = window("second", schedule=Schedule(cron="0 0 * * *"), duration_minutes=60)
    start = NOON.replace(hour=23, minute=30)
    opening = joined(Opening(first, start, start + HOUR), [first, second])
    assert opening.runs_until == start + 90 * MINUTE
    assert opening.starts_until == start + HOUR
    for other in (replace(second, allowed_tasks=("backup",)), replace(second, enabled=False)):
        assert joined(Opening(first, start, start + HOUR), [first, other]).runs_until == start + HOUR


def test_openings_that_never_pause_do_not_join_for_ever() -> None:
    hourly = window(schedule=Schedule(cron="0 * * * *"), duration_minutes=60)
    opening = joined(Opening(hourly, NOON, NOON + HOUR), [hourly])
    assert timedelta(days=31) <= opening.runs_until - NOON < timedelta(days=32)


def test_a_freeze_names_itself_and_its_end() -> None:
    state = state_at(freeze(-HOUR, HOUR, description="the shop is full"), NOON)
    one = waits("any")
    hasty = replace(one, execution=replace(one.execution, deadline=NOON + 30 * MINUTE))
    (skipped,) = decide(seen(hasty, freezes=[state]), NOON).skip
    assert skipped[1][0].detail == "freeze year-end (the shop is full) holds until 2026-11-24 13:00:00 UTC"


def test_what_may_still_start_after_a_freeze_waits_for_its_end() -> None:
    one = waits("any")
    patient = replace(one, execution=replace(one.execution, deadline=NOON + 3 * HOUR))
    agenda = decide(seen(patient, left=4 * HOUR, freezes=[state_at(freeze(-HOUR, HOUR), NOON)]), NOON)
    assert [verdict.guard for verdict in agenda.held["of any"]] == ["freeze"]
    assert agenda.wake_at == NOON + HOUR


def test_what_would_run_into_a_freeze_does_not_start() -> None:
    states = [state_at(freeze(30 * MINUTE, HOUR), NOON)]
    agenda = decide(seen(waits("any", 31), freezes=states), NOON)
    assert "freeze year-end begins at 2026-11-24 12:30:00 UTC, in 30 min" in agenda.held["of any"][0].detail
    assert decide(seen(waits("any", 30), freezes=states), NOON).start == ("of any",)


def test_a_freeze_is_about_its_scope_alone() -> None:
    states = [state_at(freeze(-HOUR, HOUR, scope=Scope(types=("update",))), NOON)]
    assert decide(seen(waits("any"), freezes=states), NOON).start == ("of any",)
    assert decide(seen(waits("any", type="update"), freezes=states), NOON).start == ()


def test_a_skipped_opening_says_who_skipped_it() -> None:
    start = NOON.replace(hour=2)
    night = window(skipped={start: "ana"})
    snapshot = Snapshot((), windows={"night": night})
    verdicts = {one.guard: one for one in explain(snapshot, waits("any"), start + MINUTE)}
    assert verdicts["window"] == (
        "window",
        "refuse",
        "window night: its opening at 2026-11-24 02:00:00 UTC was skipped by ana",
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-5, "0 s"), (119, "119 s"), (120, "2 min"), (3600, "1 h"), (3660, "1 h 1 min"), (90_000, "25 h")],
)
def test_a_length_of_time_is_told_as_people_say_it(seconds: float, text: str) -> None:
    assert span(seconds) == text
