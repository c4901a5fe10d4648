"""Which names a build that was cut short leaves, and how much of an index is air."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.benefit import Benefit, between, compare
from jamaint.core.indexes import air_of_pages, is_leftover, may_be_left_by

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
