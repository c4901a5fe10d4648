"""Calendar files (.ics, RFC 5545): when their events are, as stretches of time.

Events that recur are written out from a year back to five years ahead of the moment at which the file is read: a reload
reads it again. What an event says beside its times is of no matter here.
"""

import importlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from jamaint.core.calendar.periods import Span
from jamaint.schema.extras import how_to_add

BACK, AHEAD = timedelta(days=366), timedelta(days=5 * 366)
SIZE_LIMIT = 4 * 1024 * 1024
EVENTS_LIMIT = 20_000


def read_ics(path: str, timezone: str) -> list[Span]:
    """The events of a calendar file; `timezone` is that of whole days and of times without a zone.

    Raises ValueError, with what to do, where it cannot be read as a whole: half a calendar would be a freeze half kept.
    """
    try:
        library: Any = importlib.import_module("icalendar")
        rules: Any = importlib.import_module("dateutil.rrule")
    except ImportError:
        raise ValueError(f"cannot be read without the library icalendar: {how_to_add('ics')}") from None
    try:
        calendar = library.Calendar.from_ical(_content(path))
        now = datetime.now(UTC)
        found = list(_all_spans(calendar.walk("VEVENT"), rules, timezone, now))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} is no calendar that can be read: {error}") from None
    if len(found) > EVENTS_LIMIT:
        raise ValueError(f"{path} has {len(found)} events, more than {EVENTS_LIMIT}: export fewer")
    return found


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        content = file.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise ValueError(f"it is larger than {SIZE_LIMIT // 1024**2} MiB")
    if not content.strip():
        raise ValueError("it is empty")
    return content


def _all_spans(events: Sequence[Any], rules: Any, timezone: str, now: datetime) -> Iterator[Span]:
    """Yield the spans of all events; an instance with a RECURRENCE-ID stands in for the one of its series."""
    moved = _instances(events, timezone)
    for event in events:
        if "RECURRENCE-ID" not in event:
            replaced = frozenset(instant for uid, instant in moved if uid == str(event.get("UID")))
            yield from _spans(event, rules, timezone, now, replaced)
    for event in moved.values():
        yield from _spans(event, rules, timezone, now, frozenset())


def _instances(events: Sequence[Any], timezone: str) -> dict[tuple[str, datetime], Any]:
    """Return the instances that were moved or cancelled, by their series and when they would have been."""
    found: dict[tuple[str, datetime], Any] = {}
    for event in events:
        if "RECURRENCE-ID" not in event:
            continue
        if "RANGE" in event["RECURRENCE-ID"].params:
            raise ValueError("an event changes all that come after it (RANGE=THISANDFUTURE): export them one by one")
        if "RRULE" in event or "RDATE" in event:
            raise ValueError("an instance of an event recurs by itself (RECURRENCE-ID with RRULE or RDATE)")
        key = (str(event.get("UID")), _instant(_checked(event["RECURRENCE-ID"]).dt, timezone))
        if key not in found or int(event.get("SEQUENCE", 0)) >= int(found[key].get("SEQUENCE", 0)):
            found[key] = event
    return found


def _spans(event: Any, rules: Any, timezone: str, now: datetime, replaced: frozenset[datetime]) -> Iterator[Span]:
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return
    starts = _checked(event["DTSTART"]).dt
    length = _length(event, starts)
    excluded = replaced | {_instant(_same_kind(one.dt, starts), timezone) for one in _listed(event, "EXDATE")}
    for wall in _walls(event, rules, starts, now):
        start = _instant(wall, timezone)
        if start not in excluded:
            # A whole day ends at midnight, also on a day that has 23 hours; else what counts is elapsed time.
            end = _instant(wall + length, timezone) if _is_day(wall) else start + length
            yield start, end
    for begins, ends in _added_periods(event):
        if (start := _instant(begins, timezone)) not in excluded:
            yield start, start + ends if isinstance(ends, timedelta) else _instant(ends, timezone)


def _walls(event: Any, rules: Any, starts: Any, now: datetime) -> Iterator[Any]:
    """When it begins, as it is written: days stay days, and wall times recur as wall times."""
    added = [_same_kind(one.dt, starts) for one in _listed(event, "RDATE") if not isinstance(one.dt, tuple)]
    if "RRULE" not in event:
        yield from (starts, *added)
        return
    zone = None if _is_day(starts) else starts.tzinfo
    first = datetime(starts.year, starts.month, starts.day) if _is_day(starts) else starts.replace(tzinfo=None)
    rule = event["RRULE"]
    for text in [one.to_ical().decode() for one in (rule if isinstance(rule, list) else [rule])]:
        found = rules.rrulestr(_until_as_wall(text, zone, _is_day(starts)), dtstart=first)
        for wall in found.between((now - BACK).replace(tzinfo=None), (now + AHEAD).replace(tzinfo=None), inc=True):
            yield wall.date() if _is_day(starts) else wall.replace(tzinfo=zone)
    yield from added


def _added_periods(event: Any) -> Iterator[tuple[Any, Any]]:
    """Yield RDATE;VALUE=PERIOD: each with an end or a length of its own."""
    for one in _listed(event, "RDATE"):
        if isinstance(one.dt, tuple):
            begins, ends = one.dt
            if not isinstance(ends, timedelta) and ends < begins:
                raise ValueError("a period of an event ends before it begins")
            yield begins, ends


def _checked(value: Any) -> Any:
    """Return the property; raises ValueError where it names a zone that nobody knows: it would be read in another."""
    zone = value.params.get("TZID")
    moments = [each for one in getattr(value, "dts", [value]) for each in _moments(one.dt)]
    if zone is not None and any(not _is_day(one) and one.tzinfo is None for one in moments):
        raise ValueError(f"the zone {str(zone)!r} is neither known nor declared in it: correct it, or export VTIMEZONE")
    return value


def _moments(value: Any) -> list[Any]:
    return [one for one in (value if isinstance(value, tuple) else (value,)) if not isinstance(one, timedelta)]


def _same_kind(value: Any, starts: Any) -> Any:
    if _is_day(value) != _is_day(starts):
        raise ValueError("an EXDATE or RDATE is a day where its event begins at a time, or the other way round")
    return value


def _until_as_wall(rule: str, zone: Any, of_days: bool) -> str:
    """Return the rule with its UNTIL as a wall time of the start's zone; a day for a time is that whole day."""
    parts = []
    for part in rule.split(";"):
        key, _, value = part.partition("=")
        if key.upper() == "UNTIL" and value.endswith("Z"):
            until = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            part = f"UNTIL={until.astimezone(zone or UTC):%Y%m%dT%H%M%S}"  # noqa: PLW2901
        elif key.upper() == "UNTIL" and "T" not in value and not of_days:
            part = f"UNTIL={value}T235959"  # noqa: PLW2901
        parts.append(part)
    return ";".join(parts)


def _length(event: Any, starts: Any) -> timedelta:
    if "DTEND" in event:
        ends = _checked(event["DTEND"]).dt
        if _is_day(starts) != _is_day(ends):
            raise ValueError("an event begins with a day and ends with a time")
        found: timedelta = ends - starts
        if _is_day(starts) and not found:  # as calendar programs show it
            found = timedelta(days=1)
    elif "DURATION" in event:
        found = event.decoded("DURATION")
    else:
        found = timedelta(days=1) if _is_day(starts) else timedelta(0)
    if found < timedelta(0):
        raise ValueError("an event ends before it begins")
    return found


def _listed(event: Any, key: str) -> list[Any]:
    found = event.get(key, [])
    return [one for values in (found if isinstance(found, list) else [found]) for one in _checked(values).dts]


def _instant(value: Any, timezone: str) -> datetime:
    if _is_day(value):
        value = datetime(value.year, value.month, value.day)
    aware: datetime = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(timezone))
    return aware.astimezone(UTC)


def _is_day(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)
