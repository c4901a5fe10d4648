"""Rotation records: when each log of a task was last rotated, and whether its writers were told.

The daemon keeps them, hands them to the worker and takes over what that gives back. An execution whose rotation was
begun and never reported is open: for it the worker asks the disk, and reports what it found under that execution.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

REPORT = "rotations"
"""The key of a step's details under which a worker reports; it is for the daemon alone."""


@dataclass(frozen=True, slots=True)
class RotationRecord:
    """One rotation of one log, by the execution that did it."""

    path: str
    rotated_at: datetime
    is_told: bool
    execution: str


@dataclass(frozen=True, slots=True)
class OpenRotation:
    """An execution whose rotation was begun and never reported."""

    execution: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another task that rotates logs, with its patterns."""

    task: str
    patterns: tuple[str, ...]
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Records:
    """What a worker is told: the newest record of each log, open rotations, and the other tasks that rotate."""

    of_logs: Mapping[str, RotationRecord] = field(default_factory=dict)
    open_rotations: tuple[OpenRotation, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def open_rotation(self) -> OpenRotation | None:
        """The newest of the open ones."""
        return max(self.open_rotations, key=lambda one: one.begun_at, default=None)


def to_json(records: Records) -> dict[str, Any]:
    """As it goes over a worker's pipe."""
    return {
        "block": pack(records.of_logs.values()),
        "open": [[one.execution, one.begun_at.isoformat()] for one in records.open_rotations],
        "neighbours": [[one.task, list(one.patterns), list(one.exclude)] for one in records.neighbours],
    }


def from_json(value: Mapping[str, Any]) -> Records:
    """The inverse of to_json."""
    return Records(
        {one.path: one for one in unpack(value["block"])},
        tuple(OpenRotation(execution, datetime.fromisoformat(at)) for execution, at in value["open"]),
        tuple(Neighbour(task, tuple(patterns), tuple(exclude)) for task, patterns, exclude in value["neighbours"]),
    )


def pack(records: Iterable[RotationRecord]) -> str:
    """Records as one compressed text, for there may be one for each of many thousand logs."""
    rows = [[one.path, one.rotated_at.isoformat(), one.is_told, one.execution] for one in records]
    return b64encode(zlib.compress(json.dumps(rows).encode(), 1)).decode()


def unpack(block: str) -> Sequence[RotationRecord]:
    """The inverse of pack."""
    rows = json.loads(zlib.decompress(b64decode(block)))
    return [RotationRecord(path, datetime.fromisoformat(at), told, execution) for path, at, told, execution in rows]
