"""Availability: which windows are open at a moment, which freezes hold, and when that changes next.

What the machine will be like then is not known, so windows are without their conditions here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from jamaint.core.calendar.freezes import Freeze, FreezeState, state_at
from jamaint.core.calendar.windows import Opening, Window, all_joined, next_opening, opening_at

FREEZES_LIMIT = 200
"""Changes of one freeze that are looked through."""


class Outlook(NamedTuple):
    """As of one moment; `turns_at` None: it stays so."""

    openings: Mapping[str, Opening]
    freezes: tuple[FreezeState, ...]
    turns_at: datetime | None


def outlook(windows: Mapping[str, Window], freezes: Iterable[Freeze], moment: datetime) -> Outlook:
    """What is open and what holds at `moment`."""
    every = windows.values()
    moments = [found.start for window in every if (found := next_opening(window, moment)) is not None]
    now_open = (opening_at(window, moment) for window in every)
    openings = {}
    for opening in all_joined((one for one in now_open if one is not None), every):
        window = opening.window
        openings[window.name] = replace(opening, window=replace(window, conditions=()))
        moments += [opening.end, opening.runs_until]
    states = tuple(state_at(freeze, moment) for freeze in freezes if freeze.enabled)
    moments += [state.changes_at for state in states if state.changes_at is not None]
    return Outlook(openings, states, min(moments, default=None))


def frozen(freeze: Freeze, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """From when to when the freeze holds between `start` and `end`."""
    found: list[tuple[datetime, datetime]] = []
    moment: datetime | None = start
    for _ in range(FREEZES_LIMIT):
        if moment is None or moment >= end:
            break
        state = state_at(freeze, moment)
        until = end if state.changes_at is None else min(state.changes_at, end)
        if state.holds:
            found.append((moment, until))
        moment = state.changes_at
    return found
