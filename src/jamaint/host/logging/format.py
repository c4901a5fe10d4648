"""A log record as one line for people or one line of JSON, with nothing in it that could pass for another line."""

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

_BYTE = re.compile("[\udc80-\udcff]")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line breaks of every kind, what turns the direction of text, and halves of characters."""
_NEEDS_QUOTES = re.compile(r'[\s"=]|^$')
DIM = "38;5;243"
COLOURS = {"debug": DIM, "info": "38;5;28", "warning": "38;5;130", "error": "38;5;160", "critical": "1;38;5;160"}
"""As the client's: from the fixed part of the 256 colours, readable on black and on white."""


class Record(NamedTuple):
    """What is logged: `level` as structlog names it, `message` in one line, the bound `fields`, a whole traceback."""

    level: str
    message: str
    fields: dict[str, Any]
    message_id: str | None = None
    traceback: str | None = None


def escaped(text: str) -> str:
    r"""The text with `\n`, `\x1b` … in place of what could deceive a terminal or a reader of lines."""
    if text.isprintable():
        return text
    text = _BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain(value: Any) -> str:  # noqa: PLR0911 one line for each kind
    """A field's value as text: moments as on the control protocol, lists and mappings as JSON. Never raises."""
    if isinstance(value, str):
        return value
    try:
        match value:
            case bool():
                return "true" if value else "false"
            case bytes():
                return value.decode("utf-8", "surrogateescape")
            case datetime():
                return _moment(value)
            case list() | tuple() | dict():
                return json.dumps(value, default=plain, ensure_ascii=False)
        return str(value)
    except Exception as error:  # a broken __str__ is logged as what it is, and ends nothing
        return f"<{type(value).__name__}: {type(error).__name__}>"


def text_line(record: Record, now: datetime, colour: bool = False) -> str:
    """`2026-11-24T02:00:00.000Z warning  message  key=value …`; the lines of a traceback follow, marked with `|`."""
    level = f"{record.level:<8}"
    if colour:
        level = f"\x1b[{COLOURS.get(record.level, '0')}m{level}\x1b[0m"
    parts = [f"{_moment(now)} {level} {escaped(record.message)}"]
    for name, value in record.fields.items():
        pair = f"{escaped(name)}={_quoted(plain(value))}"
        parts.append(f"\x1b[{DIM}m{pair}\x1b[0m" if colour else pair)
    line = "  ".join(parts)
    if record.traceback is not None:
        line += "".join(f"\n  | {escaped(text)}" for text in record.traceback.splitlines())
    return line


def json_line(record: Record, now: datetime) -> str:
    """One object: at, level, message, message_id and traceback where there are such, then the fields."""
    values: dict[str, Any] = {"at": _moment(now), "level": record.level, "message": record.message}
    if record.message_id is not None:
        values["message_id"] = record.message_id
    if record.traceback is not None:
        values["traceback"] = record.traceback
    for name, value in record.fields.items():
        values[f"{name}_" if name in values else name] = value
    try:
        return json.dumps(values, default=plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # JSON has no word for it
        return json.dumps({name: plain(value) for name, value in values.items()})


def _quoted(text: str) -> str:
    return escaped(json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
