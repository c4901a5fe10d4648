"""Purge: empties trash and kept rows before their time."""

from typing import Any

from jamaint.daemon.control.commands.command import Call, Daemon, execution_of, take, writable
from jamaint.daemon.execution.early_purges import EarlyPurge
from jamaint.errors import invalid, refused
from jamaint.schema import paths, units

MOST = 1000
"""Executions that one call may name."""


async def purge(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Purges what some executions keep, or the oldest until a disk has space, or all. Goes on also when the caller
    hangs up."""
    references, share, path, everything, incomplete, dry_run = take(
        call, executions=list, until_free=(str, int, float), path=str, all=bool, incomplete=bool, dry_run=bool
    )
    _refuse_slips(references, share, path, everything, dry_run)
    ids = [(await execution_of(daemon, each)).id for each in _references(references)] if references else None
    goal = None if share is None else (_share(share), None if path is None else _path(path))
    if not dry_run:
        writable(daemon)
    work = EarlyPurge(daemon.rollbacks, daemon.postgres, call.user, incomplete=bool(incomplete), dry_run=bool(dry_run))
    pending = daemon.background(work.of_executions, ids) if goal is None else daemon.background(work.until_free, *goal)
    result: dict[str, Any] = await pending.wait()
    if ids and not result["items"]:
        _refuse(result["skipped"])
    return result


def _refuse_slips(references: Any, share: Any, path: Any, everything: Any, dry_run: Any) -> None:
    """What is gone is gone: what is meant has to be said."""
    if not references and share is None and not everything and not dry_run:
        problem = "is needed, or until_free, or all: a purge deletes undo data for good, so name the executions"
        raise invalid("executions", problem)
    if references and (share is not None or everything):
        raise invalid("executions", "cannot be combined with until_free or all")
    if path is not None and share is None:
        raise invalid("path", "is allowed only with until_free")


def _references(references: list[Any]) -> list[str]:
    if len(references) > MOST:
        raise invalid("executions", f"may have at most {MOST} items")
    for each in references:
        if not isinstance(each, str):
            raise invalid("executions", "must be a list of strings")
    return references


def _share(value: Any) -> float:
    try:
        return units.share(value)
    except ValueError as error:
        raise invalid("until_free", str(error)) from None


def _path(value: str) -> str:
    try:
        return paths.absolute(value)
    except ValueError as error:
        raise invalid("path", str(error)) from None


def _refuse(skipped: list[dict[str, Any]]) -> None:
    """Raises JamaintError: nothing of what was named went."""
    reasons = [
        {"guard": "purge", "verdict": "refuse", "detail": f"{one['execution_id'][:8]}: {one['why']}"} for one in skipped
    ]
    raise refused(f"cannot purge {skipped[0]['execution_id'][:8]}: {skipped[0]['why']}", reasons)
