"""Metrics: samples gathered over five minutes, and how much of a window's open time something ran."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from jamaint.core.calendar.windows import Opening, Window, next_opening, opening_at
from jamaint.core.figures import union

PERIOD = timedelta(minutes=5)
OPENINGS_LIMIT = 2000
"""Openings of all windows that are reckoned for one answer; of a window beyond them none is told."""


class Sampled(NamedTuple):
    """One metric over some time: its kind (scheduler, system, performance), name and unit, and its samples' figures."""

    type: str
    name: str
    unit: str
    n: int
    least: float
    mean: float
    most: float


class Efficiency(NamedTuple):
    """How a window was used: its openings in a period, its open time, and how long anything ran in it."""

    openings: int
    open_seconds: float
    busy_seconds: float

    @property
    def share(self) -> float | None:
        """Return busy / open, 0..1; None for a window that was never open."""
        return self.busy_seconds / self.open_seconds if self.open_seconds else None


def gathered(samples: Mapping[tuple[str, str, str], Sequence[float]]) -> list[Sampled]:
    """Return one figure for each (type, name, unit) with samples."""
    return [
        Sampled(*key, len(found), min(found), math.fsum(found) / len(found), max(found))
        for key, found in samples.items()
        if found
    ]


def period_of(moment: datetime) -> datetime:
    """Return the beginning of the five minutes that a moment lies in."""
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(PERIOD.total_seconds()), UTC)


def midnight(moment: datetime) -> datetime:
    """Return the beginning of the moment's day in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def openings_between(window: Window, since: datetime, until: datetime, most: int) -> list[Opening] | None:
    """Return the openings that overlap the period, as the window is defined now; None for more than `most`."""
    first = opening_at(window, since)
    found = [] if first is None else [first]
    moment = since
    while len(found) <= most:
        following = next_opening(window, moment)
        if following is None or following.start >= until:
            return found
        found.append(following)
        moment = following.start
    return None


def efficiency(
    openings: Iterable[Opening], runs: Iterable[tuple[datetime, datetime]], since: datetime, until: datetime
) -> Efficiency:
    """Return how much of the open time between both moments at least one of the runs took; overlaps count once."""
    spans = sorted((max(one.start, since), min(one.end, until)) for one in openings)
    joined: list[tuple[datetime, datetime]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    ran = list(runs)
    busy = sum((union(ran, span) for span in joined), timedelta())
    opened = sum((end - start for start, end in joined), timedelta())
    return Efficiency(len(spans), opened.total_seconds(), busy.total_seconds())
