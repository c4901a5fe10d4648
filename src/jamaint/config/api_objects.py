"""Tasks and windows that come through the socket, checked like those in files and bound by the grants."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from jamaint.config.policies import read_policy
from jamaint.config.references import wrong_circles, wrong_names, wrong_rings
from jamaint.config.task_window_parser import read_task, read_window
from jamaint.config.values import Address, Config, Grants
from jamaint.core.calendar.windows import Window
from jamaint.core.policies.policies import Policy
from jamaint.core.tasks import Origin, Task
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.schema import paths
from jamaint.schema.errors import Flaw, dotted
from jamaint.schema.executor_config import GrantedName, Setting
from jamaint.schema.secrets import WAYS, given_secrets


class Defined(Protocol):
    """A task, a window, or a row of the store."""

    @property
    def definition(self) -> Mapping[str, Any]:
        """The object as it was given."""


class _Definitions(Mapping[str, Mapping[str, Any]]):
    """A view: thousands of tasks are parsed one after the other at a start, each among all others."""

    def __init__(self, objects: Mapping[str, Defined]) -> None:
        self._objects = objects

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._objects[name].definition

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)


@dataclass(frozen=True, slots=True)
class Known:
    """What an object may refer to: the definitions of all tasks and windows, and what the configuration says."""

    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    windows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    databases: Mapping[str, Address] = field(default_factory=dict)
    state_dir: str = "/"

    @property
    def setting(self) -> Setting:
        """What the configuration says."""
        return Setting(self.state_dir, self.commands, self.databases)

    @classmethod
    def of(cls, config: Config, tasks: Mapping[str, Defined], windows: Mapping[str, Defined]) -> "Known":
        """What there is when `tasks` and `windows` are all that are known by name, from files and from the socket."""
        grants = config.grants
        return cls(_Definitions(tasks), _Definitions(windows), grants.commands, grants.databases, config.state_dir)


def parse_task(
    value: Mapping[str, Any], *, origin: Origin, grants: Grants | None, known: Known, taken_before: bool = False
) -> Task:
    """The task that `value` (with its `name`) defines. `grants` None: root made it, who may name anything.

    One that was `taken_before` stays when a task that it depends on has gone since: the dependency then says so.
    Raises JamaintError(INVALID_PARAMS) with data {path, problem, mistakes: [{path, problem}]}, every mistake at once.
    """
    found = read_task(value, origin, known.setting)
    name = str(value.get("name"))
    others = cast("dict[str, Mapping[str, Any]]", known.tasks)  # a ChainMap writes into its first mapping alone
    tasks = ChainMap({name: value}, others)
    flaws = [*found.flaws, *wrong_names(name, value, None if taken_before else tasks, known.windows)]
    # The walk begins with this task, so a ring through it begins with it too; any other was there before.
    flaws += [flaw for first, flaw in wrong_rings(tasks, [name]) if first == name]
    flaws += [flaw for first, flaw in wrong_circles(tasks, [name]) if first == name]
    flaws += [*_not_granted(found.named, grants), *_kept_passwords(value)]
    if found.value is None or flaws:
        raise _refusal(flaws)
    return found.value


def parse_window(value: Mapping[str, Any], *, origin: Origin, grants: Grants | None, known: Known) -> Window:
    """The window that `value` (with its `name`) defines; the same rules as `parse_task`."""
    found = read_window(value, origin, known.setting)
    flaws = [*found.flaws, *_not_granted(found.named, grants), *_kept_passwords(value)]
    if found.value is None or flaws:
        raise _refusal(flaws)
    return found.value


def parse_policy(value: Mapping[str, Any], *, origin: Origin, grants: Grants | None) -> Policy:
    """The policy that `value` (with its `name`) defines; the same rules as `parse_task`."""
    found = read_policy(value, origin)
    flaws = [*found.flaws, *_not_granted(found.named, grants), *_kept_passwords(value)]
    if found.value is None or flaws:
        raise _refusal(flaws)
    return found.value


def _not_granted(named: Iterable[GrantedName], grants: Grants | None) -> Iterator[Flaw]:
    for each in named if grants is not None else ():
        assert grants is not None  # the line above
        problem = _RULES[each.kind](each.value, grants)
        if problem:
            yield Flaw(each.path, problem)


def _kept_passwords(value: Mapping[str, Any]) -> Iterator[Flaw]:
    """What is made through the socket is kept in the database, whoever makes it, and a password is not."""
    for path, found in given_secrets(value):
        if isinstance(found, str):
            yield Flaw(
                path,
                "has a password in it, which would be stored in the database: leave it out, and write a reference "
                f"beside the address, as password: {WAYS}, or define this in a file",
            )


def _path_rule(path: str, grants: Grants) -> str | None:
    # The directory before the first wildcard is the last thing known for certain about where a pattern reaches.
    fixed = paths.directory_before_wildcard(path) if paths.WILDCARD.search(path) else path
    if any(paths.contains(granted, fixed) for granted in grants.paths):
        return None
    return f"{path} is not granted: add {fixed} to grants.paths in {grants.file}, or define this task there"


def _command_rule(name: str, grants: Grants) -> str | None:
    if name in grants.commands:
        return None
    there = ", ".join(sorted(grants.commands)) or "none are granted yet"
    return (
        f"must be a name in grants.commands ({there}): add the command there, in {grants.file}, and write its name here"
    )


def _database_rule(name: str, grants: Grants) -> str | None:
    if name in grants.databases:
        return None
    there = ", ".join(sorted(grants.databases)) or "none are granted yet"
    return f"must be a name in grants.databases ({there}): add the database there, in {grants.file}"


def _dsn_rule(_address: str, grants: Grants) -> str | None:
    return (
        f"an address can only stand in a file: add it to grants.databases in {grants.file}, and name it with `database`"
    )


def _user_rule(user: str, grants: Grants) -> str | None:
    if user in grants.users:
        return None
    return f"user {user} is not granted: add it to grants.users in {grants.file}, or define this task there"


def _script_user_rule(user: str, grants: Grants) -> str | None:
    if user == "root":
        return f"root's rights for scripts can only be given in a file: define this task in {grants.file} or beside it"
    return _user_rule(user, grants)


def _default_script_user_rule(key: str, grants: Grants) -> str | None:
    return (
        f"{key} would have the daemon's rights, or root's, which can only be given in a file: write "
        f"scripts: {{ user: NAME }} with one of grants.users, or define this task in {grants.file} or beside it"
    )


def _argument_rule(_value: str, grants: Grants) -> str | None:
    return (
        "gives a granted command one more argument, the path of a log, which can only be done in a file: leave it out, "
        f"or define this task in {grants.file} or beside it"
    )


def _environment_rule(name: str, grants: Grants) -> str | None:
    # LD_PRELOAD, PYTHONPATH and their like turn a granted command into any other, and there is no end to their list.
    return (
        f"{name} can only be set in a file: add a command to grants.commands in {grants.file}, "
        f"such as [/usr/bin/env, {name}=…, …], and name that"
    )


def _server_rule(_address: str, grants: Grants) -> str | None:
    # Not even the address is repeated: it may hold a password.
    return f"a server can only be named in a file: define this task in {grants.file} or beside it"


_RULES: Mapping[str, Callable[[str, Grants], str | None]] = {
    "path": _path_rule,
    "command": _command_rule,
    "user": _user_rule,
    "script user": _script_user_rule,
    "default script user": _default_script_user_rule,
    "argument": _argument_rule,
    "environment": _environment_rule,
    "server": _server_rule,
    "database": _database_rule,
    "dsn": _dsn_rule,
}


def _refusal(flaws: Sequence[Flaw]) -> JamaintError:
    mistakes = [{"path": dotted(flaw.path), "problem": flaw.problem} for flaw in flaws]
    message = "; ".join(f"{mistake['path']}: {mistake['problem']}" for mistake in mistakes)
    return JamaintError(INVALID_PARAMS, message, {**mistakes[0], "mistakes": mistakes})
