"""Times: what a person writes -> RFC 3339 in UTC -> what a person reads, without datetime (four milliseconds)."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FORMS = "now, -7d, +3h, 2026-11-23 02:00 (local time) or 2026-11-23T02:00:00Z"
DAY = 86400


def given(text: str, now: float) -> str:
    """RFC 3339 in UTC of a time as a person gives it; `now` in seconds since 1970. Raises ValueError."""
    text = text.strip()
    if text == "now":
        return to_wire(now)
    if text[:1] in {"+", "-"}:
        return to_wire(now + _relative(text))
    if len(text) > 10 and (text[-1] in "zZ" or text[10:].rfind("+") > 0 or text[10:].rfind("-") > 0):
        seconds = epoch(text.replace(" ", "T", 1))
        if seconds is None:
            raise ValueError(f"is not a valid time; write {FORMS}")
        return to_wire(seconds)
    return to_wire(_local(text))


def epoch(stamp: Any) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for anything else, None included."""
    if not isinstance(stamp, str) or len(stamp) < 20 or stamp[10] not in "Tt":
        return None
    at = max(stamp.rfind("+"), stamp.rfind("-"))
    try:
        if stamp[-1] in "zZ":
            clock, offset = stamp[11:-1], 0
        elif at > 18:
            clock, offset = stamp[11:at], _offset(stamp[at:])
        else:
            return None
        fraction = float(_digits(clock[9:])) / 10 ** len(clock[9:]) if clock[8:9] == "." else 0.0
        if clock[8:9] not in {"", "."}:
            return None
        year, month, day = _date(stamp[:10])
        return _days(year, month, day) * DAY + _clock(clock[:8]) - offset + fraction
    except ValueError:
        return None


def to_wire(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds. Raises ValueError beyond the years 1 to 9999."""
    milliseconds = round(seconds * 1000)
    try:
        moment = time.gmtime(milliseconds // 1000)
    except (OverflowError, OSError):
        raise ValueError("is too far away") from None
    if not 1 <= moment.tm_year <= 9999:
        raise ValueError("is too far away")
    return f"{moment.tm_year:04d}-" + time.strftime("%m-%dT%H:%M:%S", moment) + f".{milliseconds % 1000:03d}Z"


def stamp(value: Any) -> str:
    """An RFC 3339 time in full, local with its zone: `2026-11-24 09:00:13 WIB`; `-` for None."""
    seconds = epoch(value)
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def brief(value: Any, now: float) -> str:
    """An RFC 3339 time for a column whose head names the zone: `02:00` today, `Sat 22:00` in the next six days, else
    `2026-12-24 02:00`; the zone follows where the clocks have changed by then. `-` for None.
    """
    seconds = epoch(value)
    if seconds is None:
        return "-"
    there, here = time.localtime(seconds), time.localtime(now)
    form = "%H:%M" if there[:3] == here[:3] else "%a %H:%M" if 0 < seconds - now < 6 * DAY else "%Y-%m-%d %H:%M"
    return time.strftime(form if there.tm_zone == here.tm_zone else form + " %Z", there)


def second(value: Any, now: float) -> str:
    """A past RFC 3339 time for a column whose head names the zone: `09:00:13` today, else `2026-11-23 22:00`.

    The zone follows where the clocks have changed since; `-` for None.
    """
    seconds = epoch(value)
    if seconds is None:
        return "-"
    there, here = time.localtime(seconds), time.localtime(now)
    form = "%H:%M:%S" if there[:3] == here[:3] else "%Y-%m-%d %H:%M"
    return time.strftime(form if there.tm_zone == here.tm_zone else form + " %Z", there)


def zoned(name: str, now: float) -> str:
    """The head of a column of `brief` or `second` times: `NEXT (WIB)`."""
    return f"{name} ({time.strftime('%Z', time.localtime(now))})"


def moment(value: Any, now: float) -> str:
    """An RFC 3339 time as near as a person needs it, local: `02:00 WIB` today, else `Sat 2026-11-28 22:00 WIB`."""
    seconds = epoch(value)
    if seconds is None:
        return "-"
    there, here = time.localtime(seconds), time.localtime(now)
    return time.strftime("%H:%M %Z" if there[:3] == here[:3] else "%a %Y-%m-%d %H:%M %Z", there)


def clock(value: Any) -> str:
    """The time of day to the second, local: `09:00:13`; for what follows a date."""
    seconds = epoch(value)
    return "-" if seconds is None else time.strftime("%H:%M:%S", time.localtime(seconds))


def utc(value: Any) -> str:
    """An RFC 3339 time in UTC: `2026-11-24 19:00 UTC`."""
    seconds = epoch(value)
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def span(seconds: float) -> str:
    """A length of time in its two largest units: `350 ms`, `41 s`, `1 min 5 s`, `3 d 4 h`."""
    seconds = max(seconds, 0)
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 9.95 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, name, below, smaller in ((DAY, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def ago(value: Any, now: float) -> str:
    """How long ago an RFC 3339 time was, in its largest unit: `12 min ago`; `-` for None."""
    seconds = epoch(value)
    if seconds is None:
        return "-"
    gone = now - seconds
    for size, name in ((DAY, "d"), (3600, "h"), (60, "min")):
        if gone >= size:
            return f"{int(gone // size)} {name} ago"
    return "just now" if gone < 1 else f"{int(gone)} s ago"


def until(value: Any, now: float) -> str:
    """How long it is to an RFC 3339 time: `in 1 h 20 min`, `now` when it has come; `-` for None."""
    seconds = epoch(value)
    if seconds is None:
        return "-"
    left = seconds - now
    return "now" if left < 1 else f"in {span(left if left < 60 else left - left % 60)}"


def remaining(value: Any, now: float) -> str:
    """How much is left until an RFC 3339 time: `1 h 20 min left`, `41 s left`; nothing for None."""
    seconds = epoch(value)
    return "" if seconds is None else f"{span(max(1, round(seconds - now)))} left"


def _relative(text: str) -> float:
    sign, rest, total = (-1 if text[0] == "-" else 1), text[1:], 0.0
    if not rest:
        raise ValueError(f"is not a valid time; write {FORMS}")
    number = ""
    for char in rest:
        if char.isascii() and char.isdigit():
            number += char
        elif char in UNITS and number and len(number) < 10:
            total += int(number) * UNITS[char]
            number = ""
        else:
            raise ValueError("a span is a number and one of s, m, h, d, w, as in -7d or +1h30m")
    if number:
        raise ValueError(f"lacks a unit: {text}d for days, {text}h for hours")
    return sign * total


def _local(text: str) -> float:
    date, _, clock_text = text.replace("T", " ", 1).partition(" ")
    if len(clock_text) == 5:
        clock_text += ":00"
    try:
        year, month, day = _date(date)
        seconds = _clock(clock_text or "00:00:00")
    except ValueError:
        hint = (
            f"; did you mean -{text} or +{text}?" if text[:-1].isdigit() and text[-1:] in UNITS else f"; write {FORMS}"
        )
        raise ValueError(f"is not a valid time{hint}") from None
    fields = (year, month, day, seconds // 3600, seconds % 3600 // 60, seconds % 60)
    try:
        found = time.mktime((*fields, 0, 0, -1))
    except (OverflowError, ValueError):
        raise ValueError("is too far away") from None
    if time.localtime(found)[:5] != fields[:5]:
        raise ValueError("does not exist here: the clocks go forward over it")
    return found


def _date(text: str) -> tuple[int, int, int]:
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        raise ValueError
    year, month, day = int(_digits(text[:4])), int(_digits(text[5:7])), int(_digits(text[8:]))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (year and 1 <= month <= 12 and 1 <= day <= lengths[month - 1]):
        raise ValueError
    return year, month, day


def _clock(text: str) -> int:
    if len(text) != 8 or text[2] != ":" or text[5] != ":":
        raise ValueError
    hour, minute, second = int(_digits(text[:2])), int(_digits(text[3:5])), int(_digits(text[6:]))
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError
    return hour * 3600 + minute * 60 + second


def _offset(text: str) -> int:
    if len(text) != 6 or text[3] != ":":
        raise ValueError
    seconds = int(_digits(text[1:3])) * 3600 + int(_digits(text[4:])) * 60
    return -seconds if text[0] == "-" else seconds


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return text


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar, by years that begin in March, so that the leap day is last."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
