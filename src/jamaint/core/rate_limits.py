"""Rate limits: the rest that keeps a ratio of rest to work, and so many operations and bytes a second."""

from dataclasses import dataclass, field
from datetime import datetime

LEAST_SECONDS = 0.005
"""A rest that is shorter is owed until it is worth while."""

HIGHEST_RATIO = 1000.0


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many a second, on an average over what is done between two safe points; None: as fast as it goes."""

    operations_per_second: float | None = None
    bytes_per_second: float | None = None

    def portion(self, most: int) -> int:
        """How many of up to `most` items may be done between two safe points: as many as one second allows."""
        rate = self.operations_per_second
        return most if not rate else max(1, min(most, int(rate)))


@dataclass(slots=True)
class WindowEnd:
    """The end that a running execution keeps to, None for none; a resume in a later opening moves it.

    `pauses`: at the end the execution is paused until its window opens again, and does not end by itself.
    """

    at: datetime | None = None
    pauses: bool = False


@dataclass(slots=True)
class Pacing:
    """Moments are monotonic, in seconds. `ratio`: seconds to rest for each second worked (nice-ratio of gh-ost)."""

    limits: Limits
    since: float
    ratio: float = 0.0
    _owed: float = 0.0
    _free_at: dict[str, float] = field(default_factory=dict)
    _done: dict[str, int] = field(default_factory=dict)

    def note(self, unit: str, done: int, now: float) -> None:
        """So much of the operation is done by now; `unit` is items or bytes."""
        rate = self.limits.bytes_per_second if unit == "bytes" else self.limits.operations_per_second
        if not rate:
            return
        last = self._done.get(unit, 0)
        more = done - last if done >= last else done
        self._done[unit] = done
        self._free_at[unit] = max(self._free_at.get(unit, now), now) + more / rate

    def work_ends(self, now: float) -> None:
        """Work has come to a safe point."""
        self._owed += (now - self.since) * self.ratio
        self.since = now

    def rest(self, now: float) -> float:
        """Seconds to rest from now on; 0 when work may go on."""
        owed = self._owed - (now - self.since) if self.ratio else 0.0
        left = max(owed, *(moment - now for moment in self._free_at.values())) if self._free_at else owed
        return left if left >= LEAST_SECONDS else 0.0

    def work_begins(self, now: float) -> None:
        """Work goes on."""
        self._owed = max(0.0, self._owed - (now - self.since)) if self.ratio else 0.0
        self.since = now
