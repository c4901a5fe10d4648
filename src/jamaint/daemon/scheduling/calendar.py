"""The calendar: which windows are open and which freezes hold, as of the last change, and when the next one is."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from jamaint.core.calendar.freezes import FreezeState, state_at
from jamaint.core.calendar.windows import (
    JOINED_LIMIT,
    Opening,
    Window,
    all_joined,
    joined_end,
    longest_minutes,
    next_opening,
    opening_at,
    same_rights,
)
from jamaint.core.estimates import expected
from jamaint.core.scheduling.never_starts import never_fits, not_allowed
from jamaint.daemon.scheduling.run_statistics import RunStatistics
from jamaint.daemon.state.definitions import Definitions

FRESH = timedelta(seconds=60)
FAR = datetime.max.replace(tzinfo=UTC)


class _Turn(NamedTuple):
    """How a window stands from `since` until it turns, if it ever does."""

    window: Window
    opening: Opening | None
    since: datetime
    until: datetime | None


class Calendar:
    """Looks only when something turns; `turns_at` None: look at the next occasion."""

    def __init__(self, definitions: Definitions, experience: RunStatistics) -> None:
        self._definitions = definitions
        self._experience = experience
        self._longest: dict[str, float | None] = {}
        self._misfits: tuple[datetime | None, list[tuple[str, str]]] = (None, [])
        self._turns: dict[str, _Turn] = {}
        self._ends: list[tuple[Window, datetime, datetime]] = []
        """When what is open now has its joined end: of all windows with this one's rights, looked for up to a limit."""
        self.openings: Mapping[str, Opening] = {}
        self.freezes: tuple[FreezeState, ...] = ()
        self.frozen: Mapping[str, FreezeState] = {}
        """How the freezes of policies stand, by their names."""
        self.turns_at: datetime | None = None

    def forget(self) -> None:
        """What is defined, or the clock, has changed: all is looked at anew at the next turn."""
        self.turns_at = None
        self._longest = {}
        self._misfits = (None, [])
        self._turns, self._ends = {}, []

    def turn(self, now: datetime) -> None:
        """Brings it to `now`; costs nothing until the next change."""
        if self.turns_at is not None and now < self.turns_at:
            return
        turns = [self._turn(window, now) for window in self._definitions.windows.values()]
        now_open = [turn.opening for turn in turns if turn.opening is not None]
        self.openings = {opening.window.name: self._joined(opening, now) for opening in now_open}
        self.freezes, self.frozen = self.freezes_at(now), self.frozen_at(now)
        moments = [turn.until for turn in turns if turn.until is not None]
        moments += [opening.runs_until for opening in self.openings.values()]
        states = (*self.freezes, *self.frozen.values())
        moments += [state.changes_at for state in states if state.changes_at is not None]
        self.turns_at = min(moments, default=None)

    def _turn(self, window: Window, now: datetime) -> _Turn:
        """How the window stands; looked at only when it has turned."""
        turn = self._turns.get(window.name)
        if turn is None or turn.window is not window or not turn.since <= now < (turn.until or FAR):
            opening, coming = opening_at(window, now), next_opening(window, now)
            moments = [] if opening is None else [opening.end]
            moments += [] if coming is None else [coming.start]
            turn = self._turns[window.name] = _Turn(window, opening, now, min(moments, default=None))
        return turn

    def _joined(self, opening: Opening, now: datetime) -> Opening:
        """The opening with its joined end, which is asked once for all windows of the same rights."""
        for window, end, limit in self._ends:
            lasts = now < end and (end < limit or end - opening.start >= JOINED_LIMIT)
            if lasts and same_rights(window, opening.window):
                break
        else:
            limit = now + 2 * JOINED_LIMIT
            end = joined_end(opening, self._definitions.windows.values(), limit)
            self._ends = [one for one in self._ends if now < one[1] and not same_rights(one[0], opening.window)]
            self._ends.append((opening.window, end, limit))
        return opening if end <= opening.end else replace(opening, joined_end=end)

    def openings_at(self, moment: datetime) -> dict[str, Opening]:
        """The windows that are open at `moment`, by name."""
        windows = self._definitions.windows
        found = (opening_at(window, moment) for window in windows.values())
        openings = all_joined((one for one in found if one is not None), windows.values())
        return {opening.window.name: opening for opening in openings}

    def freezes_at(self, moment: datetime) -> tuple[FreezeState, ...]:
        """How every freeze stands at `moment`."""
        return tuple(state_at(freeze, moment) for freeze in self._definitions.freezes.values() if freeze.enabled)

    def frozen_at(self, moment: datetime) -> dict[str, FreezeState]:
        """How the freezes of policies stand at `moment`."""
        rules = [policy.rules for policy in self._definitions.policies_in_order]
        return {freeze.name: state_at(freeze, moment) for rule in rules for freeze in rule.freezes}

    def misfits(self, now: datetime) -> list[tuple[str, str]]:
        """Tasks that their window will never let start, each with what to tell of it; looked at once a minute."""
        looked_at, found = self._misfits
        if looked_at is None or not timedelta(0) <= now - looked_at < FRESH:
            found = self._find_misfits(now)
            self._misfits = (now, found)
        return found

    def _find_misfits(self, now: datetime) -> list[tuple[str, str]]:
        found = []
        for task in self._definitions.tasks.values():
            name = None if task.schedule is None else task.schedule.window
            window = None if name is None else self._definitions.windows.get(name)
            if window is None or not task.enabled:
                continue
            if (why := not_allowed(task, window)) is not None:
                found.append((task.name, why))
                continue
            estimate = expected(task, self._experience.durations.get(task.name, ()))
            if estimate is None or (estimate.seconds <= window.duration_minutes * 60 and not window.exclusions):
                continue
            why = never_fits(task, window, estimate, self._longest_of(window.name, now))
            if why is not None:
                found.append((task.name, why))
        return found

    def _longest_of(self, name: str, now: datetime) -> float | None:
        if name not in self._longest:
            windows = self._definitions.windows
            self._longest[name] = longest_minutes(windows[name], windows.values(), now)
        return self._longest[name]
