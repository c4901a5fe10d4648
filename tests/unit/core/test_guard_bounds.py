"""Guards, each asked directly: the moment at which its answer changes, and every word of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from core_examples import HOUR, MINUTE, NOON, SECOND, execution, task, window
from jamaint.core.calendar.freezes import Freeze, FreezeState
from jamaint.core.calendar.periods import Periods
from jamaint.core.calendar.windows import Opening
from jamaint.core.conditions import Facts, Unknown
from jamaint.core.conditions.load_average import Load
from jamaint.core.executions import State
from jamaint.core.guards import (
    catch_up,
    condition,
    dependency,
    fit,
    freeze,
    policy,
    previous_running,
    retry,
    scheduler,
    touches,
    window_concurrency,
)
from jamaint.core.guards import task as task_guard
from jamaint.core.guards import window as window_guard
from jamaint.core.guards.guard import Occupied, Snapshot, View, Waiting, clock, span
from jamaint.core.policies.policies import BackupRequired, Policy, Rate, Rules
from jamaint.core.recurrence import Schedule
from jamaint.core.resources import Resource
from jamaint.core.scopes import Scope
from jamaint.core.tasks import Condition, Dependency, Retry, Task

CALM = Condition("load_average", {"max": 2.0, "minutes": 1, "per_cpu": False})
BUSY = Condition("load_average", {"max": 2.0, "minutes": 5, "per_cpu": False})
LOG = (Resource("path", "/var/log"),)
LATER = "2026-11-24 13:00:00 UTC"


def waiting(
    one: Task | None = None, catches_up: bool = False, paused_until: datetime | None = None, **changes: Any
) -> Waiting:
    its_task = one or task()
    return Waiting(execution(task_name=its_task.name, **changes), its_task, paused_until, catches_up)


def view(total: int = 0, by_window: dict[str, int] | None = None, tasks: set[str] | None = None, **seen: Any) -> View:
    return View(Snapshot(**{"waiting": (), **seen}), NOON, total, by_window or {}, tasks or set())


def test_snapshot_says_nothing_of_what_it_is_not_told() -> None:
    seen = Snapshot(())
    assert (seen.max_concurrent, seen.enabled, seen.draining, seen.catch_ups_per_minute) == (4, True, False, 30)
    assert view().caught_up == 0
    assert not Waiting(execution(), task()).catches_up


class TestWords:
    def test_moment_that_never_was_is_ever(self) -> None:
        assert clock(None) == "ever"
        assert clock(NOON) == "2026-11-24 12:00:00 UTC"

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (-5, "0 s"),
            (0, "0 s"),
            (119, "119 s"),
            (119.6, "2 min"),
            (120, "2 min"),
            (3600, "1 h"),
            (3660, "1 h 1 min"),
            (7500, "2 h 5 min"),
        ],
    )
    def test_span(self, seconds: float, text: str) -> None:
        assert span(seconds) == text


class TestCatchUp:
    @pytest.mark.parametrize(
        ("late", "started", "verdict"),
        [
            (False, 9, ("catch_up", "pass", "on time")),
            (True, 2, ("catch_up", "pass", "2 of 3 missed ones started within the last minute")),
            (True, 3, ("catch_up", "wait", "3 of 3 missed ones started within the last minute")),
        ],
    )
    def test_so_many_in_a_minute(self, late: bool, started: int, verdict: tuple[str, str, str]) -> None:
        seen = replace_view(view(catch_ups_per_minute=3), caught_up=started)
        assert catch_up.judge(waiting(catches_up=late), seen) == verdict

    def test_recent_is_a_minute_before_and_never_after(self) -> None:
        moments = (NOON, NOON - 59 * SECOND, NOON - MINUTE, NOON + SECOND)
        assert catch_up.recent(moments, NOON) == (NOON, NOON - 59 * SECOND)


def replace_view(seen: View, **changes: Any) -> View:
    for name, value in changes.items():
        setattr(seen, name, value)
    return seen


class TestCondition:
    def test_all_that_does_not_hold_is_told_and_what_is_pending_refuses_nothing(self) -> None:
        one = waiting(task(conditions=(CALM, BUSY)), trigger="request")
        loads = Facts({CALM.question: Load({1: 3.0}, 1), BUSY.question: Unknown("being looked at", is_pending=True)})
        told = "the load average over 1 min is 3.00, over 2; the load average over 5 min is being looked at"
        assert condition.judge(one, view(facts=loads)) == ("condition", "refuse", told)
        pending = Facts({question.question: Unknown("being looked at", is_pending=True) for question in (CALM, BUSY)})
        assert condition.judge(one, view(facts=pending)).verdict == "wait"
        assert condition.judge(waiting(one.task), view(facts=loads)).verdict == "wait"

    def test_figures_of_all_are_told_where_they_hold(self) -> None:
        loads = Facts({one.question: Load({1: 1.0, 5: 2.0}, 1) for one in (CALM, BUSY)})
        assert condition.judge(waiting(task(conditions=(CALM, BUSY))), view(facts=loads)) == (
            "condition",
            "pass",
            "the load average over 1 min is 1.00, at most 2 is allowed; "
            "the load average over 5 min is 2.00, at most 2 is allowed",
        )
        assert condition.judge(waiting(), view()) == ("condition", "pass", "there are none")

    def test_those_of_the_open_window_count_too(self) -> None:
        opening = Opening(window(conditions=(BUSY,)), NOON - HOUR, NOON + HOUR)
        own = task(conditions=(CALM,))
        assert condition.conditions_of(waiting(own, window_name="night"), {"night": opening}) == (CALM, BUSY)
        assert condition.conditions_of(waiting(own), {"night": opening}) == (CALM,)


def past(status: State = State.COMPLETED, ago: timedelta = HOUR, **changes: Any) -> Any:
    return execution("before", task_name="backup", status=status, completed_at=NOON - ago, **changes)


class TestDependency:
    ONE = task(dependencies=(Dependency("backup"),))
    REASONS = ({"verdict": "pass", "detail": "no"}, {"verdict": "wait", "detail": "the load was 9"})

    @pytest.mark.parametrize(
        ("seen", "verdict", "detail"),
        [
            ({}, "wait", "backup has not run yet"),
            ({"unable": {"backup": "is disabled"}}, "wait", "backup has not run yet, and backup is disabled"),
            (
                {"skipped": {"backup": past(State.CANCELLED, reasons=REASONS)}},
                "wait",
                "backup was skipped at 2026-11-24 11:00:00 UTC (the load was 9)",
            ),
            ({"skipped": {"backup": past(State.CANCELLED)}}, "wait", "backup was skipped at 2026-11-24 11:00:00 UTC"),
            ({"skipped": {"backup": past(State.CANCELLED)}, "ended": {"backup": past()}}, "pass", "1 met"),
            (
                {"skipped": {"backup": past(State.CANCELLED, HOUR - SECOND)}, "ended": {"backup": past()}},
                "wait",
                "backup was skipped at 2026-11-24 11:00:01 UTC",
            ),
            ({"skipped": {"backup": replace(past(), completed_at=None)}}, "wait", "backup has not run yet"),
            ({"ended": {"backup": replace(past(), completed_at=None)}}, "wait", "backup has not run yet"),
            (
                {
                    "skipped": {"backup": past(State.CANCELLED)},
                    "ended": {"backup": replace(past(), completed_at=None)},
                },
                "wait",
                "backup was skipped at 2026-11-24 11:00:00 UTC",
            ),
            (
                {
                    "ended": {"backup": past(State.FAILED)},
                    "waiting": [waiting(task("backup"), trigger="retry", scheduled_for=NOON + HOUR)],
                },
                "wait",
                f"backup ended failed at 2026-11-24 11:00:00 UTC, completed is required, and is tried again at {LATER}",
            ),
            (
                {"ended": {"backup": past()}, "waiting": [waiting(task("backup"), trigger="retry")]},
                "pass",
                "1 met",
            ),
        ],
    )
    def test_what_is_missing_is_said(self, seen: dict[str, Any], verdict: str, detail: str) -> None:
        assert dependency.judge(waiting(self.ONE), view(**seen)) == ("dependency", verdict, detail)
        if verdict == "wait":
            asked = dependency.judge(waiting(self.ONE, trigger="request"), view(**seen))
            assert asked == ("dependency", "refuse", detail)

    def test_all_that_is_missing_is_told_and_one_that_skips_gives_it_up(self) -> None:
        skips = Dependency("check", on_failure="skip")
        one = waiting(task(dependencies=(Dependency("backup"), skips, Dependency("last"))))
        assert dependency.judge(one, view()) == (
            "dependency",
            "refuse",
            "backup has not run yet; check has not run yet, so this is skipped (on_failure: skip); "
            "last has not run yet",
        )
        due = view(waiting=[waiting(task("check"))])
        assert dependency.judge(waiting(task(dependencies=(skips,))), due).verdict == "wait"
        running = view(tasks={"check"})
        assert dependency.judge(waiting(task(dependencies=(skips,))), running) == (
            "dependency",
            "wait",
            "check is still running",
        )

    def test_earliest_of_what_is_due_counts(self) -> None:
        due = [waiting(task("backup"), scheduled_for=NOON - ago * HOUR) for ago in (1, 3, 2)]
        found = dependency.judge(waiting(self.ONE), view(waiting=due))
        assert found.detail == "backup has been due since 2026-11-24 09:00:00 UTC and has not run"
        assert dependency.judge(waiting(), view()) == ("dependency", "pass", "there are none")


class TestFit:
    def test_without_an_end_or_an_estimate_it_passes(self) -> None:
        assert fit.judge(waiting(), view()) == ("fit", "pass", "no window or freeze limits the run time")
        opening = Opening(window(), NOON - HOUR, NOON + HOUR)
        seen = view(openings={"night": opening})
        assert fit.judge(waiting(window_name="night"), seen) == (
            "fit",
            "pass",
            "its duration is not known yet (set expected_duration)",
        )

    @pytest.mark.parametrize(("seconds", "verdict", "asked"), [(3600, "pass", "pass"), (3601, "wait", "refuse")])
    def test_exactly_as_long_as_is_left_fits(self, seconds: int, verdict: str, asked: str) -> None:
        seen = view(openings={"night": Opening(window(), NOON - HOUR, NOON + HOUR)})
        one = task(expected_duration_seconds=seconds)
        found = fit.judge(waiting(one, window_name="night"), seen)
        assert (found.guard, found.verdict) == ("fit", verdict)
        assert found.detail.endswith(f", and window night closes at {LATER}, in 1 h")
        assert found.detail.startswith("it takes 1 h (")
        assert fit.judge(waiting(one, window_name="night", trigger="request"), seen).verdict == asked

    def test_freeze_that_begins_before_the_window_s_end_counts_first(self) -> None:
        soon = FreezeState(Freeze("f", ()), False, NOON + MINUTE)
        others = (
            FreezeState(Freeze("holds", ()), True, NOON + SECOND),
            FreezeState(Freeze("never", ()), False, None),
            FreezeState(Freeze("other", (), Scope(types=("backup",))), False, NOON + SECOND),
        )
        seen = view(openings={"night": Opening(window(), NOON, NOON + HOUR)}, freezes=(*others, soon))
        found = fit.judge(waiting(task(expected_duration_seconds=61), window_name="night"), seen)
        assert found.verdict == "wait"
        assert found.detail.endswith(", and freeze f begins at 2026-11-24 12:01:00 UTC, in 60 s")


class TestFreeze:
    @pytest.mark.parametrize(
        ("ends", "deadline", "trigger", "verdict"),
        [
            (NOON + HOUR, None, "schedule", "wait"),
            (NOON + HOUR, None, "request", "refuse"),
            (NOON + HOUR, NOON + HOUR, "schedule", "refuse"),
            (NOON + HOUR, NOON + HOUR + SECOND, "schedule", "wait"),
            (None, None, "schedule", "refuse"),
        ],
    )
    def test_it_waits_for_the_end_while_it_may_still_start_then(
        self, ends: datetime | None, deadline: datetime | None, trigger: str, verdict: str
    ) -> None:
        seen = view(freezes=(FreezeState(Freeze("f", (), description="sale"), True, ends),))
        until = "for ever" if ends is None else f"until {LATER}"
        found = freeze.judge(waiting(trigger=trigger, deadline=deadline), seen)
        assert found == ("freeze", verdict, f"freeze f (sale) holds {until}")

    def test_freeze_of_others_or_that_does_not_hold_is_passed_over(self) -> None:
        states = (
            FreezeState(Freeze("other", (), Scope(types=("backup",))), True, None),
            FreezeState(Freeze("open", ()), False, None),
        )
        assert freeze.judge(waiting(), view(freezes=states)) == ("freeze", "pass", "no freeze holds")
        held = (*states, FreezeState(Freeze("f", ()), True, NOON + HOUR))
        assert freeze.judge(waiting(), view(freezes=held)) == ("freeze", "wait", f"freeze f holds until {LATER}")


class TestPreviousRunning:
    def test_what_its_window_has_paused_goes_on(self) -> None:
        pauses = task(on_window_end="pause")
        for one, end, told in (
            (pauses, NOON, ": it continues where its window paused it"),
            (pauses, NOON + SECOND, ""),
            (pauses, None, ""),
            (task(), NOON, ""),
            (task("other", on_window_end="pause"), NOON, ""),
        ):
            seen = view(tasks={"cleanup"}, running={"r": Occupied(one, "night", end)})
            found = previous_running.judge(waiting(), seen)
            assert found == ("previous_running", "refuse", f"cleanup is already running{told}")

    @pytest.mark.parametrize(
        ("late", "schedule", "verdict"),
        [
            (True, Schedule(every_seconds=60, catch_up="all"), "wait"),
            (False, Schedule(every_seconds=60, catch_up="all"), "refuse"),
            (True, Schedule(every_seconds=60), "refuse"),
            (True, None, "refuse"),
        ],
    )
    def test_what_is_caught_up_on_one_by_one_waits(self, late: bool, schedule: Schedule | None, verdict: str) -> None:
        found = previous_running.judge(waiting(task(schedule=schedule), late), view(tasks={"cleanup"}))
        assert found.verdict == verdict
        if verdict == "wait":
            assert found == (
                "previous_running",
                "wait",
                "cleanup is already running; this one runs after it",
            )

    def test_older_makes_way_for_the_newest_that_is_no_retry(self) -> None:
        one = waiting(task(overlap="cancel_older"))
        later = [replace(one, execution=execution("e2", scheduled_for=NOON + ago * HOUR)) for ago in (1, 0)]
        assert previous_running.judge(one, view(waiting=later)) == (
            "previous_running",
            "refuse",
            f"cleanup has been due again at {LATER}, and the older run is stopped for it",
        )
        again = [replace(one, execution=execution("e2", scheduled_for=NOON + HOUR, trigger="retry"))]
        for queue in (again, [one], []):
            found = previous_running.judge(one, view(waiting=queue))
            assert found == ("previous_running", "pass", "cleanup is not running")


class TestRetry:
    ONE = task(retry=Retry(3))

    @pytest.mark.parametrize(
        ("changes", "last", "verdict", "detail"),
        [
            ({"trigger": "schedule"}, None, "pass", "first attempt"),
            ({}, None, "pass", "attempt 2 of 3"),
            ({"scheduled_for": NOON + SECOND}, None, "wait", "attempt 2 of 3 comes at 2026-11-24 12:00:01 UTC"),
            ({}, "other", "refuse", "cleanup has completed since, at 2026-11-24 11:00:00 UTC"),
            ({}, "first", "pass", "attempt 2 of 3"),
        ],
    )
    def test_attempt(self, changes: dict[str, Any], last: str | None, verdict: str, detail: str) -> None:
        one = waiting(self.ONE, **{"trigger": "retry", "attempt": 2, "retry_of": "first", **changes})
        done = {} if last is None else {"cleanup": execution(last, status=State.COMPLETED, completed_at=NOON - HOUR)}
        assert retry.judge(one, view(ended=done)) == ("retry", verdict, detail)
        failed = {"cleanup": execution("other", status=State.FAILED, completed_at=NOON - HOUR)}
        if last is None:
            assert retry.judge(one, view(ended=failed)).verdict == verdict


class TestSchedulerAndTask:
    def test_draining_and_switched_off(self) -> None:
        told = "the daemon is draining: nothing starts until `jamaintctl drain --off` or a restart"
        assert scheduler.judge(waiting(), view(draining=True)) == ("scheduler", "wait", told)
        assert scheduler.judge(waiting(trigger="request"), view(draining=True)) == ("scheduler", "refuse", told)
        assert scheduler.judge(waiting(), view(enabled=False)) == (
            "scheduler",
            "wait",
            "the scheduler is switched off (enabled or scheduler.enabled: false)",
        )
        for one, enabled in ((waiting(), True), (waiting(trigger="request"), False)):
            assert scheduler.judge(one, view(enabled=enabled)) == ("scheduler", "pass", "the scheduler is active")

    @pytest.mark.parametrize(
        ("one", "paused", "detail"),
        [
            (task(enabled=False), None, "cleanup is disabled in the configuration or no longer defined there"),
            (
                task(enabled=False, origin="api"),
                None,
                "cleanup is disabled or no longer defined (`jamaintctl task enable cleanup` enables it)",
            ),
            (
                task(quarantined_at=NOON),
                None,
                "cleanup has been quarantined since 2026-11-24 12:00:00 UTC: the daemon died during each of its "
                "last runs; fix the task, then enable it again",
            ),
            (task(), NOON + HOUR, f"cleanup is paused until {LATER} (by hand it runs)"),
        ],
    )
    def test_task_that_does_not_run(self, one: Task, paused: datetime | None, detail: str) -> None:
        assert task_guard.judge(waiting(one, paused_until=paused), view()) == ("task", "refuse", detail)


class TestTouches:
    ONE = task(touches=LOG)

    def test_rollback_under_way_and_other_tasks_keep_it_waiting(self) -> None:
        undoing = view(undoing=(("free", ()), ("b", LOG)))
        assert touches.judge(waiting(self.ONE), undoing) == (
            "touches",
            "wait",
            "b is being rolled back and uses /var/log; they may not run at the same time",
        )
        seen = replace_view(view(), touched=[("cleanup", LOG), ("free", ())])
        assert touches.judge(waiting(self.ONE), seen) == ("touches", "pass", "nothing else uses /var/log")
        seen.touched.append(("b", LOG))
        told = "b runs and uses /var/log too; they may not run at the same time"
        assert touches.judge(waiting(self.ONE), seen) == ("touches", "wait", told)

    def test_several_are_listed(self) -> None:
        one = task(touches=(*LOG, Resource("path", "/srv")))
        assert touches.judge(waiting(one), view()).detail == "nothing else uses /var/log, /srv"
        assert touches.judge(waiting(), view()) == (
            "touches",
            "pass",
            "it uses no known directory or database",
        )


class TestWindow:
    AT = NOON.replace(hour=2)

    def judged(self, now: datetime, trigger: str = "schedule", **changes: Any) -> tuple[str, str, str]:
        seen = replace_view(view(windows={"night": window(**changes)}), now=now)
        return window_guard.judge(waiting(window_name="night", trigger=trigger), seen)

    def test_closed_by_skip_or_exclusion_says_so(self) -> None:
        inside = self.AT + HOUR
        skipped = self.judged(inside, skipped={self.AT: "ana"})
        told = "window night: its opening at 2026-11-24 02:00:00 UTC was skipped by ana"
        assert skipped == ("window", "refuse", told)
        cut = (Periods(((self.AT, self.AT + 2 * HOUR),)),)
        told = "window night is closed by an exclusion until 2026-11-24 04:00:00 UTC"
        assert self.judged(inside, exclusions=cut) == ("window", "wait", told)
        assert self.judged(inside, "request", exclusions=cut) == ("window", "refuse", told)
        assert self.judged(inside) == ("window", "wait", "window night is closed")
        assert self.judged(inside, "request") == ("window", "refuse", "window night is closed")

    def test_room_in_it(self) -> None:
        openings = {"night": Opening(window(max_concurrent_tasks=2), NOON - HOUR, NOON + HOUR)}
        for busy, verdict in ((0, "pass"), (1, "pass"), (2, "wait")):
            seen = view(by_window={"night": busy} if busy else {}, openings=openings)
            assert window_concurrency.judge(waiting(window_name="night"), seen) == (
                "window_concurrency",
                verdict,
                f"{busy} of 2 run in window night",
            )
        told = window_concurrency.judge(waiting(window_name="night"), view())
        assert told == ("window_concurrency", "pass", "nothing runs in window night")
        assert window_concurrency.judge(waiting(), view()) == ("window_concurrency", "pass", "it needs no window")


class TestPolicy:
    FROZEN = FreezeState(Freeze("p#0", ()), True, NOON + HOUR)

    def judged(
        self, one: Waiting | None = None, conditions: Any = (), seen: Any = None, **changes: Any
    ) -> tuple[str, str, str]:
        mine = Policy("id", "p", conditions=conditions, **changes)
        return policy.judge(one or waiting(), view(policies=(mine,), frozen={"p#0": self.FROZEN}, **(seen or {})))

    def test_none_and_some(self) -> None:
        assert policy.judge(waiting(), view()) == ("policy", "pass", "no policy applies")
        assert self.judged(rules=Rules(timeout_seconds=5)) == ("policy", "pass", "1 policies allow it")
        for sets in ({"retry": Retry(2)}, {"retention_seconds": 1.0}, {"emergency_seconds": 1.0}):
            assert self.judged(rules=Rules(**sets)).detail == "1 policies allow it"

    @pytest.mark.parametrize(
        ("decision", "trigger", "verdict", "says"),
        [
            ("deny", "schedule", "refuse", "audit"),
            ("defer", "schedule", "wait", "audit"),
            ("defer", "request", "refuse", "audit"),
            ("allow", "schedule", "pass", "allowed, audit"),
            ("require_approval", "schedule", "wait", "audit: it waits for approval by an admin"),
            (None, "schedule", "pass", None),
        ],
    )
    def test_policy_without_rules_bites_always(
        self, decision: Any, trigger: str, verdict: str, says: str | None
    ) -> None:
        found = self.judged(waiting(trigger=trigger), decision=decision, description="audit")
        assert found == ("policy", verdict, "1 policies allow it" if says is None else f"policy p: {says}")
        if decision == "deny":
            assert self.judged(decision=decision).detail == "policy p: it holds always"

    def test_freeze_says_until_when_and_why(self) -> None:
        rules = Rules(freezes=(Freeze("p#0", ()),))
        found = self.judged(rules=rules, description="audit")
        assert found == ("policy", "refuse", f"policy p: audit, it freezes until {LATER}")
        ever = FreezeState(Freeze("p#0", ()), True, None)
        seen = view(policies=(Policy("id", "p", rules=rules),), frozen={"p#0": ever})
        assert policy.judge(waiting(), seen).detail == "policy p: it freezes for ever"
        seen = view(policies=(Policy("id", "p", rules=rules),), frozen={})
        assert policy.judge(waiting(), seen).verdict == "pass"

    def test_condition_that_is_looked_at_puts_off_what_would_be_refused(self) -> None:
        pending = {"facts": Facts({CALM.question: Unknown("being looked at", is_pending=True)})}
        told = "policy p: the load average over 1 min is being looked at"
        assert self.judged(conditions=(CALM,), seen=pending) == ("policy", "wait", told)
        allowed = self.judged(conditions=(CALM,), seen=pending, decision="allow")
        assert allowed == ("policy", "pass", "policy p: allowed, it holds always")
        for load, verdict in ((3.0, "pass"), (1.0, "refuse")):
            facts = {"facts": Facts({CALM.question: Load({1: load}, 1)})}
            assert self.judged(conditions=(CALM,), seen=facts)[1] == verdict

    @pytest.mark.parametrize(
        ("backup", "ago", "says"),
        [
            (BackupRequired(3600), None, "a backup must have completed within 1 h, and the newest never has"),
            (BackupRequired(3600), HOUR, None),
            (
                BackupRequired(3600),
                HOUR + MINUTE,
                "a backup must have completed within 1 h, and the newest was 1 h 1 min ago",
            ),
            (BackupRequired(3600, "other"), MINUTE, "other must have completed within 1 h, and the newest never has"),
        ],
    )
    def test_backup(self, backup: BackupRequired, ago: timedelta | None, says: str | None) -> None:
        completed = {} if ago is None else {"dump": NOON - ago, "older": NOON - 9 * HOUR}
        found = self.judged(rules=Rules(backups=(backup,)), seen={"completed": completed, "backups": ("older", "dump")})
        assert found == (
            ("policy", "pass", "1 policies allow it") if says is None else ("policy", "refuse", f"policy p: {says}")
        )

    def test_way_back_and_protected_paths(self) -> None:
        found = self.judged(waiting(task(executor="command")), rules=Rules(rollback_required=True))
        assert found == ("policy", "refuse", "policy p: undo data is required, and it has no rollback_command")
        one = waiting(task(config={"directory": "/srv/keep/x"}))
        found = self.judged(one, rules=Rules(protected_paths=("/srv/keep", "/home")))
        assert found == ("policy", "refuse", "policy p: /srv/keep/x is protected (/srv/keep, /home)")

    @pytest.mark.parametrize(
        ("rate", "ago", "says"),
        [
            (Rate(apart_seconds=60), 60, None),
            (Rate(apart_seconds=60), 59, "starts must be 60 s apart, the next may be at 2026-11-24 12:00:01 UTC"),
            (Rate(1, 60), 60, None),
            (
                Rate(1, 60),
                59,
                "1 of 1 have started within 60 s, the next may be at 2026-11-24 12:00:01 UTC",
            ),
            (Rate(2, 60), 59, None),
        ],
    )
    def test_rate(self, rate: Rate, ago: int, says: str | None) -> None:
        seen = {"starts": {"cleanup": [NOON - ago * SECOND], "gone": [NOON]}, "defined": {"cleanup": task()}}
        found = self.judged(rules=Rules(rates=(rate,)), seen=seen)
        assert found[2] == ("1 policies allow it" if says is None else f"policy p: {says}")

    def test_starts_counted_are_those_of_the_scope(self) -> None:
        night = replace(task("n"), schedule=Schedule(window="night"))
        mine = Policy("id", "p", Scope(windows=("night",)))
        seen = view(starts={"n": [NOON], "m": [NOON]}, defined={"n": night, "m": task("m")})
        seen.started = [waiting(night, window_name="night"), waiting(task("m"))]
        assert seen.starts_of(mine) == [NOON, NOON]

    def test_conditions_are_those_of_policies_about_the_task(self) -> None:
        both = [
            Policy("1", "a", conditions=(CALM,)),
            Policy("2", "b", Scope(types=("backup",)), conditions=(BUSY,)),
        ]
        assert policy.conditions_of(waiting(), both) == [CALM]

    def test_approval_goes_before_what_else_the_policy_says(self) -> None:
        rules = Rules(approval_by=("user:ana",))
        told = "policy p: it waits for approval by user:ana"
        assert self.judged(rules=rules) == ("policy", "wait", told)
