"""temp.cleanup: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from jamaint.executors.shared import age_config
from jamaint.files.rules.ages import DIRECTORIES_BY, FILES_BY
from jamaint.schema import paths
from jamaint.schema.executor_config import GrantedName, Work, setting_of
from jamaint.schema.fields import Account, Flag, Seconds, Section, one_of, some


def _root(value: Any, info: ValidationInfo) -> str:
    return paths.temporary_root(value, setting_of(info).state_dir)


class TempPath(Section):
    """One directory whose old files go, with the directories in which all goes."""

    path: Annotated[str, PlainValidator(_root)] = Field(description="the directory, such as /var/tmp/app")
    age: Seconds = Field(description="the age from which files go, such as 10d")
    age_by: Annotated[dict[str, list[str]] | None, PlainValidator(age_config.age_by)] = None
    pattern: Annotated[str | None, PlainValidator(paths.exclusion)] = None
    exclude: tuple[Annotated[str, PlainValidator(paths.exclusion)], ...] = ()
    mount: Flag = False
    unit: Annotated[Literal["file", "directory"], PlainValidator(one_of(("file", "directory")))] = "file"

    def normalised(self) -> dict[str, Any]:
        """As the worker gets it."""
        return {
            "path": self.path,
            "age_seconds": self.age,
            "age_by": self.age_by or {"files": list(FILES_BY), "directories": list(DIRECTORIES_BY)},
            "pattern": self.pattern,
            "exclude": list(self.exclude),
            "unit": self.unit,
            "mount": self.mount,
        }


class TempCleanup(Work):
    """temp.cleanup: old temporary files are removed, each path by a rule of its own."""

    paths: Annotated[tuple[TempPath, ...], AfterValidator(some)] = Field(
        description="the directories to clean, such as [{path: /var/tmp/app, age: 10d}]"
    )
    user: Account | None = None

    def normalised(self) -> dict[str, Any]:
        return {"paths": [one.normalised() for one in self.paths], "user": self.user}

    def named(self) -> Iterator[GrantedName]:
        for index, one in enumerate(self.paths):
            yield GrantedName("path", ("paths", index, "path"), one.path)
        if self.user:
            yield GrantedName("user", ("user",), self.user)
