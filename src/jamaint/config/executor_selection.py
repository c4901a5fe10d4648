"""Selection of the executor: by a task's type and category, or by the name that it gives."""

from collections.abc import Mapping
from typing import Any

from jamaint.config.executor_models import CONFIG_OF
from jamaint.core.executor_table import ROWS
from jamaint.core.tasks import CATEGORIES, TYPES
from jamaint.schema.errors import Flaw, closest, did_you_mean
from jamaint.schema.units import shown

EXECUTOR_OF: Mapping[tuple[str, str], str] = {kind: row.key for row in ROWS for kind in row.kinds}
"""The executor that a task's type and category mean; a custom task has `command`, or `sql` if it has statements."""

LATER = frozenset(row.key for row in ROWS if not row.folder)
"""Executors that the contract has and this version has not."""

KEYS = ("type", "category", "executor")


def executor_of(given: Mapping[str, Any]) -> tuple[str | None, list[Flaw]]:
    """The executor of this version that a task asks for; or None, and why if nothing was said of KEYS before."""
    named = given.get("executor")
    executor, flaw = _by_name(named) if isinstance(named, str) else _by_kind(given)
    return (executor, []) if flaw is None else (None, [flaw])


def meant_executor(given: Mapping[str, Any]) -> str | None:
    """Return the executor that a task with misspelled KEYS probably means, or None.

    Its config is checked by that one, so that one mistake in KEYS hides no others.
    """
    known = {"type": TYPES, "category": CATEGORIES, "executor": tuple(CONFIG_OF)}
    words = {key: given[key] for key in KEYS if isinstance(given.get(key), str)}
    meant = {key: word if word in known[key] else closest(word, known[key]) for key, word in words.items()}
    if None in meant.values():
        return None
    executor, flaws = executor_of({**given, **meant})
    return None if flaws else executor


def kind_of(executor: str) -> tuple[str, str]:
    """The type and category of a task that names its executor and says no more."""
    return next((kind for kind, name in EXECUTOR_OF.items() if name == executor), ("custom", "system"))


def _by_name(named: str) -> tuple[str, Flaw | None]:
    if named in CONFIG_OF:
        return named, None
    if named in LATER:
        return named, Flaw(("executor",), f"{named} is not in this version: there are {_there()}")
    return named, Flaw(("executor",), f"there is no executor {shown(named)}: {did_you_mean(named, CONFIG_OF)}")


def _by_kind(given: Mapping[str, Any]) -> tuple[str, Flaw | None]:
    kind, category, config = given.get("type"), given.get("category"), given.get("config")
    if kind is None:
        return "", Flaw(("type",), "is missing: what the task does, such as cleanup, or else an `executor`")
    if kind == "custom":
        executor = "sql" if isinstance(config, Mapping) and "statements" in config else "command"
    elif category is None:
        categories = sorted(of for (named, of), key in EXECUTOR_OF.items() if named == kind and key in CONFIG_OF)
        if not categories:
            return "", Flaw(("type",), f"no executor of this version does {kind}: {_types_there()}")
        return "", Flaw(("category",), f"is missing: with type {kind} there are {', '.join(categories)}")
    else:
        executor = EXECUTOR_OF.get((str(kind), str(category)), "")
    if not executor:
        problem = f"no executor does {kind}/{category} by itself: name an `executor`, of which there are {_there()}"
        return "", Flaw(("category",), problem)
    if executor not in CONFIG_OF:
        meaning = kind if kind == "custom" else f"{kind}/{category}"
        problem = f"{meaning} means executor {executor}, which is not in this version: there are {_there()}"
        return executor, Flaw(("type",), problem)
    return executor, None


def _types_there() -> str:
    types = sorted({"custom", *(kind for (kind, _), executor in EXECUTOR_OF.items() if executor in CONFIG_OF)})
    return f"there are {', '.join(types)}"


def _there() -> str:
    return ", ".join(sorted(CONFIG_OF))
