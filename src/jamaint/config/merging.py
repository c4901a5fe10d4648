"""Merging: several documents as one configuration, in which each section and each object stands once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jamaint.config.sections import OBJECTS, SECTIONS, Top
from jamaint.core.cleanup_kinds import SYSTEM
from jamaint.schema.errors import Flaw, Mistake, Path, dotted
from jamaint.schema.units import kind_of
from jamaint.schema.validation import unknown_key
from jamaint.schema.yaml_document import Document

SETTINGS = (*SECTIONS, "state_dir", "enabled")


CLEANUP = "cleanup"
"""The section that is the config of a task, and the name of that task: what `cleanup run` does."""


class Given(NamedTuple):
    """A value as it stands in a file, and where."""

    value: Any
    document: Document
    path: Path

    def mistake(self, flaw: Flaw) -> Mistake:
        """The flaw of this value with its place."""
        return self.document.mistake(flaw, self.path)


class CleanupGiven(Given):
    """The task that the section `cleanup` stands for: what is wrong with its config stands in the section itself."""

    def mistake(self, flaw: Flaw) -> Mistake:
        """The flaw with its place."""
        return super().mistake(flaw._replace(path=flaw.path[1:] if flaw.path[:1] == ("config",) else ()))


@dataclass(slots=True)
class Merged:
    """What all files say together; `objects` are by section and name."""

    sections: dict[str, Given] = field(default_factory=dict)
    objects: dict[str, dict[str, Given]] = field(default_factory=lambda: {kind: {} for kind in OBJECTS})
    mistakes: list[Mistake] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    """Sections of which a part may be missing here, because a file cannot be read or a key is misspelled."""


def merge(documents: Iterable[Document]) -> Merged:
    """Puts the documents together; what stands twice or has no place is among the mistakes."""
    merged = Merged()
    for document in documents:
        merged.mistakes += document.mistakes
        if document.broken:
            merged.unsure |= {*SETTINGS, *OBJECTS}
        for key, value in document.value.items():
            _take(merged, key, Given(value, document, (key,)))
    return merged


def _take(merged: Merged, key: str, given: Given) -> None:
    if key in OBJECTS:
        _take_objects(merged, key, given)
    elif key == CLEANUP:
        if given.value not in (None, {}):
            task = {"executor": SYSTEM, "type": "cleanup", "category": "system", "config": given.value}
            whole = CleanupGiven({**task, "description": "what `cleanup run` does"}, given.document, given.path)
            _take_once(merged.objects["tasks"], CLEANUP, whole, merged.mistakes)
    elif key not in SETTINGS:
        flaw = unknown_key(key, Top, given.document.value, ())
        merged.mistakes.append(given.document.mistake(flaw))
        merged.unsure |= {flaw.meant} if flaw.meant else {*SETTINGS, *OBJECTS}
    elif given.value is not None:
        _take_once(merged.sections, key, given, merged.mistakes)


def _take_objects(merged: Merged, kind: str, given: Given) -> None:
    if given.value is None:
        return
    if not isinstance(given.value, Mapping):
        problem = f"must be a mapping of names to {kind}, not {kind_of(given.value)}"
        merged.mistakes.append(given.mistake(Flaw((), problem)))
        merged.unsure.add(kind)
        return
    for name, value in given.value.items():
        _take_once(merged.objects[kind], name, Given(value, given.document, (kind, name)), merged.mistakes)


def _take_once(there: dict[str, Given], name: str, given: Given, mistakes: list[Mistake]) -> None:
    first = there.get(name)
    if first is None:
        there[name] = given
        return
    line, _ = first.document.spot(first.path, at_key=True)
    problem = f"{dotted(first.path)} stands in {first.document.file}, line {line}, too: remove one of the two"
    mistakes.append(given.mistake(Flaw((), problem, at_key=True)))
