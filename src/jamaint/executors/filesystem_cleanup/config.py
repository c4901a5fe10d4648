"""filesystem.cleanup: what the config of its tasks may hold."""

import posixpath
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from jamaint.executors.shared import age_config
from jamaint.executors.shared.age_config import cleaned_root
from jamaint.files.rules.name_dates import name_date
from jamaint.schema import paths
from jamaint.schema.executor_config import GrantedName, Work
from jamaint.schema.fields import Account, Bytes, Flag, Seconds, Section, Share, between, one_of, some
from jamaint.schema.units import DAY, text

FILES_LIMIT = 10**9
NOWHERE = "/nonexistent"
PER = ("path", "directory", "pattern")


def _patterns(value: Any) -> tuple[str, ...]:
    """One pattern, or a list of them. Raises ValueError."""
    return some(tuple(paths.exclusion(each) for each in (value if isinstance(value, list) else [value])))


def _date_form(value: Any) -> str:
    """The form of a date in names, such as %Y%m%d. Raises ValueError."""
    form = text(value)
    name_date(form)
    return form


class KeepNewest(Section):
    """How many stay, the newest: of all below the path, in each directory, or of each pattern."""

    count: Annotated[int, PlainValidator(between(0, 1_000_000))] = Field(description="how many stay, such as 3")
    per: Annotated[Literal["path", "directory", "pattern"], PlainValidator(one_of(PER))] = "path"


def _keep_newest(value: Any) -> Any:
    """A number is of all below the path."""
    return value if isinstance(value, dict) else {"count": value}


class CleanupPath(Section):
    """One directory, or those that a pattern means, and which of the files in each go."""

    path: Annotated[str, PlainValidator(cleaned_root)] = Field(description="the directory, such as /srv/uploads/tmp")
    pattern: Annotated[tuple[str, ...] | None, PlainValidator(_patterns)] = None
    age: Seconds | None = None
    age_by: Annotated[dict[str, list[str]] | None, PlainValidator(age_config.age_by)] = None
    age_from_name: Annotated[str | None, PlainValidator(_date_form)] = None
    unit: Annotated[Literal["file", "directory"], PlainValidator(one_of(("file", "directory")))] = "file"
    mount: Flag = False
    min_size: Bytes = 0
    max_size: Bytes | None = None
    max_files: Annotated[int | None, PlainValidator(between(0, FILES_LIMIT))] = None
    free_until: Share | None = None
    when_used: Share | None = None
    keep_newest: Annotated[KeepNewest, BeforeValidator(_keep_newest)] = KeepNewest(count=0)
    exclude: tuple[Annotated[str, PlainValidator(paths.exclusion)], ...] = ()

    @model_validator(mode="after")
    def _something_goes(self) -> "CleanupPath":
        limits = (self.max_size, self.max_files, self.free_until)
        if self.unit == "directory":
            if any(each is not None for each in limits) or self.min_size:
                raise ValueError(
                    "max_size, max_files, min_size and free_until count files: leave them out with unit: directory"
                )
            if self.age is None and not self.keep_newest.count:
                raise ValueError("selects no directory: give an age or keep_newest")
            if self.keep_newest.per == "directory":
                raise ValueError("keeps whole directories with unit: directory: keep_newest is per path or pattern")
        elif self.age is None and all(each is None for each in limits):
            raise ValueError("selects nothing: give an age, a max_size, a max_files or a free_until")
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> "CleanupPath":
        if self.keep_newest.per == "pattern" and self.pattern is None:
            raise ValueError("keep_newest is per pattern: give the patterns")
        if self.age_from_name and self.age_by:
            raise ValueError("age_from_name and age_by both say by what a file is old: leave one of them out")
        return self

    def _beside(self) -> dict[str, str] | None:
        """The directory whose links a worker has to see, so as to leave alone what they lead to (`current`); None where
        single files go, or where a whole directory of the system would have to be bound for that."""
        above = posixpath.dirname(self.path)
        if self.unit == "file":
            return None
        try:
            return {"path": paths.cleaned_pattern(above, NOWHERE)}
        except ValueError:
            return None

    def normalised(self) -> dict[str, Any]:
        """As the worker gets it."""
        return {
            "path": self.path,
            "pattern": None if self.pattern is None else list(self.pattern),
            "age_seconds": self.age,
            "age_by": self.age_by or age_config.WRITTEN,
            "age_from_name": self.age_from_name,
            "unit": self.unit,
            "beside": self._beside(),
            "mount": self.mount,
            "min_size": self.min_size,
            "max_size": self.max_size,
            "max_files": self.max_files,
            "free_until": self.free_until,
            "when_used": self.when_used,
            "keep_newest": self.keep_newest.count,
            "keep_per": self.keep_newest.per,
            "exclude": list(self.exclude),
        }


class FilesystemCleanup(Work):
    """filesystem.cleanup: old files, and those beyond a limit, go; and what they leave behind."""

    paths: Annotated[tuple[CleanupPath, ...], AfterValidator(some)] = Field(
        description="the directories to clean, such as [{path: /srv/uploads/tmp, age: 30d}]"
    )
    remove_empty_directories: Flag = False
    broken_links: Flag = False
    duplicates: Annotated[Literal["report", "remove"] | None, PlainValidator(one_of(("report", "remove")))] = None
    user: Account | None = None

    def normalised(self) -> dict[str, Any]:
        return {
            "paths": [one.normalised() for one in self.paths],
            "remove_empty_directories": self.remove_empty_directories,
            "broken_links": self.broken_links,
            "duplicates": self.duplicates,
            "directory_age_seconds": DAY,
            "user": self.user,
        }

    def named(self) -> Iterator[GrantedName]:
        for index, one in enumerate(self.paths):
            yield GrantedName("path", ("paths", index, "path"), one.path)
        if self.user:
            yield GrantedName("user", ("user",), self.user)
