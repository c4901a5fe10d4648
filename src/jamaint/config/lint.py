"""Warnings for valid settings that are probably not meant, or do not do what they say."""

import grp
import pwd
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jamaint.config.log_lint import shared_logs
from jamaint.config.merging import Given, Merged
from jamaint.config.references import SCOPED, idle_tasks, strangers_in_scope
from jamaint.config.secret_lint import Judge, of_secrets
from jamaint.config.settings import Settings
from jamaint.config.task_window_parser import Read
from jamaint.core.calendar.windows import Window
from jamaint.core.owner_rights import BY_OWNER, OWNER
from jamaint.core.tasks import Task
from jamaint.schema.errors import Flaw, Mistake
from jamaint.schema.yaml_document import Document


def doubts(
    merged: Merged,
    documents: Iterable[Document],
    settings: Settings,
    tasks: Mapping[str, Read[Task]],
    windows: Mapping[str, Read[Window]],
    *,
    judge: Judge,
    now: datetime,
) -> Iterator[Mistake]:
    """All doubts of a configuration without mistakes, as what they are like: a place, a key, and what to do."""
    for document in documents:
        if document.cut_short:
            yield Mistake(document.file, 0, 0, "", "its last line does not end, as if the file were half written")
    yield from _of_objects(merged, tasks, windows, now)
    yield from _unheard(merged)
    if settings.database.dsn and settings.database.binaries:
        problem = "is for the embedded PostgreSQL, which is not used because there is a dsn"
        yield merged.sections["database"].mistake(Flaw(("binaries",), problem, at_key=True))
    yield from of_secrets(merged, judge)
    yield from _strangers(merged, settings, tasks)


def _of_objects(
    merged: Merged, tasks: Mapping[str, Read[Task]], windows: Mapping[str, Read[Window]], now: datetime
) -> Iterator[Mistake]:
    found: dict[str, Mapping[str, Read[Any]]] = {"windows": windows, "tasks": tasks}
    for kind, reads in found.items():
        for name, read in reads.items():
            yield from (merged.objects[kind][name].mistake(flaw) for flaw in read.doubts)
    ready = {name: read.value for name, read in tasks.items() if read.value}
    openings = {name: read.value for name, read in windows.items() if read.value}
    for name, flaw in (*idle_tasks(ready, openings, now), *shared_logs(ready)):
        yield merged.objects["tasks"][name].mistake(flaw)
    for kind in SCOPED:
        for given in merged.objects[kind].values():
            yield from (given.mistake(flaw) for flaw in strangers_in_scope(given.value, tasks, windows))


def _unheard(merged: Merged) -> Iterator[Mistake]:
    """One for all: a channel in every task would be a page of the same."""
    problem = "no channel of this version can send: nobody is told, look at `jamaintctl status` and the journal"
    section = merged.sections.get("notifications")
    if section and section.value.get("channels"):
        yield section.mistake(Flaw((), problem, at_key=True))
        return
    for named in merged.objects.values():
        for given in named.values():
            if given.value.get("notifications"):
                yield given.mistake(Flaw(("notifications",), problem, at_key=True))
                return


def _strangers(merged: Merged, settings: Settings, tasks: Mapping[str, Read[Task]]) -> Iterator[Mistake]:
    """Users and groups that this machine does not know: nobody has that role, and no command can run as that user."""
    known: dict[tuple[str, str], bool] = {}
    for given, path, kind, name in _accounts(merged, settings, tasks):
        if (kind, name) not in known:
            known[kind, name] = _exists(kind, name)
        if not known[kind, name]:
            yield given.mistake(
                Flaw(path, f"there is no {kind} {name} on this machine: create it, or correct the name")
            )


def _accounts(
    merged: Merged, settings: Settings, tasks: Mapping[str, Read[Task]]
) -> Iterator[tuple[Given, tuple[str | int, ...], str, str]]:
    if settings.socket.group:
        yield merged.sections["socket"], ("group",), "group", settings.socket.group
    for role in ("viewer", "operator", "admin"):
        for index, principal in enumerate(getattr(settings.roles, role)):
            if principal.kind != "root":
                yield merged.sections["roles"], (role, index), principal.kind, principal.name
    for index, user in enumerate(settings.grants.users):
        yield merged.sections["grants"], ("users", index), "user", user
    for index, group in enumerate(settings.trusted_groups):
        yield merged.sections["trust"], ("groups", index), "group", group
    for name, read in tasks.items():
        by_owner = read.value is not None and read.value.executor in BY_OWNER
        for named in read.named:
            if named.kind in ("user", "script user") and not (by_owner and named.value == OWNER):
                yield merged.objects["tasks"][name], named.path, "user", named.value


def _exists(kind: str, name: str) -> bool:
    try:
        _ = pwd.getpwnam(name) if kind == "user" else grp.getgrnam(name)
    except KeyError:
        return False
    return True
