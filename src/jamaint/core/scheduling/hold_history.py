"""Hold history: which guards kept an execution from starting, and for how long, also those that let go meanwhile.

A decision sees one moment. What an operator asks afterwards is what kept it all the time: at the end of a window
everything is closed, and the place that was taken until then is forgotten. So the moments are summed up here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jamaint.core.guards.guard import Verdict

LEAST_SECONDS = 1.0
"""What has held for less, and does not at the end, is not told."""
_PASSED = "misfire"


@dataclass(slots=True)
class Hold:
    """One guard's part: `seconds` in all, without what has passed since `since`, from when on it holds now."""

    detail: str
    seconds: float = 0.0
    since: datetime | None = None

    def until(self, now: datetime) -> float:
        """Return how long it has held by `now`, in seconds."""
        return self.seconds + (0.0 if self.since is None else max((now - self.since).total_seconds(), 0.0))


@dataclass(slots=True)
class Holds:
    """Of one execution that waits. `notes` are reasons of its row that are no guard's: what it stands for."""

    notes: tuple[Mapping[str, Any], ...] = ()
    by_guard: dict[str, Hold] = field(default_factory=dict)

    def note(self, against: Iterable[Verdict], now: datetime) -> None:
        """Take in what stands against a start at `now`; what does not any more has held until now."""
        details = {verdict.guard: verdict.detail for verdict in against}
        for guard, hold in self.by_guard.items():
            if guard not in details:
                hold.seconds, hold.since = hold.until(now), None
        for guard, detail in details.items():
            hold = self.by_guard.setdefault(guard, Hold(detail))
            hold.detail = detail
            hold.since = now if hold.since is None else hold.since

    def of_skipped(self, against: Sequence[Verdict], now: datetime) -> tuple[dict[str, Any], ...]:
        """Return the reasons of an execution that is given up for `against`: the decisive one first.

        That is the refusal, and where only its time has run out, what held it for longest.
        """
        last = {verdict.guard: verdict for verdict in against}
        told = self._told(now, but=last)
        for verdict in against:
            seconds = self.by_guard[verdict.guard].until(now) if verdict.guard in self.by_guard else 0.0
            told.append((seconds, _json(verdict, seconds)))
        too_late = _PASSED in last

        def rank(one: tuple[float, Mapping[str, Any]]) -> tuple[bool, float, bool]:
            seconds, reason = one
            refuses = reason["verdict"] == "refuse" and not too_late
            return (not refuses, -seconds, reason["guard"] != _PASSED)

        return (*(reason for _, reason in sorted(told, key=rank)), *map(dict, self.notes))

    def of_started(self, now: datetime) -> tuple[dict[str, Any], ...]:
        """Return the reasons of an execution that starts now: what had held it, the longest first."""
        told = sorted(self._told(now), key=lambda one: -one[0])
        return (*(reason for _, reason in told), *map(dict, self.notes))

    def _told(self, now: datetime, but: Iterable[str] = ()) -> list[tuple[float, dict[str, Any]]]:
        held = [(hold.until(now), guard, hold.detail) for guard, hold in self.by_guard.items() if guard not in but]
        return [
            (seconds, _json(Verdict(guard, "wait", detail), seconds))
            for seconds, guard, detail in held
            if seconds >= LEAST_SECONDS
        ]


def restored(reasons: Iterable[Mapping[str, Any]]) -> Holds:
    """Return the holds of an execution as its row has them: it has waited over a restart."""
    known = tuple(reasons)
    held = {one["guard"]: Hold(one["detail"], float(one["held_seconds"])) for one in known if "held_seconds" in one}
    return Holds(tuple(one for one in known if one["guard"] == _PASSED), held)


def _json(verdict: Verdict, seconds: float) -> dict[str, Any]:
    return verdict.to_json() | ({"held_seconds": round(seconds, 1)} if seconds >= LEAST_SECONDS else {})
