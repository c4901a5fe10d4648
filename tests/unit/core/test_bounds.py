"""What bounds and spreads a schedule: its start and end, jitter, an interval from an end, what comes after another."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, MINUTE, NOON, SECOND, execution, task, utc, window
from jamaint.core.executions import Execution, State
from jamaint.core.recurrence import After, Jitter, Schedule, next_after
from jamaint.core.recurrence.jitter import delay
from jamaint.core.scheduling.timetable import CATCH_UP_LIMIT, MISSED_ROWS, Occurrence, Timetable

DAILY = Schedule(cron="0 2 * * *")
DAY = 24 * HOUR


def table(*tasks: Any, since: datetime = NOON, grace: float = 3600.0, machine: str = "m") -> Timetable:
    made = Timetable({"night": window()}, grace, machine)
    for one in tasks:
        made.put(one, since)
    return made


def ended(name: str = "cleanup", at: datetime = NOON, state: State = State.COMPLETED, ran: bool = True) -> Execution:
    return execution(task_name=name, status=state, completed_at=at, started_at=at if ran else None)


def due(made: Timetable, now: datetime) -> list[datetime]:
    return [found.scheduled_for for found in made.take_due(now)]


class TestBounds:
    def test_nothing_comes_before_the_start_or_after_the_end(self) -> None:
        schedule = replace(DAILY, start=NOON + 3 * DAY, until=utc("2026-11-29T02:00"))
        assert next_after(schedule, NOON) == utc("2026-11-28T02:00")
        assert next_after(schedule, utc("2026-11-28T02:00")) == utc("2026-11-29T02:00")
        assert next_after(schedule, utc("2026-11-29T02:00")) is None

    def test_the_start_itself_is_in(self) -> None:
        assert next_after(replace(DAILY, start=utc("2027-01-01T02:00")), NOON) == utc("2027-01-01T02:00")

    def test_an_interval_counts_from_its_start_whenever_it_was_due_last(self) -> None:
        schedule = Schedule(every_seconds=3600, start=utc("2026-11-01T00:20"))
        assert next_after(schedule, utc("2026-10-01T00:00"), None) == utc("2026-11-01T00:20")
        assert next_after(schedule, NOON, NOON - MINUTE) == utc("2026-11-24T12:20")

    @pytest.mark.parametrize("schedule", [Schedule(window="night"), Schedule(window="night", until=NOON + 2 * DAY)])
    def test_what_comes_with_a_window_is_bounded_too(self, schedule: Schedule) -> None:
        made = table(task(schedule=replace(schedule, start=NOON + DAY)))
        assert made.next_of("cleanup") == utc("2026-11-26T02:00")
        assert due(made, utc("2026-11-26T02:00")) == [utc("2026-11-26T02:00")]
        assert (made.next_of("cleanup") is None) == (schedule.until is not None)


class TestJitter:
    @given(st.floats(1, 86400), st.booleans(), st.text(max_size=8), st.datetimes(timezones=st.just(NOON.tzinfo)))
    @settings(derandomize=True, deadline=None, max_examples=100)
    def test_it_is_from_nothing_to_less_than_its_bound(
        self, seconds: float, stable: bool, name: str, moment: datetime
    ) -> None:
        found = delay(Jitter(seconds, stable), "machine", name, moment)
        assert timedelta(0) <= found < timedelta(seconds=seconds)
        assert delay(Jitter(seconds, stable), "machine", name, moment) == found

    def test_it_is_drawn_anew_each_time_unless_it_is_stable(self) -> None:
        days = [NOON + number * DAY for number in range(20)]
        assert len({delay(Jitter(600), "m", "a", day) for day in days}) == 20
        assert len({delay(Jitter(600, stable=True), "m", "a", day) for day in days}) == 1

    def test_tasks_and_machines_differ(self) -> None:
        stable = Jitter(600, stable=True)
        assert len({delay(stable, machine, name, NOON) for machine in "mn" for name in "abc"}) == 6

    def test_it_spreads_evenly(self) -> None:
        found = [delay(Jitter(600), "m", f"t{number}", NOON).total_seconds() for number in range(2000)]
        in_each = [sum(1 for one in found if low <= one < low + 60) for low in range(0, 600, 60)]
        assert min(in_each) > 140
        assert max(in_each) < 260

    def test_an_occurrence_keeps_the_time_that_its_schedule_has_and_comes_later(self) -> None:
        jittered = task(schedule=replace(DAILY, jitter=Jitter(600)))
        made = table(jittered)
        wake = made.next_of("cleanup")
        nominal = utc("2026-11-25T02:00")
        assert wake is not None
        assert nominal < wake < nominal + 10 * MINUTE
        assert due(made, wake - SECOND / 1000) == []
        (found,) = made.take_due(wake)
        assert (found.scheduled_for, found.deadline, found.late) == (nominal, wake + HOUR, False)

    def test_a_restart_between_due_and_jitter_loses_and_doubles_nothing(self) -> None:
        jittered = task(schedule=replace(DAILY, jitter=Jitter(600)))
        nominal = utc("2026-11-25T02:00")
        wake = table(jittered).next_of("cleanup")
        again = table(jittered, since=nominal - DAY)  # its last row is of the day before
        assert again.next_of("cleanup") == wake
        after = table(jittered, since=nominal)  # its row is there
        following = after.next_of("cleanup")
        assert following is not None
        assert following >= nominal + DAY


class TestFromAnEnd:
    AFTER_END = Schedule(every_seconds=3600, since_end=True)

    def test_it_counts_from_the_end_of_what_ran(self) -> None:
        made = table(task(schedule=self.AFTER_END))
        assert due(made, NOON + HOUR) == [NOON + HOUR]
        assert made.next_of("cleanup") is None
        assert due(made, NOON + 9 * HOUR) == []
        made.end(ended(at=NOON + 5 * HOUR))
        assert made.next_of("cleanup") == NOON + 6 * HOUR

    def test_one_that_was_skipped_counts_as_an_end(self) -> None:
        made = table(task(schedule=self.AFTER_END))
        due(made, NOON + HOUR)
        made.end(ended(at=NOON + HOUR, state=State.CANCELLED, ran=False))
        assert made.next_of("cleanup") == NOON + 2 * HOUR

    def test_one_that_ends_after_its_last_day_is_not_followed(self) -> None:
        made = table(task(schedule=replace(self.AFTER_END, until=NOON + 2 * HOUR)))
        due(made, NOON + HOUR)
        made.end(ended(at=NOON + 90 * MINUTE))
        assert made.next_of("cleanup") is None


class TestAfterAnother:
    def follower(self, state: str = "completed", **changes: Any) -> Any:
        return task("report", schedule=Schedule(after=After("cleanup", state), **changes))

    def test_it_is_due_at_that_end(self) -> None:
        made = table(self.follower())
        assert made.wake_at() is None
        made.end(ended(at=NOON))
        assert due(made, NOON) == [NOON]
        assert made.wake_at() is None

    @pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "rolled_back"])
    @pytest.mark.parametrize("wanted", ["completed", "failed", "cancelled", "rolled_back", "any"])
    def test_only_in_the_state_that_is_asked_for(self, state: str, wanted: str) -> None:
        made = table(self.follower(wanted))
        made.end(ended(state=State(state)))
        assert (made.wake_at() is not None) == (wanted in (state, "any"))

    def test_what_never_ran_has_not_ended(self) -> None:
        made = table(self.follower("any"))
        made.end(ended(state=State.CANCELLED, ran=False))
        assert made.wake_at() is None

    def test_each_end_has_its_occurrence_also_when_jitter_lets_them_meet(self) -> None:
        made = table(self.follower(jitter=Jitter(3600)))
        for minutes in range(3):
            made.end(ended(at=NOON + minutes * MINUTE))
        found = [moment for hours in range(1, 4) for moment in due(made, NOON + hours * HOUR + MINUTE * 3)]
        assert found == [NOON, NOON + MINUTE, NOON + 2 * MINUTE]

    def test_one_that_is_removed_disabled_or_past_its_days_is_not_due(self) -> None:
        for made in (
            table(replace(self.follower(), enabled=False)),
            table(self.follower(until=NOON - SECOND)),
            table(self.follower(start=NOON + SECOND)),
        ):
            made.end(ended(at=NOON))
            assert made.wake_at() is None
        made = table(self.follower())
        made.remove("report")
        made.end(ended(at=NOON))
        assert made.wake_at() is None

    def test_what_waits_is_kept_when_definitions_are_taken_anew(self) -> None:
        one = self.follower(jitter=Jitter(3600))
        old = table(one)
        old.end(ended(at=NOON))
        old.end(ended(at=NOON + SECOND))
        new = table()
        assert new.keep(one, old)
        assert due(new, NOON + 2 * HOUR) == [NOON, NOON + SECOND]
        assert not table().keep(self.follower("failed"), old)


class TestCatchingUp:
    HOURLY = Schedule(cron="0 * * * *")

    def taken(self, now: datetime, **changes: Any) -> list[Occurrence]:
        return list(table(task(schedule=replace(self.HOURLY, **changes))).take_due(now))

    def test_one_stands_for_all(self) -> None:
        (found,) = self.taken(NOON + 5 * HOUR + 30 * MINUTE)
        assert (found.scheduled_for, found.missed, found.missed_since) == (NOON + 5 * HOUR, 4, NOON + HOUR)
        assert (found.late, found.given_up) == (True, None)

    def test_all_have_one_each_as_far_as_they_may_still_start(self) -> None:
        found = self.taken(NOON + 5 * HOUR + 30 * MINUTE, catch_up="all", misfire_grace_seconds=2.75 * 3600)
        assert [one.scheduled_for for one in found] == [NOON + hours * HOUR for hours in (3, 4, 5)]
        assert [(one.missed, one.missed_since) for one in found] == [(2, NOON + HOUR), (0, None), (0, None)]
        assert all(one.late for one in found)

    def test_all_are_bounded(self) -> None:
        found = self.taken(NOON + 500 * HOUR, catch_up="all", misfire_grace_seconds=1e9)
        assert len(found) == CATCH_UP_LIMIT
        assert found[-1].scheduled_for == NOON + 500 * HOUR
        assert found[0].missed == 400

    @pytest.mark.parametrize(
        ("changes", "moments", "says"),
        [
            ({}, (1, 2, 3, 4), "the one of 2026-11-24 17:00:00 UTC stands for it (catch_up: one)"),
            ({"catch_up": "none"}, (1, 2, 3, 4), "its task does not catch up (catch_up: none)"),
            (
                {"catch_up": "all", "misfire_grace_seconds": 2.75 * 3600},
                (1, 2),
                "it could start until 2026-11-24 15:45",
            ),
        ],
    )
    def test_each_that_is_not_run_says_what_became_of_it(
        self, changes: dict[str, Any], moments: tuple[int, ...], says: str
    ) -> None:
        made = table(task(schedule=replace(self.HOURLY, **changes)))
        taken = list(made.take_due(NOON + 5 * HOUR + 30 * MINUTE))
        missed = [one for found in taken for one in made.missed_by(found)]
        assert [one.scheduled_for for one in missed] == [NOON + hours * HOUR for hours in moments]
        assert says in (missed[0].given_up or "")
        assert {one.scheduled_for for one in missed}.isdisjoint({one.scheduled_for for one in taken})

    @pytest.mark.parametrize(
        "schedule", [HOURLY, Schedule(every_seconds=7), Schedule(cron="* * 29 11 *"), Schedule(cron="0 3 * * 1")]
    )
    def test_the_newest_of_many_have_their_own_and_the_oldest_of_them_tells_of_the_rest(
        self, schedule: Schedule
    ) -> None:
        made = table(task(schedule=schedule))
        (found,) = made.take_due(NOON + timedelta(days=6 * 365))
        missed = [one.scheduled_for for one in made.missed_by(found)]
        assert len(missed) == MISSED_ROWS
        moment = missed[0]
        for following in (*missed[1:], found.scheduled_for):
            assert next_after(schedule, moment, moment) == following
            moment = following
        told = made.missed_by(found)[0].given_up or ""
        assert "more since 2026-11-" in told
        assert "have no record of their own" in told

    def test_none_is_given_up_with_its_reason(self) -> None:
        (found,) = self.taken(NOON + 5 * HOUR + 30 * MINUTE, catch_up="none")
        assert found.given_up == "it was missed, and its task does not catch up (catch_up: none)"

    @pytest.mark.parametrize("catch_up", ["none", "one", "all"])
    def test_what_is_only_held_up_is_not_missed(self, catch_up: str) -> None:
        (found,) = self.taken(NOON + HOUR + 59 * SECOND, catch_up=catch_up)
        assert (found.scheduled_for, found.late, found.given_up, found.missed) == (NOON + HOUR, False, None, 0)

    def test_in_a_window_that_is_still_open_nothing_is_missed_for_good(self) -> None:
        made = table(task(schedule=Schedule(window="night", catch_up="none")))
        (found,) = made.take_due(utc("2026-11-25T03:00"))
        assert (found.late, found.given_up) == (True, None)
        made = table(task(schedule=Schedule(window="night", catch_up="none")))
        (found,) = made.take_due(utc("2026-11-25T06:00"))
        assert found.given_up is not None

    def test_a_task_has_its_own_grace(self) -> None:
        (found,) = self.taken(NOON + HOUR, misfire_grace_seconds=120)
        assert found.deadline == NOON + HOUR + 2 * MINUTE
