"""Caches: which keys go, and from which idle time on, so that as much memory is free as is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CacheRules:
    """Which keys go: those of `pattern`, idle for so long, and (where asked) only those without an expiry.

    With `max_memory_share` (0..1) keys go only while the server uses more than that share of what it may use; the
    longest idle first.
    """

    pattern: str
    idle_seconds: float | None = None
    missing_expiry: bool = False
    max_memory_share: float | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "CacheRules":
        """From a task's normalised config."""
        return cls(config["pattern"], config["idle_for_seconds"], config["missing_expiry"], config["max_memory_share"])

    def says(self) -> str:
        """For a person: which keys they are."""
        which = [f"that match {self.pattern}"]
        if self.idle_seconds is not None:
            which.append(f"were not used for {self.idle_seconds:g} s")
        if self.missing_expiry:
            which.append("have no expiry")
        return ", ".join(which)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server says of its memory, in bytes. `maximum` is what it may use: its limit, or the whole machine's."""

    used: int
    maximum: int

    @property
    def share(self) -> float:
        """0..1 of what it may use; 0 where that is not known."""
        return self.used / self.maximum if self.maximum else 0.0


def to_free(memory: Memory, share: float | None) -> int | None:
    """How many bytes must go so that no more than `share` is used; None where none was asked for: all that match."""
    return None if share is None else max(0, memory.used - int(memory.maximum * share))


@dataclass(slots=True)
class IdleTimes:
    """Keys and bytes by how long they have been idle, in classes each twice as long as the one before."""

    keys: dict[int, int] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)

    def add(self, idle_seconds: int, size: int) -> None:
        """Counts one key."""
        kind = idle_seconds.bit_length()
        self.keys[kind] = self.keys.get(kind, 0) + 1
        self.bytes[kind] = self.bytes.get(kind, 0) + size

    def since(self, idle_seconds: int) -> tuple[int, int]:
        """Keys and bytes of the classes that begin at `idle_seconds` or above."""
        kinds = [kind for kind in self.keys if _least(kind) >= idle_seconds]
        return sum(self.keys[kind] for kind in kinds), sum(self.bytes[kind] for kind in kinds)

    def cutoff(self, need: int) -> int:
        """The longest idle time from which on the keys have `need` bytes together; 0 when all of them have not."""
        found = 0
        for kind in sorted(self.bytes, reverse=True):
            found += self.bytes[kind]
            if found >= need:
                return _least(kind)
        return 0


def _least(kind: int) -> int:
    """The shortest idle time of a class, in seconds."""
    return 0 if kind == 0 else 1 << (kind - 1)


TARGET_SECONDS = 0.005
"""A batch keeps the server from answering others for about as long as this."""
LEAST_BATCH, MOST_BATCH = 10, 1_000


def next_batch(size: int, took_seconds: float) -> int:
    """How many keys the next batch has, so that it takes about TARGET_SECONDS: half after one that took too long."""
    wished = size // 2 if took_seconds > TARGET_SECONDS else size + max(1, size // 5)
    return min(max(wished, LEAST_BATCH), MOST_BATCH)
