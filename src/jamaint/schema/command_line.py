"""A command line in the configuration: arguments, or the name of a granted one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationInfo

from jamaint.schema.errors import did_you_mean
from jamaint.schema.executor_config import setting_of
from jamaint.schema.units import argument, shown, text

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
