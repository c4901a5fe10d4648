"""command: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator

from jamaint.schema import paths
from jamaint.schema.command_line import Command, command_line
from jamaint.schema.executor_config import GrantedName, Work
from jamaint.schema.fields import Account, Environment, between, one_of, some

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

    def named(self) -> Iterator[GrantedName]:
        yield GrantedName("command", ("command",), self.command.name or "")
        if self.rollback_command:
            yield GrantedName("command", ("rollback_command",), self.rollback_command.name or "")
        if self.user:
            yield GrantedName("user", ("user",), self.user)
        if self.unit:  # it has root's rights, whoever the task names
            yield GrantedName("user", ("unit",), "root")
        if self.working_directory:
            yield GrantedName("path", ("working_directory",), self.working_directory)
        for name in self.environment:
            yield GrantedName("environment", ("environment", name), name)
