"""The calendar: which windows are open and which freezes hold, as of the last change, and when the next one is."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from jamaint.core.estimates import expected
from jamaint.core.freezes import FreezeState, state_at
from jamaint.core.guards.guard import span
from jamaint.core.windows import Opening, joined, longest_minutes, next_opening, opening_at
from jamaint.daemon.definitions import Definitions
from jamaint.daemon.experience import Experience

FRESH = timedelta(seconds=60)


class Calendar:
    """Looks only when something turns; `turns_at` None: look at the next occasion."""

    def __init__(self, definitions: Definitions, experience: Experience) -> None:
        self._definitions = definitions
        self._experience = experience
        self._longest: dict[str, float | None] = {}
        self._misfits: tuple[datetime | None, list[tuple[str, str]]] = (None, [])
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

    def turn(self, now: datetime) -> None:
        """Brings it to `now`; costs nothing until the next change."""
        if self.turns_at is not None and now < self.turns_at:
            return
        self.openings, self.freezes = self.openings_at(now), self.freezes_at(now)
        self.frozen = self.frozen_at(now)
        moments = [end for opening in self.openings.values() for end in (opening.end, opening.runs_until)]
        moments += [
            found.start for window in self._definitions.windows.values() if (found := next_opening(window, now))
        ]
        states = (*self.freezes, *self.frozen.values())
        moments += [state.changes_at for state in states if state.changes_at is not None]
        self.turns_at = min(moments, default=None)

    def openings_at(self, moment: datetime) -> dict[str, Opening]:
        """The windows that are open at `moment`, by name."""
        windows = self._definitions.windows
        found = ((name, opening_at(window, moment)) for name, window in windows.items())
        return {name: joined(opening, windows.values()) for name, opening in found if opening is not None}

    def freezes_at(self, moment: datetime) -> tuple[FreezeState, ...]:
        """How every freeze stands at `moment`."""
        return tuple(state_at(freeze, moment) for freeze in self._definitions.freezes.values() if freeze.enabled)

    def frozen_at(self, moment: datetime) -> dict[str, FreezeState]:
        """How the freezes of policies stand at `moment`."""
        rules = [policy.rules for policy in self._definitions.policies_in_order]
        return {freeze.name: state_at(freeze, moment) for rule in rules for freeze in rule.freezes}

    def misfits(self, now: datetime) -> list[tuple[str, str]]:
        """Tasks that fit into no opening of their window, each with what to tell of it; looked at once a minute."""
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
            estimate = expected(task, self._experience.durations.get(task.name, ()))
            if estimate is None or (estimate.seconds <= window.duration_minutes * 60 and not window.exclusions):
                continue
            longest = self._longest_of(window.name, now)
            if longest is not None and estimate.seconds > longest * 60:
                takes = f"{span(estimate.seconds)} ({estimate.source})"
                opens = f"no opening of window {name} is longer than {span(longest * 60)}"
                found.append((task.name, f"{task.name} fits into no window: it takes {takes}, and {opens}"))
        return found

    def _longest_of(self, name: str, now: datetime) -> float | None:
        if name not in self._longest:
            windows = self._definitions.windows
            self._longest[name] = longest_minutes(windows[name], windows.values(), now)
        return self._longest[name]
