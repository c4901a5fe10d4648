"""database.cleanup and database.optimize: what the config of their tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationInfo, model_validator

from jamaint.databases.rules.where_clause import wrong_condition
from jamaint.schema.errors import Flaw, did_you_mean
from jamaint.schema.executor_config import GrantedName, Work, setting_of
from jamaint.schema.fields import Account, Section, Text, between, zone
from jamaint.schema.secrets import PostgresAddress, Secret, joined
from jamaint.schema.units import MINUTE, duration_seconds, share, shown, text

LOCK_TIMEOUT_SECONDS = 0.5


def _granted(value: Any, info: ValidationInfo) -> str:
    """A name in grants.databases."""
    name, databases = text(value), setting_of(info).databases
    if databases is None or name in databases:
        return name
    if "://" in name:
        raise ValueError("must be a name in grants.databases: an address stands in `dsn`, in a file")
    raise ValueError(f"there is no {shown(name)} in grants.databases: {did_you_mean(name, databases)}")


def _condition(value: Any) -> str:
    condition = text(value)
    wrong = wrong_condition(condition)
    if wrong is not None:
        raise ValueError(f"must be one condition, as it stands after WHERE: {wrong}")
    return condition


def _lock_timeout(value: Any) -> float:
    seconds = duration_seconds(value)
    if not 0.01 <= seconds <= 60:
        raise ValueError("must be 10ms to 1m: others wait behind us for as long")
    return seconds


def _age(value: Any) -> float:
    seconds = duration_seconds(value)
    if seconds < MINUTE:
        raise ValueError(f"must be at least 1m, not {shown(value)}: what was written just now is not old")
    return seconds


def _percent(value: Any) -> float:
    """0..1 from `30%`, or from 30: the key's unit is percent."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 1 <= value <= 100:
            raise ValueError(f"must be 1% to 100%, not {shown(value)}")
        return float(value) / 100
    return share(value)


class OldData(Section):
    """One table, and which of its rows are old: by a date, or by any condition."""

    table: Text = Field(description="the table whose old rows go, such as public.sessions")
    where: Annotated[str, PlainValidator(_condition)] | None = None
    age_column: Text | None = None
    older_than: Annotated[float, PlainValidator(_age)] | None = None
    timezone: Annotated[str, PlainValidator(zone)] | None = None
    batch_size: Annotated[int, PlainValidator(between(1, 1_000_000))] = 20_000

    @model_validator(mode="after")
    def _says_what_is_old(self) -> "OldData":
        if self.where is not None and (self.age_column or self.older_than):
            raise ValueError("must have either `where`, or `age_column` and `older_than`, and has both")
        if self.where is None and not (self.age_column and self.older_than):
            raise ValueError("must say what is old: `age_column` and `older_than`, or `where`")
        if self.where is not None and self.timezone is not None:
            raise ValueError("has a `timezone`, which is that of `age_column`, and a `where`: say the zone in that")
        return self

    def normalised(self) -> dict[str, Any]:
        """Plain JSON: `where` or `age_column` with `older_than_seconds`, the other None."""
        return {
            "table": self.table,
            "where": self.where,
            "age_column": self.age_column,
            "older_than_seconds": self.older_than,
            **({} if self.timezone is None else {"timezone": self.timezone}),
            "batch_size": self.batch_size,
        }


class DatabaseWork(Work):
    """What tasks on a database have in common. The address that is normalised may hold a password."""

    dsn: PostgresAddress | None = None
    password: Secret | None = None
    database: Annotated[str, PlainValidator(_granted)] | None = None
    lock_timeout: Annotated[float, PlainValidator(_lock_timeout)] = LOCK_TIMEOUT_SECONDS
    user: Account | None = None

    @model_validator(mode="after")
    def _has_one_address(self, info: ValidationInfo) -> "DatabaseWork":
        if (self.dsn is None) == (self.database is None):
            has = "neither" if self.dsn is None else "both"
            raise ValueError(
                f"must have either `dsn`, an address, or `database`, a name in grants.databases, not {has}"
            )
        if self.database is not None:
            databases = setting_of(info).databases
            object.__setattr__(self, "_address", (databases or {}).get(self.database, ""))
        joined(self.dsn, self.password)
        return self

    _address: Any = ""

    def normalised(self) -> dict[str, Any]:
        return {
            "dsn": joined(self.dsn, self.password) or self._address,
            "lock_timeout_seconds": self.lock_timeout,
            "user": self.user,
        }

    def named(self) -> Iterator[GrantedName]:
        if self.database is not None:
            yield GrantedName("database", ("database",), self.database)
        else:
            yield GrantedName("dsn", ("dsn",), "")
        if self.user:
            yield GrantedName("user", ("user",), self.user)


def twice(rules: tuple[OldData, ...]) -> Iterator[Flaw]:
    """The same rule again."""
    for index, rule in enumerate(rules):
        if rule in rules[:index]:
            yield Flaw(("cleanup_old_data", index), "stands there twice: the second finds nothing to do")
