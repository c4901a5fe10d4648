"""filesystem.optimize: what the config of its tasks may hold."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainValidator, model_validator

from jamaint.schema import paths
from jamaint.schema.executor_config import GrantedName, Work
from jamaint.schema.fields import some

EVERYWHERE = ("",)
"""What `true` stands for: all file systems on disks."""


def _switch(value: Any) -> Any:
    if isinstance(value, bool):
        return [""] if value else None
    return [value] if isinstance(value, str) else value


def _place(value: Any) -> str:
    return "" if value == "" else paths.plain_directory(value)


Places = Annotated[
    tuple[Annotated[str, PlainValidator(_place)], ...] | None,
    BeforeValidator(_switch),
    AfterValidator(lambda value: value if value is None else some(value)),
]


class FilesystemOptimize(Work):
    """filesystem.optimize: free blocks are given back to the disk; how scattered files are is reported."""

    trim: Places = None
    defragment: Places = None

    @model_validator(mode="after")
    def _something_is_asked(self) -> "FilesystemOptimize":
        if self.trim is None and self.defragment is None:
            raise ValueError("asks for nothing: give trim or defragment, true or a list of directories")
        return self

    def normalised(self) -> dict[str, Any]:
        return {
            "trim": None if self.trim is None else list(self.trim),
            "defragment": None if self.defragment is None else list(self.defragment),
        }

    def named(self) -> Iterator[GrantedName]:
        for key, places in (("trim", self.trim), ("defragment", self.defragment)):
            for index, path in enumerate(places or ()):
                yield GrantedName("path", (key, index), path or "/")
