"""What every executor is: it plans without touching, does one step, puts it back, and at last lets the way back go."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from jamaint.core.held_places import HoldRecord
from jamaint.core.plans import Item, MassDeletion, Plan, Step
from jamaint.core.rate_limits import WindowEnd
from jamaint.core.rotation_records import Records
from jamaint.core.safety.deletion_guard import RootObservation
from jamaint.files.trash.inventory import Part


class Planned(Protocol):
    """A stored plan that is to be carried out."""

    def items(self) -> Iterable[tuple[str, Item]]:
        """(step, item), in the order of the plan, as often as it is asked for."""


class Taken(Protocol):
    """The record of what an execution took: see files.trash.inventory."""

    def parts(self, key: Sequence[str]) -> Iterator[Part]:
        """Return the files that were taken, of one (trash, step, root), directory by directory."""


NOWHERE = "/nonexistent"
"""What a rollback point made before there was such a directory has for it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one execution is given. `config` is the task's, normalised: seconds and bytes; `now` is when it started."""

    execution: str
    task_name: str
    config: Mapping[str, Any]
    keeps_way_back: bool
    mass_deletion: MassDeletion
    timeout_seconds: float | None
    now: datetime
    low_space: float
    """Share of a file system (0..1); with less than that free, files are unlinked and not kept in the trash."""
    when_full: str = "keep"
    """keep or unlink: what becomes of files on a disk that is full."""
    kept_directory: str = NOWHERE
    """Where what has no place of its own to be kept in (values of a cache) is kept, a directory for each execution."""
    window_end: WindowEnd = field(default_factory=WindowEnd)
    """What is done bit by bit leaves the rest for the next opening, or waits for it."""
    planned: Planned | None = None
    """Where it is given, `plan` and `run` act on its items and on nothing else."""
    taken: "Taken | None" = None
    """In an undo, what was taken, from a record that does not lie in the trash."""
    seen: Mapping[str, RootObservation] = field(default_factory=dict)
    """By path, what was seen of a root at the last run."""
    rotations: Records = field(default_factory=Records)
    """What is remembered of each log that was rotated."""
    held: Sequence[HoldRecord] = ()
    """What undos have put back, as they told it (files.trash.recently_restored): it is not to be
    cleaned again at once."""


class Host(Protocol):
    """How an executor speaks while it works."""

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Says how far the step is; `unit` is items or bytes. Cheap: call it as often as you like."""

    def log(self, level: str, message: str) -> None:
        """Writes one line to the execution's log; `level` is info, warning or error."""

    def waiting(self, why: str) -> None:
        """Says for whom or what the step waits, until it next tells its progress; with no text, that it goes on."""

    def checkpoint(self) -> None:
        """A safe point: waits while the execution is paused, throttled or over its limits, and raises
        StopRequestedError when it is to stop. To be called at least once a second where that can be, with nothing
        locked that others need."""

    def paused(self) -> int:
        """For what cannot wait in `checkpoint` and stands still in its own way: the number of the pause that is in
        force, else 0. Raises StopRequestedError as `checkpoint` does."""

    def taken(self, block: bytes) -> None:
        """Have a block of files.trash.inventory written down, of what is about to be taken; return when it is.

        Raises stops.NotRecordedError where it cannot be: then nothing of it may be taken. Raises StopRequestedError.
        """

    def alone(self) -> bool:
        """Whether no second process may help: while it is paused or throttled, or keeps limits."""

    def portion(self, most: int) -> int:
        """How many of up to `most` items may be done before the next safe point: with limits, a second's worth."""

    def held(self, number: int) -> None:
        """Says that it stands still now, in the pause of that number; `checkpoint` does so by itself."""


class StopRequestedError(Exception):
    """The execution is to stop here, where nothing is half done. Passes through an executor."""


class StepError(Exception):
    """The only error an executor raises on purpose; `details` are the figures of what was done all the same."""

    def __init__(self, message: str, kind: str = "failed", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind  # failed, refused (a guard), timeout, exit, unsafe
        self.details = dict(details or {})


class Executor(Protocol):
    """One kind of work. It lives in a worker process of its own, for one execution."""

    def __init__(self, work: Work, host: Host) -> None: ...

    def plan(self) -> Plan:
        """Looks and changes nothing, so that the plan is the dry run. Raises StepError when a guard refuses."""

    def run(self, step: Step) -> dict[str, Any]:
        """Does one planned step and returns its details. Raises StepError, StopRequestedError."""

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """Puts back what `run` did: {restored, removed, kept, problems}. Right also when `run` was cut short or
        never began, and when it is called again."""

    def purge(self, step: Step) -> dict[str, Any]:
        """Lets the way back go: {freed_space, items}."""


class Releases(Protocol):
    """An executor that writes down by itself what an undo has put back: see core.held_places.KEPT_ELSEWHERE."""

    def release(self, step: Step, path: str | None) -> None:
        """Forgets what is held of a step's undo, or only of one table. Raises StepError. Harmless twice."""


class Tell(Protocol):
    """Takes the items of a step as they are found; `part` says of which part of it, where it has several."""

    def __call__(self, item: Item, part: str = "") -> None: ...


class Itemised(Protocol):
    """An executor whose plans can be stored item by item, and carried out exactly: it heeds `Work.planned`.

    Any other's stored plan is carried out only if a new plan has the same steps.
    """

    def items(self, step: Step, tell: Tell) -> None:
        """Tells what a step of the plan just made would act on, one by one. Asked for only when a plan is stored."""
