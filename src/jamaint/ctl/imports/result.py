"""What an import gives: tasks with where they come from, what cannot be carried over, and mistakes in the files."""

from __future__ import annotations

from jamaint.ctl.output.text import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


class Line:
    """One line of a file; `number` counts from 1."""

    __slots__ = ("file", "number", "text")

    def __init__(self, file: str, number: int, text: str) -> None:
        self.file = file
        self.number = number
        self.text = text

    @property
    def place(self) -> str:
        """`/etc/logrotate.d/app:3`."""
        return f"{self.file}:{self.number}"


class Task:
    """A task to be written: its keys as the configuration has them, and remarks that stand above it."""

    __slots__ = ("keys", "name", "remarks", "source")

    def __init__(self, name: str, source: Line, keys: dict[str, Any]) -> None:
        self.name = name
        self.source = source
        self.keys = keys
        self.remarks: list[str] = []


class Imported:
    """The result of reading files. `mistakes` say file, line and column; what could be read stands in `tasks`."""

    __slots__ = ("mistakes", "remarks", "tasks", "trusted")

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.remarks: list[str] = []
        self.mistakes: list[str] = []
        self.trusted: set[str] = set()

    def mistake(self, line: Line, column: int, message: str) -> None:
        """Note something that cannot be understood; `column` counts from 1."""
        self.mistakes.append(f"{line.place}:{column}: {message}")

    def add(self, task: Task) -> None:
        """Add a task under a name that no other has; one with bytes that are no text would do something else."""
        if any("\udc80" <= sign <= "\udcff" for sign in str_of(task.keys)):
            self.mistake(task.source, 1, "it has bytes that are not UTF-8: it is left out")
            return
        names = {one.name for one in self.tasks}
        name, number = task.name, 2
        while task.name in names:
            task.name = f"{name}-{number}"
            number += 1
        self.tasks.append(task)


def str_of(value: Any) -> str:
    """All texts in a value, joined."""
    if isinstance(value, dict):
        return "".join(str_of(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return "".join(map(str_of, value))
    return str(value)


def is_number(text: str) -> bool:
    """True for ASCII digits alone: str.isdigit knows digits, such as a raised 2, that are no number to int()."""
    return text.isascii() and text.isdigit()


WORDS_OF_YAML = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def name_of(text: str) -> str:
    """A task's name made of a file's: letters, digits, `-`, `_` and `.` are kept."""
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_.") else "-" for sign in text)
    return kept.strip("-._") or "imported"


def yaml_lines(found: Imported) -> Iterator[str]:
    """The configuration as YAML, with remarks and sources as comments."""
    for remark in found.remarks:
        yield f"# {escaped(remark)}"
    if not found.tasks:
        yield "# nothing was found that becomes a task"
        return
    yield "tasks:"
    for task in found.tasks:
        yield f"  # {escaped(f'{task.source.place}: {task.source.text.strip()}')}"
        yield from (f"  # cannot be carried over: {escaped(remark)}" for remark in task.remarks)
        yield f"  {_scalar(task.name)}:"
        yield from _block(task.keys, "    ")


def _block(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and key == "config":
            yield f"{indent}{key}:"
            yield from _block(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if text and text.isascii() and text[0].isalpha() and all(sign.isalnum() or sign in "-_." for sign in text):
        return f'"{text}"' if text.lower() in WORDS_OF_YAML else text
    return '"' + "".join(_ESCAPES.get(sign) or (sign if sign.isprintable() else _code(sign)) for sign in text) + '"'


def _code(sign: str) -> str:
    number = ord(sign)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
