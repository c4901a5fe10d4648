"""Addresses of databases in ways back: kept without their passwords, which are looked up again when they are needed."""

from collections.abc import Iterable, Mapping
from typing import Any

from jamaint.config import without_password, without_passwords


def hidden(opening: Mapping[str, Any]) -> dict[str, Any]:
    """A worker's opening as it is kept: no password of its task's config is in it."""
    task = opening["task"]
    return {**opening, "task": {**task, "config": without_passwords(task["config"])}}


def revealed(opening: Mapping[str, Any], known: Iterable[str]) -> Mapping[str, Any]:
    """The opening as a worker needs it: with the one of the `known` addresses that it is without its password.

    So a password that was changed meanwhile is the new one. One that is known no more stays hidden, and the server
    says that it is wrong.
    """
    task = opening.get("task") or {}
    address = (task.get("config") or {}).get("dsn")
    if address is None:
        return opening
    found = next((one for one in known if without_password(one) == address), address)
    return {**opening, "task": {**task, "config": {**task["config"], "dsn": found}}}
