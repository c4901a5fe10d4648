"""The guard against mass deletion: what of a root would go, and whether the root is still the one it was."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jamaint.core.plans import MassDeletion

GUARD = "mass_deletion"


@dataclass(frozen=True, slots=True)
class Filesystem:
    """What a root lies on: the id that the file system gives itself, and what is mounted where."""

    id: str
    source: str
    type: str
    mount: str

    def is_same(self, other: "Filesystem") -> bool:
        """By its id, which outlives another name of the device; else by its mount, for those whose id does not last."""
        return self.id == other.id or (self.source, self.type, self.mount) == (other.source, other.type, other.mount)


@dataclass(frozen=True, slots=True)
class RootObservation:
    """A root as it was seen: how many files are meant there, and how many of them would be deleted.

    `filesystem` is None for a root that is missing; `at` is when an observation of earlier was made, for people.
    """

    path: str
    files: int
    filesystem: Filesystem | None
    doomed: int = 0
    at: str = ""


def refusals(
    now: Sequence[RootObservation], before: Mapping[str, RootObservation], limit: MassDeletion, noun: str = "files"
) -> tuple[dict[str, Any], ...]:
    """Why these roots require approval, as {guard, verdict, detail, root, items, files}; empty when they do not.

    `before` has what was seen of a root at the last run. A root that has never been seen is taken as it is.
    """
    found = [(root, _against(root, before.get(root.path), limit, noun)) for root in now]
    return tuple(refusal(root.path, root.doomed, root.files, why) for root, why in found if why is not None)


def refusal(root: str, items: int, files: int, why: str) -> dict[str, Any]:
    """Why `items` of the `files` of a root (rows of a table) need an approval, as `refusals` gives it."""
    return {"guard": GUARD, "verdict": "refuse", "detail": why, "root": root, "items": items, "files": files}


def too_many(now: RootObservation, limit: MassDeletion, noun: str) -> str | None:
    """Say why so many need an approval: both more than `items` and more than `share` would go. None: they need none."""
    if now.doomed <= limit.items or now.doomed <= limit.share * now.files:
        return None
    return (
        f"{now.path}: {now.doomed:,} of {now.files:,} {noun} would be deleted ({now.doomed / now.files:.0%}); more "
        f"than {limit.items:,} that are more than {limit.share:.0%} require approval"
    )


def to_json(observation: RootObservation) -> dict[str, Any]:
    """As it goes over a worker's pipe and to the store."""
    return asdict(observation)


def from_json(value: Mapping[str, Any]) -> RootObservation:
    """The inverse of to_json."""
    found = value["filesystem"]
    filesystem = None if found is None else Filesystem(**found)
    return RootObservation(value["path"], value["files"], filesystem, value["doomed"], value["at"])


def worth_noting(now: RootObservation, before: RootObservation | None, limit: MassDeletion) -> bool:
    """Whether an observation tells more than the one before: a run must not cost a write that says nothing new."""
    if now.filesystem is None:
        return False
    if before is None or before.filesystem != now.filesystem:
        return True
    if (now.files > 0) != (before.files > 0) or (now.files > limit.items) != (before.files > limit.items):
        return True
    return now.at[:10] != before.at[:10]


def _against(now: RootObservation, before: RootObservation | None, limit: MassDeletion, noun: str) -> str | None:
    if before is not None and before.filesystem is not None:
        last = f"when it was last worked in ({before.at[:10]})"
        if now.filesystem is None:
            return f"{now.path} is missing, and had {before.files:,} {noun} {last}: is something not mounted?"
        if not now.filesystem.is_same(before.filesystem):
            return (
                f"{now.path} is on another file system ({_named(now.filesystem)}) than {last}, "
                f"{_named(before.filesystem)}: is something not mounted, or mounted over it?"
            )
        if not now.files and before.files > limit.items:
            return f"{now.path} is empty, and had {before.files:,} {noun} {last}: were they meant to go?"
    return too_many(now, limit, noun)


def _named(filesystem: Filesystem) -> str:
    return f"{filesystem.type} {filesystem.source} at {filesystem.mount}"
