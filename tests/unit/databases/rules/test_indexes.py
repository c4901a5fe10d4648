"""Which indexes may go, which names a build that was cut short leaves, and how much of an index is air."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.databases.indexes.unused import LEAST_ROWS, _is_missed
from jamaint.databases.maintenance.analysis import _of_indexes
from jamaint.databases.rules.indexes import (
    Index,
    Noted,
    air_of_pages,
    covered,
    duplicates,
    is_leftover,
    may_be_left_by,
    why_not_drop,
)
from jamaint.databases.rules.query_benefit import Benefit, between, compare

NAMES = st.text(alphabet="abé_1", min_size=1, max_size=40).filter(lambda name: len(name.encode()) <= 63)


def cut(name: str, suffix: str) -> str:
    """As the server makes a name: cut, at whole characters, so that it fits into 63 bytes with its suffix."""
    return name.encode()[: 63 - len(suffix)].decode("utf-8", "ignore") + suffix


@given(NAMES, st.sampled_from(["_ccnew", "_ccold", "_ccnew1", "_ccold12"]))
def test_its_own_leftovers_are_known(name: str, suffix: str) -> None:
    assert is_leftover(cut(name, suffix))
    assert may_be_left_by(cut(name, suffix), name)


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("orders_ccnew", "order"),
        ("order_ccnew", "orders"),
        ("orders_ccnew_idx", "orders"),
        ("orders_ccnewer", "orders"),
        ("ccnew", ""),
        ("o_ccnew", "orders"),
        ("a" * 40 + "_ccnew", "a" * 63),
    ],
)
def test_those_of_others_are_not(name: str, original: str) -> None:
    assert not may_be_left_by(name, original)


def test_air() -> None:
    assert air_of_pages(leaf=0, empty=0, deleted=0, density_percent=0) == 0
    assert air_of_pages(leaf=100, empty=0, deleted=0, density_percent=90) == 0
    assert air_of_pages(leaf=100, empty=0, deleted=0, density_percent=45) == pytest.approx(0.5)
    assert air_of_pages(leaf=50, empty=0, deleted=50, density_percent=90) == pytest.approx(0.5)


class TestBenefit:
    def test_each_query_weighs_as_often_as_it_runs_now(self) -> None:
        before = {1: (100, 1000.0), 2: (100, 100.0)}
        after = {1: (200, 1000.0), 2: (1000, 1000.0)}
        found = compare(before, after)
        assert (found.queries, found.calls_before, found.calls_after) == (2, 200, 1200)
        assert found.change == pytest.approx(2000 / 3000 - 1)
        assert found.says == "mean time -33.3% (2 queries seen in both periods, 200 and 1,200 calls)"

    def test_too_few_calls_and_small_changes_are_no_effect(self) -> None:
        assert compare({1: (19, 100.0)}, {1: (500, 1.0)}).change is None
        assert compare({}, {}).says == "no measurable effect (0 queries seen in both periods, 0 and 0 calls)"
        assert compare({1: (100, 100.0)}, {1: (100, 97.0)}).says.startswith("no measurable effect (-3.0% mean time")
        assert Benefit(1, 20, 20, -0.05).says.startswith("mean time -5.0%")

    def test_what_was_counted_anew_is_left_out(self) -> None:
        begin = {1: (10, 10.0), 2: (50, 50.0)}
        assert between(begin, {1: (30, 40.0), 2: (5, 5.0), 3: (7, 1.0)}) == {1: (20, 30.0), 3: (7, 1.0)}


NOW = datetime(2026, 11, 26, tzinfo=UTC)


def index(name: str, columns: str = "1", **changes: Any) -> Index:
    """A valid btree over such columns (numbers), large, never scanned, and with no duty."""
    number = len(columns.split())
    shape = "/".join(["7", columns, *(" ".join(["9"] * number),) * 3, "btree", "", changes.pop("predicate", "")])
    fields: dict[str, Any] = {
        **dict.fromkeys(
            ("is_unique", "is_primary", "is_exclusion", "is_replica_identity", "is_clustered", "has_expressions"), False
        ),
        **dict.fromkeys(("is_partial", "is_partitioned", "is_partition", "backs_constraint"), False),
        **dict.fromkeys(("supports_foreign_key", "is_being_built", "is_of_extension"), False),
        **{"oid": sum(name.encode()), "table_oid": 7, "name": name, "quoted": name, "table_quoted": "t"},
        **{"method": "btree", "definition": "", "bytes": 100 << 20, "table_bytes": 1 << 30, "tuples": 1e6},
        **{
            "table_tuples": 1e6,
            "is_valid": True,
            "persistence": "p",
            "is_owner": True,
            "owner": "app",
            "scans": 0,
            "tuples_read": 0,
        },
        **{"last_scan": None, "writes": 0, "shape": shape, "location": "", "needed_bytes": None},
    }
    return Index(**{**fields, **changes})


def names(pairs: list[tuple[Index, Index]]) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in pairs]


class TestDuplicates:
    def test_the_one_with_a_duty_stays(self) -> None:
        assert names(duplicates([index("a"), index("pk", is_unique=True, is_primary=True)])) == [("a", "pk")]
        assert names(duplicates([index("u", is_unique=True), index("a", scans=5)])) == [("a", "u")]

    def test_two_that_serve_a_foreign_key_need_not_both(self) -> None:
        both = [index("a", supports_foreign_key=True, scans=5), index("b", supports_foreign_key=True)]
        assert names(duplicates(both)) == [("b", "a")]

    def test_two_constraints_stay(self) -> None:
        constraint = {"is_unique": True, "backs_constraint": True}
        assert duplicates([index("a", **constraint), index("b", **constraint)]) == []

    def test_one_with_which_another_begins_is_covered(self) -> None:
        assert names(covered([index("a", "1"), index("ab", "1 2"), index("ba", "2 1")])) == [("a", "ab")]
        assert covered([index("a", "1", is_unique=True), index("ab", "1 2")]) == []
        assert covered([index("a", "1"), index("ab", "1 2", predicate="b > 0")]) == []
        assert covered([index("a", "1"), index("ab", "1 2", is_valid=False)]) == []
        assert covered([index("a", "1"), index("ab", "1 2", table_oid=8)]) == []


class TestAdvice:
    AIRY = index("a", oid=5, needed_bytes=67 << 20, scans=9)

    def test_rebuild_is_recommended_by_statistics_where_nothing_was_counted(self) -> None:
        (advice,) = _of_indexes([self.AIRY], 0.3, {})
        assert (advice["what"], advice["reason"]) == ("rebuild a", "33% of it is bloat by the statistics")

    def test_rebuild_is_not_recommended_where_the_count_finds_less_air(self) -> None:
        assert _of_indexes([self.AIRY], 0.3, {5: round(0.07 * self.AIRY.bytes)}) == []

    def test_rebuild_is_recommended_by_the_count(self) -> None:
        (advice,) = _of_indexes([self.AIRY], 0.3, {5: self.AIRY.bytes // 2})
        assert advice["reason"] == "50% of it is bloat, as counted"


class TestMissed:
    """Scans of the table and of its indexes: at the drop since statistics began, and afterwards in one day."""

    @pytest.mark.parametrize(
        ("before", "scans", "index_scans", "missed"),
        [
            ((35, 0), 1, 0, False),  # a nightly dump of a table that nothing else looks into
            ((0, 900_000), 1, 30_000, False),  # the first dump
            ((100, 900), 20, 80, False),  # 10% before, 20% now
            ((100, 900), 50, 50, True),
            ((0, 900), 50, 50, True),
        ],
    )
    def test_index_is_missed_only_when_far_more_is_read_without_it(
        self, before: tuple[int, int], scans: int, index_scans: int, missed: bool
    ) -> None:
        baseline = {"rows": 0, "scans": before[0], "index_scans": before[1]}
        now = {"rows": LEAST_ROWS, "scans": before[0] + scans, "index_scans": before[1] + index_scans}
        assert _is_missed(baseline, now, timedelta(days=1)) is missed


class TestUnused:
    WATCHED = Noted(NOW - timedelta(days=40), 3, 0)

    def test_it_may_go_after_long_enough(self) -> None:
        assert why_not_drop(index("a"), 0, self.WATCHED, NOW, NOW - timedelta(days=35)) is None
        assert why_not_drop(index("a"), 0, self.WATCHED, NOW) is None

    def test_unused_index_that_was_seen_once_is_not_said_to_lack_days(self) -> None:
        once = Noted(NOW - timedelta(days=40), 1, 0)
        assert why_not_drop(index("a"), 0, once, NOW) == "it was looked at in 1 of at least 2 runs, over 40 days"
        young = Noted(NOW - timedelta(days=34, hours=23), 3, 0)
        assert why_not_drop(index("a"), 0, young, NOW) == "it has been watched for 34 of 35 days"

    def test_scans_before_a_reset_of_the_counters_are_not_known(self) -> None:
        """Looks of ours that find no scan tell nothing when the server has begun to count anew in between."""
        why = why_not_drop(index("a"), 0, self.WATCHED, NOW, NOW - timedelta(days=3))
        assert why == "the server's counters were reset on 2026-11-23: scans before that are not known"
