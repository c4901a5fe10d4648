"""Settings: the daemon's own part of the configuration, from the sections, the environment and the defaults."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from jamaint.config import sections, values
from jamaint.config.files import first_of, user_directory
from jamaint.config.merging import Merged
from jamaint.schema import paths
from jamaint.schema.errors import Flaw, Mistake
from jamaint.schema.fields import Section
from jamaint.schema.secrets import joined
from jamaint.schema.units import flag
from jamaint.schema.validation import read

S = TypeVar("S", bound=Section)

NO_PLACE = "the daemon needs a place for its state: set JAMAINT_STATE_DIR or HOME, or `state_dir:` in the configuration"


class Settings(NamedTuple):
    """What a Config says beside its objects; where a section has mistakes, its defaults stand in."""

    database: values.Database
    socket: values.Socket
    roles: values.Roles
    state_dir: str
    grants: values.Grants
    scheduler: values.SchedulerRules
    rollback: values.RollbackRules
    history: values.HistoryRules
    log: values.LogRules
    trusted_groups: tuple[str, ...]
    samples_usage: bool
    textfile: str | None


def read_settings(merged: Merged, environ: Mapping[str, str], euid: int, main: str) -> Settings:
    """Reads all sections, and adds their mistakes to those of `merged`. `main` is the file that new keys go to."""
    database = _section(merged, "database", sections.DatabaseSection)
    roles = _section(merged, "roles", sections.RolesSection)
    scheduler = _section(merged, "scheduler", sections.SchedulerSection)
    rollback = _section(merged, "rollback", sections.RollbackSection)
    history = _section(merged, "history", sections.HistorySection)
    log = _section(merged, "log", sections.LogSection)
    monitoring = _section(merged, "monitoring", sections.MonitoringSection)
    _section(merged, "notifications", sections.NotificationsSection)
    state_dir = _state_dir(merged, environ, euid)
    return Settings(
        database=values.Database(joined(database.dsn, database.password), database.binaries),
        socket=_socket(merged, environ, euid, state_dir),
        roles=values.Roles(roles.viewer, roles.operator, roles.admin),
        state_dir=state_dir,
        grants=_grants(merged, main),
        scheduler=values.SchedulerRules(
            scheduler.enabled and _enabled(merged),
            scheduler.max_concurrent_tasks,
            scheduler.misfire_grace,
            scheduler.catch_ups_per_minute,
        ),
        rollback=values.RollbackRules(rollback.retention, rollback.low_space),
        history=values.HistoryRules(history.executions, history.audit),
        log=values.LogRules(log.format, log.level),
        trusted_groups=_section(merged, "trust", sections.TrustSection).groups,
        samples_usage=monitoring.usage,
        textfile=monitoring.textfile,
    )


def _section(merged: Merged, name: str, model: type[S]) -> S:
    given = merged.sections.get(name)
    found, flaws = read(model, given.value if given else {})
    if given is not None and flaws:
        merged.mistakes += [given.mistake(flaw) for flaw in flaws]
        merged.unsure.add(name)
    return found or model()


def _enabled(merged: Merged) -> bool:
    """The root key `enabled`: with false, nothing starts by a schedule, as with `scheduler.enabled`."""
    given = merged.sections.get("enabled")
    if given is None:
        return True
    try:
        return flag(given.value)
    except ValueError as error:
        merged.mistakes.append(given.mistake(Flaw((), str(error))))
        return True


def _grants(merged: Merged, main: str) -> values.Grants:
    found = _section(merged, "grants", sections.GrantsSection)
    given = merged.sections.get("grants")
    file = given.document.file if given else main
    return values.Grants(found.paths, found.databases, found.commands, found.users, file)


def _state_dir(merged: Merged, environ: Mapping[str, str], euid: int) -> str:
    """JAMAINT_STATE_DIR, else the file, else what systemd made, else the usual place."""
    asked = _from_environment(merged, environ, "JAMAINT_STATE_DIR", own_directory)
    given = merged.sections.get("state_dir")
    if asked or given is None:
        usual = "/var/lib/jamaint" if euid == 0 else _user_state(environ)
        place = asked or first_of(environ, "STATE_DIRECTORY") or usual
        if place is None:
            merged.mistakes.append(Mistake("HOME", 0, 0, "", NO_PLACE))
        return os.path.normpath(place or "/")
    try:
        return own_directory(given.value)
    except ValueError as error:
        merged.mistakes.append(given.mistake(Flaw((), str(error))))
        return "/"


def own_directory(value: Any) -> str:
    """The state directory: an absolute path, and not everything. Raises ValueError."""
    path = paths.absolute(value)
    if path == "/":
        raise ValueError("must be a directory of its own, not /")
    return path


def _user_state(environ: Mapping[str, str]) -> str | None:
    directory = user_directory(environ, "XDG_STATE_HOME", os.path.join(".local", "state"))
    return directory and os.path.join(directory, "jamaint")


def _socket(merged: Merged, environ: Mapping[str, str], euid: int, state_dir: str) -> values.Socket:
    found = _section(merged, "socket", sections.SocketSection)
    asked = _from_environment(merged, environ, "JAMAINT_SOCKET", sections.socket_path) or found.path
    return values.Socket(asked or _usual_socket(merged, environ, euid, state_dir), found.mode, found.group)


def _usual_socket(merged: Merged, environ: Mapping[str, str], euid: int, state_dir: str) -> str:
    runtime = first_of(environ, "RUNTIME_DIRECTORY") or ("/run/jamaint" if euid == 0 else None)
    if runtime is None and os.path.isabs(environ.get("XDG_RUNTIME_DIR", "")):
        runtime = os.path.join(environ["XDG_RUNTIME_DIR"], "jamaint")
    path = os.path.join(runtime or state_dir, "jamaintd.sock")
    try:
        return sections.socket_path(path)
    except ValueError as error:
        merged.mistakes.append(Mistake("socket.path", 0, 0, "", f"{error}: name a shorter one, or set JAMAINT_SOCKET"))
        return path


def _from_environment(merged: Merged, environ: Mapping[str, str], name: str, check: Any) -> str | None:
    if not environ.get(name):
        return None
    try:
        return str(check(environ[name]))
    except ValueError as error:
        merged.mistakes.append(Mistake(name, 0, 0, "", str(error)))
        return None
