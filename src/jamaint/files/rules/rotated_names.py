"""Rotated names: the date or number that a rotation adds to a log's name, and how it is read back.

A date's parts may stand in any order (`-%d%m%Y`), for the order of two names is that of the moments read from them,
never that of their letters. With an extension the stamp stands before it: app-20261124.log.gz.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Protocol

from jamaint.files.rules.compressed_names import PACKED

_PARTS = ("Y", "m", "d", "H", "M", "S")
_WEEK = ("G", "V")
_DIGITS = {"Y": 4, "G": 4, "s": 10}
_LITERAL = re.compile(r"[A-Za-z0-9._-]*")
_ENDING = "(?:" + "|".join(re.escape(ending) for ending in PACKED) + ")?"
_KNOWN = "%Y, %m, %d, %H, %M and %S, of %G and %V, or of %s"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a name says: `order` is larger the newer it is; `moment` is None for a number."""

    base: str
    order: tuple[int, ...]
    moment: datetime | None
    packed: str
    """The ending of its compression, or the empty text."""


class Naming(Protocol):
    """How rotated logs are called."""

    def read(self, name: str) -> Stamp | None:
        """What a name says; None when it is no rotated log's."""

    def names(self, base: str, now: datetime, /) -> Iterator[str]:
        """Names for a log that is rotated now, the best first."""


class Dates:
    """Names with a date: app.log-20261125, and app.log-20261125.1 for a second one of that date."""

    def __init__(self, form: str, zone: tzinfo, extension: str = "") -> None:
        """Raises ValueError, in words, for a form whose names could not be read back."""
        self.form, self._zone, self._extension = form, zone, extension
        self._parts = _check(form)
        pattern = re.sub(r"%(\w)", lambda found: rf"(\d{{{_DIGITS.get(found[1], 2)}}})", _escaped(form))
        self._match = _matcher(rf"{pattern}(?:\.([1-9]\d{{0,8}}))?", extension)

    def read(self, name: str) -> Stamp | None:
        """See Naming."""
        found = self._match(name)
        if found is None:
            return None
        base, *figures, again, packed = found
        numbers = dict(zip(self._parts, map(int, figures), strict=True))
        try:
            moment = self._moment(numbers)
        except (ValueError, OverflowError, OSError):  # the 31st of November
            return None
        order = tuple(numbers[part] for part in (*_PARTS, *_WEEK, "s") if part in numbers)
        return Stamp(base, (*order, int(again or 0)), moment, packed)

    def names(self, base: str, now: datetime) -> Iterator[str]:
        """See Naming; without end."""
        root, extension = _cut(base, self._extension)
        seconds = str(int(now.timestamp())).zfill(_DIGITS["s"])
        first = root + now.astimezone(self._zone).strftime(self.form.replace("%s", seconds))
        yield first + extension
        number = 1
        while True:
            yield f"{first}.{number}{extension}"
            number += 1

    def _moment(self, numbers: dict[str, int]) -> datetime:
        if "s" in numbers:
            return datetime.fromtimestamp(numbers["s"], UTC)
        if "G" in numbers:
            monday = datetime.fromisocalendar(numbers["G"], numbers["V"], 1)
            return monday.replace(tzinfo=self._zone)
        date, time = [numbers.get(part, 1) for part in _PARTS[:3]], [numbers.get(part, 0) for part in _PARTS[3:]]
        return datetime(date[0], date[1], date[2], time[0], time[1], time[2], tzinfo=self._zone)


class Numbers:
    """Names with a number: app.log.1 is newer than app.log.2."""

    def __init__(self, extension: str = "") -> None:
        self._extension = extension
        self._match = _matcher(r"\.([1-9]\d{0,8})", extension)

    def read(self, name: str) -> Stamp | None:
        """See Naming."""
        found = self._match(name)
        return None if found is None else Stamp(found[0], (-int(found[1]),), None, found[2])

    def names(self, base: str, _now: datetime) -> Iterator[str]:
        """See Naming; there is but one."""
        yield self.name(base, 1)

    def name(self, base: str, number: int, packed: str = "") -> str:
        """The name with that number."""
        root, extension = _cut(base, self._extension)
        return f"{root}.{number}{extension}{packed}"


def read_number(name: str) -> Stamp | None:
    """What a numbered name says. None when it is no rotated log's."""
    return _NUMBERS.read(name)


def read_any(name: str) -> Stamp | None:
    """What a name says that some program gave a rotated log, by number or by a usual date; None for any other name."""
    for naming in _ALL:
        stamp = naming.read(name)
        if stamp is not None:
            return stamp
    packed = next((ending for ending in PACKED if name.endswith(ending) and name != ending), "")
    return Stamp(name.removesuffix(packed), (0,), None, packed) if packed else None


def looks_live(name: str) -> bool:
    """True if nothing in a name tells that its log is over: no number, no date, no ending of a compression."""
    return not any(sign.isdigit() for sign in name) and not name.endswith((*PACKED, ".old", ".bak"))


def _matcher(stamp: str, extension: str) -> Callable[[str], list[str] | None]:
    """Reads a name: the log's own, the groups of `stamp`, the ending of its compression; None where it does not fit."""
    plain = re.compile(rf"(?s)(.+){stamp}({_ENDING})").fullmatch
    before = re.compile(rf"(?s)(.+){stamp}{re.escape(extension)}({_ENDING})").fullmatch

    def read(name: str) -> list[str] | None:
        found = before(name) if extension else None
        if found is not None:
            base, *rest = found.groups()
            return [base + extension, *rest]
        found = plain(name)
        return None if found is None else list(found.groups())

    return read


def _cut(base: str, extension: str) -> tuple[str, str]:
    """A log's name without its extension, and that; a name that has another one stays whole."""
    if extension and base.endswith(extension) and base != extension:
        return base.removesuffix(extension), extension
    return base, ""


def _check(form: str) -> tuple[str, ...]:
    parts = tuple(re.findall(r"%(.?)", form))
    if not parts or any(part not in (*_PARTS, *_WEEK, "s") for part in parts) or len(set(parts)) < len(parts):
        raise ValueError(f"must be made of {_KNOWN}, each at most once, such as -%Y%m%d")
    is_date = set(parts) == set(_PARTS[: len(parts)])
    if "V" in parts and "Y" in parts:
        raise ValueError("has a week of another year than %Y at the turn of the year: write %G-W%V")
    if not (is_date or set(parts) == set(_WEEK) or parts == ("s",)):
        raise ValueError(f"must hold {_KNOWN}, from the year down without a gap, so that a name tells one moment")
    if form[0] not in "-._%":
        raise ValueError("must begin with -, . or _, so that the log's own name can be told from the date")
    if not _LITERAL.fullmatch(form.replace("%", "")):
        raise ValueError("may hold letters, digits, -, . and _ beside the date")
    return parts


def _escaped(form: str) -> str:
    return "".join(piece if piece.startswith("%") else re.escape(piece) for piece in re.split(r"(%\w)", form))


_NUMBERS = Numbers()
_USUAL = ("-%Y%m%d", "-%Y%m%d%H", "-%Y-%m-%d", ".%Y%m%d", ".%Y-%m-%d", "-%Y%m%d-%H%M%S", "-%s")
_ALL: tuple[Naming, ...] = (_NUMBERS, *(Dates(form, UTC) for form in _USUAL))
