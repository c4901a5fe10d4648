"""Conditions as they stand in the file or come through the socket: one model a kind, and the core's value of each."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, model_validator

from jamaint.core.resources import database_of
from jamaint.core.tasks import Condition
from jamaint.schema import paths
from jamaint.schema.command_line import Command, command_line
from jamaint.schema.errors import did_you_mean
from jamaint.schema.executor_config import GrantedName, setting_of
from jamaint.schema.fields import Account, Flag, Positive, Seconds, Section, Share, Text, between, one_of, some
from jamaint.schema.secrets import WAYS, PostgresAddress, Secret, joined, reference
from jamaint.schema.units import share, shown, size_bytes, text

LONGEST_LOOK_SECONDS = 60.0
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
UNIT_STATES = ("active", "inactive", "failed", "activating", "deactivating", "reloading")


def _least(value: Any) -> dict[str, float]:
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return {"min_share": share(value)}
    return {"min_bytes": size_bytes(value)}


def _a_look(value: float) -> float:
    if value > LONGEST_LOOK_SECONDS:
        raise ValueError(f"must be at most {LONGEST_LOOK_SECONDS:g}s: a start waits for it")
    return value


def _unit_name(value: Any) -> str:
    name = text(value)
    if not UNIT.fullmatch(name) or name.startswith("-"):
        raise ValueError(f"must be the name of a unit, such as nginx.service, not {shown(name)}")
    return name if "." in name else f"{name}.service"


def _as_list(value: Any) -> Any:
    """One item stands for a list of it."""
    return value if isinstance(value, list) or value is None else [value]


def _address(value: Any) -> Any:
    """An address, or the secret that is one."""
    if isinstance(value, Mapping):
        return reference(value)
    url = text(value)
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url or "#" in url:
        raise ValueError(f"must be an address such as http://localhost:8080/health, not {shown(url.partition('?')[0])}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("cannot have a user or password in it: write `headers`, with an authorization")
    return url


def _header(value: Any) -> str:
    name = text(value)
    if not HEADER.fullmatch(name) or name.lower() in ("host", "connection", "content-length"):
        raise ValueError("must be the name of a header, and none of the connection's own")
    return name


def _header_value(value: Any) -> Any:
    """What a header says, or the secret that it says. It may be one in any case, so no message repeats it."""
    if isinstance(value, Mapping):
        return reference(value)
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"must be text in ASCII, or {WAYS}")
    return value


def _database(value: Any, info: ValidationInfo) -> tuple[str, Any]:
    """Its name in grants.databases, and the address."""
    name, there = text(value), setting_of(info).databases
    if there is None:
        return name, ""
    if name not in there:
        raise ValueError(f"there is no {shown(name)} in grants.databases: {did_you_mean(name, there)}")
    return name, there[name]


Least = Annotated[dict[str, float], PlainValidator(_least)]
LookSeconds = Annotated[Seconds, AfterValidator(_a_look)]
Codes = Annotated[tuple[Annotated[int, PlainValidator(between(0, 255))], ...], BeforeValidator(_as_list)]
Status = Annotated[tuple[Annotated[int, PlainValidator(between(100, 599))], ...], BeforeValidator(_as_list)]
States = Annotated[tuple[Annotated[str, PlainValidator(one_of(UNIT_STATES))], ...], BeforeValidator(_as_list)]


class Fact(Section):
    """One kind of condition. `params` is what the look and the judgement take: seconds, bytes, shares of 0..1."""

    @abstractmethod
    def params(self) -> dict[str, Any]:
        """Plain values, every key there."""

    def named(self) -> Iterator[GrantedName]:
        """All that grants must allow before an object that was made through the socket may name it."""
        yield from ()


class LoadAverage(Fact):
    max: Positive = Field(description="the load average that may not be exceeded, such as 8")
    over: Annotated[str, PlainValidator(one_of(("1m", "5m", "15m")))] = "1m"
    per_cpu: Flag = False

    def params(self) -> dict[str, Any]:
        return {"max": self.max, "minutes": int(self.over[:-1]), "per_cpu": self.per_cpu}


class Processor(Fact):
    max: Share = Field(description="how busy the processors may be, such as 80%")

    def params(self) -> dict[str, Any]:
        return {"max": self.max}


class MemoryAvailable(Fact):
    min: Least = Field(description="how much memory must be available, such as 512MiB or 10%")

    def params(self) -> dict[str, Any]:
        return dict(self.min)


class DiskFree(Fact):
    path: Annotated[str, PlainValidator(paths.absolute)] = Field(description="a path on the file system, such as /var")
    min: Least = Field(description="how much must be free, such as 5% or 2GiB")

    def params(self) -> dict[str, Any]:
        return {"path": self.path, **self.min}

    def named(self) -> Iterator[GrantedName]:
        yield GrantedName("path", ("path",), self.path)


class Pressure(Fact):
    resource: Annotated[str, PlainValidator(one_of(("cpu", "memory", "io")))] = Field(
        description="what tasks are held up for: cpu, memory or io"
    )
    max: Share = Field(description="for which share of the time they may be held up, such as 20%")
    stall: Annotated[str, PlainValidator(one_of(("some", "full")))] = "some"
    over: Annotated[str, PlainValidator(one_of(("10s", "60s", "300s")))] = "60s"

    def params(self) -> dict[str, Any]:
        return {"resource": self.resource, "max": self.max, "stall": self.stall, "seconds": int(self.over[:-1])}


class UnitState(Fact):
    name: Annotated[str, PlainValidator(_unit_name)] = Field(description="the unit, such as nginx.service")
    state: Annotated[States, AfterValidator(some)] = ("active",)

    def params(self) -> dict[str, Any]:
        return {"name": self.name, "states": self.state}


class FileState(Fact):
    path: Annotated[str, PlainValidator(paths.absolute)] = Field(description="the file, such as /run/deploy.lock")
    exists: Flag = True
    min_age: Seconds | None = None
    max_age: Seconds | None = None

    @model_validator(mode="after")
    def _has_an_age_if_it_is_there(self) -> Self:
        if not self.exists and (self.min_age or self.max_age):
            raise ValueError("has no age where `exists: false` asks that it is not there: remove one of the two")
        return self

    def params(self) -> dict[str, Any]:
        ages = {"min_age_seconds": self.min_age, "max_age_seconds": self.max_age}
        return {"path": self.path, "exists": self.exists, **ages}

    def named(self) -> Iterator[GrantedName]:
        yield GrantedName("path", ("path",), self.path)


class CommandEnds(Fact):
    command: Annotated[Command, PlainValidator(command_line)] = Field(
        description="the program and its arguments, such as [/usr/bin/app, is-quiet]"
    )
    exit_codes: Annotated[Codes, AfterValidator(some)] = (0,)
    timeout: LookSeconds = 10.0
    user: Account | None = None

    def params(self) -> dict[str, Any]:
        codes = tuple(sorted(set(self.exit_codes)))
        given = {"command": self.command.arguments, "exit_codes": codes, "user": self.user}
        return {**given, "timeout_seconds": self.timeout}

    def named(self) -> Iterator[GrantedName]:
        yield GrantedName("command", ("command",), self.command.name or "")
        if self.user:
            yield GrantedName("user", ("user",), self.user)


class HttpAnswers(Fact):
    url: Annotated[Any, PlainValidator(_address)] = Field(description="the address, such as http://localhost/health")
    headers: dict[Annotated[str, PlainValidator(_header)], Annotated[Any, PlainValidator(_header_value)]] = Field(
        default_factory=dict
    )
    status: Annotated[Status, AfterValidator(some)] = (200,)
    timeout: LookSeconds = 5.0

    def params(self) -> dict[str, Any]:
        given = {"url": self.url, "headers": self.headers, "status": self.status}
        return {**given, "timeout_seconds": self.timeout}

    def named(self) -> Iterator[GrantedName]:
        yield GrantedName("server", ("url",), "")


class TcpConnects(Fact):
    host: Text = Field(description="a name or address, such as localhost")
    port: Annotated[int, PlainValidator(between(1, 65535))] = Field(description="the port, such as 6379")
    timeout: LookSeconds = 5.0

    def params(self) -> dict[str, Any]:
        return {"host": self.host, "port": self.port, "timeout_seconds": self.timeout}

    def named(self) -> Iterator[GrantedName]:
        yield GrantedName("server", ("host",), self.host)


class PostgresqlState(Fact):
    dsn: PostgresAddress | None = None
    password: Secret | None = None
    database: Annotated[tuple[str, Any], PlainValidator(_database)] | None = None
    primary: Flag | None = None
    max_replication_lag: Seconds | None = None
    max_active_connections: Annotated[int, PlainValidator(between(0, 10**6))] | None = None
    max_transaction: Seconds | None = None
    timeout: LookSeconds = 5.0

    CHECKS: ClassVar[tuple[str, ...]] = ("primary", "max_replication_lag", "max_active_connections", "max_transaction")

    @model_validator(mode="after")
    def _has_a_server_and_a_check(self) -> Self:
        if (self.dsn is None) is (self.database is None):
            raise ValueError("must have one of dsn and database: an address, or a name in grants.databases")
        joined(self.dsn, self.password)
        if all(getattr(self, check) is None for check in self.CHECKS):
            raise ValueError(f"must have something to check: {', '.join(self.CHECKS[:-1])} or {self.CHECKS[-1]}")
        return self

    def params(self) -> dict[str, Any]:
        address = joined(self.dsn, self.password)
        name, dsn = self.database or (database_of(address), address)
        return {
            "name": name,
            "dsn": dsn,
            "primary": self.primary,
            "max_replication_lag_seconds": self.max_replication_lag,
            "max_active_connections": self.max_active_connections,
            "max_transaction_seconds": self.max_transaction,
            "unknown_lag_is_met": False,
            "timeout_seconds": self.timeout,
        }

    def named(self) -> Iterator[GrantedName]:
        if self.dsn is not None:
            yield GrantedName("dsn", ("dsn",), "")
        if self.database is not None:
            yield GrantedName("database", ("database",), self.database[0])


class LoggedInUsers(Fact):
    max: Annotated[int, PlainValidator(between(0, 10**6))] = Field(description="how many may be logged in, such as 0")

    def params(self) -> dict[str, Any]:
        return {"max": self.max}


class ConditionGiven(Section):
    """A fact of the machine that must hold: exactly one key names it; beside it stands what becomes of it."""

    WORD: ClassVar[str] = "condition"

    load_average: LoadAverage | None = None
    processor: Processor | None = None
    memory_available: MemoryAvailable | None = None
    disk_free: DiskFree | None = None
    pressure: Pressure | None = None
    unit: UnitState | None = None
    file: FileState | None = None
    command: CommandEnds | None = None
    http: HttpAnswers | None = None
    tcp: TcpConnects | None = None
    postgresql: PostgresqlState | None = None
    logged_in_users: LoggedInUsers | None = None
    mains_power: Flag | None = None
    while_running: Annotated[Literal["pause", "abort"], PlainValidator(one_of(("pause", "abort")))] | None = None
    on_unknown: Annotated[Literal["met", "unmet"], PlainValidator(one_of(("met", "unmet")))] = "unmet"

    @property
    def kind(self) -> str:
        """Which one it is: see `explain.exactly_one`."""
        return next(kind for kind in CONDITION_CHOICES if getattr(self, kind) is not None)

    def condition(self) -> Condition:
        """The condition as the core takes it."""
        fact, unknown_is_met = getattr(self, self.kind), self.on_unknown == "met"
        params: Mapping[str, Any] = fact.params() if isinstance(fact, Fact) else {"connected": fact}
        if "unknown_lag_is_met" in params:
            params = {**params, "unknown_lag_is_met": unknown_is_met}
        return Condition(self.kind, params, self.while_running, unknown_is_met)

    def named(self) -> Iterator[GrantedName]:
        """All that grants must allow."""
        fact = getattr(self, self.kind)
        for each in fact.named() if isinstance(fact, Fact) else ():
            yield each._replace(path=(self.kind, *each.path))


CONDITION_CHOICES = tuple(name for name in ConditionGiven.model_fields if name not in ("while_running", "on_unknown"))
