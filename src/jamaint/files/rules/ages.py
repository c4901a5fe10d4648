"""Ages: which of its times make a file or directory old enough to go, and which one has kept it.

All times that are asked for must be older than the age: a file that was only read keeps its age of reading. What is as
old as the age to the nanosecond stays, and so does what has a time in the future.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

ACCESS, BIRTH, CHANGE, MODIFICATION = "access", "birth", "change", "modification"
TIMES = (ACCESS, BIRTH, CHANGE, MODIFICATION)
FILES_BY = TIMES
DIRECTORIES_BY = (ACCESS, BIRTH, MODIFICATION)
"""Not the time of change: it moves when something in the directory is removed, by us too."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Old = Callable[[Any], bool]
"""A test of an os.stat_result."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How old something has to be, in seconds, and by which of its times; no seconds: everything is old enough."""

    seconds: float = 0
    files_by: Sequence[str] = FILES_BY
    directories_by: Sequence[str] = DIRECTORIES_BY

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Ages":
        """From `age_seconds` and `age_by` of a normalised config."""
        by = config.get("age_by") or {}
        return cls(config["age_seconds"], by.get("files", FILES_BY), by.get("directories", DIRECTORIES_BY))


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970, exact."""
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000


def limit(now: datetime, seconds: float) -> int:
    """The moment in nanoseconds before which something is older than `seconds`."""
    whole = int(seconds)
    return nanoseconds(now) - whole * 10**9 - round((seconds - whole) * 10**9)


def old(by: Sequence[str], before: int | None) -> Old:
    """A test whether all those times, but for that of birth, lie before a moment; None for one that all pass."""
    if before is None:
        return lambda _seen: True
    access, change, modification = ACCESS in by, CHANGE in by, MODIFICATION in by
    if access and change and modification:
        return lambda seen: seen.st_mtime_ns < before and seen.st_atime_ns < before and seen.st_ctime_ns < before
    if access and modification:
        return lambda seen: seen.st_mtime_ns < before and seen.st_atime_ns < before
    if modification and not access and not change:
        return lambda seen: bool(seen.st_mtime_ns < before)

    def test(seen: Any) -> bool:
        return (
            (not modification or seen.st_mtime_ns < before)
            and (not access or seen.st_atime_ns < before)
            and (not change or seen.st_ctime_ns < before)
        )

    return test


class Times(Protocol):
    """Times of many files, as columns in one order; `which` is ACCESS, CHANGE or MODIFICATION."""

    count: int

    def seconds(self, which: str) -> list[int]:
        """Whole seconds since 1970, rounded down."""

    def nanoseconds(self, which: str) -> list[int]:
        """The same in nanoseconds."""


def sift(by: Sequence[str], before: int | None, seen: Times) -> tuple[Sequence[int], Mapping[str, int]]:
    """(numbers of the files that old() finds old, how many of the others each time of youngest() has kept)."""
    asked = [which for which in by if which != BIRTH]
    if before is None or not seen.count or all(max(seen.seconds(which)) < before // 10**9 for which in asked):
        return range(seen.count), {}
    times = [seen.nanoseconds(which) for which in asked]
    latest = times[0] if len(times) == 1 else list(map(max, *times))
    aged = [number for number, time in enumerate(latest) if time < before]
    if len(asked) == 1:
        return aged, {asked[0]: seen.count - len(aged)} if len(aged) < seen.count else {}
    each = zip(zip(*times, strict=True), latest, strict=True)
    return aged, Counter(asked[one.index(last)] for one, last in each if last >= before)


def asks_for_birth(by: Sequence[str], seen: Any, before: int | None) -> bool:
    """Whether the time of birth, which costs a call of its own, can still keep something whose other times are old.

    Nothing is born after its last change, so an old time of change answers it.
    """
    return before is not None and BIRTH in by and seen.st_ctime_ns >= before


def youngest(by: Sequence[str], seen: Any) -> str:
    """Which of those times is the latest, but for that of birth: what kept a young file."""
    times = {ACCESS: seen.st_atime_ns, CHANGE: seen.st_ctime_ns, MODIFICATION: seen.st_mtime_ns}
    return max((name for name in by if name in times), key=times.__getitem__, default=BIRTH)
