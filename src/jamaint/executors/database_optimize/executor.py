"""database.optimize: looks at a live PostgreSQL, rebuilds and drops indexes, refreshes statistics, deletes old rows."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.databases import removal
from jamaint.databases.connection import Target
from jamaint.databases.indexes import rebuild as rebuilding
from jamaint.databases.indexes import unused
from jamaint.databases.maintenance import analysis, analyze_vacuum
from jamaint.databases.pacing import Doing, StatementControl
from jamaint.databases.plan_items import items_of, promise_of
from jamaint.databases.rows import cleanup
from jamaint.executors.shared.database_session import on_target
from jamaint.executors.shared.executor import Host, Tell, Work

Run = Callable[[Doing], Awaitable[None]]


class DatabaseOptimize:
    """The steps of the specification that the config asks for, in its order; the analysis comes in any case."""

    def __init__(self, work: Work, host: Host) -> None:
        config = work.config
        self._work = work
        self._host = host
        self._rule = rebuilding.Rule(config["fragmentation"], config["expression_indexes"])
        self._job = cleanup.Job(
            execution=work.execution,
            task=work.task_name,
            rules=config["cleanup_old_data"],
            keeps_way_back=work.keeps_way_back,
            mass_deletion=work.mass_deletion,
            now=work.now,
            promise=None if work.planned is None else promise_of(work.planned.items()),
        )

    def items(self, step: Step, tell: Tell) -> None:
        """See Itemised: indexes and tables by their oids, rules of old rows with cutoff and number of rows."""
        for item in items_of(step, self._work.now):
            tell(item)

    def plan(self) -> Plan:
        """Raises StepError for what cannot be understood or put back; a mass deletion is among the refusals."""
        return on_target(self._work, self._host, self._plan)

    def run(self, step: Step) -> dict[str, Any]:
        """Does one step. Raises StepError and StopRequestedError, both with the figures of what was done all the
        same."""
        tally: dict[str, Any] = {}
        run, work = self._runs()[step.name], self._work

        async def do(target: Target, reins: StatementControl) -> None:
            await run(Doing(target, reins, work.execution, work.now, step, tally))

        on_target(work, self._host, do, tally)
        return tally

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """Builds dropped indexes again, and puts rows back."""
        undo = unused.undo if step.name == unused.NAME else cleanup.undo
        return on_target(self._work, self._host, lambda target, reins: undo(target, step, reins, dry_run))

    def release(self, step: Step, path: str | None) -> None:
        """See Releases. Of an index that was built again nothing is held."""
        if step.name == unused.NAME:
            return
        on_target(self._work, self._host, lambda target, _: cleanup.release(target, step, path))

    def purge(self, step: Step) -> dict[str, Any]:
        """Lets definitions and rows go."""
        asked = step.undo or {}
        if asked.get("forget"):
            forget = partial(removal.forget, with_kept=asked["with_kept"], dry_run=asked["dry_run"])
            return on_target(self._work, self._host, lambda target, _: forget(target))
        if step.name == unused.NAME:
            return on_target(self._work, self._host, lambda target, _: unused.purge(target, step))
        return on_target(self._work, self._host, lambda target, reins: cleanup.purge(target, step, reins))

    async def _plan(self, target: Target, _: StatementControl) -> Plan:
        config, steps, warnings = self._work.config, [analysis.plan()], list[str]()
        work = self._work

        def only(step: str) -> frozenset[int] | None:
            return None if self._job.promise is None else self._job.promise.only(step)

        found = [
            await rebuilding.plan(target, self._rule, only(rebuilding.NAME)) if config["optimize_indexes"] else None,
            await unused.plan(target, work.execution, work.now, work.keeps_way_back, only(unused.NAME))
            if config["remove_unused_indexes"]
            else None,
            await analyze_vacuum.plan(target, only(analyze_vacuum.NAME)) if config["update_statistics"] else None,
        ]
        for step, more in (one for one in found if one is not None):
            steps.append(step)
            warnings += more
        if not config["cleanup_old_data"]:
            return Plan(tuple(steps), tuple(warnings))
        rows = await cleanup.plan(target, self._job)
        return Plan((*steps, rows.step), (*warnings, *rows.warnings), tuple(rows.refusals))

    def _runs(self) -> Mapping[str, Run]:
        task = self._work.task_name

        async def look(doing: Doing) -> None:
            await analysis.run(doing, task, self._rule.threshold)
            if last is not None:
                await analysis.keep_times(doing.target, task, "begin")

        async def rebuild(doing: Doing) -> None:
            await rebuilding.run(doing, self._rule)

        async def delete(doing: Doing) -> None:
            await cleanup.run(doing.target, self._job, doing.step, doing.reins, doing.tally)

        runs: dict[str, Run] = {
            rebuilding.NAME: rebuild,
            unused.NAME: unused.run,
            analyze_vacuum.NAME: analyze_vacuum.run,
            cleanup.NAME: delete,
        }
        last = next((name for name in reversed(runs) if self._is_asked_for(name)), None)

        async def end(doing: Doing) -> None:
            assert last is not None
            await runs[last](doing)
            await analysis.keep_times(doing.target, task, "end")

        return {analysis.NAME: look, **runs, **({last: end} if last is not None else {})}

    def _is_asked_for(self, step: str) -> bool:
        return bool(self._work.config[_SWITCHES[step]])


_SWITCHES = {
    rebuilding.NAME: "optimize_indexes",
    unused.NAME: "remove_unused_indexes",
    analyze_vacuum.NAME: "update_statistics",
    cleanup.NAME: "cleanup_old_data",
}
"""The key of the config that asks for a step."""
