"""Dates in names: when a file was made, as its name says it: `dump-20261124.sql` by `%Y%m%d`.

A name tells a day, an hour or a minute, and not when in it: the end of that counts, so that nothing goes too early.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

PARTS = {
    "%Y": r"(?P<Y>[0-9]{4})",
    "%y": r"(?P<y>[0-9]{2})",
    "%m": r"(?P<m>[0-9]{2})",
    "%d": r"(?P<d>[0-9]{2})",
    "%j": r"(?P<j>[0-9]{3})",
    "%H": r"(?P<H>[0-9]{2})",
    "%M": r"(?P<M>[0-9]{2})",
    "%S": r"(?P<S>[0-9]{2})",
    "%s": r"(?P<s>[0-9]{9,11})",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NameDate = Callable[[str], int | None]
"""Nanoseconds since 1970 that a name says, or None where it has no such date."""


def name_date(form: str, zone: tzinfo | None = None) -> NameDate:
    """Return what reads the date in names; `zone` is whose clocks are meant, the machine's where it is None.

    Raises ValueError for a form that does not name a day, or has a part that is not known.
    """
    pattern = re.compile(rf"(?<![0-9]){_pattern(form)}(?![0-9])")

    def read(name: str) -> int | None:
        found = (_moment(match.groupdict(), zone) for match in pattern.finditer(name))
        return next((moment for moment in found if moment is not None), None)

    return read


def _pattern(form: str) -> str:
    pieces, seen, place = [], set[str](), 0
    while place < len(form):
        piece = form[place : place + 2]
        if form[place] == "%":
            if piece not in PARTS:
                raise ValueError(f"has {piece}, which is not one of {' '.join(PARTS)}")
            if piece in seen:
                raise ValueError(f"has {piece} twice")
            seen.add(piece)
            pieces.append(PARTS[piece])
            place += 2
        else:
            pieces.append(re.escape(form[place]))
            place += 1
    day = {"%d", "%m"} <= seen or "%j" in seen
    if "%s" not in seen and not (seen & {"%Y", "%y"} and day):
        raise ValueError("must name a day, as %Y%m%d does, or seconds since 1970 (%s)")
    return "".join(pieces)


def _moment(parts: dict[str, str], zone: tzinfo | None) -> int | None:
    """The end of the day, hour, minute or second that was read; None for one that no calendar has."""
    try:
        if "s" in parts:
            return (int(parts["s"]) + 1) * 10**9
        year = int(parts["Y"]) if "Y" in parts else 2000 + int(parts["y"])
        clock = [int(parts[key]) for key in "HMS" if key in parts]
        day = datetime(year, int(parts.get("m", 1)), int(parts.get("d", 1)))
        day += timedelta(days=int(parts["j"]) - 1) if "j" in parts else timedelta()
        if day.year != year:
            return None
        at = day.replace(**dict(zip(("hour", "minute", "second"), clock, strict=False)))  # type: ignore[arg-type]  # ints
        length = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))[len(clock)]
        moment = (at.astimezone() if zone is None else at.replace(tzinfo=zone)) + length
        return round((moment - _EPOCH).total_seconds()) * 10**9
    except (ValueError, OverflowError, OSError):
        return None
