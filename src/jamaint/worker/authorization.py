"""Authorization in a worker that is a unit: it does only what root's own configuration names."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from jamaint.core.plans import Item
from jamaint.core.safety.retained_access import with_former
from jamaint.core.safety.sandbox import refused, refused_item, refused_look, refused_step
from jamaint.host.applied_sandbox import applied
from jamaint.host.plan_file import PlanFileError, StoredItems

BACK = frozenset({"undo", "purge", "release"})
"""Operations that are done also for a task that the configuration names no more."""


def why_only_back(unit: str, opening: Mapping[str, Any]) -> tuple[str | None, bool]:
    """(why not, whether an undo or a purge would do all the same): (None, True) where all of it is allowed."""
    executor, config, there = opening["executor"], opening["task"]["config"], applied()
    why = refused(unit, executor, config, there)
    if why is None:
        return None, True
    return why, refused(unit, executor, config, with_former(there, datetime.now(UTC)), back=True) is None


def trusted_groups() -> list[str]:
    """Groups that root's own configuration trusts, whatever an opening says."""
    return list(applied().get("trust", ()))


def why_not(unit: str, order: Mapping[str, Any]) -> str | None:
    """Why an order is not done whose opening was allowed, or None: its step names what it works on anew."""
    there = applied()
    if order.get("do") in BACK:
        there = with_former(there, datetime.now(UTC))
    return refused_step(unit, order.get("step") or {}, there)


def looked_at(unit: str, order: dict[str, Any]) -> dict[str, Any]:
    """An order to look with why it is not done, for each condition that root's own configuration does not name."""
    if order.get("do") != "look":
        return order
    there = applied()
    conditions = [
        {**one, "refused": refused_look(unit, one["kind"], one["params"], there)} for one in order["conditions"]
    ]
    return {**order, "conditions": conditions}


class AllowedItems:
    """The items of a stored plan, as far as the worker may work on them: the daemon has opened the file."""

    def __init__(self, unit: str, items: StoredItems) -> None:
        self._unit, self._items = unit, items

    def items(self) -> Iterator[tuple[str, Item]]:
        """See StoredItems. Raises Unreadable, also for an item elsewhere."""
        there = applied()
        for step, item in self._items.items():
            why = refused_item(self._unit, item.root, item.path, there)
            if why is not None:
                raise PlanFileError(why)
            yield step, item
