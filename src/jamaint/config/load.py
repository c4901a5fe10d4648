"""Load all files and the environment, checked as a whole, into a Config or every mistake in them."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from jamaint.config import files
from jamaint.config.freezes import read_freeze
from jamaint.config.lint import doubts
from jamaint.config.merging import Given, Merged, merge
from jamaint.config.policies import read_policy
from jamaint.config.references import unknown_channels, wrong_circles, wrong_names, wrong_rings
from jamaint.config.secret_lint import Judge
from jamaint.config.settings import read_settings
from jamaint.config.task_window_parser import Read, read_task, read_window
from jamaint.config.values import Config
from jamaint.core.calendar.freezes import Freeze
from jamaint.core.calendar.windows import Window
from jamaint.core.policies.policies import Policy
from jamaint.core.tasks import Task
from jamaint.schema.errors import ConfigError, Flaw, Mistake
from jamaint.schema.executor_config import Setting
from jamaint.schema.fields import object_name
from jamaint.schema.units import shown
from jamaint.schema.yaml_document import Document

T = TypeVar("T", Task, Window, Freeze, Policy)

SINGULAR: Mapping[str, str] = {"windows": "window", "tasks": "task", "freezes": "freeze", "policies": "policy"}


def _unasked(_kind: str, _name: str) -> None:
    """Nobody looks."""


def load(
    path: str | None,
    *,
    environ: Mapping[str, str],
    euid: int,
    loaded_at: datetime | None = None,
    secret: Judge = _unasked,
) -> Config:
    """The configuration in `path`, or else in the file that the environment names, or else in the usual place.

    `loaded_at` (aware, UTC) is now if it is not given; `secret` says why one that is referred to cannot be had.
    Raises ConfigError with every mistake there is.
    """
    found = files.find(path, environ, euid)
    # Where root's workers do what these files say, they have to be root's too.
    documents = list(files.documents(found, 0 if environ.get("JAMAINT_WORKERS") else euid))
    merged = merge(documents)
    settings = read_settings(merged, environ, euid, found.main if found else "the configuration")
    grants = None if "grants" in merged.unsure else settings.grants
    setting = Setting(settings.state_dir, *((None, None) if grants is None else (grants.commands, grants.databases)))
    windows = _read_all(merged, "windows", lambda given: read_window(given, "file", setting))
    tasks = _read_all(merged, "tasks", lambda given: read_task(given, "file", setting))
    freezes = _read_all(merged, "freezes", _as_read)
    policies = _read_all(merged, "policies", lambda given: read_policy(given, "file"))
    _check_names(merged)
    if merged.mistakes:
        raise ConfigError(_in_order(merged.mistakes, documents))
    now = loaded_at or datetime.now(UTC)
    warnings = [*files.unread(found), *doubts(merged, documents, settings, tasks, windows, judge=secret, now=now)]
    return Config(
        path=found.main if found and any(document.file == found.main for document in documents) else None,
        files=tuple(document.file for document in documents),
        loaded_at=now,
        windows={name: read.value for name, read in windows.items() if read.value},
        tasks={name: read.value for name, read in tasks.items() if read.value},
        policies={name: read.value for name, read in policies.items() if read.value},
        freezes={name: read.value for name, read in freezes.items() if read.value},
        warnings=tuple(str(warning) for warning in warnings),
        **settings._asdict(),
    )


def _as_read(given: Mapping[str, Any]) -> Read[Freeze]:
    value, flaws = read_freeze(given)
    return Read(value, tuple(flaws))


def _read_all(merged: Merged, kind: str, reader: Callable[[Mapping[str, Any]], Read[T]]) -> dict[str, Read[T]]:
    """Reads all objects of a kind, and adds their mistakes to those of `merged`."""
    found = {}
    for name, given in merged.objects[kind].items():
        flaw = _shape(name, given, kind)
        if flaw is not None:
            merged.mistakes.append(given.mistake(flaw))
            continue
        read = reader({"name": name, **given.value})
        merged.mistakes += [given.mistake(flaw) for flaw in read.flaws]
        found[name] = read
    return found


def _shape(name: str, given: Given, kind: str) -> Flaw | None:
    """What keeps a value from being looked at as an object of the name under which it stands."""
    try:
        object_name(name)
    except ValueError as error:
        return Flaw((), str(error), at_key=True)
    if not isinstance(given.value, Mapping):
        return Flaw((), f"must be a mapping that describes the {SINGULAR[kind]}, not {shown(given.value)}")
    if given.value.get("name", name) != name:
        return Flaw(("name",), f"the name is the key above it, {name}: remove this line")
    return None


def _check_names(merged: Merged) -> None:
    given = {
        kind: {name: each.value if isinstance(each.value, Mapping) else {} for name, each in named.items()}
        for kind, named in merged.objects.items()
    }
    tasks = given["tasks"]
    # What cannot be read may well define what another part names, so nothing is said of that then.
    sure_tasks = None if "tasks" in merged.unsure else tasks
    sure_windows = None if "windows" in merged.unsure else given["windows"]
    for name, task in tasks.items():
        flaws = wrong_names(name, task, sure_tasks, sure_windows)
        merged.mistakes += [merged.objects["tasks"][name].mistake(flaw) for flaw in flaws]
    if "notifications" not in merged.unsure:
        section = merged.sections.get("notifications")
        told = section.value.get("channels") if section and isinstance(section.value, Mapping) else None
        channels = list(told) if isinstance(told, Mapping) else []
        for kind in ("windows", "tasks", "policies"):
            for name, each in given[kind].items():
                merged.mistakes += [merged.objects[kind][name].mistake(one) for one in unknown_channels(each, channels)]
    merged.mistakes += [merged.objects["tasks"][name].mistake(flaw) for name, flaw in wrong_rings(tasks, tasks)]
    merged.mistakes += [merged.objects["tasks"][name].mistake(flaw) for name, flaw in wrong_circles(tasks, tasks)]


def _in_order(mistakes: Iterable[Mistake], documents: Iterable[Document]) -> list[Mistake]:
    """By file as they were read, then from top to bottom; what has no file first."""
    place = {document.file: index for index, document in enumerate(documents)}
    return sorted(mistakes, key=lambda mistake: (place.get(mistake.file, -1), mistake.line, mistake.column))
