"""What becomes of a log and of those rotated before: when it is due, its new name, and which of the old ones go."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.executors.logs_rotate.rules import LogSeen, Rotated, RotationRules, Turn, decide
from jamaint.files.rules.rotated_names import Dates, Numbers, read_number

NOW = datetime(2026, 11, 24, 2, 0, 5, tzinfo=UTC)
DAY = timedelta(days=1)
ZONE = ZoneInfo("UTC")
DATES = Dates("-%Y%m%d", ZONE)


def rules(**changes: Any) -> RotationRules:
    return RotationRules(**({"now": NOW, "keep": 3, "zone": ZONE, "naming": DATES} | changes))


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def turn(
    mine: RotationRules, *others: str, size: int = 10, born: datetime | None = None, sizes: Mapping[str, int] = {}
) -> Turn:
    """What becomes of a.log with those beside it."""
    rotated = []
    for name in others:
        stamp = mine.read(name)
        assert stamp is not None, name
        rotated.append(Rotated(name, stamp, sizes.get(name, 10), ns(stamp.moment or NOW)))
    log = LogSeen("a.log", size, born_ns=None if born is None else ns(born))
    return decide(log, rotated, lambda name: name in others, mine)


class TestStamps:
    @pytest.mark.parametrize(
        ("name", "base", "packed"),
        [
            ("a.log-20261124", "a.log", ""),
            ("a.log-20261124.2", "a.log", ""),
            ("a.log-20261124.2.gz", "a.log", ".gz"),
            ("a.log-20261124.zst", "a.log", ".zst"),
            ("a\n-20261124", "a\n", ""),
            ("a-20261123-20261124", "a-20261123", ""),
        ],
    )
    def test_what_a_name_says(self, name: str, base: str, packed: str) -> None:
        stamp = DATES.read(name)
        assert stamp is not None
        assert (stamp.base, stamp.packed) == (base, packed)
        assert stamp.moment == datetime(2026, 11, 24, tzinfo=ZONE)

    @pytest.mark.parametrize(
        "name",
        ["a.log", "a.log.1", "-20261124", "a.log-20261131", "a.log-2026112", "a.log-20261124.0", "a.log-20261124.lz"],
    )
    def test_what_is_no_rotated_log(self, name: str) -> None:
        assert DATES.read(name) is None

    def test_numbers(self) -> None:
        assert read_number("a.log.12.gz") is not None
        assert [read_number(name) for name in ("a.log", "a.log.0", "a.log.01", ".1", "a.log.1x")] == [None] * 5

    @given(
        st.lists(st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1)), min_size=2, max_size=2),
        st.sampled_from(["-%Y", "-%Y%m%d", ".%Y-%m-%d", "-%Y%m%d-%H%M%S", "_%Y%m%d%H"]),
    )
    def test_names_sort_as_the_moments_that_are_read_from_them(self, moments: list[datetime], form: str) -> None:
        dates = Dates(form, ZONE)
        first, second = (next(dates.names("a.log", moment.replace(tzinfo=UTC))) for moment in sorted(moments))
        assert first <= second
        stamps = [stamp for stamp in map(dates.read, (first, second)) if stamp is not None]
        assert [stamp.base for stamp in stamps] == ["a.log"] * 2
        read = [stamp.moment for stamp in stamps if stamp.moment is not None]
        assert read == sorted(read)
        assert read[1] <= max(moments).replace(tzinfo=UTC)

    def test_across_the_end_of_summer_time(self) -> None:
        dates = Dates("-%Y%m%d%H", ZoneInfo("Europe/Berlin"))
        hours = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1, 2)]  # 02:30, 02:30 again, 03:30
        assert [next(dates.names("a", hour)) for hour in hours] == ["a-2026102502", "a-2026102502", "a-2026102503"]


class TestDue:
    def test_an_empty_log_is_left(self) -> None:
        assert turn(rules(), size=0).why == "it is empty"

    def test_a_hard_linked_log_is_left(self) -> None:
        assert decide(LogSeen("a.log", 1, 2), (), lambda name: False, rules()).why == "it has 2 names (hard links)"

    @pytest.mark.parametrize(
        ("size", "due", "limits"),
        [
            (99, False, {"max_size": 100}),
            (100, True, {"max_size": 100}),
            (99, True, {}),
            (49, False, {"every": "daily", "min_size": 50}),
            (50, True, {"every": "daily", "min_size": 50}),
            (100, True, {"every": "monthly", "max_size": 100}),
        ],
    )
    def test_by_size(self, size: int, due: bool, limits: dict[str, Any]) -> None:
        born = NOW - (DAY if "max_size" not in limits else timedelta(seconds=1))
        assert turn(rules(**limits), size=size, born=born).due is due

    @pytest.mark.parametrize(
        ("every", "last", "due"),
        [
            ("hourly", NOW - timedelta(minutes=10), True),  # 01:50 is another hour
            ("hourly", NOW - timedelta(seconds=5), False),
            ("daily", NOW - timedelta(hours=1), False),
            ("daily", NOW - timedelta(hours=3), True),
            ("weekly", NOW - DAY, False),  # 2026-11-24 is a Tuesday
            ("weekly", NOW - 2 * DAY, True),
            ("monthly", NOW - 23 * DAY, False),
            ("monthly", NOW - 24 * DAY, True),
            ("yearly", NOW - 327 * DAY, False),
            ("yearly", NOW - 328 * DAY, True),
            ("daily", NOW + timedelta(hours=24), False),  # the clock was put back: not again
            ("daily", NOW + timedelta(days=3000), True),  # it was wrong, and is believed no more
        ],
    )
    def test_by_the_calendar(self, every: str, last: datetime, due: bool) -> None:
        assert turn(rules(every=every), born=last).due is due
        if every != "hourly":
            assert turn(rules(every=every), last.strftime("a.log-%Y%m%d")).due is due

    def test_the_calendar_is_the_zones(self) -> None:
        born = datetime(2026, 11, 23, 16, tzinfo=UTC)  # 23:00 in Jakarta, where it is 09:00 of the next day now
        assert turn(rules(every="daily", zone=ZoneInfo("Asia/Jakarta")), born=born).due
        assert not turn(rules(every="daily", zone=ZoneInfo("America/New_York")), born=born).due

    def test_by_a_length_of_time_a_second_early_is_no_reason_to_skip(self) -> None:
        mine = rules(every_seconds=6 * 3600.0)
        assert turn(mine, born=NOW - timedelta(hours=6, seconds=-2)).due
        told = turn(mine, born=NOW - timedelta(hours=5))
        assert not told.due
        assert told.why == "it was last rotated or made at 2026-11-23 21:00, and is rotated every 6 hours"

    def test_the_later_of_birth_and_newest_name_counts(self) -> None:
        mine = rules(every="daily")
        assert not turn(mine, "a.log-20261124", born=NOW - 9 * DAY).due
        assert not turn(mine, "a.log-20261110", born=NOW - timedelta(minutes=1)).due

    def test_a_disk_put_back_to_last_week_tells_of_last_week(self) -> None:
        assert turn(rules(every="daily"), "a.log-20261116", "a.log-20261117", born=NOW - 7 * DAY).due

    @pytest.mark.parametrize(("days", "due"), [(0, False), (1, False), (2, True)])
    def test_numbers_where_no_birth_is_known_tell_by_when_they_were_last_written(self, days: int, due: bool) -> None:
        mine = rules(every="weekly", naming=Numbers())
        stamp = read_number("a.log.1")
        assert stamp is not None
        rotated = Rotated("a.log.1", stamp, 10, ns(NOW - days * DAY))
        assert decide(LogSeen("a.log", 10), [rotated], lambda _: False, mine).due is due

    def test_nothing_known_is_due(self) -> None:
        assert turn(rules(every="daily")).due


class TestNames:
    def test_the_date(self) -> None:
        assert turn(rules()).moves == (("a.log", "a.log-20261124"),)

    @pytest.mark.parametrize("there", ["a.log-20261124", "a.log-20261124.gz"])
    def test_a_name_that_is_taken_gets_a_number(self, there: str) -> None:
        assert turn(rules(), there).moves == (("a.log", "a.log-20261124.1"),)

    def test_ten_comes_after_nine(self) -> None:
        there = ["a.log-20261124", *(f"a.log-20261124.{number}" for number in range(1, 11))]
        found = turn(rules(keep=3), *there)
        assert found.moves == (("a.log", "a.log-20261124.11"),)
        assert set(there) - set(found.expire) == {"a.log-20261124.10", "a.log-20261124.9"}

    def test_numbers_move_up_as_far_as_there_is_no_gap(self) -> None:
        found = turn(rules(naming=Numbers(), keep=3), "a.log.1", "a.log.2.gz", "a.log.3", "a.log.5")
        assert found.moves == (
            ("a.log.3", "a.log.4"),
            ("a.log.2.gz", "a.log.3.gz"),
            ("a.log.1", "a.log.2"),
            ("a.log", "a.log.1"),
        )
        assert found.expire == ("a.log.4", "a.log.5")

    def test_what_is_not_due_moves_nothing(self) -> None:
        found = turn(rules(naming=Numbers(), every="daily"), "a.log.1", born=NOW)
        assert (found.due, found.moves, found.expire) == (False, (), ())


class TestOldOnes:
    def test_keep_counts_the_fresh_one(self) -> None:
        found = turn(rules(keep=2), "a.log-20261121", "a.log-20261122", "a.log-20261123")
        assert found.expire == ("a.log-20261122", "a.log-20261121")

    def test_keep_holds_when_nothing_is_due_too(self) -> None:
        there = ("a.log-20261121", "a.log-20261122", "a.log-20261123")
        assert turn(rules(keep=2, every="daily"), *there, born=NOW).expire == ("a.log-20261121",)

    def test_max_age(self) -> None:
        found = turn(rules(keep=9, max_age_seconds=2 * 86400.0), "a.log-20261101", "a.log-20261123")
        assert found.expire == ("a.log-20261101",)

    def test_a_wrong_clocks_name_is_the_oldest_and_nothing_else_goes_for_it(self) -> None:
        assert turn(rules(keep=3), "a.log-20980101", "a.log-20261123").expire == ()
        assert turn(rules(keep=2), "a.log-20980101", "a.log-20261123").expire == ("a.log-20980101",)

    @pytest.mark.parametrize(
        ("delay", "due", "packs", "fresh"),
        [
            (True, True, ("a.log-20261123", "a.log-20261122"), False),
            (True, False, ("a.log-20261122",), False),
            (False, True, ("a.log-20261123", "a.log-20261122"), True),
            (False, False, ("a.log-20261123", "a.log-20261122"), False),
        ],
    )
    def test_compression_and_its_delay(self, delay: bool, due: bool, packs: tuple[str, ...], fresh: bool) -> None:
        mine = rules(keep=9, compress=True, delay=delay)
        found = turn(mine, "a.log-20261123", "a.log-20261122", "a.log-20261121.gz", size=10 if due else 0)
        assert (found.compress, found.compress_fresh) == (packs, fresh)

    def test_neither_empty_nor_expired_ones_are_packed(self) -> None:
        mine = rules(keep=2, compress=True)
        found = turn(mine, "a.log-20261123", "a.log-20261122", sizes={"a.log-20261123": 0})
        assert (found.compress, found.expire) == ((), ("a.log-20261122",))

    @given(st.sets(st.integers(1, 400), max_size=20), st.integers(1, 30), st.booleans(), st.booleans())
    def test_what_stays_is_the_newest_and_never_more_than_keep(
        self, days: set[int], keep: int, dated: bool, due: bool
    ) -> None:
        mine = rules(keep=keep, naming=DATES if dated else Numbers())
        there = [(NOW - day * DAY).strftime("a.log-%Y%m%d") if dated else f"a.log.{day}" for day in sorted(days)]
        found = turn(mine, *there, size=10 if due else 0)
        after = dict(found.moves)
        names = [after.get(name, name) for name in there]
        assert len(set(names)) == len(names)
        stay = keep - due
        assert found.expire == tuple(names[stay:])


class TestForms:
    @pytest.mark.parametrize(
        ("form", "name", "moment"),
        [
            ("-%d%m%Y", "a.log-24112026", datetime(2026, 11, 24, tzinfo=ZONE)),
            ("%Y-%m-%d", "a.log2026-11-24", datetime(2026, 11, 24, tzinfo=ZONE)),
            ("-%G-W%V", "a.log-2026-W48", datetime(2026, 11, 23, tzinfo=ZONE)),
            (".%s", "a.log.1795485605", NOW),
            ("-%Y%m%d%H", "a.log-2026112402", datetime(2026, 11, 24, 2, tzinfo=ZONE)),
        ],
    )
    def test_names_of_each_form_are_read_back(self, form: str, name: str, moment: datetime) -> None:
        dates = Dates(form, ZONE)
        assert next(dates.names("a.log", NOW)) == name
        stamp = dates.read(f"{name}.3.gz")
        assert stamp is not None
        assert (stamp.base, stamp.moment, stamp.packed) == ("a.log", moment, ".gz")

    @given(
        st.lists(st.datetimes(datetime(2002, 1, 2), datetime(2280, 1, 1)), min_size=2, max_size=2),
        st.sampled_from(["-%d%m%Y", "-%m-%d-%Y", "-%G-W%V", "-%V.%G", ".%s", "-%S%M%H%d%m%Y"]),
    )
    def test_order_is_that_of_the_moments(self, moments: list[datetime], form: str) -> None:
        dates = Dates(form, ZONE)
        first, second = (dates.read(next(dates.names("a", at.replace(tzinfo=UTC)))) for at in sorted(moments))
        assert first is not None
        assert second is not None
        assert first.order <= second.order

    def test_an_extension_stays_at_the_end(self) -> None:
        dates, numbers = Dates("-%Y%m%d", ZONE, ".log"), Numbers(".log")
        assert [next(dates.names(base, NOW)) for base in ("app.log", "app.out")] == [
            "app-20261124.log",
            "app.out-20261124",
        ]
        assert numbers.name("app.log", 2, ".gz") == "app.2.log.gz"
        found = [naming.read(name) for naming, name in ((dates, "app-20261124.1.log.gz"), (numbers, "app.2.log.gz"))]
        assert [stamp and (stamp.base, stamp.packed) for stamp in found] == [("app.log", ".gz")] * 2


class TestPeriods:
    @pytest.mark.parametrize(
        ("changes", "now", "last", "due"),
        [
            ({"every": "weekly", "weekday": 6}, datetime(2026, 11, 28, 12), datetime(2026, 11, 22, 1), False),
            ({"every": "weekly", "weekday": 6}, datetime(2026, 11, 29, 0), datetime(2026, 11, 28, 23), True),
            ({"every": "weekly"}, datetime(2026, 11, 29, 0), datetime(2026, 11, 23, 0), False),
            ({"every": "monthly", "month_day": 15}, datetime(2026, 11, 14), datetime(2026, 10, 15), False),
            ({"every": "monthly", "month_day": 15}, datetime(2026, 11, 15), datetime(2026, 11, 14), True),
            ({"every": "monthly", "month_day": 31}, datetime(2026, 2, 28), datetime(2026, 2, 27), True),
        ],
    )
    def test_where_a_period_begins(self, changes: dict[str, Any], now: datetime, last: datetime, due: bool) -> None:
        mine = rules(**changes, now=now.replace(tzinfo=UTC))
        assert turn(mine, born=last.replace(tzinfo=UTC)).due is due

    def test_min_age_is_counted_from_the_last_writing(self) -> None:
        mine = rules(min_age_seconds=3600.0, max_size=1)
        old, fresh = (LogSeen("a.log", 10, mtime_ns=ns(NOW - timedelta(minutes=ago))) for ago in (61, 59))
        assert decide(old, (), lambda name: False, mine).due
        found = decide(fresh, (), lambda name: False, mine)
        assert (found.due, found.why) == (False, "it was written to less than 1 hour ago (min_age)")

    def test_keep_none(self) -> None:
        found = turn(rules(keep=0, compress=True), "a.log-20261123")
        assert (found.due, found.expire, found.expire_fresh, found.compress_fresh) == (
            True,
            ("a.log-20261123",),
            True,
            False,
        )

    def test_an_empty_log_is_rotated_where_that_is_asked_for(self) -> None:
        assert turn(rules(if_empty=True), size=0).due
