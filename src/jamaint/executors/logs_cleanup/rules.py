"""What becomes of a log: by its age, name and size; and how a plan of that says so.

A log's age is counted from its last writing (mtime) alone. Its ctime also moves when it is rotated by rename, gets
another owner or loses a hard link, and with it every rotation would make all logs young again; what is said for ctime
elsewhere, files unpacked with an old mtime, does not happen to logs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jamaint.core.formatting import span
from jamaint.files.rules.compressed_names import PACKED

CLEANUP, COMPRESSION, ARCHIVE = "cleanup", "compression", "archive"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LogRules:
    """When a log is deleted, compressed, archived: the ages in seconds, None where that is not asked for."""

    now: datetime
    retention_seconds: float
    compress_seconds: float | None = None
    algorithm: str = "gzip"
    archive_seconds: float | None = None
    archive_directory: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any], now: datetime) -> "LogRules":
        """The rules of a normalised logs.cleanup config."""
        compress, archive = config.get("compress") or {}, config.get("archive") or {}
        return cls(
            now,
            config["retention_seconds"],
            compress.get("older_than_seconds"),
            compress.get("algorithm", "gzip"),
            archive.get("older_than_seconds"),
            archive.get("directory", ""),
        )

    @property
    def now_ns(self) -> int:
        """Nanoseconds since 1970, exact."""
        since = self.now - _EPOCH
        return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000

    def before(self, seconds: float | None) -> int | None:
        """The moment in nanoseconds; what was last written earlier than it is older than `seconds`."""
        if seconds is None:
            return None
        whole = int(seconds)
        return self.now_ns - whole * 10**9 - round((seconds - whole) * 10**9)

    def steps(self) -> tuple[str, ...]:
        """The steps that are asked for, in their order."""
        asked = (True, self.compress_seconds is not None, self.archive_seconds is not None)
        return tuple(name for name, wanted in zip((CLEANUP, COMPRESSION, ARCHIVE), asked, strict=True) if wanted)

    def says(self, step: str, count: int, suffix: str) -> str:
        """What a step will do, in a colleague's words; `suffix` is what compressed files will end in."""
        files = "1 log" if count == 1 else f"{count} logs"
        if step == CLEANUP:
            return f"Delete {files} last written more than {span(self.retention_seconds)} ago."
        if step == COMPRESSION:
            return f"Compress {files} last written more than {span(self.compress_seconds or 0)} ago to {suffix}."
        return f"Move {files} last written more than {span(self.archive_seconds or 0)} ago to {self.archive_directory}."


class Sorting:
    """Sorts logs into the steps; each belongs to the first that wants it."""

    def __init__(self, rules: LogRules) -> None:
        self._cleanup = rules.before(rules.retention_seconds) or 0
        self._compression = rules.before(rules.compress_seconds)
        self._archive = rules.before(rules.archive_seconds)

    def __call__(self, name: str, size: int, mtime_ns: int, names: int, archived: bool) -> str:
        """The step for a file, or the empty text. `names` are its hard links; `archived` if it is in the archive.

        As old as the limit to the nanosecond is kept, and so is what was written in the future.
        """
        if mtime_ns < self._cleanup:
            return CLEANUP
        if (
            self._compression is not None
            and mtime_ns < self._compression
            and size > 0
            and names == 1
            and not name.lower().endswith(PACKED)
        ):
            return COMPRESSION
        if self._archive is not None and mtime_ns < self._archive and not archived:
            return ARCHIVE
        return ""

    def hard_linked(self, name: str, size: int, mtime_ns: int, names: int) -> bool:
        """Whether a file would be compressed if it had no second name, whose reader would find the old file."""
        return (
            names > 1
            and size > 0
            and self._compression is not None
            and self._cleanup <= mtime_ns < self._compression
            and not name.lower().endswith(PACKED)
        )
