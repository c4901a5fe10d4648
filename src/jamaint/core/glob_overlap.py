"""Overlap of path patterns: whether two globs can match one path.

Both are walked at once, component by component and in each sign by sign; `*` stays within a component, `**` stands for
any number of them, and neither takes a leading dot, as files/access/globs.py
matches. Of a set such as [a-f] it is only asked
whether it holds a letter of the other; two sets are taken to meet.
"""

import fnmatch
import re
from collections.abc import Callable, Sequence
from functools import cache

_SIGN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)


def overlap(first: str, second: str) -> bool:
    """True if a path can match both patterns."""
    return _walk(first.split("/"), second.split("/"), "**", _names_overlap)


def _names_overlap(first: str, second: str) -> bool:
    if (first[:1] == ".") != (second[:1] == ".") and (first[:1] in ("*", "?", "[") or second[:1] in ("*", "?", "[")):
        return False
    return _walk(_SIGN.findall(first), _SIGN.findall(second), "*", _signs_meet)


def _walk(first: Sequence[str], second: Sequence[str], many: str, meet: Callable[[str, str], bool]) -> bool:
    """True if two sequences can be the same, where `many` stands for any number of elements."""

    @cache
    def same(at: int, there: int) -> bool:
        one, other = first[at : at + 1], second[there : there + 1]
        if one and one[0] == many:
            return same(at + 1, there) or (bool(other) and same(at, there + 1))
        if other and other[0] == many:
            return same(at, there + 1) or (bool(one) and same(at + 1, there))
        if not one or not other:
            return not one and not other
        return meet(one[0], other[0]) and same(at + 1, there + 1)

    return same(0, 0)


def _signs_meet(one: str, other: str) -> bool:
    if "?" in (one, other) or (len(one) > 1 and len(other) > 1):
        return True
    return fnmatch.fnmatchcase(other, one) if len(one) > 1 else fnmatch.fnmatchcase(one, other)
