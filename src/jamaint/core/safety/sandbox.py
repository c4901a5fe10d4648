"""Sandbox policy: what each kind of worker may reach, by the root-owned configuration.

`jamaintctl config apply` makes units of it, and a file by which each worker checks what the daemon gives it: so neither
a row of the state database nor a daemon that has been taken over can introduce a directory, a command or a database.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from jamaint.core.owner_rights import OWNER
from jamaint.core.resources import Resource, database_of, touched
from jamaint.core.secrets import references
from jamaint.core.tasks import Condition, Task
from jamaint.core.worker_kinds import (
    COMMANDS,
    DATABASES,
    FILES,
    LOOKED_AT,
    PACKAGES,
    kind_of_look,
    of_user,
    parts,
    sides,
)

BASES = (FILES, DATABASES, COMMANDS, PACKAGES)
"""The kinds that are always there: their units come with the program."""

PLACED = (FILES, PACKAGES)
"""The kinds that work in directories: each in those alone that the configuration names for it."""

COMMAND_KEYS = ("command", "rollback_command", "prerotate", "postrotate")
BACK_KEYS = ("rollback_command", "postrotate")
"""Those that an undo runs."""
ROOT = "root"
STEP_PATHS = frozenset({"path", "root"})
"""The keys in a step below which a directory stands that is worked in."""

APPLY = "run jamaintctl config apply as root"


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """`paths` by kind of worker; `commands` are digests of command and environment, and of whose rights it is run
    with; `secrets` are files by kind.

    `back` are those of `commands` that an undo runs, with the keys they stand under: `rollback_command <digest>`.

    `former` is what the ways back of earlier configurations need besides (see core.safety.retained_access), for so long
    as ways back
    were kept then: `keeps_seconds`.
    """

    paths: Mapping[str, tuple[str, ...]]
    commands: tuple[str, ...]
    databases: tuple[str, ...]
    secrets: Mapping[str, tuple[str, ...]]
    conditions: tuple[str, ...] = ()
    """Digests of those conditions that a worker looks at."""
    back: tuple[str, ...] = ()
    keeps_seconds: float = 0.0
    keeps_until: str | None = None
    """Until when what was kept under an earlier and longer retention may be needed."""
    former: tuple[Mapping[str, Any], ...] = ()
    unbound: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By kind, directories that could not be bound when this was applied, and why."""
    named_by: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """By kind and directory, the tasks (or `grants.paths`) that name it; not for workers."""
    trust: tuple[str, ...] = ()
    """Groups whose right to write in a directory keeps no worker from it."""

    @property
    def users(self) -> tuple[str, ...]:
        """The kinds that are there for a user whom the configuration names."""
        return tuple(kind for kind in self.paths if kind not in BASES)

    def to_json(self) -> dict[str, Any]:
        """As the workers have it."""
        return {
            "kinds": {kind: list(paths) for kind, paths in self.paths.items()},
            "commands": list(self.commands),
            "databases": list(self.databases),
            "conditions": list(self.conditions),
            "secrets": {kind: list(files) for kind, files in self.secrets.items()},
            "back": list(self.back),
            "keeps_seconds": self.keeps_seconds,
            "keeps_until": self.keeps_until,
            "former": list(self.former),
            "unbound": {kind: dict(whys) for kind, whys in self.unbound.items()},
            "trust": list(self.trust),
        }

    def namers(self, kind: str, path: str) -> list[str]:
        """The tasks that name a directory or one below it, in alphabetical order."""
        found = (names for (one, below), names in self.named_by.items() if one == kind and _holds(path, below))
        return sorted({name for names in found for name in names})


def fences(
    tasks: Iterable[Task],
    paths: Sequence[str] = (),
    users: Sequence[str] = (),
    commands: Iterable[Sequence[str]] = (),
    databases: Iterable[Any] = (),
    *,
    conditions: Iterable[Condition] = (),
) -> tuple[SandboxPolicy, list[str]]:
    """What tasks and conditions of files, and grants, need; and in words what cannot be had."""
    kinds: dict[str, dict[str, None]] = {kind: {} for kind in BASES}
    whose = [_whose(kind, user) for kind in (COMMANDS, PACKAGES) for user in (None, *users)]
    allowed = {digest(command, {}, one) for command in commands for one in whose}
    back: set[str] = set()
    databases = list(databases)
    known = {database_of(address) for address in databases}
    secrets: dict[str, dict[str, None]] = {}
    problems = []
    named: dict[tuple[str, str], tuple[str, ...]] = {
        (kind, path): ("grants.paths",) for kind in PLACED for path in paths
    }
    for kind in PLACED:
        kinds[kind] |= dict.fromkeys(paths)
    for user in users:
        if user == OWNER:  # no user: its work is done by one that can be any
            continue
        try:
            for kind in (FILES, DATABASES, COMMANDS):
                kinds.setdefault(of_user(kind, user), {}).update(dict.fromkeys(paths if kind == FILES else ()))
        except ValueError as error:
            problems.append(f"grants.users: {error}")
    for task in tasks:
        try:
            needed = sides(task.executor, task.config, task.config.get("user"))
        except ValueError as error:
            problems.append(f"{task.name}: {error}")
            continue
        for kind, config in needed.items():
            found = _commands(kind, task.executor, config)
            allowed |= {one for _, one in found}
            back |= {f"{key} {one}" for key, one in found if key in BACK_KEYS}
            touches = _touches(task.executor, config)
            below = dict.fromkeys(_worked_in(kind, task.executor, config))
            kinds.setdefault(kind, {}).update(below)
            named |= {(kind, path): (*named.get((kind, path), ()), task.name) for path in below}
            known |= {one.value for one in touches if one.kind == "database"}
            files = [name for source, name in references(config) if source == "file"]
            secrets.setdefault(kind, {}).update(dict.fromkeys(files))
    looked_at = [one for one in conditions if one.kind in LOOKED_AT]
    for condition in looked_at:
        try:
            kind = kind_of_look(condition)
        except ValueError as error:
            problems.append(f"a condition: {error}")
            continue
        kinds.setdefault(kind, {})
        files = [name for source, name in references(condition.params) if source == "file"]
        secrets.setdefault(kind, {}).update(dict.fromkeys(files))
    files = [name for address in databases for source, name in references(address) if source == "file"]
    for kind in kinds:
        if kind.partition("-")[0] == DATABASES:
            secrets.setdefault(kind, {}).update(dict.fromkeys(files))
    return (
        SandboxPolicy(
            {kind: topmost(found) for kind, found in kinds.items()},
            tuple(sorted(allowed)),
            tuple(sorted(known)),
            {kind: tuple(found) for kind, found in secrets.items() if found},
            tuple(sorted({digest_of_look(one.kind, one.params) for one in looked_at})),
            tuple(sorted(back)),
            named_by=named,
        ),
        problems,
    )


def topmost(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that lie in no other: each is a mount of its own, and one in another would be a foreign file system."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not any(_holds(other, path) for other in found):
            found.append(path)
    return tuple(found)


def refused(
    kind: str, executor: str, config: Mapping[str, Any], applied: Mapping[str, Any], *, back: bool = False
) -> str | None:
    """Why a worker of that kind does not do what an opening says, or None; `applied` as `SandboxPolicy.to_json`.

    `back`: no more than an undo or a purge is meant, which run no other commands than those of the way back.
    """
    if kind not in applied.get("kinds", {}):
        return f"the configuration has no worker {kind}: {APPLY}"
    for touch in _touches(executor, config):
        if touch.kind == "database" and touch.value not in applied.get("databases", ()):
            return f"{database_words(touch.value)} is none of the configuration's: {APPLY}"
    outside = next((why for path in _worked_in(kind, executor, config) if (why := _outside(path, kind, applied))), None)
    if outside is not None:
        return outside
    handed = applied.get("secrets", {}).get(kind, ())
    for source, name in references(config):
        if source == "file" and name not in handed:
            return f"{name}, which is to hold a secret, is none of the configuration's: {APPLY}"
    found = _commands(kind, executor, config)
    if back:
        missing = {f"{key} {one}" for key, one in found if key in BACK_KEYS} - set(applied.get("back", ()))
    else:
        missing = {one for _, one in found} - set(applied.get("commands", ()))
    return f"its command is none of the configuration's for that user: {APPLY}" if missing else None


def refused_step(kind: str, step: Mapping[str, Any], applied: Mapping[str, Any]) -> str | None:
    """Why a worker of that kind does not do a step, or None: its opening was allowed, and so must be what it names."""
    named = _paths([step.get("args"), step.get("undo")]) if kind.partition("-")[0] in PLACED else ()
    return next((why for path in named if (why := _outside(path, kind, applied)) is not None), None)


def refused_item(kind: str, root: str, path: str, applied: Mapping[str, Any]) -> str | None:
    """Why a worker of that kind does nothing to an item of a stored plan, or None: `path` is below the item's root."""
    if kind.partition("-")[0] not in PLACED:
        return None
    if ".." in path.split("/"):
        return f"{root}/{path} leads out of its root"
    return _outside(root, kind, applied)


def _outside(path: str, kind: str, applied: Mapping[str, Any]) -> str | None:
    """Why a worker of that kind does not work in a directory, or None."""
    if kind.partition("-")[0] not in PLACED or is_in(path, applied.get("kinds", {}).get(kind, ())):
        return None
    if kind == PACKAGES:  # nothing is bound into it: it sees the machine whole
        return f"{path} is none of the configuration's: {APPLY}"
    return f"{path} is not bound into the worker for {kind}: {why_unbound(path, kind, applied)}"


def why_unbound(path: str, kind: str, applied: Mapping[str, Any]) -> str:
    """Return why a directory is not bound into a worker, and what to do about it."""
    whys = applied.get("unbound", {}).get(kind, {})
    found = next((why for one, why in whys.items() if _holds(one, path)), None)
    return APPLY if found is None else f"{found}; then {APPLY}"


def database_words(name: str) -> str:
    """Return a database as messages call it; an address without a database names a server."""
    if not name:
        return "a database without a name"
    return f"the server{name}" if name.startswith(" on ") else f"database {name}"


def _paths(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item, key)
    elif isinstance(value, str) and key in STEP_PATHS and value.startswith("/"):
        yield posixpath.normpath(value)


def refused_look(unit: str, kind: str, params: Mapping[str, Any], applied: Mapping[str, Any]) -> str | None:
    """Why a worker does not look at what a condition of that kind asks, or None: only at what files or grants name.

    `unit` is the worker's own kind, which must be the one for that: another has other rights.
    """
    if unit != kind_of_look(Condition(kind, params)):
        return f"the worker for {unit} does not look at such a condition"
    if digest_of_look(kind, params) in applied.get("conditions", ()):
        return None
    if kind == "command" and digest(params["command"], {}, unit) in applied.get("commands", ()):
        return None
    if kind == "postgresql" and database_of(params["dsn"]) in applied.get("databases", ()):
        return None
    return f"the condition is none of the configuration's: {APPLY}"


def not_applied(wanted: SandboxPolicy, applied: Mapping[str, Any]) -> list[str]:
    """What the configuration names and the workers' units do not have yet, in words."""
    kinds = applied.get("kinds", {})
    told = []
    for kind, paths in wanted.paths.items():
        if kind not in kinds:
            told.append(f"there is no worker {kind}: {APPLY}")
        elif kind.partition("-")[0] in PLACED:
            left = [path for path in paths if not is_in(path, kinds[kind])]
            told += [unbound_words(wanted, kind, path, why_unbound(path, kind, applied)) for path in left]
    if set(wanted.commands) - set(applied.get("commands", ())):
        told.append(f"a command of the configuration is not known to the workers: {APPLY}")
    if set(wanted.conditions) - set(applied.get("conditions", ())):
        told.append(f"a condition of the configuration is not known to the workers: {APPLY}")
    groups = sorted(set(wanted.trust) - set(applied.get("trust", ())))
    told += [f"trust.groups has {name}, which the workers do not trust yet: {APPLY}" for name in groups]
    others = sorted(set(wanted.databases) - set(applied.get("databases", ())))
    return told + [f"{database_words(name)} is not known to the workers: {APPLY}" for name in others]


def unbound_words(wanted: SandboxPolicy, kind: str, path: str, why: str) -> str:
    """Return the warning about a directory that a worker is not given."""
    names = wanted.namers(kind, path)
    whose = f" ({', '.join(names)})" if names else ""
    if kind == PACKAGES:
        return f"{path}{whose}: not known to the worker for {kind}: {why}"
    return f"{path}{whose}: not bound into the worker for {kind}: {why}"


def digest(command: Sequence[str], environment: Mapping[str, Any], whose: str) -> str:
    """A command with its environment, so that neither has to be told, and with whose rights it is run: see _whose."""
    text = json.dumps([list(command), dict(environment), whose], sort_keys=True)
    return sha256(text.encode()).hexdigest()


def digest_of_look(kind: str, params: Mapping[str, Any]) -> str:
    """What a condition asks, so that none of it has to be told."""
    return sha256(json.dumps([kind, dict(params)], sort_keys=True).encode()).hexdigest()


def _touches(executor: str, config: Mapping[str, Any]) -> list[Resource]:
    return [touch for part, sub in parts(executor, config) for touch in touched(part, sub)]


def _worked_in(kind: str, executor: str, config: Mapping[str, Any]) -> list[str]:
    """The directories that a config names, and for packages the files that say which process is signalled."""
    found = [touch.value for touch in _touches(executor, config) if touch.kind == "path"]
    signals = [sub["signal"] for _, sub in parts(executor, config) if sub.get("signal")] if kind == PACKAGES else []
    return [*found, *(one["pid_file"] for one in signals)]


def _commands(kind: str, executor: str, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, digest) of each command in it."""
    return [
        (key, digest(sub[key], sub.get("environment") or {}, _whose(kind, _user_of(sub)) if kind == PACKAGES else kind))
        for _, sub in parts(executor, config)
        for key in COMMAND_KEYS
        if sub.get(key)
    ]


def _whose(kind: str, user: str | None) -> str:
    """With whose rights such a worker runs a command: one for packages can be anybody, the others are of their user."""
    if kind == PACKAGES:
        return f"{PACKAGES} as {ROOT if user in (None, OWNER) else user}"
    return kind if user is None else f"{kind}-{user}"


def _user_of(config: Mapping[str, Any]) -> str | None:
    return (config.get("scripts") or {}).get("user") or config.get("user")


def is_in(path: str, allowed: Iterable[str]) -> bool:
    """Whether it is one of these directories, or below one."""
    return any(_holds(one, path) for one in allowed)


def _holds(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
