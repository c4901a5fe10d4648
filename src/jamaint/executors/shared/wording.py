"""Wording of plans: what a step takes, and what it leaves."""

from collections.abc import Sequence

from jamaint.core.formatting import span


def amount(files: int, directories: int) -> str:
    """`1,204 files`, `3 directories`, `1 file and 2 directories`."""
    parts = []
    if files or not directories:
        parts.append(f"{files:,} {'file' if files == 1 else 'files'}")
    if directories:
        parts.append(f"{directories:,} {'directory' if directories == 1 else 'directories'}")
    return " and ".join(parts)


def going(seconds: float | None, reasons: Sequence[str]) -> str:
    """What makes a file go: `older than 10 days`, `older than 1 hour or beyond 1,000 files`."""
    return " or ".join(([f"older than {span(seconds)}"] if seconds else []) + list(reasons))


def over(files: int | None, size: int | None) -> list[str]:
    """What limits make a file go, for `going`; `size` in bytes."""
    return ([] if files is None else [f"beyond {files:,} files"]) + ([] if size is None else [f"beyond {size:,} bytes"])


def left_alone(count: int, path: str, why: str) -> str:
    """What stays though it is old, by its number and the first of it."""
    if count == 1:
        return f"{path} is left alone: {why}."
    return f"{count:,} are left alone; the first is {path}: {why}."


KEPT = "Removed files go to the trash: they can be restored until it is purged, and take space until then."
