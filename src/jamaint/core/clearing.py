"""Clearing: how a plan says what it takes, and what was left."""

from jamaint.core.logs import span


def amount(files: int, directories: int) -> str:
    """`1,204 files`, `3 directories`, `1 file and 2 directories`."""
    parts = []
    if files or not directories:
        parts.append(f"{files:,} {'file' if files == 1 else 'files'}")
    if directories:
        parts.append(f"{directories:,} {'directory' if directories == 1 else 'directories'}")
    return " and ".join(parts)


def older(files: int, directories: int, path: str, seconds: float) -> str:
    """What one path's part of a step takes."""
    return f"{amount(files, directories)} older than {span(seconds)} from {path}"


KEPT = "What goes is kept in the trash: it can be put back until the trash is emptied, and takes its space until then."
