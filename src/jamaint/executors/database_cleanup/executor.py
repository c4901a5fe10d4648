"""database.cleanup: deletes old rows of a live PostgreSQL in small batches, and keeps them for a rollback."""

from functools import partial
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.databases import removal
from jamaint.databases.plan_items import items_of, promise_of
from jamaint.databases.rows import cleanup
from jamaint.executors.shared.database_session import on_target
from jamaint.executors.shared.executor import Host, Tell, Work


class DatabaseCleanup:
    """One step, `data_cleanup`: all rules, in the order of the task's config."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work = work
        self._host = host
        self._job = cleanup.Job(
            execution=work.execution,
            task=work.task_name,
            rules=work.config["cleanup_old_data"],
            keeps_way_back=work.keeps_way_back,
            mass_deletion=work.mass_deletion,
            now=work.now,
            promise=None if work.planned is None else promise_of(work.planned.items()),
        )

    def items(self, step: Step, tell: Tell) -> None:
        """See Itemised: the rules, each with its cutoff and how many rows it means."""
        for item in items_of(step, self._work.now):
            tell(item)

    def plan(self) -> Plan:
        """Raises StepError for what cannot be understood or put back; a mass deletion is among the refusals."""
        found = on_target(self._work, self._host, lambda target, _: cleanup.plan(target, self._job))
        return Plan((found.step,), tuple(found.warnings), tuple(found.refusals))

    def run(self, step: Step) -> dict[str, Any]:
        """Deletes. Raises StepError and StopRequestedError, both with the figures of what was done all the same."""
        tally: dict[str, Any] = {}
        on_target(
            self._work, self._host, lambda target, reins: cleanup.run(target, self._job, step, reins, tally), tally
        )
        return tally

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """Puts the rows back that are kept; what is in their place now is not overwritten."""
        return on_target(self._work, self._host, lambda target, reins: cleanup.undo(target, step, reins, dry_run))

    def release(self, step: Step, path: str | None) -> None:
        """See Releases."""
        on_target(self._work, self._host, lambda target, _: cleanup.release(target, step, path))

    def purge(self, step: Step) -> dict[str, Any]:
        """Drops what is kept, which frees its space."""
        asked = step.undo or {}
        if asked.get("forget"):
            forget = partial(removal.forget, with_kept=asked["with_kept"], dry_run=asked["dry_run"])
            return on_target(self._work, self._host, lambda target, _: forget(target))
        return on_target(self._work, self._host, lambda target, reins: cleanup.purge(target, step, reins))
