"""Objects in files: YAML or JSON -> the value that is sent, and a mistake in it -> its line."""

from __future__ import annotations

import os
import sys

from jamaint.ctl.cli.arguments import UsageError
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.protocol.control import LINE_LIMIT, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from jamaint.ctl.cli.context import Call

NODES_LIMIT = 100_000
DEPTH_LIMIT = 64
"""Both bound what a few lines of YAML aliases can unfold to."""

Position = tuple[int, int]


class InvalidObjectError(JamaintError):
    """A file that has no object in it that could be sent."""

    def __init__(self, file: str, problem: str, position: Position | None = None, key: str = "") -> None:
        mistake: dict[str, Any] = {"file": file, "problem": problem}
        if position is not None:
            mistake["line"], mistake["column"] = position
        if key:
            mistake["key"] = key
        super().__init__(INVALID_PARAMS, f"{file}: {problem}", {"mistakes": [mistake]})


def send(call: Call, method: str, kind: str, name: str | None = None) -> Any:
    """Sends the object in the file of -f: whole, or as changes of the object `name`. A refusal names file and line."""
    shown, text = _text(call.values["file"])
    value = parse(text, shown)
    params = {kind: value} if name is None else {kind: name, "changes": value}
    try:
        return call.ask(method, params)
    except JamaintError as problem:
        if problem.code == INVALID_PARAMS:
            raise _placed(problem, shown, text, kind) from None
        raise


def send_list(call: Call, method: str, key: str) -> Any:
    """Send the list under `key` in the file of -f, which has nothing else. A refusal names file and line."""
    shown, text = _text(call.values["file"])
    value = parse(text, shown)
    if set(value) != {key} or not isinstance(value[key], list):
        raise InvalidObjectError(shown, f"must have the key {key} with a list, and nothing else")
    try:
        return call.ask(method, value)
    except JamaintError as problem:
        if problem.code == INVALID_PARAMS:
            raise _placed(problem, shown, text, key) from None
        raise


def parse(text: str, file: str) -> dict[str, Any]:
    """The object in `text`. Raises InvalidObjectError, with the place."""
    try:
        value = loads(text)
    except ValueError as error:
        if text.lstrip().startswith("{") and _yaml() is None:
            raise InvalidObjectError(file, f"is not JSON: {error}") from None
        value = _from_yaml(text, file)
    if not isinstance(value, dict):
        raise InvalidObjectError(file, "must be an object: keys and values")
    return value


def positions(text: str) -> dict[str, Position]:
    """Where each key of a YAML or JSON text stands (line and column from 1), by path: `conditions.0.load_average`."""
    yaml = _yaml()
    if yaml is None:
        return {}
    found: dict[str, Position] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _Builder(yaml, "", found).build(node, "", 0)
    except (yaml.YAMLError, InvalidObjectError):
        return {}
    return found


class _Builder:
    """YAML nodes -> values as YAML 1.2 has them: `on` and `2026-12-24` are texts, only `true` is true.

    PyYAML's own constructor follows YAML 1.1, where the `on` of `notifications: {on: [failed]}` is a boolean.
    """

    def __init__(self, yaml: ModuleType, file: str, found: dict[str, Position]) -> None:
        self._yaml = yaml
        self._file = file
        self._found = found
        self._nodes = 0

    def build(self, node: Any, path: str, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > NODES_LIMIT or depth > DEPTH_LIMIT:
            raise InvalidObjectError(self._file, "expands to too much data (aliases)", _position(node), path)
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, self._yaml.SequenceNode):
            items = enumerate(node.value)
            return [self.build(item, f"{path}.{at}" if path else str(at), depth + 1) for at, item in items]
        return _scalar(node)

    def _mapping(self, node: Any, path: str, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, item in node.value:
            if not isinstance(key_node, self._yaml.ScalarNode):
                raise InvalidObjectError(self._file, "a key must be a text", _position(key_node), path)
            key = key_node.value
            below = f"{path}.{key}" if path else key
            if key in value:
                raise InvalidObjectError(self._file, "stands twice", _position(key_node), below)
            self._found[below] = _position(key_node)
            value[key] = self.build(item, below, depth + 1)
        return value


def _scalar(node: Any) -> Any:
    text = node.value
    if node.style is not None or node.tag.endswith(":binary"):
        return text
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text in {"true", "True", "TRUE"}
    try:
        return loads(text) if text[0] in "-0123456789" else text
    except ValueError:
        return text


def _from_yaml(text: str, file: str) -> Any:
    yaml = _yaml()
    if yaml is None:
        raise InvalidObjectError(file, "is not JSON, and reading YAML needs PyYAML (apt install python3-yaml)")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _Builder(yaml, file, {}).build(node, "", 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise InvalidObjectError(file, said, mark and (mark.line + 1, mark.column + 1)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidObjectError(file, str(error).splitlines()[0]) from None
    except RecursionError:
        raise InvalidObjectError(file, "is nested too deep") from None


def _yaml() -> ModuleType | None:
    # The client has to work without PyYAML, and no other verb should pay the thirty milliseconds it takes to load.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        return None
    return yaml


def _text(file: str) -> tuple[str, str]:
    """The name to show and the content, at most a line of the protocol long. Raises UsageError when it cannot be
    read."""
    try:
        if file == "-":
            content, file = sys.stdin.buffer.read(LINE_LIMIT + 1), "<stdin>"
        else:
            with open(file, "rb") as stream:
                content = stream.read(LINE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    if len(content) > LINE_LIMIT:
        raise InvalidObjectError(file, f"is larger than {LINE_LIMIT} bytes")
    try:
        return os.fspath(file), content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidObjectError(
            file, "is not UTF-8", (line, error.start - content.rfind(b"\n", 0, error.start))
        ) from None


def _placed(problem: JamaintError, file: str, text: str, kind: str) -> JamaintError:
    """The same problem, its mistakes with file, line and column."""
    mistakes = problem.data.get("mistakes") or [{"problem": problem.message, **problem.data}]
    where = positions(text)
    placed = [_place(mistake, file, where, kind) for mistake in mistakes if isinstance(mistake, dict)]
    return JamaintError(problem.code, problem.message, {**problem.data, "mistakes": placed})


def _place(mistake: dict[str, Any], file: str, where: dict[str, Position], kind: str) -> dict[str, Any]:
    parts = str(mistake.get("path") or "").replace("[", ".").replace("]", "").split(".")
    if parts[0] in {kind, "changes"}:
        parts = parts[1:]
    while parts:
        position = where.get(".".join(parts))
        if position is not None:
            return {"file": file, "line": position[0], "column": position[1], **mistake}
        parts.pop()
    return {"file": file, **mistake}


def _position(node: Any) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1
