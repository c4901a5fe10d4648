"""Sections: the settings of the daemon as they stand in the file, one model each."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from jamaint.config import values
from jamaint.schema import paths
from jamaint.schema.fields import (
    Account,
    Arguments,
    Flag,
    Seconds,
    Section,
    Share,
    account,
    between,
    object_name,
    one_of,
)
from jamaint.schema.secrets import GrantedAddress, PostgresAddress, Secret, any_address, joined
from jamaint.schema.units import shown, text

NOWHERE = "/nowhere/at/all"
"""For a state directory that is not known here; every task is judged against the real one in any case."""

SOCKET_PATH_LIMIT = 107
"""Bytes that the kernel takes as the path of a socket."""


def socket_path(value: Any) -> str:
    """An absolute path that is short enough for a socket."""
    path = paths.absolute(value)
    length = len(path.encode())
    if length > SOCKET_PATH_LIMIT:
        raise ValueError(f"is {length} bytes long, and the path of a socket may have {SOCKET_PATH_LIMIT}: {path}")
    return path


def textfile_path(value: Any) -> str:
    """An absolute path that the textfile collector of node_exporter reads: it takes names that end in .prom only."""
    path = paths.absolute(value)
    if not path.endswith(".prom"):
        raise ValueError(f"must end in .prom, as node_exporter reads no other names: {path}")
    return path


def file_mode(value: Any) -> int:
    """A mode as chmod takes it: `0660`, in quotes or not."""
    digits = value if isinstance(value, str) else ""
    if not digits.isascii() or not digits.isdigit() or len(digits.lstrip("0")) > 3 or set(digits) & set("89"):
        raise ValueError(f'must be a mode in octal digits, such as "0660", not {shown(value)}')
    mode = int(digits, 8)
    if mode & 0o600 != 0o600:
        raise ValueError(f"{digits} would shut the daemon itself out: write 0600 or 0660")
    return mode


def principal(value: Any) -> values.Principal:
    """`root`, `user:NAME`, `group:NAME`, or the bare name of a user."""
    entry = text(value)
    if entry in ("root", "user:root"):
        return values.Principal("root", "root")
    kind, colon, name = entry.partition(":")
    if not colon:
        return values.Principal("user", account(entry))
    if kind == "user":
        return values.Principal("user", account(name))
    if kind == "group":
        return values.Principal("group", account(name))
    raise ValueError(f"must be root, user:NAME or group:NAME, not {shown(entry)}")


def _granted_path(value: Any) -> str:
    return paths.allowed_root(paths.plain_directory(value), NOWHERE, "this grants ")


def _granted_command(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value[0].startswith("/"):
        raise ValueError(f"must begin with the absolute path of the program, not {shown(value[0])}")
    return value


def _a_second(value: float) -> float:
    if value < 1:
        raise ValueError("must be at least 1s")
    return value


Principals = tuple[Annotated[values.Principal, PlainValidator(principal)], ...]
GrantedCommand = Annotated[Arguments, AfterValidator(_granted_command)]
LongSeconds = Annotated[Seconds, AfterValidator(_a_second)]
AUDIT_LEAST_DAYS = 31


def _long_enough_to_audit(value: float) -> float:
    if value < AUDIT_LEAST_DAYS * 86400:
        raise ValueError(f"must be at least {AUDIT_LEAST_DAYS}d: what is younger can be deleted by nobody")
    return value


AuditSeconds = Annotated[Seconds, AfterValidator(_long_enough_to_audit)]
AbsolutePath = Annotated[str, PlainValidator(paths.absolute)]


class DatabaseSection(Section):
    """database: where the state is kept."""

    dsn: PostgresAddress | None = None
    password: Secret | None = None
    binaries: AbsolutePath | None = None

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        joined(self.dsn, self.password)
        return self


class SocketSection(Section):
    """socket: where and for whom the daemon listens."""

    path: Annotated[str, PlainValidator(socket_path)] | None = None
    mode: Annotated[int, PlainValidator(file_mode)] = 0o660
    group: Account | None = None


class RolesSection(Section):
    """roles: who may do what."""

    viewer: Principals = ()
    operator: Principals = ()
    admin: Principals = values.Roles().admin


class GrantsSection(Section):
    """grants: what objects made through the socket may name."""

    paths: tuple[Annotated[str, PlainValidator(_granted_path)], ...] = ()
    databases: dict[Annotated[str, PlainValidator(object_name)], GrantedAddress] = Field(default_factory=dict)
    commands: dict[Annotated[str, PlainValidator(object_name)], GrantedCommand] = Field(default_factory=dict)
    users: tuple[Account, ...] = ()


class TrustSection(Section):
    """trust: whose right to write in a directory does not keep root from working there."""

    groups: tuple[Account, ...] = ()


class SchedulerSection(Section):
    """scheduler: what starts, and how much at once."""

    enabled: Flag = True
    max_concurrent_tasks: Annotated[int, PlainValidator(between(1, 1000))] = 4
    misfire_grace: LongSeconds = 3600.0
    catch_ups_per_minute: Annotated[int, PlainValidator(between(1, 10_000))] = 30


class RollbackSection(Section):
    """rollback: how long ways back are kept."""

    retention: LongSeconds = 604800.0
    low_space: Share = 0.1


class HistorySection(Section):
    """history: how long what has ended is kept."""

    executions: LongSeconds = 400 * 86400.0
    audit: AuditSeconds = 400 * 86400.0


class LogSection(Section):
    """log: the daemon's own log."""

    format: (
        Annotated[Literal["text", "json", "journal"], PlainValidator(one_of(("text", "json", "journal")))] | None
    ) = None
    level: Annotated[values.Level, PlainValidator(one_of(("debug", "info", "warning", "error")))] = "info"


class Channel(Section):
    """One way to tell people."""

    url: Annotated[Any, PlainValidator(any_address)] = Field(
        description="the address that messages go to, such as mailto://ops@example.org"
    )


class NotificationsSection(Section):
    """notifications: ways to tell people; no channel of this version can send."""

    channels: dict[Annotated[str, PlainValidator(object_name)], Channel] = Field(default_factory=dict)


class MonitoringSection(Section):
    """monitoring: what the daemon measures by itself."""

    usage: Flag = True
    textfile: Annotated[str, PlainValidator(textfile_path)] | None = None


SECTIONS: Mapping[str, type[Section]] = {
    "database": DatabaseSection,
    "socket": SocketSection,
    "roles": RolesSection,
    "grants": GrantsSection,
    "trust": TrustSection,
    "scheduler": SchedulerSection,
    "rollback": RollbackSection,
    "history": HistorySection,
    "log": LogSection,
    "notifications": NotificationsSection,
    "monitoring": MonitoringSection,
}
"""The sections that may be set once, by name. Beside them stand `state_dir` and those of OBJECTS."""

OBJECTS = ("windows", "tasks", "freezes", "policies")
"""Sections of named objects: they may stand in several files, each name once."""


class Top(Section):
    """The file as a whole; only its keys are used, to name the one that was meant."""

    WORD: ClassVar[str] = "section"

    enabled: Any = None
    monitoring: Any = None
    database: Any = None
    socket: Any = None
    roles: Any = None
    state_dir: Any = None
    grants: Any = None
    trust: Any = None
    scheduler: Any = None
    rollback: Any = None
    history: Any = None
    log: Any = None
    windows: Any = None
    tasks: Any = None
    freezes: Any = None
    notifications: Any = None
    policies: Any = None
    cleanup: Any = None
