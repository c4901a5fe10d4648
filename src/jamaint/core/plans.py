"""Plans: the steps of one execution, each with its way back, and the order in which that is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Step:
    """One step as planned. `args` is what the executor needs to do it, `undo` what it needs to put it back.

    `undo` is None where there is no way back; `says` tells a person what it will do, and why there is no way back.
    """

    name: str
    says: str
    args: Mapping[str, Any] = field(default_factory=dict)
    undo: Mapping[str, Any] | None = None
    items: int = 0
    bytes: int = 0
    sample: tuple[Mapping[str, Any], ...] = ()  # the first items, for a person to look at
    independent: bool = False  # done also when an earlier step has failed


class Item(NamedTuple):
    """One thing that a step of a stored plan would act on, as it was: a file below a root, its times in nanoseconds.

    It is acted on only if it still is what it was.
    """

    root: str
    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an execution would do now. `warnings` are things that were seen and left alone, and why.

    `refusals` are why it may not be carried out unless that very plan is approved, as {guard, verdict, detail, …};
    `roots` what was seen of each root, to be compared at the next run: see core.safety.deletion_guard.
    """

    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    refusals: tuple[Mapping[str, Any], ...] = ()
    roots: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class MassDeletion:
    """A plan that would delete more than `items` files and more than `share` (0..1) of a root is refused."""

    share: float = 0.25
    items: int = 50


def undo_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps that have a way back, last first. Each undo is right also if its step was cut short or never began."""
    return tuple(step for step in reversed(steps) if step.undo is not None)


def parts_of(step: Step) -> tuple[Step, ...]:
    """The steps that one is made of; none for most."""
    inner = step.args.get("step")
    return tuple(map(step_from_json, step.args.get("steps") or ([inner] if isinstance(inner, Mapping) else ())))


def step_to_json(step: Step) -> dict[str, Any]:
    """The step as it goes to the store and over a worker's pipe."""
    return {
        "name": step.name,
        "says": step.says,
        "args": dict(step.args),
        "undo": None if step.undo is None else dict(step.undo),
        "items": step.items,
        "bytes": step.bytes,
        "sample": [dict(item) for item in step.sample],
        "independent": step.independent,
    }


def step_from_json(value: Mapping[str, Any]) -> Step:
    """The inverse of step_to_json."""
    return Step(
        name=value["name"],
        says=value["says"],
        args=value["args"],
        undo=value["undo"],
        items=value["items"],
        bytes=value["bytes"],
        sample=tuple(value.get("sample", ())),
        independent=bool(value.get("independent", False)),
    )
