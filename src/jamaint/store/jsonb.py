"""Values as the store keeps them: JSON that PostgreSQL's jsonb takes, and back."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jamaint.core.secrets import without_passwords
from jamaint.protocol.control import dumps, loads

# jsonb holds neither a NUL nor half a surrogate pair; both come in names of files and in output of commands.
_UNKEEPABLE = re.compile(r"(\\\\)|\\u(?:0000|d[89a-f][0-9a-f]{2})")
_EMPTY: Mapping[str, Any] = {}


def jsonb(value: Any) -> str:
    """The text of `value` for a jsonb column; bytes that are not UTF-8 become a readable `\\xNN`."""
    if value in ((), _EMPTY):
        return "[]" if value == () else "{}"
    text = dumps(value)
    return _UNKEEPABLE.sub(_readable, text) if "\\u" in text else text


def optional_jsonb(value: Any) -> str | None:
    """As jsonb; None stays NULL."""
    return None if value is None else jsonb(value)


def from_jsonb(text: str | None) -> Any:
    """The value of a jsonb column; NULL becomes None."""
    if text is None:
        return None
    if text == "{}":
        return {}
    return () if text == "[]" else loads(text)


def columns(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows as one tuple a column, the form that unnest takes."""
    return list(zip(*rows, strict=True))


def kept(origin: str, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """A definition as a row has it: of an object from a file, whose authority is the file, without passwords. (What is
    made through the socket may have none.)"""
    found: Mapping[str, Any] = without_passwords(definition) if origin == "file" else definition
    return found


def _readable(match: re.Match[str]) -> str:
    return match[1] or f"\\\\x{match.group()[-2:]}"
