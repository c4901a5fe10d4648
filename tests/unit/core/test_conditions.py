"""Conditions: what holds, what does not and with which figure, and that what is unknown does not hold."""

import pytest

from jamaint.core.conditions import CHECKS, DiskFree, Facts, unmet
from jamaint.core.tasks import Condition

GIB = 1 << 30
LOAD = Condition("load_average", {"max": 2.5})
MEMORY = Condition("memory_available", {"min": GIB})
SHARE = Condition("disk_free", {"path": "/var", "min_share": 0.1})
BYTES = Condition("disk_free", {"path": "/var", "min_bytes": 5 * GIB})


def var(free: int, total: int = 100 * GIB) -> Facts:
    return Facts(disks={"/var": DiskFree(free, total)})


@pytest.mark.parametrize(
    ("condition", "facts", "why"),
    [
        (LOAD, Facts(load_average=2.5), None),
        (LOAD, Facts(load_average=2.51), "load average 2.51 is over 2.5"),
        (LOAD, Facts(load_average=16.04), "load average 16.04 is over 2.5"),
        (LOAD, Facts(), "load average is unknown"),
        (LOAD, Facts(load_average=0.0), None),
        (MEMORY, Facts(memory_available=GIB), None),
        (MEMORY, Facts(memory_available=GIB - 1), "1073741823 bytes of memory are available, 1073741824 are asked for"),
        (MEMORY, Facts(memory_available=0), "0 bytes of memory are available, 1073741824 are asked for"),
        (MEMORY, Facts(), "available memory is unknown"),
        (SHARE, var(10 * GIB), None),
        (SHARE, var(10 * GIB - 1), "/var has 10.0% free, 10.0% is asked for"),
        (SHARE, var(0, 0), "/var has 0.0% free, 10.0% is asked for"),
        (SHARE, Facts(), "free space of /var is unknown"),
        (BYTES, var(5 * GIB), None),
        (BYTES, var(GIB), "/var has 1073741824 bytes free, 5368709120 are asked for"),
        (BYTES, Facts(disks={"/": DiskFree(99 * GIB, 100 * GIB)}), "free space of /var is unknown"),
    ],
)
def test_a_condition_holds_or_tells_why_not(condition: Condition, facts: Facts, why: str | None) -> None:
    assert unmet(condition, facts) == why


@pytest.mark.parametrize("condition", [LOAD, MEMORY, SHARE, BYTES], ids=lambda one: one.kind)
def test_what_is_unknown_never_holds(condition: Condition) -> None:
    assert unmet(condition, Facts()) is not None


def test_each_kind_is_tested_here() -> None:
    assert {condition.kind for condition in (LOAD, MEMORY, SHARE, BYTES)} == CHECKS.keys()
