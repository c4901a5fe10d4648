"""Fields: the types that keys of the configuration have, each with its own words for what would be right."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, model_validator

from jamaint.schema.errors import closest
from jamaint.schema.units import argument, duration_seconds, flag, positive, share, shown, size_bytes, text, whole

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}\$?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Section(BaseModel):
    """A mapping with fixed keys. A key without a value is a key left out, as it is when its lines are commented out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    WORD: ClassVar[str] = "key"
    """What a key of this mapping is to a person."""
    LATER: ClassVar[Mapping[str, str]] = {}
    """Keys that the contract has and this version has not, each with what to say."""

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        names = cls.keywords()
        return {key: item for key, item in value.items() if item is not None or key not in names}

    @classmethod
    def keywords(cls) -> list[str]:
        """Its keys as they stand in the file."""
        return [described.alias or name for name, described in cls.model_fields.items()]


def one_of(choices: Collection[str]) -> Callable[[Any], str]:
    """A check that a value is one of `choices`."""

    def check(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        meant = closest(value, choices) if isinstance(value, str) else None
        hint = f": did you mean {meant}?" if meant else ""
        raise ValueError(f"must be one of {', '.join(choices)}, not {shown(value)}{hint}")

    return check


def between(least: int, most: int) -> Callable[[Any], int]:
    """A check that a value is a whole number from `least` to `most`."""
    return lambda value: whole(value, least, most)


def at_least_one(value: Any) -> float:
    """A number of at least 1."""
    number = positive(value)
    if number < 1:
        raise ValueError(f"must be at least 1, not {shown(value)}")
    return number


def object_name(value: Any) -> str:
    """The name of a task or window."""
    name = text(value)
    if NAME.fullmatch(name):
        return name
    likely = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:63]
    hint = f": write {likely}" if NAME.fullmatch(likely) else ""
    raise ValueError(
        "a name has small letters, digits, dots, dashes and underscores, begins with a letter or digit, "
        f"and is at most 63 long, and {shown(name)} is not like that{hint}"
    )


def account(value: Any) -> str:
    """The name of a user or group."""
    name = text(value)
    if not ACCOUNT.fullmatch(name):
        raise ValueError(f"must be the name of a user or group, not {shown(name)}")
    return name


_NO_ZONES = frozenset({"localtime", "Factory", "posixrules"})
"""Of the machine's names for zones, those that are none: they mean another hour elsewhere, or nothing at all."""
_A_NAME = "write a name such as Asia/Jakarta or UTC"
_OFFSET = re.compile(r"(?:Etc/)?(?:GMT|UTC|Z)?([+-])(\d{1,2})(?::?00)?", re.ASCII | re.IGNORECASE)


def zone(value: Any) -> str:
    """An IANA time zone that this machine knows."""
    name = text(value)
    if name in _NO_ZONES:
        raise ValueError(
            f"{shown(name)} is not a time zone known on this machine: write a name such as Asia/Jakarta or UTC"
        )
    if name.startswith("right/"):
        raise ValueError(
            f"{shown(name)} counts leap seconds, and no clock here does: write {name.removeprefix('right/')}"
        )
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # not found, a directory, or no name of a file at all
        raise ValueError(f"{shown(name)} is not a time zone known on this machine: {_zone_hint(name)}") from None
    return name


def _zone_hint(name: str) -> str:
    offset = _OFFSET.fullmatch(name)
    if offset is not None and (hours := int(offset[2])) <= 12:
        turned, side = ("-", "ahead of") if offset[1] == "+" else ("+", "behind")
        zone_name = f"Etc/GMT{turned}{hours}"
        return f"{zone_name} is {hours} h {side} UTC (its sign is turned round); better is a name such as Asia/Jakarta"
    zones = {one for one in available_timezones() - _NO_ZONES if not one.startswith("right/")}
    by_city = {zone_name.rpartition("/")[2]: zone_name for zone_name in sorted(zones, reverse=True)}
    meant = closest(name, zones) if "/" in name else by_city.get(closest(name, by_city, 0.8) or "")
    return f"did you mean {meant}?" if meant else _A_NAME


def variables(value: Mapping[str, str]) -> Mapping[str, str]:
    """Names of environment variables; those of the daemon's own are taken."""
    for name in value:
        if not VARIABLE.fullmatch(name):
            raise ValueError(f"{shown(name)} cannot name an environment variable: use letters, digits and underscores")
        if name.startswith("JAMAINT_"):
            raise ValueError(f"{name} is the daemon's own: choose a name that does not begin with JAMAINT_")
    return value


def some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list that has something in it."""
    if not value:
        raise ValueError("must not be an empty list: name something, or leave the key out")
    return value


Seconds = Annotated[float, PlainValidator(duration_seconds)]
Share = Annotated[float, PlainValidator(share)]
Bytes = Annotated[int, PlainValidator(size_bytes)]
Positive = Annotated[float, PlainValidator(positive)]
Flag = Annotated[bool, PlainValidator(flag)]
Text = Annotated[str, PlainValidator(text)]
Note = Annotated[str, PlainValidator(lambda value: value if value == "" else text(value))]
Argument = Annotated[str, PlainValidator(argument)]
Account = Annotated[str, PlainValidator(account)]
Zone = Annotated[str, PlainValidator(zone)]
Environment = Annotated[dict[str, Argument], AfterValidator(variables)]
Arguments = Annotated[tuple[Argument, ...], AfterValidator(some)]
Texts = Annotated[tuple[Text, ...], AfterValidator(some)]
