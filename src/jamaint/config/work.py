"""Work: what the `config:` of a task may hold, one model for each executor of this version."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from jamaint.config import paths
from jamaint.config.fields import Account, Environment, Seconds, Section, between, one_of, some
from jamaint.config.mistakes import Flaw, Path, did_you_mean
from jamaint.config.units import DAY, argument, shown, text

ARGUMENT_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Setting:
    """What a task's config is judged against. `commands` is None while `grants` itself cannot be read."""

    state_dir: str = "/"
    commands: Mapping[str, tuple[str, ...]] | None = field(default_factory=dict)


class Named(NamedTuple):
    """Something that grants rule: `kind` is path, user, command or environment, `value` what the task names."""

    kind: str
    path: Path
    value: str


class Work(Section):
    """A task's config. Its field names are the keys of the file; `normalised` is what the worker gets."""

    @abstractmethod
    def normalised(self) -> dict[str, Any]:
        """Plain JSON: seconds and bytes, every key there."""

    @abstractmethod
    def named(self) -> Iterator[Named]:
        """All that grants must allow before an object that was made through the socket may name it."""

    def doubts(self) -> Iterator[Flaw]:
        """What may be meant so, and probably is not: told as warnings."""
        yield from ()


def _log_pattern(value: Any, info: ValidationInfo) -> str:
    return paths.log_pattern(value, _setting(info).state_dir)


def _directory(value: Any, info: ValidationInfo) -> str:
    return paths.allowed_root(paths.plain_directory(value), _setting(info).state_dir, "this moves files to ")


def _setting(info: ValidationInfo) -> Setting:
    return info.context if isinstance(info.context, Setting) else Setting()


def _switch(value: Any) -> Any:
    """`compress_logs: true` is the mapping with nothing said, and `false` is none."""
    if isinstance(value, bool):
        return {} if value else None
    return value


class CompressLogs(Section):
    """Logs older than `older_than` are compressed."""

    algorithm: Annotated[Literal["gzip", "zstd"], PlainValidator(one_of(("gzip", "zstd")))] = "gzip"
    older_than: Seconds = DAY


class ArchiveLogs(Section):
    """Logs older than `older_than` are moved to `directory`."""

    directory: Annotated[str, PlainValidator(_directory)] = Field(
        description="the directory that logs are moved to, such as /var/backups/logs"
    )
    older_than: Seconds = Field(description="the age from which logs are moved, such as 7d")


class LogsCleanup(Work):
    """logs.cleanup: files are removed after `retention_days`, compressed and archived before that if asked."""

    log_paths: Annotated[tuple[Annotated[str, PlainValidator(_log_pattern)], ...], AfterValidator(some)] = Field(
        description='the files to look after, such as ["/var/log/app/*.log*"]'
    )
    retention_days: Annotated[int, PlainValidator(between(1, 36525))] = Field(
        description="how many days a log is kept, such as 30"
    )
    compress_logs: Annotated[CompressLogs | None, BeforeValidator(_switch)] = None
    archive_logs: ArchiveLogs | None = None
    exclude: tuple[Annotated[str, PlainValidator(paths.exclusion)], ...] = ()
    user: Account | None = None

    def normalised(self) -> dict[str, Any]:
        compress, archive = self.compress_logs, self.archive_logs
        return {
            "log_paths": list(self.log_paths),
            "retention_seconds": self.retention_days * DAY,
            "compress": compress and {"algorithm": compress.algorithm, "older_than_seconds": compress.older_than},
            "archive": archive and {"directory": archive.directory, "older_than_seconds": archive.older_than},
            "exclude": list(self.exclude),
            "user": self.user,
        }

    def named(self) -> Iterator[Named]:
        for index, pattern in enumerate(self.log_paths):
            yield Named("path", ("log_paths", index), pattern)
        if self.archive_logs:
            yield Named("path", ("archive_logs", "directory"), self.archive_logs.directory)
        if self.user:
            yield Named("user", ("user",), self.user)

    def doubts(self) -> Iterator[Flaw]:
        days = self.retention_days
        for key, part in (("compress_logs", self.compress_logs), ("archive_logs", self.archive_logs)):
            if part and part.older_than >= days * DAY:
                problem = f"never comes to it: logs are removed after {days} d, and this begins after that"
                yield Flaw((key, "older_than"), problem)


class Command(NamedTuple):
    """A command line; `name` is the entry of grants.commands that it was given by."""

    arguments: tuple[str, ...]
    name: str | None = None


def _command(value: Any, info: ValidationInfo) -> Command:
    """A list of arguments, or the name of one in grants.commands. No shell reads it."""
    if isinstance(value, str):
        return _granted_command(text(value), _setting(info).commands)
    if not isinstance(value, list):
        raise ValueError(f"must be a list, such as [/usr/bin/app, reindex], not {shown(value)}")
    if not 1 <= len(value) <= ARGUMENT_LIMIT:
        raise ValueError(f"must be a list of 1 to {ARGUMENT_LIMIT} arguments, the program first")
    arguments = tuple(_argument(index, item) for index, item in enumerate(value))
    program = text(arguments[0])
    if "/" in program and not program.startswith("/"):
        raise ValueError(f"the program {shown(program)} must be an absolute path, or a name that PATH finds")
    if any("\0" in item for item in arguments):
        raise ValueError("an argument cannot hold a NUL")
    return Command(arguments)


def _argument(index: int, value: Any) -> str:
    try:
        return argument(value)
    except ValueError as error:
        raise ValueError(f"argument {index} {error}") from None


def _granted_command(name: str, commands: Mapping[str, tuple[str, ...]] | None) -> Command:
    if commands is None:
        return Command((name,), name)
    if name in commands:
        return Command(commands[name], name)
    hint = f"or a name that stands in grants.commands ({did_you_mean(name, commands)})"
    as_list = shown(", ".join(name.split()))
    raise ValueError(f"must be a list, because no shell reads it: [{as_list}], {hint}")


class RunCommand(Work):
    """command: runs a program; `rollback_command` puts back what it did."""

    command: Annotated[Command, PlainValidator(_command)] = Field(
        description="the program and its arguments, such as [/usr/bin/app, reindex]"
    )
    rollback_command: Annotated[Command, PlainValidator(_command)] | None = None
    user: Account | None = None
    environment: Environment = Field(default_factory=dict)
    working_directory: Annotated[str, PlainValidator(paths.absolute)] | None = None
    success_exit_codes: Annotated[tuple[Annotated[int, PlainValidator(between(0, 255))], ...], AfterValidator(some)] = (
        0,
    )

    def normalised(self) -> dict[str, Any]:
        rollback = self.rollback_command
        return {
            "command": list(self.command.arguments),
            "rollback_command": list(rollback.arguments) if rollback else None,
            "user": self.user,
            "environment": dict(self.environment),
            "working_directory": self.working_directory,
            "success_exit_codes": sorted(set(self.success_exit_codes)),
        }

    def named(self) -> Iterator[Named]:
        yield Named("command", ("command",), self.command.name or "")
        if self.rollback_command:
            yield Named("command", ("rollback_command",), self.rollback_command.name or "")
        if self.user:
            yield Named("user", ("user",), self.user)
        if self.working_directory:
            yield Named("path", ("working_directory",), self.working_directory)
        for name in self.environment:
            yield Named("environment", ("environment", name), name)


class Nothing(Work):
    """noop: does nothing, for trying out schedules and for measuring."""

    def normalised(self) -> dict[str, Any]:
        return {}

    def named(self) -> Iterator[Named]:
        yield from ()


CONFIG_OF: Mapping[str, type[Work]] = {
    "logs.cleanup": LogsCleanup,
    "command": RunCommand,
    "noop": Nothing,
}
"""The executors of this version, by name, each with what its tasks' `config` may hold."""
