"""Kinds of workers, where each is a unit of its own: which one does the work of an executor."""

import re
from collections.abc import Mapping
from typing import Any

from jamaint.core.cleanup_kinds import KINDS, SYSTEM
from jamaint.core.executor_table import row_of
from jamaint.core.owner_rights import BY_OWNER, OWNER
from jamaint.core.tasks import Condition

FILES, DATABASES, COMMANDS, PACKAGES = "files", "databases", "commands", "packages"
"""Works in directories; reaches databases, caches and pages over the network; runs a command; is not fenced in."""

LOOKED_AT = frozenset({"command", "http", "tcp", "postgresql"})
"""The conditions that a worker looks at: the daemon has neither the network nor the right to run anything."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def kind_of(executor: str, config: Mapping[str, Any], user: str | None = None) -> str:
    """The kind of worker for it, with the user's name where there is one: files, databases-postgres, commands-www-data.

    `user` is whom a task of files or databases names; a command's stands in its config. What needs directories and the
    network has no fence of its own, and goes to packages. Raises ValueError for a user's name that no unit can have.
    """
    kinds = {_kind(part, sub) for part, sub in parts(executor, config)}
    kind = kinds.pop() if len(kinds) == 1 else PACKAGES
    user = config.get("user") if kind == COMMANDS else user
    return kind if kind == PACKAGES else of_user(kind, user)


def kind_of_look(condition: Condition) -> str:
    """The kind of worker that looks at what such a condition asks. Raises ValueError as `of_user`."""
    return of_user(COMMANDS, condition.params["user"]) if condition.kind == "command" else DATABASES


def sides(executor: str, config: Mapping[str, Any], user: str | None = None) -> dict[str, Mapping[str, Any]]:
    """The kinds of workers for it, each with its part of the config: a system cleanup may need two. Raises as above."""
    if executor != SYSTEM:
        return {kind_of(executor, config, user): config}
    found: dict[str, dict[str, list[Any]]] = {}
    for one in config["kinds"]:
        kind = kind_of(KINDS[one["kind"]].executor, one["config"])
        found.setdefault(kind, {"kinds": []})["kinds"].append(one)
    return dict(found)


def parts(executor: str, config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(executor, config) of all that an executor is made of: itself, or the kinds of a system cleanup."""
    if executor != SYSTEM:
        return [(executor, config)]
    return [(KINDS[one["kind"]].executor, one["config"]) for one in config["kinds"]]


def of_user(kind: str, user: str | None) -> str:
    """The kind as a user of its own. Raises ValueError for a name that no unit can have."""
    if user is None:
        return kind
    if not _NAME.fullmatch(user):
        raise ValueError(f"a worker's unit cannot be named after the user {user!r}")
    return f"{kind}-{user}"


def _kind(executor: str, config: Mapping[str, Any]) -> str:
    usual = row_of(executor).worker
    if usual == COMMANDS:
        return PACKAGES if config.get("unit") == PACKAGES else COMMANDS
    if usual == PACKAGES or any(config.get(key) for key in ("prerotate", "postrotate", "signal")):
        return PACKAGES
    if executor in BY_OWNER and config.get("user") == OWNER:  # only root can act as others
        return PACKAGES
    if config.get("directories"):  # a cache that is a tree of files
        return PACKAGES if config.get("redis") or config.get("memcached") else FILES
    return FILES if usual == "none" else usual
