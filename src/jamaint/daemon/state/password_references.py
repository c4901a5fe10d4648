"""Addresses in ways back: kept without their passwords, which are looked up again when they are needed.

A password that its task only refers to is in no opening: there is nothing to hide, and the worker looks it up itself.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jamaint.config import Config
from jamaint.core.secrets import HIDDEN, passwords, texts_with_passwords, with_passwords, without_passwords
from jamaint.core.tasks import Task


def hidden(opening: Mapping[str, Any]) -> dict[str, Any]:
    """A worker's opening as it is kept: no password of its task's config is in it."""
    task = opening["task"]
    return {**opening, "task": {**task, "config": without_passwords(task["config"])}}


def revealed(opening: Mapping[str, Any], known: Mapping[str, str]) -> Mapping[str, Any]:
    """The opening as a worker needs it: with those of the `known` texts that it has without their passwords.

    So a password that was changed meanwhile is the new one. One that is known no more stays hidden, and the server
    says that it is wrong.
    """
    task = opening.get("task") or {}
    return {**opening, "task": {**task, "config": with_passwords(task.get("config") or {}, known)}} if task else opening


def known(tasks: Iterable[Task], config: Config | None = None) -> dict[str, str]:
    """Every text with a password that tasks have, or may have: without the password, and whole; the last counts."""
    granted = {} if config is None else config.grants.databases
    found = [{"dsn": address} for address in granted.values()]
    texts = (pair for value in (*found, *(task.config for task in tasks)) for pair in texts_with_passwords(value))
    return {hidden: whole for hidden, whole in texts if hidden != HIDDEN}


def all_passwords(config: Config) -> set[str]:
    """The passwords that stand in the configuration itself."""
    return passwords(
        [
            {"dsn": config.database.dsn},
            *({"dsn": address} for address in config.grants.databases.values()),
            *(one.config for one in config.tasks.values()),
            *(dict(one.definition) for named in (config.tasks, config.windows) for one in named.values()),
        ]
    )
