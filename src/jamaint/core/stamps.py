"""Stamps: what a rotated log's name adds to the log's own, a date or a number, and how it is read back.

A date's parts go from the year down without a gap, so that names sort as the moments they stand for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from jamaint.core.logs import PACKED

_PARTS = ("Y", "m", "d", "H", "M", "S")
_DIGITS = {"Y": 4}
_LITERAL = re.compile(r"[A-Za-z0-9._-]*")
_ENDING = "(?:" + "|".join(re.escape(ending) for ending in PACKED) + ")?"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a name says: `order` is larger the newer it is; `moment` is None for a number."""

    base: str
    order: tuple[int, ...]
    moment: datetime | None
    packed: str
    """The ending of its compression, or the empty text."""


class Dates:
    """Names with a date: app.log-20261125, and app.log-20261125.1 for a second one of that date."""

    def __init__(self, form: str, zone: tzinfo) -> None:
        """Raises ValueError, in words, for a form whose names would not sort or could not be read back."""
        self.form, self._zone = form, zone
        self._parts = _check(form)
        pattern = re.sub(r"%(\w)", lambda found: rf"(\d{{{_DIGITS.get(found[1], 2)}}})", _escaped(form))
        self._match = re.compile(rf"(?s)(.+){pattern}(?:\.([1-9]\d{{0,8}}))?({_ENDING})").fullmatch

    @property
    def has_hours(self) -> bool:
        """Whether two hours of a day have two names."""
        return "H" in self._parts

    @property
    def has_seconds(self) -> bool:
        """Whether the name tells the second."""
        return "S" in self._parts

    def read(self, name: str) -> Stamp | None:
        """What a name says; None when it is no rotated log's."""
        found = self._match(name)
        if found is None:
            return None
        base, *figures, again, packed = found.groups()
        numbers = [int(figure) for figure in figures]
        try:
            moment = datetime(*(numbers + [1] * (3 - len(numbers))), tzinfo=self._zone)  # type: ignore[arg-type, misc]
        except ValueError:  # the 31st of November
            return None
        return Stamp(base, (*numbers, int(again or 0)), moment, packed)

    def names(self, base: str, now: datetime) -> Iterator[str]:
        """Names for a log that is rotated now, the best first, without end."""
        first = base + now.astimezone(self._zone).strftime(self.form)
        yield first
        number = 1
        while True:
            yield f"{first}.{number}"
            number += 1


def read_number(name: str) -> Stamp | None:
    """What a numbered name says: app.log.1 is newer than app.log.2. None when it is no rotated log's."""
    found = _NUMBERED(name)
    return None if found is None else Stamp(found[1], (-int(found[2]),), None, found[3])


_NUMBERED = re.compile(rf"(?s)(.+)\.([1-9]\d{{0,8}})({_ENDING})").fullmatch


def _check(form: str) -> tuple[str, ...]:
    parts = tuple(re.findall(r"%(.?)", form))
    if "%" not in form or any(part not in _PARTS for part in parts):
        raise ValueError("must be made of %Y, %m, %d, %H, %M and %S, such as -%Y%m%d")
    if parts != _PARTS[: len(parts)]:
        raise ValueError("must go from %Y down and leave none out, as -%Y%m%d does: else names do not sort by date")
    if form[0] not in "-._":
        raise ValueError("must begin with -, . or _, so that the log's own name can be told from the date")
    if not _LITERAL.fullmatch(form.replace("%", "")):
        raise ValueError("may hold letters, digits, -, . and _ beside the date")
    return parts


def _escaped(form: str) -> str:
    return "".join(piece if piece.startswith("%") else re.escape(piece) for piece in re.split(r"(%\w)", form))
