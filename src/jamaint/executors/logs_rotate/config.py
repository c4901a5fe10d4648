"""logs.rotate: what the config of its tasks may hold."""

import re
from collections.abc import Iterator
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, field_validator

from jamaint.core.owner_rights import OWNER
from jamaint.executors.logs_rotate.rules import DATE, NUMBER, PERIODS, WEEKDAYS
from jamaint.executors.shared.log_config import ALGORITHMS, log_pattern, switch
from jamaint.files.rules.compressed_names import PACKED
from jamaint.files.rules.rotated_names import Dates
from jamaint.schema import paths
from jamaint.schema.command_line import Command, command_line
from jamaint.schema.errors import Flaw, closest
from jamaint.schema.executor_config import GrantedName, Work
from jamaint.schema.fields import Account, Bytes, Flag, Seconds, Section, Zone, between, one_of, some
from jamaint.schema.units import DAY, HOUR, duration_seconds, shown, text

SIGNALS = ("HUP", "USR1", "USR2")
MODE = re.compile(r"0?[0-7]{3}")
MOST = 10_000

_BY_DAY, _BY_HOUR, _BY_SECOND = "-%Y%m%d", "-%Y%m%d%H", "-%Y%m%d-%H%M%S"
_LEVELS = {"gzip": (1, 9), "zstd": (1, 19), "xz": (0, 9)}
_PARTS = ("%Y", "%m", "%d", "%H", "%M", "%S")
_NEEDED = {"hourly": "%H", "daily": "%d", "weekly": "%V", "monthly": "%m", "yearly": "%Y"}
_OLDDIR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_EXTENSION = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def _every(value: Any) -> str | float:
    if isinstance(value, str) and value in PERIODS:
        return value
    try:
        return duration_seconds(value)
    except ValueError as error:
        meant = closest(value, PERIODS) if isinstance(value, str) else None
        if meant:
            raise ValueError(
                f"must be one of {', '.join(PERIODS)}, or a length of time: did you mean {meant}?"
            ) from None
        raise ValueError(f"must be one of {', '.join(PERIODS)}, or a length of time: {error}") from None


def _mode(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not MODE.fullmatch(value):
        raise ValueError(f'must be a mode in octal digits, such as "0640", not {shown(value)}')
    return int(value, 8)


def _extension(value: Any) -> str:
    ending = text(value)
    if not _EXTENSION.fullmatch(ending) or ending in PACKED or ending.removeprefix(".").isdigit():
        raise ValueError(f"must be how logs end, such as .log, not {shown(ending)}")
    return ending


def _olddir(value: Any, info: ValidationInfo) -> str:
    """A directory in the one of the logs, by its path from there."""
    path = text(value).rstrip("/")
    if path.startswith("/"):
        directories = {pattern.rpartition("/")[0] for pattern in info.data.get("log_paths", ())}
        inside = [path.removeprefix(f"{one}/") for one in directories if path.startswith(f"{one}/")]
        if len(directories) != 1 or not inside:
            raise ValueError(
                f"{shown(path)} is not in the directory of all these logs: name one in it, such as old, or let "
                "archive_logs of logs.cleanup take rotated logs elsewhere"
            )
        path = inside[0]
    if not _OLDDIR.fullmatch(path):
        raise ValueError(f"must be a directory in the one of the logs, such as old, not {shown(value)}")
    return path


class CompressRotated(Section):
    """Rotated logs are compressed; with `delay` the newest one waits until the next rotation."""

    algorithm: Annotated[str, PlainValidator(one_of(ALGORITHMS))] = "gzip"
    level: Annotated[int, PlainValidator(between(0, 19))] | None = None
    delay: Flag = True

    @field_validator("level")
    @classmethod
    def _of_the_algorithm(cls, value: int | None, info: ValidationInfo) -> int | None:
        algorithm = info.data.get("algorithm", "gzip")
        least, most = _LEVELS[algorithm]
        if value is not None and not least <= value <= most:
            raise ValueError(f"must be {least} to {most} for {algorithm}, not {value}")
        return value


class Scripts(Section):
    """How prerotate and postrotate are run.

    `user` has the rights of prerotate, postrotate and signal, where that is not the task's `user`.
    """

    per_log: Flag = False
    user: Account | None = None


class CreateLog(Section):
    """What the new log is like, where that is not like the old one."""

    mode: Annotated[int, PlainValidator(_mode)] | None = None
    owner: Account | None = None
    group: Account | None = None


def _needed(every: str | float) -> str:
    """The part of a date that tells one period from the next."""
    if isinstance(every, str):
        return _NEEDED[every]
    return "%d" if every >= DAY else "%H" if every >= HOUR else "%S"


def _is_finer(form: str, needed: str) -> bool:
    """Whether a date tells more than the part that is needed."""
    if "%s" in form or (needed in ("%V", "%m", "%Y") and ("%V" in form or "%d" in form)):
        return True
    return needed in _PARTS and any(part in form for part in _PARTS[_PARTS.index(needed) :])


class SignalWriter(Section):
    """Whom to tell that the log was rotated."""

    pid_file: Annotated[str, PlainValidator(paths.plain_directory)] = Field(
        description="the file with the process's number, such as /run/app.pid"
    )
    signal: Annotated[str, PlainValidator(lambda value: one_of(SIGNALS)(_bare(value)))] = "HUP"


def _bare(value: Any) -> Any:
    return value.removeprefix("SIG") if isinstance(value, str) else value


class LogsRotate(Work):
    """logs.rotate: logs get another name and new ones are made; of the rotated, `keep` are kept."""

    log_paths: Annotated[tuple[Annotated[str, PlainValidator(log_pattern)], ...], AfterValidator(some)] = Field(
        description='the logs to rotate, such as ["/var/log/app/*.log"]'
    )
    keep: Annotated[int, PlainValidator(between(0, MOST))] = Field(
        description="how many rotated files of each log are kept, such as 14"
    )
    every: Annotated[str | float, PlainValidator(_every)] | None = None
    max_size: Bytes | None = None
    min_size: Bytes | None = None
    min_age: Seconds | None = None
    max_age: Seconds | None = None
    weekday: Annotated[str, PlainValidator(one_of(WEEKDAYS))] | None = None
    month_day: Annotated[int, PlainValidator(between(1, 31))] | None = None
    if_empty: Flag = False
    timezone: Zone = "UTC"
    copy_truncate: Flag = False
    copy_only: Flag = Field(default=False, alias="copy")
    names: Annotated[str, PlainValidator(one_of((DATE, NUMBER)))] = DATE
    olddir: Annotated[str, PlainValidator(_olddir)] | None = None
    extension: Annotated[str, PlainValidator(_extension)] | None = None
    date_format: Annotated[str, PlainValidator(text)] | None = None
    compress: Annotated[CompressRotated | None, BeforeValidator(switch)] = None
    create: Annotated[CreateLog | None, BeforeValidator(switch)] = CreateLog()
    prerotate: Annotated[Command, PlainValidator(command_line)] | None = None
    postrotate: Annotated[Command, PlainValidator(command_line)] | None = None
    signal: SignalWriter | None = None
    scripts: Scripts | None = None
    exclude: tuple[Annotated[str, PlainValidator(paths.exclusion)], ...] = ()
    user: Account | None = None

    @field_validator("min_size")
    @classmethod
    def _below_the_limit(cls, value: int | None, info: ValidationInfo) -> int | None:
        limit = info.data.get("max_size")
        if value is not None and limit is not None and value > limit:
            raise ValueError(
                f"is {value} bytes, and from max_size ({limit}) on a log is rotated anyway: make it smaller"
            )
        return value

    @field_validator("weekday", "month_day")
    @classmethod
    def _has_its_period(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:
        period = "weekly" if info.field_name == "weekday" else "monthly"
        if value is not None and info.data.get("every") != period:
            raise ValueError(f"is for every: {period}: write that, or leave it out")
        return value

    @field_validator("copy_only")
    @classmethod
    def _is_the_one_or_the_other(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("copy_truncate"):
            raise ValueError("keeps the log as it is, and copy_truncate empties it: leave one of the two out")
        return value

    @field_validator("date_format")
    @classmethod
    def _tells_the_period(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if info.data.get("names") == NUMBER:
            raise ValueError("is for names: date, and the names are numbers: leave it out")
        Dates(value, ZoneInfo("UTC"))
        needed = _needed(info.data.get("every") or "daily")
        if needed not in value and not _is_finer(value, needed):
            raise ValueError(f"must hold {needed}, so that a name tells when a log was last rotated")
        return value

    def normalised(self) -> dict[str, Any]:
        every, create, signal = self.every, self.create, self.signal
        form = _BY_SECOND if isinstance(every, float) else _BY_HOUR if every == "hourly" else _BY_DAY
        compress = self.compress
        return {
            "log_paths": list(self.log_paths),
            "exclude": list(self.exclude),
            "keep": self.keep,
            "every": every if isinstance(every, str) else None,
            "every_seconds": every if isinstance(every, float) else None,
            "max_size": self.max_size,
            "min_size": self.min_size,
            "max_age_seconds": self.max_age,
            "timezone": self.timezone,
            "names": self.names,
            "date_format": self.date_format or form,
            "min_age_seconds": self.min_age,
            "weekday": self.weekday,
            "month_day": self.month_day,
            "if_empty": self.if_empty,
            "extension": self.extension,
            "olddir": self.olddir,
            "compress": compress
            and {"algorithm": compress.algorithm, "level": compress.level, "delay": compress.delay},
            "copy_truncate": self.copy_truncate,
            "copy": self.copy_only,
            "scripts": self.scripts and {"user": self.scripts.user, "per_log": self.scripts.per_log},
            "create": create and {"mode": create.mode, "owner": create.owner, "group": create.group},
            "prerotate": list(self.prerotate.arguments) if self.prerotate else None,
            "postrotate": list(self.postrotate.arguments) if self.postrotate else None,
            "signal": signal and {"pid_file": signal.pid_file, "signal": signal.signal},
            "user": self.user,
        }

    def named(self) -> Iterator[GrantedName]:
        for index, pattern in enumerate(self.log_paths):
            yield GrantedName("path", ("log_paths", index), pattern)
        for key, called in (("prerotate", self.prerotate), ("postrotate", self.postrotate)):
            if called:
                yield GrantedName("command", (key,), called.name or "")
        if self.signal:
            yield GrantedName("path", ("signal", "pid_file"), self.signal.pid_file)
        owner = self.create and self.create.owner
        if owner:
            yield GrantedName("user", ("create", "owner"), owner)
        if self.user:
            yield GrantedName("user", ("user",), self.user)
        if self.scripts and self.scripts.user:
            yield GrantedName("script user", ("scripts", "user"), self.scripts.user)
        elif self.user in (None, OWNER):
            keys = ("prerotate", "postrotate", "signal")
            yield from (GrantedName("default script user", (key,), key) for key in keys if getattr(self, key))
        if self.scripts and self.scripts.per_log:
            yield GrantedName("argument", ("scripts", "per_log"), "")

    def doubts(self) -> Iterator[Flaw]:
        if self.scripts and not (self.prerotate or self.postrotate or self.signal):
            yield Flaw(("scripts",), "is about prerotate, postrotate and signal, and none of them is set")
        elif self.scripts and self.scripts.per_log and not (self.prerotate or self.postrotate):
            yield Flaw(("scripts", "per_log"), "is for prerotate and postrotate, and there is neither")
        if not (self.copy_truncate or self.copy_only or self.postrotate or self.signal):
            problem = "nothing tells the writers that a log was rotated: they keep writing to the rotated one"
            yield Flaw(("log_paths",), f"{problem}; set signal or postrotate, unless they open it anew for each line")
        if self.copy_truncate and (self.postrotate or self.signal):
            yield Flaw(
                ("copy_truncate",), "loses what is written meanwhile, and is not needed with signal or postrotate"
            )
