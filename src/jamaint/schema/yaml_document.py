"""YAML document: one text as plain values, with the position of each, and its errors.

Read from the parser's events, which come one by one: composing a tree recurses in C, and a file of 200,000 brackets
would end the process. Scalars are read as YAML 1.2 does, and stricter: true and false, null, decimal numbers. All that
YAML readers disagree about (`on`, `no`, `010`, `0x1F`, `2:30`, `1_000`, dates) stays the text that it is, so that a key
which wants text gets it unharmed, and one that wants a number can say what to write (see `units`).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import CBaseLoader
from yaml.reader import ReaderError

from jamaint.schema.errors import Flaw, Mistake, Path, dotted

DEPTH_LIMIT = 64
PLAIN = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
STRING_TAG = "tag:yaml.org,2002:str"
MAPPING_TAG, SEQUENCE_TAG = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_REAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")

Spot = tuple[int, int]
"""Line and column, counted from 1."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, which is a mapping, and where each part of it stands."""

    file: str
    value: dict[str, Any] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    broken: bool = False
    """Whether what it defines is unknown, so that a name which is not found elsewhere may well stand here."""
    cut_short: bool = False
    """Whether its last line does not end, as in a file that is half written."""
    _spots: dict[int, dict[str | int, tuple[Spot, Spot]]] = field(default_factory=dict)
    """By the id of a mapping or list that `value` holds: the spots of each key (or item) and of its value."""

    def mistake(self, flaw: Flaw, at: Path = ()) -> Mistake:
        """The flaw of the value at path `at`, with its place in this file."""
        path = (*at, *flaw.path)
        return Mistake(self.file, *self.spot(path, flaw.at_key), dotted(path), flaw.problem)

    def spot(self, path: Path, at_key: bool = False) -> Spot:
        """Where the value at `path` stands, or its key if it is no scalar; what is missing stands where it belongs."""
        found: Spot = (1, 1)
        value: Any = self.value
        for part in path:
            spots = self._spots.get(id(value), {}).get(part)
            if spots is None:
                break
            value = value[part]
            found = spots[0] if at_key or value is None or isinstance(value, dict | list) else spots[1]
        return found


def read_document(file: str, content: bytes) -> Document:
    """Reads `content`; never raises: what is wrong with it stands in `mistakes`, and `value` is what could be read."""
    if not content:
        problem = "the file is empty, as if it were half written: write at least a comment into it, or remove it"
        return Document(file, mistakes=(Mistake(file, 1, 1, "", problem),), broken=True)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Document(file, mistakes=(_not_utf8(file, content, error.start),), broken=True)
    reading = _Reading(file)
    try:
        reading.read(text)
    except (_NoYamlError, ReaderError, yaml.MarkedYAMLError) as error:
        return Document(file, mistakes=(*reading.mistakes, _no_yaml(file, text, error)), broken=True)
    # What begins with a bracket and could be read ends with one, so it is whole.
    cut_short = not text.endswith("\n") and not text.lstrip().startswith("{")
    return Document(file, reading.value or {}, tuple(reading.mistakes), False, cut_short, reading.spots)


class _NoYamlError(Exception):
    def __init__(self, spot: Spot, problem: str) -> None:
        self.spot = spot
        self.problem = problem


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being filled; `key` is the key whose value comes next."""

    value: dict[str, Any] | list[Any]
    spot: Spot
    key: str | None = None
    key_spot: Spot = (1, 1)
    doubled: bool = False


class _Reading:
    """Turns the events of one text into `value`, `spots` and `mistakes`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.value: Any = None
        self.spots: dict[int, dict[str | int, tuple[Spot, Spot]]] = {}
        self.mistakes: list[Mistake] = []
        self._frames: list[_Frame] = []

    def read(self, text: str) -> None:
        for event in _events(text):
            spot = (event.start_mark.line + 1, event.start_mark.column + 1)
            if getattr(event, "anchor", None):
                sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
                # Not its name: a password that begins so, without quotes, is one.
                problem = f"anchors and aliases are not read: write it out, or quote what begins with {sign}"
                raise _NoYamlError(spot, problem)
            if isinstance(event, yaml.ScalarEvent):
                self._take_scalar(event, spot)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event, spot)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._take(self._frames[-1].value, self._frames.pop().spot)
            elif isinstance(event, yaml.DocumentStartEvent) and self.value is not None:
                raise _NoYamlError(spot, "a second document begins here (---): a file holds one")
        if self.value is not None and not isinstance(self.value, dict):
            raise _NoYamlError((1, 1), "the file must be a mapping of sections, such as `tasks:`")

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, spot: Spot) -> None:
        if self._frames and self._wants_key(self._frames[-1]):
            raise _NoYamlError(spot, "a key must be text, not a mapping or a list")
        if len(self._frames) >= DEPTH_LIMIT:
            raise _NoYamlError(spot, f"nested deeper than {DEPTH_LIMIT}")
        if event.tag not in (None, "!", MAPPING_TAG, SEQUENCE_TAG):
            self._flaw(spot, "tags are not read here: remove it, or quote what begins with !")
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.spots[id(value)] = {}
        self._frames.append(_Frame(value, spot))

    def _take_scalar(self, event: yaml.ScalarEvent, spot: Spot) -> None:
        if "\0" in event.value:
            self._flaw(spot, "a NUL character is not allowed")
        if event.tag not in (None, "!", STRING_TAG):
            self._flaw(spot, "tags are not read here: remove it, or quote what begins with !")
        plain = event.tag is None and not event.style
        frame = self._frames[-1] if self._frames else None
        if frame is not None and self._wants_key(frame):
            self._take_key(frame, event.value, spot)
        else:
            self._take(_plain_value(event.value) if plain else event.value, spot)

    def _take_key(self, frame: _Frame, key: str, spot: Spot) -> None:
        frame.key, frame.key_spot = key, spot
        frame.doubled = key in frame.value
        if key == "<<":
            self._flaw(spot, "merge keys (<<) are not read here: write the keys out")
        elif frame.doubled:
            line = self.spots[id(frame.value)][key][0][0]
            self._flaw(spot, f"stands here a second time, first in line {line}: remove one of the two", key)

    def _take(self, value: Any, spot: Spot) -> None:
        if not self._frames:
            self.value = value
            return
        frame = self._frames[-1]
        spots = self.spots[id(frame.value)]
        if isinstance(frame.value, list):
            spots[len(frame.value)] = (spot, spot)
            frame.value.append(value)
            return
        key, frame.key = frame.key, None
        if key is not None and not frame.doubled and key != "<<":
            spots[key] = (frame.key_spot, spot)
            frame.value[key] = value

    def _wants_key(self, frame: _Frame) -> bool:
        return frame.key is None and isinstance(frame.value, dict)

    def _flaw(self, spot: Spot, problem: str, key: str | None = None) -> None:
        frames = self._frames if key is None or not self._frames else self._frames[:-1]
        path: list[str | int] = [
            frame.key if frame.key is not None else len(frame.value)
            for frame in frames
            if frame.key is not None or isinstance(frame.value, list)
        ]
        self.mistakes.append(Mistake(self.file, *spot, dotted((*path, key) if key else tuple(path)), problem))


def _events(text: str) -> Iterator[Any]:
    loader = CBaseLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _plain_value(text: str) -> Any:
    if text in PLAIN:
        return PLAIN[text]
    if text[0] not in "-0123456789":
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text) and not text.lstrip("-").isdigit() and math.isfinite(float(text)):
        return float(text)
    return text


def _not_utf8(file: str, content: bytes, at: int) -> Mistake:
    problem = f"byte 0x{content[at]:02x} is not UTF-8: save the file as UTF-8"
    return Mistake(file, *_spot_of(content, at), "", problem)


def _spot_of(content: bytes, at: int) -> Spot:
    """The place of the byte at offset `at`, before which all is UTF-8."""
    begin = content.rfind(b"\n", 0, at) + 1
    return content.count(b"\n", 0, at) + 1, len(content[begin:at].decode("utf-8")) + 1


def _no_yaml(file: str, text: str, error: _NoYamlError | ReaderError | yaml.MarkedYAMLError) -> Mistake:
    if isinstance(error, _NoYamlError):
        return Mistake(file, *error.spot, "", error.problem)
    if isinstance(error, ReaderError):
        problem = f"character U+{error.character:04X} is not allowed in YAML"
        return Mistake(file, *_spot_of(text.encode("utf-8"), error.position), "", problem)
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    indent = "".join(text.splitlines()[line - 1 : line])[:column]
    if "\t" in indent and not indent.strip():
        return Mistake(file, line, column, "", "a tab cannot indent in YAML: use spaces")
    context = ""
    if error.context and error.context_mark and error.context_mark.line + 1 != line:
        context = f" ({error.context}, which begins in line {error.context_mark.line + 1})"
    return Mistake(file, line, column, "", f"not YAML: {error.problem or 'it cannot be read'}{context}")
