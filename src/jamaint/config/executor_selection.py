"""Kinds of tasks: which executor a task's type and category mean, or which one it names itself."""

from collections.abc import Mapping
from typing import Any

from jamaint.config.executor_models import CONFIG_OF
from jamaint.core.executor_table import ROWS
from jamaint.schema.errors import Flaw, did_you_mean
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
        categories = ", ".join(sorted(of for named, of in EXECUTOR_OF if named == kind))
        return "", Flaw(("category",), f"is missing: with type {kind} there are {categories}")
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


def _there() -> str:
    return ", ".join(sorted(CONFIG_OF))
