"""By which of its times a file is old: `age_by`, as the executors that clean by age have it."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationInfo

from jamaint.files.rules.ages import BIRTH, CHANGE, DIRECTORIES_BY, FILES_BY, MODIFICATION, TIMES
from jamaint.schema import paths
from jamaint.schema.executor_config import setting_of
from jamaint.schema.units import shown

KINDS = ("files", "directories")


WRITTEN = {"files": [BIRTH, CHANGE, MODIFICATION], "directories": [BIRTH, MODIFICATION]}
"""What counts where it was written, and not read, is meant: a copy that keeps an old time of writing is young."""


def age_by(value: Any) -> dict[str, list[str]]:
    """A time, a list of times, or {files: …, directories: …}; {files, directories} with both filled in.

    What is said for both means directories too, but for the time of change: it moves whenever we take something out of
    one. Raises ValueError.
    """
    if isinstance(value, dict):
        unknown = [key for key in value if key not in KINDS]
        if unknown or not value:
            raise ValueError(f"has files and directories as its keys, not {shown(unknown[0] if unknown else value)}")
        files = _times(value.get("files", list(FILES_BY)))
        return {"files": files, "directories": _times(value.get("directories", list(DIRECTORIES_BY)))}
    files = _times(value)
    directories = [name for name in files if name in DIRECTORIES_BY]
    return {"files": files, "directories": directories or ["modification"]}


def _times(value: Any) -> list[str]:
    names: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError(f"must be one or several of {', '.join(TIMES)}, not {shown(value)}")
    for name in names:
        if name not in TIMES:
            raise ValueError(f"must be one or several of {', '.join(TIMES)}, not {shown(name)}")
    return [name for name in TIMES if name in names]


def cleaned_root(value: Any, info: ValidationInfo) -> str:
    """Directories that may be cleaned: one, or several by a pattern. Raises ValueError."""
    return paths.cleaned_pattern(value, setting_of(info).state_dir)
