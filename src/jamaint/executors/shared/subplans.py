"""Plan items of an executor that has others do its steps, and their parts of a stored plan."""

from collections.abc import Callable, Iterator

from jamaint.core.plans import Item, Step
from jamaint.executors.shared.executor import Executor, Planned, Tell

Items = Callable[[Step, Tell], None]
"""See Itemised."""


def items_of(executor: Executor | None) -> Items | None:
    """What tells its items; None for one that is not itemised."""
    return getattr(executor, "items", None)


def named(tell: Tell, name: str) -> Tell:
    """`tell` for the items of a step's part: parts can have parts of their own."""

    def told(item: Item, part: str = "") -> None:
        tell(item, f"{name}/{part}" if part else name)

    return told


class PartOfPlan:
    """The items of a stored plan that are a part's own, as it told them."""

    def __init__(self, planned: Planned, step: str) -> None:
        self._planned, self._above = planned, f"{step}/"

    def items(self) -> Iterator[tuple[str, Item]]:
        """See Planned."""
        for step, item in self._planned.items():
            if step.startswith(self._above):
                yield step.removeprefix(self._above), item
