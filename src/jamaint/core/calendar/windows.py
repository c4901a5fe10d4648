"""Windows: when maintenance may start, for which tasks, and how many at a time."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from jamaint.core.calendar.periods import Periods, end_of, start_after
from jamaint.core.recurrence import Schedule, next_after
from jamaint.core.tasks import Condition, Origin

PIECES_LIMIT = 400
"""Openings that are looked through for one that is neither skipped nor excluded."""
JOINED_LIMIT = timedelta(days=31)
"""Openings that adjoin one another are joined up to this length."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window as defined. Lengths are elapsed minutes: a change of the clocks makes none longer or shorter."""

    id: str
    name: str
    schedule: Schedule
    duration_minutes: int
    timezone: str
    allowed_tasks: tuple[str, ...]
    description: str = ""
    cutoff_minutes: int = 0
    max_concurrent_tasks: int = 3
    emergency_override: bool = False
    conditions: tuple[Condition, ...] = ()
    exclusions: tuple[Periods, ...] = ()
    """Time that is taken out of its openings."""
    skipped: Mapping[datetime, str] = field(default_factory=dict)
    """Openings that do not happen, by their scheduled start, each with who said so."""
    notifications: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    origin: Origin = "file"
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open: start <= moment < end; nothing starts from `starts_until` on."""

    window: Window
    start: datetime
    end: datetime
    joined_end: datetime | None = None
    """The end of the openings that adjoin or overlap it and have the same rights; None where there are none."""

    @property
    def starts_until(self) -> datetime:
        """End less cutoff (the rule of AWS Systems Manager's maintenance windows)."""
        return self.end - timedelta(minutes=self.window.cutoff_minutes)

    @property
    def runs_until(self) -> datetime:
        """By when what starts in it should have ended."""
        return self.joined_end or self.end


def opening_at(window: Window, moment: datetime) -> Opening | None:
    """The opening that contains `moment`, the latest begun if several do; a skipped or excluded one is none."""
    newest = next((one for one in scheduled_at(window, moment) if one.start not in window.skipped), None)
    return None if newest is None else _piece_at(newest, moment)


def next_opening(window: Window, moment: datetime) -> Opening | None:
    """The first opening that starts after `moment`; what is skipped or excluded is passed over.

    Of two that an exclusion lets begin at one moment it is the one that began later by its schedule, as in opening_at.
    """
    around = [one for one in reversed(scheduled_at(window, moment)) if one.start not in window.skipped]
    pieces = [piece for one in around for piece in _pieces(one) if piece.start > moment] if window.exclusions else []
    scheduled = next_scheduled(window, moment)
    for _ in range(PIECES_LIMIT):
        if scheduled is None:
            break
        if scheduled.start not in window.skipped:
            pieces += _pieces(scheduled)[:1]
        if pieces:
            break
        scheduled = next_scheduled(window, scheduled.start)
    return min(pieces, key=lambda piece: (piece.start, piece.start - piece.end), default=None)


def scheduled_at(window: Window, moment: datetime) -> list[Opening]:
    """The openings that the schedule alone means to contain `moment`, the latest begun first."""
    if not window.enabled:
        return []
    length = timedelta(minutes=window.duration_minutes)
    found: list[Opening] = []
    # What started exactly `length` ago ends now: `next_after` leaves it out.
    start = next_after(window.schedule, moment - length)
    while start is not None and start <= moment:
        found.append(Opening(window, start, start + length))
        start = next_after(window.schedule, start)
    return found[::-1]


def next_scheduled(window: Window, moment: datetime) -> Opening | None:
    """The first opening after `moment` that the schedule alone means: tasks are due at it, whatever becomes of it."""
    start = next_after(window.schedule, moment) if window.enabled else None
    return None if start is None else Opening(window, start, start + timedelta(minutes=window.duration_minutes))


def joined(opening: Opening, windows: Iterable[Window]) -> Opening:
    """The opening with its `joined_end`: what starts in it may go on in all that adjoins it with the same rights.

    (Two windows that touch are one night to whoever planned them, and an execution as long as both has to fit.)
    """
    end = joined_end(opening, windows, opening.start + JOINED_LIMIT)
    return opening if end == opening.end else replace(opening, joined_end=end)


def all_joined(openings: Iterable[Opening], windows: Collection[Window]) -> list[Opening]:
    """`joined` for those that are open at one moment, which so is asked once for all that have the same rights."""
    found: list[Opening] = []
    ends: list[tuple[Opening, datetime]] = []
    for opening in openings:
        end = next((end for other, end in ends if same_rights(other.window, opening.window)), None)
        if end is None:
            end = joined_end(opening, windows, opening.start + JOINED_LIMIT)
            ends.append((opening, end))
        found.append(opening if end <= opening.end else replace(opening, joined_end=end))
    return found


def joined_end(opening: Opening, windows: Iterable[Window], limit: datetime) -> datetime:
    """When what adjoins or overlaps the opening with the same rights ends; not looked for beyond `limit`.

    Each opening on the way is looked at once, the earliest first.
    """
    end = opening.end
    coming: list[tuple[datetime, int, Opening]] = []

    def add(number: int, piece: Opening | None) -> None:
        if piece is not None:
            heappush(coming, (piece.start, number, piece))

    fellows = [window for window in windows if same_rights(window, opening.window)]
    for number, window in enumerate(fellows):
        add(number, opening_at(window, end) or next_opening(window, end))
    while coming and coming[0][0] <= end < limit:
        _, number, piece = heappop(coming)
        end = max(end, piece.end)
        add(number, next_opening(fellows[number], piece.start))
    return end


def longest_minutes(window: Window, windows: Iterable[Window], moment: datetime, openings: int = 8) -> float | None:
    """The longest of the window's openings from `moment` on, of so many as are looked at; None if there are none."""
    others = tuple(windows)
    opening = opening_at(window, moment) or next_opening(window, moment)
    longest: float | None = None
    for _ in range(openings):
        if opening is None:
            break
        whole = joined(opening, others)
        longest = max(longest or 0.0, (whole.runs_until - whole.start).total_seconds() / 60)
        opening = next_opening(window, opening.start)
    return longest


def same_rights(one: Window, other: Window) -> bool:
    """Whether what may start in one may start in the other, under the same conditions."""
    return set(one.allowed_tasks) == set(other.allowed_tasks) and one.conditions == other.conditions


def _pieces(opening: Opening) -> list[Opening]:
    """What the exclusions leave of an opening."""
    exclusions = opening.window.exclusions
    if not exclusions:
        return [opening]
    found: list[Opening] = []
    start = end_of(exclusions, opening.start, opening.end) or opening.start
    while start < opening.end:
        cut = start_after(exclusions, start)
        if cut is None or cut >= opening.end:
            found.append(replace(opening, start=start))
            break
        found.append(replace(opening, start=start, end=cut))
        start = end_of(exclusions, cut, opening.end) or cut
    return found


def _piece_at(opening: Opening, moment: datetime) -> Opening | None:
    return next((piece for piece in _pieces(opening) if piece.start <= moment < piece.end), None)
