"""What starts, what waits and why, what is given up: each guard by examples, the whole by what must always hold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, MINUTE, NOON, SECOND, execution, task, window
from jamaint.core.calendar.windows import Opening
from jamaint.core.conditions import Facts, Unknown
from jamaint.core.conditions.load_average import Load
from jamaint.core.executions import Execution, State
from jamaint.core.guards.guard import Occupied, Snapshot, Verdict, Waiting
from jamaint.core.resources import Resource, meeting
from jamaint.core.scheduling.agenda import CONDITION_RETRY_SECONDS, Agenda, decide, explain, order
from jamaint.core.tasks import PRIORITIES, Condition, Dependency, Retry, Task

BY_HAND = {"trigger": "request"}
IN_NIGHT = {"window_name": "night"}
CALM = Condition("load_average", {"max": 2.0, "minutes": 1, "per_cpu": False})


def loaded(load: float) -> Facts:
    return Facts({CALM.question: Load({1: load}, 1)})


def waiting(name: str = "cleanup", ident: str = "e1", *, paused_until: Any = None, **changes: Any) -> Waiting:
    """An execution that waits; what the task has other than usual goes with `task=`."""
    its_task = changes.pop("task", None) or task(name)
    return Waiting(execution(ident, task_name=its_task.name, **changes), its_task, paused_until)


def opening(name: str = "night", ends: timedelta = 2 * HOUR, **changes: Any) -> Opening:
    return Opening(window(name, **changes), NOON - HOUR, NOON + ends)


def running(*tasks: Task, window: str | None = None, ends: timedelta | None = None) -> dict[str, Occupied]:
    return {f"r{n}": Occupied(one, window, None if ends is None else NOON + ends) for n, one in enumerate(tasks)}


def ended(name: str, status: State, ago: timedelta) -> dict[str, Execution]:
    return {name: execution("before", task_name=name, status=status, completed_at=NOON - ago)}


def outcome(agenda: Agenda, ident: str = "e1") -> tuple[str, tuple[Verdict, ...]]:
    """What becomes of one execution: starts, skipped, held or crowded; with the verdicts against it."""
    if ident in agenda.start:
        return "starts", ()
    skipped = dict(agenda.skip)
    if ident in skipped:
        return "skipped", skipped[ident]
    if ident in agenda.held:
        return "held", agenda.held[ident]
    assert agenda.crowded is not None
    return "crowded", (agenda.crowded,)


def skipped(name: str, ago: timedelta) -> dict[str, Execution]:
    reasons = ({"guard": "condition", "verdict": "wait", "detail": "the load was 9"},)
    changes: dict[str, Any] = {"status": State.CANCELLED, "completed_at": NOON - ago, "reasons": reasons}
    return {name: execution("skipped", task_name=name, **changes)}


LOG, APP, OTHER = ((Resource("path", path),) for path in ("/var/log", "/var/log/app", "/var/log/apple"))
IN_LOGS: dict[str, Any] = {"task": task(touches=APP)}
QUEUES: dict[str, Any] = {"task": task(overlap="queue")}
REPLACES: dict[str, Any] = {"task": task(overlap="cancel_older")}
SKIPS: dict[str, Any] = {"task": task(dependencies=(Dependency("backup", on_failure="skip"),))}
QUARANTINED: dict[str, Any] = {"task": task(quarantined_at=NOON)}
DISABLED: dict[str, Any] = {"task": task(enabled=False)}
DEPENDS: dict[str, Any] = {"task": task(dependencies=(Dependency("backup"),))}
DEPENDS_WITHIN = {"task": task(dependencies=(Dependency("backup", within_seconds=3600),))}
AFTER_FAILURE = {"task": task(dependencies=(Dependency("backup", state="failed"),))}
DEPENDS_ON_TWO = {"task": task(dependencies=(Dependency("backup"), Dependency("check")))}
CONDITIONAL: dict[str, Any] = {"task": task(conditions=(CALM,))}
BEING_LOOKED_AT = Facts({CALM.question: Unknown("being looked at", is_pending=True)})
HOLDS: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("snapshot", "given_", "guard", "scheduled", "requested", "detail"),
    [
        (HOLDS, {}, "scheduler", "pass", "pass", "the scheduler is active"),
        (
            {"enabled": False},
            {},
            "scheduler",
            "wait",
            "pass",
            "the scheduler is switched off (enabled or scheduler.enabled: false)",
        ),
        (
            {"draining": True},
            {},
            "scheduler",
            "wait",
            "refuse",
            "the daemon is draining: nothing starts until `jamaintctl drain --off` or a restart",
        ),
        (HOLDS, {}, "task", "pass", "pass", "cleanup is enabled"),
        (
            HOLDS,
            DISABLED,
            "task",
            "refuse",
            "refuse",
            "cleanup is disabled in the configuration or no longer defined there",
        ),
        (
            HOLDS,
            {"paused_until": NOON + SECOND},
            "task",
            "refuse",
            "pass",
            "cleanup is paused until 2026-11-24 12:00:01 UTC (by hand it runs)",
        ),
        (HOLDS, {"paused_until": NOON}, "task", "pass", "pass", "cleanup is enabled"),
        (HOLDS, {}, "window", "pass", "pass", "it needs no window"),
        (HOLDS, IN_NIGHT, "window", "wait", "refuse", "window night is closed"),
        (
            {"openings": [opening()]},
            IN_NIGHT,
            "window",
            "pass",
            "pass",
            "window night is open until 2026-11-24 14:00:00 UTC",
        ),
        (
            {"openings": [opening(allowed_tasks=("backup", "update"))]},
            IN_NIGHT,
            "window",
            "refuse",
            "refuse",
            "window night allows backup, update, and cleanup is of type cleanup",
        ),
        (
            {"openings": [opening(allowed_tasks=("cleanup",))]},
            IN_NIGHT,
            "window",
            "pass",
            "pass",
            "window night is open until 2026-11-24 14:00:00 UTC",
        ),
        (
            {"openings": [opening(cutoff_minutes=119)]},
            IN_NIGHT,
            "window",
            "pass",
            "pass",
            "window night is open until 2026-11-24 14:00:00 UTC",
        ),
        (
            {"openings": [opening(cutoff_minutes=120)]},
            IN_NIGHT,
            "window",
            "refuse",
            "refuse",
            "window night starts nothing after 2026-11-24 12:00:00 UTC (cutoff before its end)",
        ),
        (HOLDS, {}, "dependency", "pass", "pass", "there are none"),
        (HOLDS, DEPENDS, "dependency", "wait", "refuse", "backup has not run yet"),
        ({"ended": ended("backup", State.COMPLETED, HOUR)}, DEPENDS, "dependency", "pass", "pass", "1 met"),
        (
            {"ended": ended("backup", State.FAILED, HOUR)},
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup ended failed at 2026-11-24 11:00:00 UTC, completed is required",
        ),
        ({"ended": ended("backup", State.FAILED, HOUR)}, AFTER_FAILURE, "dependency", "pass", "pass", "1 met"),
        ({"ended": ended("backup", State.COMPLETED, HOUR)}, DEPENDS_WITHIN, "dependency", "pass", "pass", "1 met"),
        (
            {"ended": ended("backup", State.COMPLETED, HOUR + SECOND)},
            DEPENDS_WITHIN,
            "dependency",
            "wait",
            "refuse",
            "backup was completed at 2026-11-24 10:59:59 UTC, longer ago than is required",
        ),
        (
            {"ended": ended("backup", State.COMPLETED, HOUR), "running": running(task("backup"))},
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup is still running",
        ),
        (
            {"ended": ended("backup", State.COMPLETED, HOUR), "waiting": [waiting("backup", "e0")]},
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup has been due since 2026-11-24 12:00:00 UTC and has not run",
        ),
        (
            {
                "ended": ended("backup", State.COMPLETED, HOUR),
                "waiting": [waiting("backup", "e0", scheduled_for=NOON + SECOND)],
            },
            DEPENDS,
            "dependency",
            "pass",
            "pass",
            "1 met",
        ),
        (
            {
                "ended": ended("backup", State.COMPLETED, HOUR),
                "waiting": [
                    waiting("backup", "e0", scheduled_for=NOON - SECOND),
                    waiting("backup", "e2", scheduled_for=NOON + SECOND),
                ],
            },
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup has been due since 2026-11-24 11:59:59 UTC and has not run",
        ),
        (
            {"ended": ended("backup", State.COMPLETED, HOUR)},
            DEPENDS_ON_TWO,
            "dependency",
            "wait",
            "refuse",
            "check has not run yet",
        ),
        (HOLDS, {}, "condition", "pass", "pass", "there are none"),
        (
            HOLDS,
            CONDITIONAL,
            "condition",
            "wait",
            "refuse",
            "the load average over 1 min is unknown: not checked, because no start was possible",
        ),
        (
            {"facts": loaded(2.5)},
            CONDITIONAL,
            "condition",
            "wait",
            "refuse",
            "the load average over 1 min is 2.50, over 2",
        ),
        (
            {"facts": loaded(2.0)},
            CONDITIONAL,
            "condition",
            "pass",
            "pass",
            "the load average over 1 min is 2.00, at most 2 is allowed",
        ),
        (
            {"facts": BEING_LOOKED_AT},
            CONDITIONAL,
            "condition",
            "wait",
            "wait",
            "the load average over 1 min is being looked at",
        ),
        (HOLDS, {}, "previous_running", "pass", "pass", "cleanup is not running"),
        (
            {"running": running(task())},
            {},
            "previous_running",
            "refuse",
            "refuse",
            "cleanup is already running",
        ),
        (
            {"running": running(task())},
            QUEUES,
            "previous_running",
            "wait",
            "wait",
            "cleanup is already running; this one is queued behind it",
        ),
        (
            {"running": running(task())},
            REPLACES,
            "previous_running",
            "wait",
            "wait",
            "cleanup is still running and is being stopped for this one",
        ),
        (
            {"waiting": [waiting("cleanup", "e0", scheduled_for=NOON + SECOND)]},
            REPLACES,
            "previous_running",
            "refuse",
            "refuse",
            "cleanup has been due again at 2026-11-24 12:00:01 UTC, and the older run is stopped for it",
        ),
        (HOLDS, {}, "touches", "pass", "pass", "it uses no known directory or database"),
        (HOLDS, IN_LOGS, "touches", "pass", "pass", "nothing else uses /var/log/app"),
        (
            {"running": running(task("b", touches=APP))},
            IN_LOGS,
            "touches",
            "wait",
            "wait",
            "b runs and uses /var/log/app too; they may not run at the same time",
        ),
        (
            {"running": running(task("b", touches=LOG))},
            IN_LOGS,
            "touches",
            "wait",
            "wait",
            "b runs and uses /var/log, and this on /var/log/app; they may not run at the same time",
        ),
        (
            {"running": running(task("b", touches=OTHER))},
            IN_LOGS,
            "touches",
            "pass",
            "pass",
            "nothing else uses /var/log/app",
        ),
        (
            {"ended": ended("backup", State.FAILED, HOUR)},
            SKIPS,
            "dependency",
            "refuse",
            "refuse",
            "backup ended failed at 2026-11-24 11:00:00 UTC, completed is required, so "
            "this is skipped (on_failure: skip)",
        ),
        (
            HOLDS,
            SKIPS,
            "dependency",
            "refuse",
            "refuse",
            "backup has not run yet, so this is skipped (on_failure: skip)",
        ),
        ({"running": running(task("backup"))}, SKIPS, "dependency", "wait", "refuse", "backup is still running"),
        (
            {"unable": {"backup": "is not defined any more"}},
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup has not run yet, and backup is not defined any more",
        ),
        (
            {"unable": {"backup": "is disabled"}, "ended": ended("backup", State.COMPLETED, HOUR)},
            DEPENDS,
            "dependency",
            "pass",
            "pass",
            "1 met",
        ),
        (
            {"ended": ended("backup", State.COMPLETED, HOUR), "skipped": skipped("backup", MINUTE)},
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup was skipped at 2026-11-24 11:59:00 UTC (the load was 9)",
        ),
        (
            {"ended": ended("backup", State.COMPLETED, MINUTE), "skipped": skipped("backup", HOUR)},
            DEPENDS,
            "dependency",
            "pass",
            "pass",
            "1 met",
        ),
        (
            {"skipped": skipped("backup", HOUR)},
            DEPENDS,
            "dependency",
            "wait",
            "refuse",
            "backup was skipped at 2026-11-24 11:00:00 UTC (the load was 9)",
        ),
        (
            {
                "ended": ended("backup", State.FAILED, HOUR),
                "waiting": [waiting("backup", "e0", trigger="retry", attempt=2, scheduled_for=NOON + MINUTE)],
            },
            SKIPS,
            "dependency",
            "wait",
            "refuse",
            "backup ended failed at 2026-11-24 11:00:00 UTC, completed is required, and is "
            "tried again at 2026-11-24 12:01:00 UTC",
        ),
        (HOLDS, {}, "retry", "pass", "pass", "first attempt"),
        (
            HOLDS,
            QUARANTINED,
            "task",
            "refuse",
            "refuse",
            "cleanup has been quarantined since 2026-11-24 12:00:00 UTC: the daemon died during each of "
            "its last runs; fix the task, then enable it again",
        ),
        (HOLDS, DEPENDS_ON_TWO, "dependency", "wait", "refuse", "backup has not run yet; check has not run yet"),
        (HOLDS, {}, "window_concurrency", "pass", "pass", "it needs no window"),
        (HOLDS, IN_NIGHT, "window_concurrency", "pass", "pass", "nothing runs in window night"),
        (
            {"openings": [opening()], "running": running(task("a"), task("b"), window="night")},
            IN_NIGHT,
            "window_concurrency",
            "pass",
            "pass",
            "2 of 3 run in window night",
        ),
        (
            {
                "openings": [opening(max_concurrent_tasks=2)],
                "running": running(task("a"), task("b"), window="night"),
            },
            IN_NIGHT,
            "window_concurrency",
            "wait",
            "wait",
            "2 of 2 run in window night",
        ),
        (
            {
                "openings": [opening(max_concurrent_tasks=1)],
                "running": running(task("a"), task("b"), window="day") | running(),
            },
            IN_NIGHT,
            "window_concurrency",
            "pass",
            "pass",
            "0 of 1 run in window night",
        ),
        ({"running": running(task("a"))}, {}, "concurrency", "pass", "pass", "1 of 4 executions run"),
        (
            {"running": running(task("a"), task("b")), "max_concurrent": 2},
            {},
            "concurrency",
            "wait",
            "wait",
            "2 of 2 executions run",
        ),
    ],
)
@pytest.mark.parametrize("trigger", ["schedule", "request"])
def test_each_guard_says_pass_wait_or_refuse_and_why(
    snapshot: dict[str, Any],
    given_: dict[str, Any],
    guard: str,
    scheduled: str,
    requested: str,
    detail: str,
    trigger: str,
) -> None:
    openings = {one.window.name: one for one in snapshot.get("openings", ())}
    seen = Snapshot(**{"waiting": (), **snapshot, "openings": openings})
    one = waiting(**given_, trigger=trigger)
    verdict = scheduled if trigger == "schedule" else requested
    verdicts = {found.guard: found for found in explain(seen, one, NOON)}
    assert verdicts[guard].verdict == verdict
    if verdict == scheduled:
        assert verdicts[guard].detail == detail
    others = {found.verdict for found in verdicts.values() if found.guard != guard}
    decided, against = outcome(decide(replace(seen, waiting=[one, *seen.waiting]), NOON))
    if others == {"pass"}:
        wanted = {"pass": ("starts",), "wait": ("held", "crowded"), "refuse": ("skipped",)}
        assert decided in wanted[verdict]
        assert against == (() if verdict == "pass" else (verdicts[guard],))


def test_every_guard_is_told_in_the_same_order_also_when_all_pass() -> None:
    verdicts = explain(Snapshot(()), waiting(), NOON)
    assert [found.guard for found in verdicts] == [
        "scheduler",
        "task",
        "window",
        "freeze",
        "fit",
        "retry",
        "dependency",
        "condition",
        "policy",
        "catch_up",
        "previous_running",
        "touches",
        "window_concurrency",
        "concurrency",
    ]
    assert {found.verdict for found in verdicts} == {"pass"}
    assert verdicts[0].to_json() == {"guard": "scheduler", "verdict": "pass", "detail": "the scheduler is active"}


def test_the_most_urgent_starts_first_and_of_equals_what_was_due_first() -> None:
    late, early = NOON - MINUTE, NOON - HOUR
    everything = [
        waiting(ident=f"{priority} {number}", task=task(f"{priority} {number}", priority=priority), scheduled_for=due)
        for priority in reversed(PRIORITIES)
        for number, due in ((1, late), (2, early), (3, early))
    ]
    ordered = [one.execution.id for one in sorted(everything, key=order)]
    assert ordered[:6] == ["critical 2", "critical 3", "critical 1", "high 2", "high 3", "high 1"]
    agenda = decide(Snapshot(sorted(everything, key=order), max_concurrent=4), NOON)
    assert agenda.start == tuple(ordered[:4])


def test_a_window_s_limit_holds_across_its_tasks_and_leaves_room_for_others() -> None:
    asked = [waiting(name, name, **(IN_NIGHT if name < "e" else {})) for name in "abcdef"]
    seen = Snapshot(
        asked,
        openings={"night": opening(max_concurrent_tasks=3)},
        running=running(task("x"), window="night"),
        max_concurrent=5,
    )
    agenda = decide(seen, NOON)
    assert agenda.start == ("a", "b", "e", "f")
    assert agenda.held["c"] == (Verdict("window_concurrency", "wait", "3 of 3 run in window night"),)


def test_the_limit_of_all_holds_across_windows() -> None:
    openings = {name: opening(name) for name in ("night", "day")}
    asked = [
        waiting(name, name, window_name=place) for name, place in zip("abc", ("night", "day", "night"), strict=True)
    ]
    agenda = decide(Snapshot(asked, openings=openings, running=running(task("x")), max_concurrent=3), NOON)
    assert agenda.start == ("a", "b")
    assert outcome(agenda, "c") == ("crowded", (Verdict("concurrency", "wait", "3 of 3 executions run"),))


def test_a_task_that_waits_twice_starts_once() -> None:
    agenda = decide(Snapshot([waiting(ident="e1"), waiting(ident="e2", **BY_HAND)]), NOON)
    assert agenda.start == ("e1",)
    assert outcome(agenda, "e2")[0] == "skipped"


@pytest.mark.parametrize("room", [1, 2], ids=["full", "with room"])
def test_what_is_running_is_not_run_once_more_as_soon_as_there_is_room(room: int) -> None:
    """Whether there is room besides has no say in it."""
    asked = [waiting("other", "e0", task=task("other", conditions=(CALM,))), waiting(ident="e1")]
    agenda = decide(Snapshot(asked, running=running(task()), max_concurrent=room), NOON)
    assert outcome(agenda, "e1")[0] == "skipped"
    assert "previous_running" in {verdict.guard for verdict in outcome(agenda, "e1")[1]}


@pytest.mark.parametrize("first", ["backup", "report"])
def test_what_depends_on_a_task_that_is_due_with_it_lets_that_go_first(first: str) -> None:
    """Whatever the two ids or priorities say, yesterday's backup is not what is asked for."""
    backup = waiting("backup", "b", task=task("backup", priority="high" if first == "backup" else "low"))
    report = waiting("report", "r", task=task("report", dependencies=(Dependency("backup"),)))
    seen = Snapshot(sorted([backup, report], key=order), ended=ended("backup", State.COMPLETED, 24 * HOUR))
    agenda = decide(seen, NOON)
    assert agenda.start == ("b",)
    assert outcome(agenda, "r")[0] == "held"


@pytest.mark.parametrize(
    ("given_", "snapshot", "guards"),
    [
        ({}, HOLDS, ["misfire"]),
        ({}, {"max_concurrent": 1, "running": running(task("a"))}, ["misfire", "concurrency"]),
        (IN_NIGHT, HOLDS, ["misfire", "window"]),
        (CONDITIONAL, {"enabled": False}, ["misfire", "scheduler", "condition"]),
        (DISABLED, HOLDS, ["misfire", "task"]),
    ],
)
def test_what_could_not_start_by_its_deadline_is_given_up_with_all_the_reasons(
    given_: dict[str, Any], snapshot: dict[str, Any], guards: list[str]
) -> None:
    seen = Snapshot([waiting(**given_, deadline=NOON)], **snapshot)
    decided, against = outcome(decide(seen, NOON))
    assert decided == "skipped"
    assert [verdict.guard for verdict in against] == guards
    assert against[0].detail == "it could start until 2026-11-24 12:00:00 UTC, and had not"


def test_up_to_its_deadline_it_starts_and_by_hand_there_is_none() -> None:
    just_in_time = waiting(deadline=NOON + SECOND / 1000)
    assert decide(Snapshot([just_in_time]), NOON).start == ("e1",)
    assert decide(Snapshot([waiting(**BY_HAND)]), NOON + 1000 * HOUR).start == ("e1",)


def test_one_that_is_too_late_is_given_up_also_behind_others_that_have_no_room() -> None:
    asked = [waiting("a", "e0", **BY_HAND), waiting("b", "e1", deadline=NOON), waiting("c", "e2", **BY_HAND)]
    agenda = decide(Snapshot(asked, max_concurrent=1, running=running(task("x"))), NOON)
    assert [outcome(agenda, ident)[0] for ident in ("e0", "e1", "e2")] == ["crowded", "skipped", "crowded"]


@pytest.mark.parametrize(
    ("says", "ends", "stops"),
    [
        ("cancel", timedelta(0), True),
        ("cancel", -HOUR, True),
        ("cancel", SECOND, False),
        ("finish", -HOUR, False),
        ("pause", -HOUR, False),
        ("cancel", None, False),
    ],
)
def test_what_is_to_stop_with_its_window_is_stopped_at_its_end(says: str, ends: timedelta | None, stops: bool) -> None:
    seen = Snapshot((), running=running(task(on_window_end=says), window="night", ends=ends))
    assert decide(seen, NOON).stop == (("r0",) if stops else ())


@pytest.mark.parametrize(
    ("snapshot", "asked", "wake_at"),
    [
        (HOLDS, [], None),
        (HOLDS, [waiting(**IN_NIGHT, deadline=NOON + HOUR)], HOUR),
        (HOLDS, [waiting(**IN_NIGHT), waiting(ident="e2", **IN_NIGHT, deadline=NOON + 2 * HOUR)], 2 * HOUR),
        (HOLDS, [waiting(**CONDITIONAL, deadline=NOON + HOUR)], timedelta(seconds=CONDITION_RETRY_SECONDS)),
        (HOLDS, [waiting(**DEPENDS, deadline=NOON + SECOND)], SECOND),
        ({"running": running(task(on_window_end="cancel"), ends=HOUR)}, [], HOUR),
        ({"running": running(task(on_window_end="cancel"), ends=-HOUR)}, [], None),
        ({"running": running(task(on_window_end="finish"), ends=HOUR)}, [], None),
        ({"max_concurrent": 0}, [waiting(deadline=NOON + HOUR)], HOUR),
        (
            {
                "openings": {"night": opening(cutoff_minutes=30, max_concurrent_tasks=1)},
                "running": running(task("x"), window="night"),
            },
            [waiting(**IN_NIGHT, **BY_HAND)],
            1.5 * HOUR,
        ),
    ],
    ids=[
        "nothing waits",
        "a deadline",
        "the first deadline",
        "a condition is looked at again",
        "a deadline comes before that",
        "the end of a window that stops what runs",
        "that end is past",
        "what runs may finish",
        "a deadline of one without room",
        "a window's cutoff for one without a deadline",
    ],
)
def test_when_to_look_again(snapshot: dict[str, Any], asked: list[Waiting], wake_at: timedelta | None) -> None:
    found = decide(Snapshot(asked, **snapshot), NOON).wake_at
    assert found == (None if wake_at is None else NOON + wake_at)


def some_task(
    name: str,
    priority: str,
    kind: str,
    needs: str,
    stops: bool,
    calm: bool,
    enabled: bool,
    overlap: str,
    place: str,
) -> Task:
    return task(
        name,
        overlap=overlap,
        touches=(Resource("path", place),) if place else (),
        priority=priority,
        type=kind,
        dependencies=(Dependency(needs),) if needs not in ("", name) else (),
        on_window_end="cancel" if stops else "finish",
        conditions=(CALM,) if calm else (),
        enabled=enabled,
    )


def some_waiting(
    its_task: Task, minutes: int, room: int, window_name: str | None, by_request: bool, paused: bool
) -> Waiting:
    return waiting(
        task=its_task,
        trigger="request" if by_request else "schedule",
        deadline=None if by_request else NOON + room * MINUTE,
        scheduled_for=NOON - minutes * MINUTE,
        window_name=window_name,
        paused_until=NOON + HOUR if paused else None,
    )


def some_snapshot(
    asked: list[Waiting],
    busy: list[Occupied],
    rooms: dict[str, int],
    endings: dict[str, State],
    load: float,
    room: int,
    enabled: bool,
    draining: bool,
) -> Snapshot:
    numbered = [replace(one, execution=replace(one.execution, id=f"e{number}")) for number, one in enumerate(asked)]
    return Snapshot(
        waiting=sorted(numbered, key=order),
        running={f"r{number}": one for number, one in enumerate(busy)},
        openings={
            name: opening(name, max_concurrent_tasks=places, allowed_tasks=("cleanup",) if places == 2 else ())
            for name, places in rooms.items()
        },
        ended={name: ended(name, status, HOUR)[name] for name, status in endings.items()},
        facts=loaded(load),
        max_concurrent=room,
        enabled=enabled,
        draining=draining,
    )


NAMES = [f"t{number}" for number in range(6)]
WINDOWS = ["night", "day"]
RARELY, MOSTLY = st.sampled_from([False] * 5 + [True]), st.sampled_from([True] * 5 + [False])
NAME, WINDOW = st.sampled_from(NAMES), st.sampled_from([None, *WINDOWS])
TASK = st.builds(
    some_task,
    NAME,
    st.sampled_from(PRIORITIES),
    st.sampled_from(["cleanup", "cleanup", "backup"]),
    st.sampled_from(["", "", *NAMES]),
    st.booleans(),
    RARELY,
    MOSTLY,
    st.sampled_from(["skip", "queue", "cancel_older"]),
    st.sampled_from(["", "", "/a", "/a/b", "/c"]),
)
SNAPSHOT = st.builds(
    some_snapshot,
    st.lists(
        st.builds(some_waiting, TASK, st.integers(0, 3), st.integers(-5, 60), WINDOW, st.booleans(), RARELY), max_size=8
    ),
    st.lists(st.builds(Occupied, TASK, WINDOW, st.sampled_from([None, NOON, NOON + HOUR])), max_size=3),
    st.dictionaries(st.sampled_from(WINDOWS), st.integers(1, 3)),
    st.dictionaries(NAME, st.sampled_from([State.COMPLETED, State.FAILED])),
    st.sampled_from([1.0, 9.0]),
    st.integers(1, 6),
    MOSTLY,
    RARELY,
)


def of(seen: Snapshot, idents: Sequence[str]) -> list[Waiting]:
    by_id = {one.execution.id: one for one in seen.waiting}
    return [by_id[ident] for ident in idents]


def afterwards(seen: Snapshot, agenda: Agenda) -> Snapshot:
    """The snapshot once `agenda` has been carried out."""
    gone = {*agenda.start, *(ident for ident, _ in agenda.skip)}
    started = {one.execution.id: Occupied(one.task, one.execution.window_name, None) for one in of(seen, agenda.start)}
    staying = [one for one in seen.waiting if one.execution.id not in gone]
    return replace(seen, waiting=staying, running={**seen.running, **started})


always = settings(derandomize=True, deadline=None, max_examples=200)


@given(SNAPSHOT)
@always
def test_each_that_waits_is_told_one_thing(seen: Snapshot) -> None:
    agenda = decide(seen, NOON)
    told = [*agenda.start, *(ident for ident, _ in agenda.skip), *agenda.held]
    assert len(told) == len(set(told))
    left = {one.execution.id for one in seen.waiting} - set(told)
    assert bool(left) == (agenda.crowded is not None)
    assert agenda.wake_at is None or agenda.wake_at > NOON
    assert set(agenda.stop) <= seen.running.keys()


@given(SNAPSHOT)
@always
def test_no_more_run_than_may_in_all_and_in_each_window_and_of_each_task(seen: Snapshot) -> None:
    before, after = seen.running.values(), afterwards(seen, decide(seen, NOON)).running.values()
    assert len(after) <= max(seen.max_concurrent, len(before))
    in_window = [Counter(one.window for one in some) for some in (before, after)]
    for name, one in seen.openings.items():
        assert in_window[1][name] <= max(one.window.max_concurrent_tasks, in_window[0][name])
    for name in set(WINDOWS) - seen.openings.keys():
        assert in_window[1][name] == in_window[0][name]
    of_task = [Counter(one.task.name for one in some) for some in (before, after)]
    assert all(number <= max(1, of_task[0][name]) for name, number in of_task[1].items())


AGAIN: dict[str, Any] = {"trigger": "retry", "attempt": 2, "retry_of": "before", "task": task(retry=Retry(3))}


@pytest.mark.parametrize(
    ("last", "due", "decided", "detail"),
    [
        (State.FAILED, NOON + MINUTE, "held", "attempt 2 of 3 comes at 2026-11-24 12:01:00 UTC"),
        (State.FAILED, NOON, "starts", ""),
        (State.COMPLETED, NOON, "skipped", "cleanup has completed since, at 2026-11-24 11:00:00 UTC"),
    ],
)
def test_a_further_attempt_waits_for_its_time_and_is_given_up_when_it_is_not_needed_any_more(
    last: State, due: Any, decided: str, detail: str
) -> None:
    before = ended("cleanup", last, HOUR)
    if last is State.COMPLETED:
        before = {"cleanup": replace(before["cleanup"], id="another")}
    agenda = decide(Snapshot([waiting(**AGAIN, scheduled_for=due)], ended=before), NOON)
    found, against = outcome(agenda)
    assert found == decided
    assert [verdict.detail for verdict in against] == ([detail] if detail else [])
    if decided == "held":
        assert agenda.wake_at == due


@given(SNAPSHOT)
@always
def test_what_starts_meets_nothing_that_runs(seen: Snapshot) -> None:
    agenda = decide(seen, NOON)
    others = [one.task for one in seen.running.values()]
    for one in of(seen, agenda.start):
        assert not any(meeting(one.task.touches, other.touches) for other in others)
        others.append(one.task)


@given(SNAPSHOT)
@always
def test_what_makes_way_says_so_and_has_one_that_waits_for_it(seen: Snapshot) -> None:
    agenda = decide(seen, NOON)
    held = {one.task.name for one in of(seen, list(agenda.held))}
    for ident in agenda.replace:
        assert seen.running[ident].task.name in held
    assert all(agenda.held.values())


def test_what_is_due_again_has_the_older_one_stopped_also_when_there_is_no_room() -> None:
    asked = [waiting(**REPLACES)]
    assert decide(Snapshot(asked, running=running(task())), NOON).replace == ("r0",)
    assert decide(Snapshot(asked, running=running(task()), max_concurrent=1), NOON).replace == ("r0",)
    closed = [waiting(**REPLACES, **IN_NIGHT)]
    assert decide(Snapshot(closed, running=running(task())), NOON).replace == ()
    assert decide(Snapshot([waiting(**QUEUES)], running=running(task())), NOON).replace == ()


@given(SNAPSHOT)
@always
def test_what_starts_has_nothing_against_it_and_what_waits_has_no_refusal(seen: Snapshot) -> None:
    agenda = decide(seen, NOON)
    for one in of(seen, agenda.start):
        assert {verdict.verdict for verdict in explain(seen, one, NOON)} == {"pass"}
    for against in agenda.held.values():
        assert {verdict.verdict for verdict in against} == {"wait"}
    for ident, against in agenda.skip:
        assert "refuse" in {verdict.verdict for verdict in against}, ident
    if agenda.crowded is not None:
        assert (agenda.crowded.guard, agenda.crowded.verdict) == ("concurrency", "wait")


@given(SNAPSHOT)
@always
def test_why_tells_what_the_decision_told(seen: Snapshot) -> None:
    """Asked after the fact, of each that still waits: there is something against it, and it is said the same way."""
    agenda = decide(seen, NOON)
    then = afterwards(seen, agenda)
    for one in then.waiting:
        verdicts = explain(then, one, NOON)
        against = [verdict for verdict in verdicts if verdict.verdict != "pass"]
        # What was skipped does not run any more, so that what depends on it may be freed by that.
        freed = any(verdict.guard == "dependency" for verdict in agenda.held.get(one.execution.id, ()))
        assert against or (freed and agenda.skip)
        guards = {verdict.guard for verdict in verdicts}
        assert {verdict.guard for verdict in agenda.held.get(one.execution.id, ())} <= guards


@given(SNAPSHOT)
@always
def test_a_decision_is_whole_and_the_same_each_time(seen: Snapshot) -> None:
    agenda = decide(seen, NOON)
    assert decide(seen, NOON) == agenda
    then = decide(afterwards(seen, agenda), NOON)
    if not agenda.skip:
        assert then.start == ()


@given(SNAPSHOT)
@always
def test_none_starts_before_one_that_waits_for_nothing_but_the_same_room(seen: Snapshot) -> None:
    agenda = decide(seen, NOON)
    place = {one.execution.id: number for number, one in enumerate(seen.waiting)}
    untold = place.keys() - {*agenda.start, *agenda.held, *(ident for ident, _ in agenda.skip)}
    for started in of(seen, agenda.start):
        here = place[started.execution.id]
        assert all(here < place[ident] for ident in untold)
        for ident, against in agenda.held.items():
            (held,) = of(seen, [ident])
            same = held.execution.window_name == started.execution.window_name
            if same and {verdict.guard for verdict in against} == {"window_concurrency"}:
                assert here < place[ident]


@given(st.integers(1, 50), st.integers(1, 8), st.integers(1, 5))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_a_long_queue_is_worked_off_in_order_and_every_turn_is_full(count: int, room: int, in_window: int) -> None:
    openings = {"night": opening(max_concurrent_tasks=in_window)}
    asked = [waiting(f"t{number:02}", f"e{number:02}", **IN_NIGHT) for number in range(count)]
    seen, started = Snapshot(asked, openings=openings, max_concurrent=room), list[str]()
    while seen.waiting:
        agenda = decide(seen, NOON)
        assert len(agenda.start) == min(room, in_window, len(seen.waiting))
        started += agenda.start
        seen = replace(afterwards(seen, agenda), running={})
    assert started == [one.execution.id for one in asked]


PATIENT = task("patient", on_window_end="pause")


@pytest.mark.parametrize(
    ("ends", "is_open", "paused", "resumed"),
    [
        (SECOND, False, (), ()),
        (-SECOND, False, ("r0",), ()),
        (-SECOND, True, (), ("r0",)),
        (SECOND, True, (), ()),
    ],
)
def test_what_its_window_finds_running_is_paused_until_that_opens_again(
    ends: timedelta, is_open: bool, paused: tuple[str, ...], resumed: tuple[str, ...]
) -> None:
    openings = {"night": opening()} if is_open else {}
    snapshot = Snapshot((), running=running(PATIENT, window="night", ends=ends), openings=openings)
    agenda = decide(snapshot, NOON)
    assert (agenda.pause, agenda.resume, agenda.stop) == (paused, resumed, ())
    assert agenda.wake_at == (NOON + ends if ends > timedelta(0) else None)


def test_what_comes_due_where_the_older_goes_on_is_told_so() -> None:
    older = running(PATIENT, window="night", ends=-SECOND)
    again = waiting("patient", **IN_NIGHT)
    agenda = decide(Snapshot([again], running=older, openings={"night": opening()}), NOON)
    (verdict,) = agenda.skip[0][1]
    assert verdict.detail == "patient is already running: it continues where its window paused it"
    assert agenda.resume == ("r0",)


def test_what_is_to_finish_is_neither_paused_nor_stopped_at_its_window_s_end() -> None:
    agenda = decide(Snapshot((), running=running(task(), window="night", ends=-SECOND)), NOON)
    assert (agenda.pause, agenda.resume, agenda.stop) == ((), (), ())
