"""Fields that the configurations of `logs.cleanup` and `logs.rotate` share."""

from typing import Any

from pydantic import ValidationInfo

from jamaint.schema import paths
from jamaint.schema.executor_config import setting_of

ALGORITHMS = ("gzip", "zstd", "xz")


def log_pattern(value: Any, info: ValidationInfo) -> str:
    """A file or pattern of files that a task on logs may change."""
    return paths.log_pattern(value, setting_of(info).state_dir)


def switch(value: Any) -> Any:
    """`compress_logs: true` is the mapping with nothing said, and `false` is none."""
    if isinstance(value, bool):
        return {} if value else None
    return value
