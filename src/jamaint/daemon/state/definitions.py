"""What is defined: tasks and windows from files, and those made through the socket, as one set by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.config import Config, Known, parse_policy, parse_task, parse_window
from jamaint.core.calendar.freezes import Freeze
from jamaint.core.calendar.windows import Window
from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.policies import Policy, effective, in_order, unreadable
from jamaint.core.secrets import without_passwords
from jamaint.core.tasks import Task
from jamaint.daemon.state import password_references
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import JamaintError, invalid, not_found
from jamaint.host.signatures import Seals
from jamaint.schema.errors import closest
from jamaint.store import definitions, policies, window_skips
from jamaint.store.definitions import StoredTask, StoredWindow
from jamaint.store.policies import StoredPolicy


@dataclass(slots=True)
class Changes:
    """What a reload has changed, by kind and name."""

    tasks: dict[str, list[str]] = field(default_factory=lambda: {"added": [], "changed": [], "removed": []})
    windows: dict[str, list[str]] = field(default_factory=lambda: {"added": [], "changed": [], "removed": []})
    policies: dict[str, list[str]] = field(default_factory=lambda: {"added": [], "changed": [], "removed": []})


class Definitions:
    """All tasks and windows by name. Objects from files are read-only here; the store keeps a copy of them."""

    def __init__(self, recorder: Recorder, seals: Seals, log: FilteringBoundLogger) -> None:
        self._recorder = recorder
        self._seals = seals
        self._changing = trio.Lock()
        self._log = log
        self.config: Config
        self.tasks: dict[str, Task] = {}
        self.windows: dict[str, Window] = {}
        self.stored: dict[str, StoredTask] = {}
        self.freezes: Mapping[str, Freeze] = {}
        self.policies: dict[str, Policy] = {}
        self.policies_in_order: tuple[Policy, ...] = ()
        self.roots_policies: set[str] = set()
        """Policies that root made through the socket."""
        self.left_out: list[str] = []
        """What of the database is not in force, because it is not right; each with why."""
        self._skipped: dict[str, dict[datetime, str]] = {}

    async def apply(self, config: Config, now: datetime) -> Changes:
        """Takes over a configuration: its objects, and from the store those made through the socket."""
        async with self._changing:
            return await self._apply(config, now)

    async def _apply(self, config: Config, now: datetime) -> Changes:
        stored_windows = await self._recorder.run(definitions.windows)
        stored_tasks = await self._recorder.run(definitions.tasks)
        changes = Changes()
        self.config = config
        self.freezes = config.freezes
        self.left_out = []
        self.policies = await self._apply_policies(config, await self._recorder.run(policies.policies), changes)
        self.policies_in_order = in_order(self.policies.values())
        self._skipped = await self._recorder.run(window_skips.all_of_them)
        found = await self._apply_windows(config, stored_windows, changes)
        self.windows = {name: self._with_skips(window) for name, window in found.items()}
        self.tasks, self.stored = await self._apply_tasks(config, stored_tasks, changes, now)
        return changes

    def task(self, reference: str) -> Task:
        """The task of that name or id, with what policies set of it, and off if an operator switched it off.

        Raises JamaintError(NOT_FOUND).
        """
        task = self.tasks.get(reference) or next((one for one in self.tasks.values() if one.id == reference), None)
        if task is None:
            raise not_found("task", reference, closest(reference, self.tasks))
        task = self.in_force(task, None if task.schedule is None else task.schedule.window)
        since = self.quarantined_at(task.name)
        if since is not None:
            task = replace(task, quarantined_at=since)
        return replace(task, enabled=False) if task.enabled and self._is_off(task.name) else task

    def name_of(self, reference: str) -> str:
        """The name of the task of that name or id; of one that is not defined any more only the name is known."""
        found = next((one.name for one in self.tasks.values() if one.id == reference), None)
        return found or reference

    def window(self, reference: str) -> Window:
        """The window of that name or id. Raises JamaintError(NOT_FOUND)."""
        found = self.windows.get(reference) or next((one for one in self.windows.values() if one.id == reference), None)
        if found is None:
            raise not_found("window", reference, closest(reference, self.windows))
        return found

    def policy(self, reference: str) -> Policy:
        """The policy of that name or id. Raises JamaintError(NOT_FOUND)."""
        by_id = (one for one in self.policies.values() if one.id == reference)
        found = self.policies.get(reference) or next(by_id, None)
        if found is None:
            raise not_found("policy", reference, closest(reference, self.policies))
        return found

    def in_force(self, task: Task, window: str | None) -> Task:
        """The task with what policies set of it, where it runs in that window."""
        return effective(task, window, self.policies_in_order)

    def known(self) -> Known:
        """What an object made through the socket may refer to."""
        return Known.of(self.config, self.tasks, self.windows)

    def addresses(self, task: str) -> dict[str, str]:
        """What the way back of a task has without its password, and what it is with it: its own before others'."""
        ordered = sorted(self.tasks.values(), key=lambda one: one.name == task)
        return password_references.known(ordered, self.config)

    def effective(self) -> list[Task]:
        """Every task, with those that an operator switched off disabled."""
        return [self.task(name) for name in self.tasks]

    def paused_until(self, name: str) -> datetime | None:
        """Until when the task is paused, or None."""
        stored = self.stored.get(name)
        return None if stored is None else stored.paused_until

    def quarantined_at(self, name: str) -> datetime | None:
        """Since when the task is kept from running, because the daemon died each time that it ran."""
        stored = self.stored.get(name)
        return None if stored is None else stored.quarantined_at

    def unable(self, name: str) -> str | None:
        """What keeps the task from running at all, as `is disabled`; None if nothing does."""
        task = self.tasks.get(name)
        if task is None:
            return "is not defined any more"
        if self._is_off(name):
            return f"is disabled (jamaintctl task enable {name})"
        if not task.enabled:
            return "is disabled by its definition"
        if self.quarantined_at(name) is not None:
            return f"is in quarantine (jamaintctl task enable {name})"
        until = self.paused_until(name)
        return None if until is None else f"is paused until {until:%Y-%m-%d %H:%M} UTC"

    async def put_task(self, task: Task, now: datetime, created_by: str, by_root: bool) -> None:
        """Keeps a task made through the socket; one of root's gets a seal, and is not bound by the grants."""
        seal = self._seals.of(task.definition) if by_root else None
        async with self._changing:
            self.stored[task.name] = await self._recorder.run(definitions.put_task, task, now, created_by, seal)
            self.tasks[task.name] = task

    async def put_tasks(self, tasks: Sequence[Task], now: datetime, created_by: str, by_root: bool) -> None:
        """As `put_task`, of several in one transaction."""
        given = [(task, self._seals.of(task.definition) if by_root else None) for task in tasks]
        async with self._changing:
            rows = await self._recorder.run(definitions.put_tasks, given, now, created_by)
            self.stored.update(rows)
            self.tasks.update({task.name: task for task in tasks})

    async def delete_task(self, name: str) -> None:
        """Forgets a task made through the socket."""
        async with self._changing:
            await self._recorder.run(definitions.delete_task, name)
            del self.tasks[name], self.stored[name]

    async def switch_task(self, name: str, off: bool, now: datetime) -> None:
        """Switches a task off or on, whatever its definition says."""
        async with self._changing:
            await self._recorder.run(definitions.switch_task, name, off, now)
            self.stored[name] = self.stored[name]._replace(switched_off=off)

    async def pause_task(self, name: str, until: datetime | None) -> None:
        """Pauses a task until then."""
        async with self._changing:
            await self._recorder.run(definitions.pause_task, name, until)
            self.stored[name] = self.stored[name]._replace(paused_until=until)

    async def quarantine_task(self, name: str, since: datetime | None, now: datetime) -> None:
        """Keeps a task from running, or lets it run again."""
        async with self._changing:
            await self._recorder.run(definitions.quarantine_task, name, since, now)
            self.stored[name] = self.stored[name]._replace(quarantined_at=since)

    async def put_window(self, window: Window, created_by: str, by_root: bool) -> None:
        """Keeps a window made through the socket; one of root's gets a seal, and is not bound by the grants."""
        seal = self._seals.of(window.definition) if by_root else None
        async with self._changing:
            await self._recorder.run(definitions.put_window, window, created_by, seal)
            self.windows[window.name] = self._with_skips(window)

    async def skip_openings(self, name: str, starts: Sequence[datetime], by: str) -> None:
        """Lets openings of a window, told by their scheduled starts, not happen."""
        async with self._changing:
            await self._recorder.run(window_skips.add, name, starts, by)
            self._skipped[name] = {**dict.fromkeys(starts, by), **self._skipped.get(name, {})}
            self.windows[name] = self._with_skips(self.windows[name])

    async def take_back_skips(self, name: str, now: datetime) -> list[datetime]:
        """Lets happen what was skipped and is still to come; returns the starts of that."""
        async with self._changing:
            skipped = self._skipped.get(name, {})
            coming = sorted(start for start in skipped if start > now)
            await self._recorder.run(window_skips.take_back, name, now)
            self._skipped[name] = {start: by for start, by in skipped.items() if start <= now}
            self.windows[name] = self._with_skips(self.windows[name])
        return coming

    async def delete_window(self, name: str) -> None:
        """Forgets a window made through the socket."""
        async with self._changing:
            await self._recorder.run(definitions.delete_window, name)
            del self.windows[name]

    def seal_of(self, approval: Approval) -> str:
        """The seal of an approval that somebody has given through this daemon."""
        return self._seals.of(approval.sealed())

    def is_given(self, approval: Approval, seal: str | None) -> bool:
        """Whether somebody has given it so: a row of the database cannot approve anything."""
        return self._seals.is_whole(approval.sealed(), seal)

    async def put_policy(self, policy: Policy, created_by: str, by_root: bool) -> None:
        """Keeps a policy made through the socket; one of root's gets a seal, and is not bound by the grants."""
        seal = self._seals.of(policy.definition) if by_root else None
        async with self._changing:
            await self._recorder.run(policies.put_policy, policy, created_by, seal)
            self.policies[policy.name] = policy
            (self.roots_policies.add if by_root else self.roots_policies.discard)(policy.name)
            self.policies_in_order = in_order(self.policies.values())

    async def delete_policy(self, name: str) -> None:
        """Forgets a policy made through the socket."""
        async with self._changing:
            await self._recorder.run(policies.delete_policy, name)
            del self.policies[name]
            self.policies_in_order = in_order(self.policies.values())

    async def _apply_policies(
        self, config: Config, stored: Mapping[str, StoredPolicy], changes: Changes
    ) -> dict[str, Policy]:
        found = dict(config.policies)
        for name, policy in config.policies.items():
            before = stored.get(name)
            if (
                before is None
                or before.origin != "file"
                or dict(before.definition) != without_passwords(policy.definition)
            ):
                self._warn_if_replaced("policy", name, before)
                changes.policies["added" if before is None else "changed"].append(name)
                await self._recorder.run(policies.put_policy, policy)
        for name, kept in stored.items():
            if name in found:
                continue
            if kept.origin == "file":
                changes.policies["removed"].append(name)
                await self._recorder.run(policies.delete_policy, name)
            elif (made := self._parse_policy(kept)) is not None:
                found[name] = made
        return found

    def _parse_policy(self, row: StoredPolicy) -> Policy | None:
        try:
            _check_name(row)
            by_root = self._seals.is_whole(row.definition, row.seal)
            (self.roots_policies.add if by_root else self.roots_policies.discard)(row.name)
            grants = None if by_root else self.config.grants
            return parse_policy(row.definition, origin="api", grants=grants)
        except JamaintError as problem:
            self._say_left_out("policy", row.name, problem)
            return unreadable(row.name, row.definition, problem.message)

    def _with_skips(self, window: Window) -> Window:
        return replace(window, skipped=dict(self._skipped.get(window.name, {})))

    def _is_off(self, name: str) -> bool:
        stored = self.stored.get(name)
        return stored is not None and stored.switched_off

    async def _apply_windows(
        self, config: Config, stored: Mapping[str, StoredWindow], changes: Changes
    ) -> dict[str, Window]:
        found = dict(config.windows)
        for name, window in config.windows.items():
            before = stored.get(name)
            if (
                before is None
                or before.origin != "file"
                or dict(before.definition) != without_passwords(window.definition)
            ):
                self._warn_if_replaced("window", name, before)
                changes.windows["added" if before is None else "changed"].append(name)
                await self._recorder.run(definitions.put_window, window, None)
        for name, kept in stored.items():
            if name in found:
                continue
            if kept.origin == "file":
                changes.windows["removed"].append(name)
                await self._recorder.run(definitions.delete_window, name)
            elif (made := self._parse_window(kept)) is not None:
                found[name] = made
        return found

    async def _apply_tasks(
        self, config: Config, stored: Mapping[str, StoredTask], changes: Changes, now: datetime
    ) -> tuple[dict[str, Task], dict[str, StoredTask]]:
        found, kept_rows = dict(config.tasks), dict[str, StoredTask]()
        for name, task in config.tasks.items():
            before = stored.get(name)
            if (
                before is None
                or before.origin != "file"
                or dict(before.definition) != without_passwords(task.definition)
            ):
                self._warn_if_replaced("task", name, before)
                changes.tasks["added" if before is None else "changed"].append(name)
                before = await self._recorder.run(definitions.put_task, task, now)
            kept_rows[name] = before
        for name, row in stored.items():
            if name in found:
                continue
            if row.origin == "file":
                changes.tasks["removed"].append(name)
                await self._recorder.run(definitions.delete_task, name)
            elif (made := self._parse_task(row, Known.of(config, {**stored, **found}, self.windows))) is not None:
                found[name], kept_rows[name] = made, row
        return found, kept_rows

    def _parse_task(self, row: StoredTask, known: Known) -> Task | None:
        """A row is data: without root's seal it is taken only within what the files grant today."""
        try:
            _check_name(row)
            grants = None if self._seals.is_whole(row.definition, row.seal) else self.config.grants
            return parse_task(row.definition, origin="api", grants=grants, known=known, taken_before=True)
        except JamaintError as problem:
            self._say_left_out("task", row.name, problem)
            return None

    def _parse_window(self, row: StoredWindow) -> Window | None:
        try:
            _check_name(row)
            known = Known.of(self.config, {}, {})
            grants = None if self._seals.is_whole(row.definition, row.seal) else self.config.grants
            return parse_window(row.definition, origin="api", grants=grants, known=known)
        except JamaintError as problem:
            self._say_left_out("window", row.name, problem)
            return None

    def _say_left_out(self, kind: str, name: str, problem: JamaintError) -> None:
        self._log.error(f"{kind} {name} of the database is left out: {problem.message}", **_safe(problem.data))
        self.left_out.append(f"{kind} {name} is not in force: {problem.message}")

    def _warn_if_replaced(self, kind: str, name: str, before: StoredTask | StoredWindow | StoredPolicy | None) -> None:
        if before is not None and before.origin != "file":
            self._log.warning(f"{kind} {name} is in a file now: the one made through the socket is replaced")


def _check_name(row: StoredTask | StoredWindow | StoredPolicy) -> None:
    """A row may not define what has another name: it could take the place of one from a file."""
    definition: object = row.definition
    if not isinstance(definition, Mapping) or definition.get("name") != row.name:
        raise invalid("name", "its row and its definition do not agree")


def _safe(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": data.get("path"), "problem": data.get("problem")}
