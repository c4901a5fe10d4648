"""command: what the config of its tasks may hold."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from jamaint.config import paths
from jamaint.config.fields import Account, Environment, between, one_of, some
from jamaint.config.mistakes import did_you_mean
from jamaint.config.units import argument, shown, text
from jamaint.config.work.work import Named, Work, setting_of

ARGUMENT_LIMIT = 1000


class Command(NamedTuple):
    """A command line; `name` is the entry of grants.commands that it was given by."""

    arguments: tuple[str, ...]
    name: str | None = None


def command_line(value: Any, info: ValidationInfo) -> Command:
    """A list of arguments, or the name of one in grants.commands. No shell reads it."""
    if isinstance(value, str):
        return _granted_command(text(value), setting_of(info).commands)
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


UNITS = ("packages",)
"""Workers' units that a command may ask for, instead of the one that is fenced in for its user."""


class RunCommand(Work):
    """command: runs a program; `rollback_command` puts back what it did."""

    command: Annotated[Command, PlainValidator(command_line)] = Field(
        description="the program and its arguments, such as [/usr/bin/app, reindex]"
    )
    rollback_command: Annotated[Command, PlainValidator(command_line)] | None = None
    user: Account | None = None
    environment: Environment = Field(default_factory=dict)
    working_directory: Annotated[str, PlainValidator(paths.absolute)] | None = None
    success_exit_codes: Annotated[tuple[Annotated[int, PlainValidator(between(0, 255))], ...], AfterValidator(some)] = (
        0,
    )

    unit: Annotated[str, PlainValidator(one_of(UNITS))] | None = None

    def normalised(self) -> dict[str, Any]:
        rollback = self.rollback_command
        return {
            "command": list(self.command.arguments),
            "rollback_command": list(rollback.arguments) if rollback else None,
            "user": self.user,
            **({"unit": self.unit} if self.unit else {}),
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
        if self.unit:  # it has root's rights, whoever the task names
            yield Named("user", ("unit",), "root")
        if self.working_directory:
            yield Named("path", ("working_directory",), self.working_directory)
        for name in self.environment:
            yield Named("environment", ("environment", name), name)
