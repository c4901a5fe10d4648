"""Configuration: the daemon's settings and the objects from files, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from jamaint.core.calendar.freezes import Freeze
from jamaint.core.calendar.windows import Window
from jamaint.core.policies.policies import Policy
from jamaint.core.secrets import as_given, without_passwords
from jamaint.core.tasks import Task

Address = str | Mapping[str, Any]
"""Where a database is: its address, or how the secret is called that is the address or its password (core.secrets)."""
Level = Literal["debug", "info", "warning", "error"]


class Principal(NamedTuple):
    """Who has a role: a user, a group, or root, who is named so."""

    kind: Literal["user", "group", "root"]
    name: str

    def __str__(self) -> str:
        return self.name if self.kind == "root" else f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Database:
    """Where the state is kept: `dsn` None means the embedded PostgreSQL, `binaries` the directory of its programs."""

    dsn: Address | None = None
    binaries: str | None = None


@dataclass(frozen=True, slots=True)
class Socket:
    """The control socket: `mode` as chmod takes it, `group` None leaves the daemon's own."""

    path: str
    mode: int = 0o660
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """Who may read, who may also execute, and who may change things. root is admin whatever stands here."""

    viewer: tuple[Principal, ...] = ()
    operator: tuple[Principal, ...] = ()
    admin: tuple[Principal, ...] = (Principal("root", "root"),)


@dataclass(frozen=True, slots=True)
class Grants:
    """What objects made through the socket may name; `file` is where a person adds to it."""

    paths: tuple[str, ...] = ()
    databases: Mapping[str, Address] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    file: str = "jamaintd.yaml"


@dataclass(frozen=True, slots=True)
class SchedulerRules:
    """Whether what is due starts, how many executions run at once, how late one may start, and how many that
    were missed start within a minute."""

    enabled: bool = True
    max_concurrent_tasks: int = 4
    misfire_grace_seconds: float = 3600.0
    catch_ups_per_minute: int = 30


@dataclass(frozen=True, slots=True)
class RollbackRules:
    """How long ways back are kept; with less than `low_space` (0..1) of a file system free, none are made on it."""

    retention_seconds: float = 604800.0
    low_space: float = 0.1


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """How long ended executions with their logs, and entries of the audit log, are kept."""

    executions_seconds: float = 400 * 86400.0
    audit_seconds: float = 400 * 86400.0


@dataclass(frozen=True, slots=True)
class LogRules:
    """The daemon's own log; `format` None: the journal under systemd, else text on a terminal."""

    format: Literal["text", "json", "journal"] | None = None
    level: Level = "info"


@dataclass(frozen=True, slots=True)
class Config:
    """All that the files and the environment say, checked as a whole. `path` is None where there is no main file."""

    path: str | None
    files: tuple[str, ...]
    loaded_at: datetime
    database: Database
    socket: Socket
    roles: Roles
    state_dir: str
    grants: Grants
    scheduler: SchedulerRules
    rollback: RollbackRules
    log: LogRules
    tasks: Mapping[str, Task]
    windows: Mapping[str, Window]
    freezes: Mapping[str, Freeze] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    history: HistoryRules = HistoryRules()
    trusted_groups: tuple[str, ...] = ()
    """Groups that may write where root works."""
    samples_usage: bool = True
    """Whether sizes are measured every few hours, for growth and forecasts."""
    textfile: str | None = None
    """Where metrics are written for the textfile collector of node_exporter."""


def shown_config(config: Config) -> dict[str, Any]:
    """The configuration in force as plain JSON, in the words of the file, with no password in it."""
    database, scheduler, rollback = config.database, config.scheduler, config.rollback
    return {
        "files": list(config.files),
        "database": {"dsn": as_given(database.dsn), "binaries": database.binaries},
        "socket": {"path": config.socket.path, "mode": f"{config.socket.mode:04o}", "group": config.socket.group},
        "roles": {
            role: [str(principal) for principal in getattr(config.roles, role)]
            for role in ("viewer", "operator", "admin")
        },
        "state_dir": config.state_dir,
        "grants": {
            "paths": list(config.grants.paths),
            "databases": {name: as_given(address) for name, address in config.grants.databases.items()},
            "commands": {name: list(arguments) for name, arguments in config.grants.commands.items()},
            "users": list(config.grants.users),
        },
        "trust": {"groups": list(config.trusted_groups)},
        "scheduler": {
            "enabled": scheduler.enabled,
            "max_concurrent_tasks": scheduler.max_concurrent_tasks,
            "misfire_grace_seconds": scheduler.misfire_grace_seconds,
            "catch_ups_per_minute": scheduler.catch_ups_per_minute,
        },
        "rollback": {"retention_seconds": rollback.retention_seconds, "low_space": rollback.low_space},
        "monitoring": {"usage": config.samples_usage, "textfile": config.textfile},
        "history": {
            "executions_seconds": config.history.executions_seconds,
            "audit_seconds": config.history.audit_seconds,
        },
        "log": {"format": config.log.format, "level": config.log.level},
        "windows": {name: without_passwords(window.definition) for name, window in config.windows.items()},
        "policies": {name: without_passwords(policy.definition) for name, policy in config.policies.items()},
        "freezes": {name: without_passwords(freeze.definition) for name, freeze in config.freezes.items()},
        "tasks": {name: without_passwords(task.definition) for name, task in config.tasks.items()},
    }
