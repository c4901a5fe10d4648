"""The cleanup of old rows as a step: planned with its way back, done rule by rule, put back, and let go."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jamaint.core import held_places
from jamaint.core.held_places import HeldPlace, HoldRecord
from jamaint.core.plans import MassDeletion, Step
from jamaint.core.safety.deletion_guard import RootObservation, refusal, too_many
from jamaint.databases.bookkeeping import (
    SCHEMA,
    check_notebook,
    has_held,
    let_held_go,
    open_notebook,
    publication,
    release_held,
)
from jamaint.databases.connection import Target, TargetError, failures_named
from jamaint.databases.pacing import StatementControl
from jamaint.databases.plan_items import Promise
from jamaint.databases.rows.delete import Deleted, Deletion, is_kept_table, kept_table, summed
from jamaint.databases.rows.restore import PutBack, let_go, put_back
from jamaint.databases.rows.restore_batches import Kept
from jamaint.databases.rows.restore_proof import Proof, prove
from jamaint.databases.rows.selection import Count, Selection, count, count_referred, sample, select
from jamaint.databases.tables import Table

NAME = "data_cleanup"
SAMPLE = 5
HOLD_SECONDS = 30 * 86400.0
"""For so long rows that were put back are left alone, where their rule names no age; else for another such age."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an execution is to clean up: `rules` as in the task's config, normalised."""

    execution: str
    task: str
    rules: Sequence[Mapping[str, Any]]
    keeps_way_back: bool
    mass_deletion: MassDeletion
    now: datetime
    promise: Promise | None = None
    """What a stored plan allows, where one is carried out."""

    def cutoff(self, number: int) -> datetime | None:
        """That of a rule in the plan that is carried out."""
        rule = None if self.promise is None else self.promise.rules.get(number)
        return None if rule is None else rule.cutoff


@dataclass(frozen=True, slots=True)
class CleanupPlan:
    """The step, what to warn of, and why it needs an approval first (as core.plans.Plan has it)."""

    step: Step
    warnings: Sequence[str]
    refusals: Sequence[Mapping[str, Any]]


async def plan(target: Target, job: Job) -> CleanupPlan:
    """Plan the deletion; changes nothing. Raises TargetError for what no approval can allow."""
    await check_notebook(target)
    await _check_published(target, job)
    says, warnings, samples, entries = list[str](), list[str](), list[Mapping[str, Any]](), list[dict[str, Any]]()
    items, size, refusals = 0, 0, list[Mapping[str, Any]]()
    for number, rule in enumerate(job.rules, start=1):
        selection = await select(target, rule, job.now, job.cutoff(number))
        _check_way_back(selection.table, target.identity.role, job)
        found = await count(target, selection, job.mass_deletion.items)
        refusals += _mass_deletion(selection, found, job.mass_deletion)
        _keep_promise(selection, found, job.promise, number)
        proof = await prove(target, selection, job.keeps_way_back) if found.rows else Proof()
        samples += (await sample(target, selection))[: max(1, SAMPLE // len(job.rules))]
        table = selection.table
        items += found.rows
        size += _bytes(table, found)
        referred = await count_referred(target, selection)
        says.append(f"Delete {_about(found)} of {table.quoted} {selection.says}{_but(referred)}.")
        warnings += _warnings(selection, proof)
        entries.append(
            {
                "oid": table.oid,
                "name": table.quoted,
                "says": selection.says,
                "cutoff": selection.cutoff.isoformat(),
                "exact": found.exact,
                "bytes": _bytes(table, found),
                "kept": kept_table(job.execution, number),
                "hold": rule.get("older_than_seconds") or HOLD_SECONDS,
                "rows": found.rows,
                "of": found.of,
            }
        )
    says.append("Rows are deleted in batches; each is a transaction that locks only its own rows.")
    if job.keeps_way_back:
        says.append("Deleted rows are kept in the schema jamaint and can be restored until they are purged.")
    else:
        says.append("The task keeps no undo data: deleted rows cannot be restored.")
    undo = {"tables": [{"table": one["oid"], **{key: one[key] for key in ("name", "kept", "hold")}} for one in entries]}
    step = Step(
        name=NAME,
        says=" ".join(says),
        args={"rules": entries},
        undo=undo if job.keeps_way_back else None,
        items=items,
        bytes=size,
        sample=tuple(samples[:10]),
    )
    return CleanupPlan(step, warnings, refusals)


async def run(target: Target, job: Job, step: Step, reins: StatementControl, tally: dict[str, Any]) -> None:
    """Deletes, rule by rule; what has been done stands in `tally`, also when this raises."""
    await _check_published(target, job)
    await open_notebook(target)
    with failures_named(target.identity.database):
        await let_held_go(target.work)
    total, done = max(1, step.items), list[tuple[str, Deleted]]()
    for number, (rule, planned) in enumerate(zip(job.rules, step.args["rules"], strict=True), start=1):
        selection = await select(target, rule, job.now, datetime.fromisoformat(planned["cutoff"]))
        _check_same(selection.table, planned)
        deletion = Deletion(
            target=target,
            selection=selection,
            task=job.task,
            kept=kept_table(job.execution, number) if job.keeps_way_back else None,
            most=_most(planned, job, number),
            reins=reins,
            done_before=sum(one.rows for _, one in done),
            done_total=total,
        )
        deletion.found.planned = planned["rows"]
        done.append((selection.table.quoted, deletion.found))
        try:
            await deletion.run()
        finally:
            tally.update(summed(done), waited_seconds=round(reins.waited_seconds, 1))
        for note in (deletion.found.why_left, *deletion.found.notes):
            if note is not None:
                reins.host.log("info", f"{selection.table.quoted}: {note}")
        if deletion.found.referred:
            reins.host.log("info", f"{selection.table.quoted}: {_left(deletion.found.referred, selection.table)}")


async def undo(target: Target, step: Step, reins: StatementControl, dry_run: bool) -> dict[str, Any]:
    """Puts back what is kept, the last rule first: what refers to something comes after it in a task's list."""
    answer: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": [], "unit": "row"}
    held, began = list[HeldPlace](), time.time_ns()
    for entry in reversed(_entries(step)):
        try:
            found = await put_back(target, entry, reins, dry_run)
        except TargetError as failure:
            if failure.kind == "lost":
                raise
            found = PutBack(problems=[{"path": entry.name, "why": f"{failure.message}: the rows stay in {entry.kept}"}])
        answer["restored"] += found.restored
        if found.restored:
            held.append(HeldPlace(path=entry.name, items=found.restored, unit="row", until_ns=_ends(entry)))
        answer["kept"] += found.kept
        answer["problems"] += found.problems
    if held:
        answer["held"] = [HoldRecord(from_ns=began, until_ns=time.time_ns(), inodes=[], places=held)]
    return answer


async def release(target: Target, step: Step, path: str | None) -> None:
    """Forgets which rows an undo has put back, of all tables or of one: the next run may take them."""
    with failures_named(target.identity.database):
        if await has_held(target.work):
            for entry in _entries(step):
                if path in (None, entry.name):
                    await release_held(target.work, entry.kept)


async def purge(target: Target, step: Step, reins: StatementControl) -> dict[str, Any]:
    """Drops what is kept."""
    freed = [await let_go(target, entry, reins) for entry in _entries(step)]
    return {"freed_space": sum(freed), "items": sum(size > 0 for size in freed)}


def _ends(entry: Kept) -> int:
    """Until when is held what has just come back, in nanoseconds."""
    return held_places.until(time.time_ns(), entry.hold_seconds)


def _entries(step: Step) -> list[Kept]:
    found = [
        Kept(one["table"], one["name"], one["kept"], one.get("hold", HOLD_SECONDS))
        for one in (step.undo or {}).get("tables", ())
    ]
    for one in found:
        if not is_kept_table(one.kept):  # it is going to be dropped
            raise TargetError(f"{one.kept!r} is not a table of kept rows", "refused")
    return found


def _mass_deletion(selection: Selection, found: Count, limit: MassDeletion) -> Iterator[Mapping[str, Any]]:
    """Yield why so many rows need an approval. Raises TargetError where their share of the table is not known."""
    table = selection.table.quoted
    if found.of is None:
        raise TargetError(
            f"{table}: how many of its rows would go cannot be told, because it was never analysed and counting takes "
            f"too long: run ANALYZE {table}",
            "refused",
        )
    why = too_many(
        RootObservation(table, found.of, None, found.rows), limit, "rows" if found.exact else "rows (estimated)"
    )
    if why is not None:
        yield refusal(table, found.rows, found.of, why)


def _check_way_back(table: Table, role: str, job: Job) -> None:
    """Raises TargetError when what goes could not be put back."""
    if table.references and not table.may_lock:
        raise TargetError(
            f"role {role} may not lock rows of {table.quoted}, to which {table.references[0].quoted} refers, so that "
            "nobody begins to refer to one that goes: grant it UPDATE",
            "refused",
        )
    if job.keeps_way_back and not table.may_insert:
        raise TargetError(
            f"role {role} may not insert into {table.quoted}, so deleted rows could not be restored: grant INSERT, or "
            "say rollback: {enabled: false}",
            "refused",
        )


def _keep_promise(selection: Selection, found: Count, promise: Promise | None, number: int) -> None:
    """Raises TargetError when more would go than the stored plan says, or from another table."""
    if promise is None:
        return
    rule, table = promise.rules.get(number), selection.table
    if rule is None:
        why = f"the plan has nothing of {table.quoted}"
    elif rule.table != table.oid:
        why = f"{table.quoted} is not the table that the plan was made for"
    elif rule.most is not None and found.exact and found.rows > rule.most:
        why = f"{table.quoted}: {found.rows:,} rows are meant now, and {rule.most:,} in the plan"
    else:
        return
    raise TargetError(f"{why}: make a new one", "refused")


async def _check_published(target: Target, job: Job) -> None:
    """Raises TargetError where the rows that are kept would be sent to subscribers, who have no such table."""
    if not job.keeps_way_back:
        return
    with failures_named(target.identity.database):
        published = await publication(target.watch)
    if published is not None:
        raise TargetError(
            f"publication {published} would send what is kept for a rollback to its subscribers, and they would stop, "
            f"because they have no schema {SCHEMA}. Make it anew FOR TABLES IN SCHEMA …, or FOR TABLE … before "
            "PostgreSQL 15; or say rollback: {enabled: false}, then nothing of ours is published",
            "refused",
        )


def _check_same(table: Table, planned: Mapping[str, Any]) -> None:
    """Raises TargetError when the table's name is another's since the plan, whose way back is to the one before."""
    if table.oid != planned["oid"]:
        raise TargetError(
            f"{table.quoted} is another table than the one that the plan was made for a moment ago: make a new plan",
            "refused",
        )


def _most(planned: Mapping[str, Any], job: Job, number: int) -> int:
    """How many rows may go: what the plan says that is carried out; else what the guard allows, though never less than
    was planned under it."""
    rule, limit = None if job.promise is None else job.promise.rules.get(number), job.mass_deletion
    if rule is not None and rule.most is not None:
        return rule.most
    of: int = planned.get("of") or 0
    return max(limit.items, int(planned["rows"]), round(limit.share * of))


def _bytes(table: Table, found: Count) -> int:
    return round(table.table_bytes * min(1.0, found.rows / found.of)) if found.of else 0


def _about(found: Count) -> str:
    return f"{'' if found.exact else 'about '}{found.rows:,} row{'' if found.rows == 1 else 's'}"


def _left(rows: int, table: Table) -> str:
    names = ", ".join(reference.says for reference in table.references)
    return f"{rows} old rows stay, because other rows refer to them ({names}): clean those up first"


def _but(referred: int | None) -> str:
    """What of them stays."""
    if referred is None:
        return ", but for those that others refer to"
    return f", but for {referred:,} of them as long as others refer to them" if referred else ""


def _warnings(selection: Selection, proof: Proof) -> list[str]:
    table, held, found = selection.table, selection.held, list[str]()
    if proof.changed:
        found.append(
            f"{table.quoted}: what is put back comes back changed in {', '.join(proof.changed)}, which triggers "
            f"({', '.join(table.insert_triggers)}) set anew; how it was can be looked up where it is kept"
        )
    if held is not None:
        found.append(
            f"{table.quoted}: {held.rows:,} rows that a rollback has put back are left until "
            f"{held.until:%Y-%m-%d %H:%M} UTC (jamaintctl held list; they stand in jamaint.held_rows)"
        )
    if table.delete_triggers:
        found.append(f"{table.quoted}: triggers fire for each row that goes: {', '.join(table.delete_triggers)}")
    if table.insert_triggers:
        names = ", ".join(table.insert_triggers)
        found.append(f"{table.quoted}: triggers would fire for each row that is put back: {names}")
    if table.references:
        names = ", ".join(reference.says for reference in table.references)
        found.append(f"{table.quoted}: rows that others refer to are left ({names})")
    if not table.may_vacuum:
        found.append(f"{table.quoted} cannot be vacuumed afterwards: it is owned by {table.owner}")
    return found
