"""When a schedule is due next: cron through changes of the clocks, intervals without drift, single moments."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import SECOND, utc
from jamaint.core.recurrence import Schedule, next_after
from jamaint.core.recurrence.cron import ALIASES, check_cron
from zone_walk import CHANGES, DAYS, Cron, due, next_of, walk

NEW_YORK, BERLIN, DUBLIN = "America/New_York", "Europe/Berlin", "Europe/Dublin"
LORD_HOWE, CHATHAM, APIA = "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia"
SAO_PAULO, JAKARTA = "America/Sao_Paulo", "Asia/Jakarta"


def following(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    found = next_after(schedule, moment)
    while found is not None:
        yield found
        found = next_after(schedule, found)


def local_times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """What a clock in `zone` shows at the next `count` times, with its offset; `after` is a time of UTC."""
    found = islice(following(Schedule(cron=cron, timezone=zone), utc(after)), count)
    return [instant.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for instant in found]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "shown"),
    [
        (NEW_YORK, "30 2 * * *", "2026-03-07T12:00", ["03-08 03:00 -0400", "03-09 02:30 -0400"]),
        (NEW_YORK, "0 2 * * *", "2026-03-07T12:00", ["03-08 03:00 -0400", "03-09 02:00 -0400"]),
        (NEW_YORK, "59 2 8 3 *", "2026-03-07T12:00", ["03-08 03:00 -0400", "03-08 02:59 -0500"]),
        (BERLIN, "30 2 * * *", "2026-03-28T12:00", ["03-29 03:00 +0200", "03-30 02:30 +0200"]),
        (DUBLIN, "30 1 * * *", "2026-03-28T12:00", ["03-29 02:00 +0100", "03-30 01:30 +0100"]),
        (LORD_HOWE, "15 2 * * *", "2026-10-03T12:00", ["10-04 02:30 +1100", "10-05 02:15 +1100"]),
        (LORD_HOWE, "30 2 * * *", "2026-10-03T12:00", ["10-04 02:30 +1100", "10-05 02:30 +1100"]),
        (CHATHAM, "0 3 * * *", "2026-09-26T12:00", ["09-27 03:45 +1345", "09-28 03:00 +1345"]),
        (SAO_PAULO, "0 0 * * *", "2018-11-03T12:00", ["11-04 01:00 -0200", "11-05 00:00 -0200"]),
        (SAO_PAULO, "@daily", "2018-11-03T12:00", ["11-04 01:00 -0200", "11-05 00:00 -0200"]),
        (SAO_PAULO, "30 0 4 11 *", "2018-11-03T12:00", ["11-04 01:00 -0200", "11-04 00:30 -0300"]),
        (APIA, "0 2 * * *", "2011-12-29T12:30", ["12-31 00:00 +1400", "12-31 02:00 +1400", "01-01 02:00 +1400"]),
        (APIA, "0 12 30 12 *", "2011-12-01T00:00", ["12-31 00:00 +1400", "12-30 12:00 +1400"]),
        (JAKARTA, "30 2 * * *", "2026-03-28T12:00", ["03-29 02:30 +0700", "03-30 02:30 +0700"]),
    ],
)
def test_a_fixed_time_that_the_clocks_leap_over_comes_at_the_first_instant_after_the_gap(
    zone: str, cron: str, after: str, shown: list[str]
) -> None:
    assert local_times(cron, zone, after, len(shown)) == shown


@pytest.mark.parametrize(
    ("zone", "cron", "after", "shown"),
    [
        (NEW_YORK, "30 1 * * *", "2026-10-31T12:00", ["11-01 01:30 -0400", "11-02 01:30 -0500"]),
        (NEW_YORK, "30 1 * * *", "2026-11-01T05:45", ["11-02 01:30 -0500"]),
        (BERLIN, "0 2 * * *", "2026-10-24T12:00", ["10-25 02:00 +0200", "10-26 02:00 +0100"]),
        (DUBLIN, "0 1 * * *", "2026-10-24T12:00", ["10-25 01:00 +0100", "10-26 01:00 +0000"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-03T12:00", ["04-04 01:45 +1100", "04-05 01:45 +1100", "04-06 01:45 +1030"]),
        (CHATHAM, "0 3 * * *", "2026-04-03T16:00", ["04-05 03:00 +1345", "04-06 03:00 +1245"]),
        (SAO_PAULO, "15 23 * * *", "2018-02-17T12:00", ["02-17 23:15 -0200", "02-18 23:15 -0300"]),
        (JAKARTA, "45 23 31 12 *", "1963-12-01T00:00", ["12-31 23:45 +0730", "12-31 23:45 +0700"]),
    ],
)
def test_a_fixed_time_that_comes_twice_is_taken_the_first_time(
    zone: str, cron: str, after: str, shown: list[str]
) -> None:
    assert local_times(cron, zone, after, len(shown)) == shown


@pytest.mark.parametrize(
    ("zone", "cron", "after", "shown"),
    [
        (NEW_YORK, "*/30 * * * *", "2026-11-01T05:00", ["01:30 -0400", "01:00 -0500", "01:30 -0500", "02:00 -0500"]),
        (NEW_YORK, "*/30 * * * *", "2026-03-08T06:00", ["01:30 -0500", "03:00 -0400", "03:30 -0400"]),
        (NEW_YORK, "30 * * * *", "2026-11-01T05:00", ["01:30 -0400", "01:30 -0500", "02:30 -0500"]),
        (NEW_YORK, "30 */1 * * *", "2026-11-01T05:00", ["01:30 -0400", "01:30 -0500", "02:30 -0500"]),
        (NEW_YORK, "30 0-23 * * *", "2026-11-01T05:00", ["01:30 -0400", "01:30 -0500", "02:30 -0500"]),
        (NEW_YORK, "@hourly", "2026-03-08T05:30", ["01:00 -0500", "03:00 -0400", "04:00 -0400"]),
        (LORD_HOWE, "*/15 * * * *", "2026-04-04T14:30", ["01:45 +1100", "01:30 +1030", "01:45 +1030", "02:00 +1030"]),
        (LORD_HOWE, "*/15 * * * *", "2026-10-03T15:14", ["01:45 +1030", "02:30 +1100", "02:45 +1100"]),
        (SAO_PAULO, "15 * 17 2 *", "2018-02-18T01:00", ["23:15 -0200", "23:15 -0300", "00:15 -0300"]),
        (APIA, "0 * * * *", "2011-12-30T08:30", ["23:00 -1000", "00:00 +1400", "01:00 +1400"]),
    ],
)
def test_what_comes_in_every_hour_follows_the_clock_on_the_wall_in_each_real_hour(
    zone: str, cron: str, after: str, shown: list[str]
) -> None:
    assert [text[6:] for text in local_times(cron, zone, after, len(shown))] == shown


@pytest.mark.parametrize(
    ("zone", "cron", "after", "shown"),
    [
        # In some hours only: the rule for fixed times, in the gap and in the repeated hour.
        (NEW_YORK, "0 */2 * * *", "2026-03-08T05:30", ["03:00 -0400", "04:00 -0400", "06:00 -0400"]),
        (BERLIN, "0 */2 * * *", "2026-10-24T22:30", ["02:00 +0200", "04:00 +0100", "06:00 +0100"]),
        (BERLIN, "*/20 2 * * *", "2026-10-24T22:30", ["02:00 +0200", "02:20 +0200", "02:40 +0200", "02:00 +0100"]),
        (BERLIN, "*/20 2 * * *", "2026-03-28T22:30", ["03:00 +0200", "02:00 +0200"]),
        (BERLIN, "0 1-3 * * *", "2026-03-28T22:30", ["01:00 +0100", "03:00 +0200", "01:00 +0200"]),
    ],
)
def test_what_comes_in_some_hours_only_is_neither_lost_nor_doubled(
    zone: str, cron: str, after: str, shown: list[str]
) -> None:
    assert [text[6:] for text in local_times(cron, zone, after, len(shown))] == shown


@pytest.mark.parametrize(
    ("cron", "after", "shown"),
    [
        ("0 3 * jan,JUL Mon", "2026-01-01T00:00", ["01-05 03:00", "01-12 03:00"]),
        ("0 3 * * 7", "2026-11-24T00:00", ["11-29 03:00", "12-06 03:00"]),
        ("0 3 * * 0", "2026-11-24T00:00", ["11-29 03:00", "12-06 03:00"]),
        ("0 3 L * *", "2028-02-01T00:00", ["02-29 03:00", "03-31 03:00", "04-30 03:00"]),
        ("0 3 LW * *", "2026-01-01T00:00", ["01-30 03:00", "02-27 03:00"]),
        ("0 3 * * 5L", "2026-11-24T00:00", ["11-27 03:00", "12-25 03:00"]),
        ("0 3 * * MON#2", "2026-11-24T00:00", ["12-14 03:00", "01-11 03:00"]),
        ("0 3 * * mon#5", "2026-11-24T00:00", ["11-30 03:00", "03-29 03:00"]),
        ("0 0 13 * FRI", "2026-11-12T12:00", ["11-13 00:00", "11-20 00:00", "11-27 00:00", "12-04 00:00"]),
        ("0 0 */2 * MON", "2026-11-24T00:00", ["12-07 00:00", "12-21 00:00"]),
        ("0 0 29 2 *", "2026-11-24T00:00", ["02-29 00:00", "02-29 00:00"]),
        ("5-50/15,58 22-23 1 12 *", "2026-11-24T00:00", ["12-01 22:05", "12-01 22:20", "12-01 22:35", "12-01 22:50"]),
        ("@yearly", "2026-11-24T00:00", ["01-01 00:00", "01-01 00:00"]),
        ("@Monthly", "2026-11-24T00:00", ["12-01 00:00", "01-01 00:00"]),
        ("@weekly", "2026-11-24T00:00", ["11-29 00:00", "12-06 00:00"]),
        (" @midnight ", "2026-11-24T00:00", ["11-25 00:00", "11-26 00:00"]),
    ],
)
def test_the_ways_to_write_a_cron_expression(cron: str, after: str, shown: list[str]) -> None:
    assert check_cron(cron) is None
    assert [text[:-6] for text in local_times(cron, "UTC", after, len(shown))] == shown


@pytest.mark.parametrize(
    "cron",
    [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 2 */2",
        "0 0 31 FEB *",
        "61 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "* * * *",
        "* * * * * * *",
        "",
        "@reboot",
        "@",
        "every day",
        "* * * * MON#6",
        "* * * * #",
        "* * * * L",
        "* * LL * *",
        ", * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "\u0661 * * * *",
    ],
)
def test_an_expression_that_is_wrong_or_never_comes_is_refused(cron: str) -> None:
    assert check_cron(cron)


@given(st.text("0123456789*/,-#LWMONJA \u00b2", max_size=24))
@settings(derandomize=True, deadline=None, max_examples=500)
def test_check_cron_answers_whatever_it_is_given_and_what_it_passes_can_be_reckoned(cron: str) -> None:
    if check_cron(cron) is None:
        assert next_after(Schedule(cron=cron, timezone=BERLIN), utc("2024-01-01T00:00")) is not None


Field = tuple[str, frozenset[int]]
"""A field of an expression as text, and the numbers it stands for."""


def fields(low: int, high: int, likely: set[int]) -> st.SearchStrategy[Field]:
    """Any field in these bounds, often with some of `likely`."""
    some = st.sets(st.sampled_from(sorted(likely)) | st.integers(low, high), min_size=1, max_size=4)
    return st.one_of(
        st.just(("*", frozenset(range(low, high + 1)))),
        some.map(lambda found: (",".join(map(str, sorted(found))), frozenset(found))),
        st.integers(1, high).map(lambda step: (f"*/{step}", frozenset(range(low, high + 1, step)))),
        st.tuples(st.integers(low, high), st.integers(low, high), st.integers(1, 9)).map(stepped),
    )


def stepped(found: tuple[int, int, int]) -> Field:
    start, end, step = min(found[:2]), max(found[:2]), found[2]
    if start == end:  # cron reads 5-5/2 as 5/2, which goes on to the last minute
        return str(start), frozenset({start})
    return f"{start}-{end}/{step}", frozenset(range(start, end + 1, step))


@cache
def crons_around(change: str) -> st.SearchStrategy[Cron]:
    """Expressions that have something to do with the days and hours around a change, and come at all."""
    walls = [wall for _, wall in walk(change)[(DAYS * 24 - 6) * 60 : (DAYS * 24 + 6) * 60]]
    parts = (
        fields(0, 59, {0, 15, 30, 45}),
        st.just(("*", frozenset(range(24)))) | fields(0, 23, {wall.hour for wall in walls}),
        st.just(("*", frozenset(range(1, 32)))) | fields(1, 31, {wall.day for wall in walls}),
        fields(1, 12, {wall.month for wall in walls}),
        st.just(("*", frozenset(range(7)))) | fields(0, 6, {wall.isoweekday() % 7 for wall in walls}),
    )
    return st.tuples(*parts).map(cron_of).filter(lambda cron: check_cron(cron.text) is None)


def cron_of(parts: tuple[Field, ...]) -> Cron:
    either = not parts[2][0].startswith("*") and not parts[4][0].startswith("*")
    minutes, hours, days, months, weekdays = (numbers for _, numbers in parts)
    return Cron(" ".join(text for text, _ in parts), minutes, hours, days, months, weekdays, either)


NEAR = st.lists(
    st.integers(-30 * 3600, 30 * 3600) | st.integers(-120, 120).map(lambda minutes: minutes * 60),
    min_size=4,
    max_size=12,
)
"""Seconds from a change: anywhere around it, and on whole minutes close to it."""


@pytest.mark.parametrize("change", CHANGES)
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=40)
def test_cron_agrees_with_a_clock_that_is_walked_minute_by_minute(change: str, data: st.DataObject) -> None:
    cron = data.draw(crons_around(change))
    instants, end = due(cron, change), walk(change)[-1][0]
    schedule = Schedule(cron=cron.text, timezone=CHANGES[change][0])
    for seconds in data.draw(NEAR):
        moment = CHANGES[change][1].replace(tzinfo=UTC) + seconds * SECOND
        found, wanted = next_after(schedule, moment), next_of(instants, moment)
        if wanted is None:
            assert found is None or found > end
        else:
            assert found == wanted, (cron.text, moment)


@pytest.mark.parametrize("change", CHANGES)
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=10)
def test_going_from_one_to_the_next_leaves_none_out_and_takes_none_twice(change: str, data: st.DataObject) -> None:
    cron = data.draw(crons_around(change))
    start, end = (walk(change)[at][0] for at in (0, -1))
    wanted = [instant for instant in due(cron, change) if instant > start][:100]
    found = islice(following(Schedule(cron=cron.text, timezone=CHANGES[change][0]), start), 100)
    assert [instant for instant in found if instant <= end][: len(wanted)] == wanted


@given(
    cron=crons_around("New York, autumn"),
    zone=st.sampled_from([NEW_YORK, BERLIN, DUBLIN, LORD_HOWE, CHATHAM, SAO_PAULO, APIA, JAKARTA]),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_the_next_time_is_always_later_and_is_reached_from_every_moment_before_it(
    cron: Cron, zone: str, moment: datetime
) -> None:
    schedule = Schedule(cron=cron.text, timezone=zone)
    found = next_after(schedule, moment)
    assert found is not None
    assert found > moment
    assert found.tzinfo is UTC
    assert found.microsecond == 0
    assert next_after(schedule, moment + (found - moment) / 2) == found
    assert next_after(schedule, found - timedelta(microseconds=1)) == found


def test_where_the_calendar_ends_nothing_comes_any_more() -> None:
    assert next_after(Schedule(cron="0 0 1 1 *", timezone=APIA), utc("9999-06-01T00:00")) is None
    assert next_after(Schedule(cron="* * * * *", timezone=APIA), utc("9999-12-31T09:59:30")) is None


@pytest.mark.parametrize("cron", ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */2 * * *", "@hourly", "0 0 1 1 *"])
@pytest.mark.parametrize("moment", ["2026-06-15T12:00", "2026-03-08T06:59", "2026-11-01T05:59"])
def test_few_days_are_looked_at_for_one_answer(cron: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    match_day = CronSim.match_day

    def counted(self: CronSim, day: date) -> bool:
        nonlocal looked_at
        looked_at += 1
        return match_day(self, day)

    monkeypatch.setattr(CronSim, "match_day", counted)
    assert next_after(Schedule(cron=cron, timezone=NEW_YORK), utc(moment))
    assert looked_at <= 4


@pytest.mark.parametrize(
    ("seconds", "moment", "last", "found"),
    [
        (90, "2026-11-24T00:00:00", None, "2026-11-24T00:01:30"),
        (90, "2026-11-24T00:00:00", "2026-11-24T00:00:00", "2026-11-24T00:01:30"),
        (90, "2026-11-24T00:01:29.999", "2026-11-24T00:00:00", "2026-11-24T00:01:30"),
        (90, "2026-11-24T00:01:30", "2026-11-24T00:00:00", "2026-11-24T00:03:00"),
        (90, "2026-11-24T00:01:44", "2026-11-24T00:00:00", "2026-11-24T00:03:00"),
        (3600, "2026-11-24T00:10:00", "2020-01-01T00:30:00", "2026-11-24T00:30:00"),
        (1.1, "2026-11-24T00:00:03.3", "2026-11-24T00:00:00", "2026-11-24T00:00:04.4"),
        (3600, "2026-11-24T10:20:00", "2026-11-24T12:00:00", "2026-11-24T11:20:00"),
    ],
)
def test_an_interval_counts_from_when_it_was_due_last(
    seconds: float, moment: str, last: str | None, found: str
) -> None:
    """The last example is a clock that was set back: it counts from the new now on."""
    assert next_after(Schedule(every_seconds=seconds), utc(moment), None if last is None else utc(last)) == utc(found)


@given(
    seconds=st.integers(1_000_000, 10**12).map(lambda number: number / 10**6),
    steps=st.integers(0, 10**6),
    part=st.floats(0, 1, exclude_max=True),
)
@settings(derandomize=True, deadline=None)
def test_an_interval_does_not_drift(seconds: float, steps: int, part: float) -> None:
    step, last = timedelta(seconds=seconds), utc("2000-01-01T00:00")
    steps = min(steps, timedelta(days=365 * 50) // step)
    moment = last + steps * step + timedelta(microseconds=int(part * (step // timedelta(microseconds=1))))
    assert next_after(Schedule(every_seconds=seconds), moment, last) == last + (steps + 1) * step


def test_a_single_moment_comes_once() -> None:
    schedule = Schedule(at=utc("2026-12-24T01:00"))
    assert next_after(schedule, utc("2026-12-24T00:59:59")) == schedule.at
    assert next_after(schedule, utc("2026-12-24T01:00")) is None
    assert next_after(schedule, utc("2030-01-01T00:00")) is None


def test_a_schedule_that_names_a_window_has_no_times_of_its_own() -> None:
    assert next_after(Schedule(window="night"), utc("2026-12-24T01:00")) is None


def test_each_short_word_is_an_expression_that_comes() -> None:
    assert [word for word in ALIASES if check_cron(word)] == []
