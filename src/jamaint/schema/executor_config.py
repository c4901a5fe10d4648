"""What the config of every executor is: a model that is checked, normalised, and says what grants must allow."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationInfo

from jamaint.schema.errors import Flaw, Path
from jamaint.schema.fields import Section


@dataclass(frozen=True, slots=True)
class Setting:
    """What a task's config is judged against. What grants name is None while `grants` itself cannot be read."""

    state_dir: str = "/"
    commands: Mapping[str, tuple[str, ...]] | None = field(default_factory=dict)
    databases: Mapping[str, Any] | None = field(default_factory=dict)


class GrantedName(NamedTuple):
    """Something that grants rule: `kind` is path, user, script user, default script user, command, argument,
    environment, server, database or dsn (an address, which is not told), `value` what the task names."""

    kind: str
    path: Path
    value: str


class Work(Section):
    """A task's config. Its field names are the keys of the file; `normalised` is what the worker gets."""

    @abstractmethod
    def normalised(self) -> dict[str, Any]:
        """Plain JSON: seconds and bytes, every key there."""

    @abstractmethod
    def named(self) -> Iterator[GrantedName]:
        """All that grants must allow before an object that was made through the socket may name it."""

    def doubts(self) -> Iterator[Flaw]:
        """What may be meant so, and probably is not: told as warnings."""
        yield from ()


def setting_of(info: ValidationInfo) -> Setting:
    return info.context if isinstance(info.context, Setting) else Setting()
