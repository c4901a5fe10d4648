"""Purges before their time: the trash and the kept rows of some executions, or of the oldest until a disk has space.

Nothing is passed over without a word: each way back that stays is told with its reason. What is freed is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio

from jamaint.core.purges import (
    FreeSpace,
    KeptWayBack,
    device_of,
    devices_of,
    mount_point_of,
    not_there,
    oldest_first,
    roots_of,
    why_not,
)
from jamaint.daemon.execution.rollbacks import Rollbacks
from jamaint.daemon.state import json_views
from jamaint.errors import JamaintError, invalid, unavailable
from jamaint.files.access.free_space import disk_of, free_space, mounted_devices
from jamaint.store import rollback_points
from jamaint.store.postgres import Postgres
from jamaint.store.rollback_points import Kept, RollbackPoint

PATIENCE_SECONDS = 10.0
"""How long a file system may take to say what it has free."""


class Goal(NamedTuple):
    """So much (0..1) of the file system of a path is to be free; `disk` is its device."""

    share: float
    path: str
    disk: str


@dataclass(slots=True)
class Outcome:
    """What was purged, or would be, what was not and why, and how far each goal was reached."""

    items: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    freed_space: int = 0
    goals: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self, dry_run: bool) -> dict[str, Any]:
        """As it is sent."""
        return {
            "items": self.items,
            "skipped": self.skipped,
            "freed_space": self.freed_space,
            "until_free": self.goals,
            "dry_run": dry_run,
        }


class EarlyPurge:
    """One purge before its time; `by` is who asks for it. `incomplete`: what a rollback has left may go too."""

    def __init__(self, rollbacks: Rollbacks, postgres: Postgres, by: str, *, incomplete: bool, dry_run: bool) -> None:
        self._rollbacks, self._postgres, self._by = rollbacks, postgres, by
        self._incomplete, self._dry_run = incomplete, dry_run
        self._outcome = Outcome()
        self._points: dict[str, RollbackPoint] = {}

    async def of_executions(self, execution_ids: Sequence[str] | None) -> dict[str, Any]:
        """Purge what those executions keep, or (None) all that is kept, the oldest first."""
        points = await self._kept(execution_ids)
        for one in _ways_back(points, self._rollbacks):
            await self._take(one, why_not(one, self._incomplete))
        for each in sorted(set(execution_ids or ()) - {kept.point.execution_id for kept in points}):
            self._outcome.skipped.append({"execution_id": each, "why": "it keeps nothing"})
        return self._outcome.to_json(self._dry_run)

    async def until_free(self, share: float, path: str | None) -> dict[str, Any]:
        """Purge the oldest until the disk of a path, or (None) each on which something is kept, has so much free."""
        points = await self._kept(None)
        ways = _ways_back(points, self._rollbacks)
        if path is not None:
            await self._until(await goal_of(share, path), ways)
            return self._outcome.to_json(self._dry_run)
        for goal in _goals(share, points):
            await self._until(goal, [one for one in ways if goal.disk in one.disks])
        return self._outcome.to_json(self._dry_run)

    async def _kept(self, execution_ids: Sequence[str] | None) -> list[Kept]:
        points: list[Kept] = await self._postgres.run(rollback_points.kept, execution_ids)
        self._points = {kept.point.id: kept.point for kept in points}
        return points

    async def _until(self, goal: Goal, ways: Sequence[KeptWayBack]) -> None:
        before = after = await _free_space(goal.path)
        done = {one["execution_id"] for one in self._outcome.items}
        for one in ways:
            if after.share >= goal.share:
                break
            if one.execution_id in done:
                continue
            if await self._take(one, why_not(one, self._incomplete) or not_there(one, goal.disk, goal.path)):
                after = after.after(one) if self._dry_run else await _free_space(goal.path)
        self._outcome.goals.append(
            {
                "path": goal.path,
                "share": goal.share,
                "reached": after.share >= goal.share,
                **{f"{key}_before": value for key, value in _free(before).items()},
                **{f"{key}_after": value for key, value in _free(after).items()},
            }
        )

    async def _take(self, one: KeptWayBack, why: str | None) -> bool:
        """Purges one, or says why not; whether it was, or would be."""
        outcome, freed, problems = self._outcome, one.bytes, list[Mapping[str, Any]]()
        if why is None and not self._dry_run:
            try:
                freed, problems = await self._rollbacks.purge_now(self._points[one.point_id], self._by)
            except JamaintError as problem:
                why = problem.message
        if why is not None:
            outcome.skipped.append({**_told(one), "why": why})
            return False
        outcome.items.append({**_told(one), "freed_space": freed, "problems": problems})
        outcome.freed_space += freed
        return True


async def goal_of(share: float, path: str) -> Goal:
    """Return the goal for the file system of a path. Raises JamaintError where it does not say what it has free."""
    await _free_space(path)
    try:
        return Goal(share, path, await trio.to_thread.run_sync(disk_of, path, abandon_on_cancel=True))
    except OSError as error:
        raise invalid("path", f"{path}: {error.strerror or error}") from None


def _goals(share: float, points: Sequence[Kept]) -> list[Goal]:
    """A goal for each disk on which a trash lies."""
    mounts, found = mounted_devices(), dict[str, Goal]()
    for kept in points:
        for path in _roots(kept.point):
            disk = device_of(path, mounts)
            found.setdefault(disk, Goal(share, mount_point_of(path, mounts), disk))
    return list(found.values())


def _ways_back(points: Sequence[Kept], rollbacks: Rollbacks) -> list[KeptWayBack]:
    mounts = mounted_devices()
    return oldest_first(_way_back(kept, mounts, *rollbacks.standing(kept.point)) for kept in points)


def _way_back(kept: Kept, mounts: Sequence[tuple[str, str]], trusted: bool, in_hand: bool) -> KeptWayBack:
    point = kept.point
    result: Mapping[str, Any] = point.result or {}
    return KeptWayBack(
        point_id=point.id,
        execution_id=point.execution_id,
        task_name=kept.task_name,
        kept_since=point.created_at,
        expires_at=point.expires_at,
        status=point.status,
        run_status=kept.run_status,
        trusted=trusted,
        in_hand=in_hand,
        left=len(result.get("kept", ())) + len(result.get("problems", ())),
        bytes=point.bytes,
        items=int(kept.metrics.get("processed_items", 0)),
        disks=devices_of(_roots(point), mounts),
    )


def _roots(point: RollbackPoint) -> list[str]:
    return [path for step in point.steps for path in roots_of(step.undo)]


async def _free_space(path: str) -> FreeSpace:
    """What the file system of a path has free now. Raises JamaintError; one that does not answer keeps nobody
    waiting."""
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            return await trio.to_thread.run_sync(free_space, path, abandon_on_cancel=True)
        except OSError as error:
            raise invalid("path", f"{path}: {error.strerror or error}") from None
    raise unavailable(f"the file system of {path} does not answer", 60)


def _told(one: KeptWayBack) -> dict[str, Any]:
    return {
        "execution_id": one.execution_id,
        "task_name": one.task_name,
        "kept_since": json_views.time(one.kept_since),
        "expires_at": json_views.time(one.expires_at),
    }


def _free(space: FreeSpace) -> dict[str, Any]:
    return {"free_bytes": space.free, "free_share": space.share, "free_inodes": space.free_inodes}
