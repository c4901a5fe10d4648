"""What a condition is: a look at the machine, judged. The figures that were found are in what it says, met or not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jamaint.core.tasks import Condition

Params = Mapping[str, Any]


class Finding(NamedTuple):
    """Whether a condition holds, and in a person's words what was found; `is_pending` while that is being looked at."""

    holds: bool
    says: str
    is_pending: bool = False


class Unknown(NamedTuple):
    """What could not be learnt, and why; `is_pending` while somebody is looking still."""

    why: str
    is_pending: bool = False


class Kind(NamedTuple):
    """One kind of condition: what it asks about, and how a fact is judged (never Unknown: that is judged for all)."""

    subject: Callable[[Params], str]
    judge: Callable[[Params, Any], Finding]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found right now, by the question of the condition that asked; what was not looked at is unknown."""

    found: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, condition: Condition) -> Any:
        """The fact that `condition` asks for, or Unknown."""
        return self.found.get(condition.question, Unknown("not checked, because no start was possible"))


def size(count: float) -> str:
    """Bytes in binary units, for a person: `512 B`, `1.2 GiB`."""
    if abs(count) < 1024:
        return f"{count:.0f} B"
    units = ["EiB", "PiB", "TiB", "GiB", "MiB", "KiB"]
    count /= 1024
    while abs(count) >= 1023.95 and len(units) > 1:
        count /= 1024
        units.pop()
    return f"{count:.1f} {units[-1]}"


def span(seconds: float) -> str:
    """A length of time in its two largest units, for a person: `40 s`, `2 h 5 min`, `3 d`."""
    whole = round(seconds)
    if abs(seconds) < 10 and seconds != whole:
        return f"{seconds:.1f} s"
    for length, name, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length:
            rest = whole % length // below
            return f"{whole // length} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def share(part: float) -> str:
    """A share of 0..1, for a person: `5%`, `4.9%`."""
    return f"{part:.1%}".replace(".0%", "%")


def count(number: int, noun: str) -> str:
    """`1 user`, `2 users`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
