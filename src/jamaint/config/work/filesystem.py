"""filesystem.cleanup: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, model_validator

from jamaint.config import paths
from jamaint.config.fields import Account, Bytes, Flag, Seconds, Section, between, one_of, some
from jamaint.config.units import DAY
from jamaint.config.work import ages
from jamaint.config.work.work import Named, Work, setting_of

FILES_LIMIT = 10**9


def cleaned_root(value: Any, info: ValidationInfo) -> str:
    """A directory that may be cleaned. Raises ValueError."""
    return paths.allowed_root(paths.plain_directory(value), setting_of(info).state_dir)


class CleanupPath(Section):
    """One directory, and which of its files go."""

    path: Annotated[str, PlainValidator(cleaned_root)] = Field(description="the directory, such as /srv/uploads/tmp")
    pattern: Annotated[str | None, PlainValidator(paths.exclusion)] = None
    age: Seconds | None = None
    age_by: Annotated[dict[str, list[str]] | None, PlainValidator(ages.age_by)] = None
    mount: Flag = False
    min_size: Bytes = 0
    max_size: Bytes | None = None
    max_files: Annotated[int | None, PlainValidator(between(0, FILES_LIMIT))] = None
    keep_newest: Annotated[int, PlainValidator(between(0, 1_000_000))] = 0
    exclude: tuple[Annotated[str, PlainValidator(paths.exclusion)], ...] = ()

    @model_validator(mode="after")
    def _something_goes(self) -> "CleanupPath":
        if self.age is None and self.max_size is None and self.max_files is None:
            raise ValueError("says of nothing that it goes: give an age, a max_size or a max_files")
        return self

    def normalised(self) -> dict[str, Any]:
        """As the worker gets it."""
        return {
            "path": self.path,
            "pattern": self.pattern,
            "age_seconds": self.age,
            "age_by": self.age_by or ages.WRITTEN,
            "mount": self.mount,
            "min_size": self.min_size,
            "max_size": self.max_size,
            "max_files": self.max_files,
            "keep_newest": self.keep_newest,
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

    def named(self) -> Iterator[Named]:
        for index, one in enumerate(self.paths):
            yield Named("path", ("paths", index, "path"), one.path)
        if self.user:
            yield Named("user", ("user",), self.user)
