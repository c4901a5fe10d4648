"""Who measures what: each directory, database and cache is measured by the worker that does its task's work."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from jamaint.core.capacity import Measurer, Target, measurers
from jamaint.core.safety.sandbox import APPLY, is_in, why_unbound
from jamaint.core.tasks import Task
from jamaint.core.worker_kinds import DATABASES, FILES
from jamaint.daemon.state import json_views
from jamaint.host.applied_sandbox import applied
from jamaint.worker_client.session import Message, units_are_used


def assigned(
    wanted: Sequence[Target], tasks: Iterable[Task], there: Mapping[str, Any] | None
) -> tuple[dict[Measurer, list[Target]], dict[Target, dict[str, Any]]]:
    """Return who is asked for what, and an answer for each target that nobody has been given.

    `there` is what was applied where workers are units; None where each is a child of the daemon.
    """
    known = measurers(tasks)
    of_path = {target.name: who for target, who in known.items() if target.kind not in ("database", "cache")}
    groups: dict[Measurer, list[Target]] = {}
    answers: dict[Target, dict[str, Any]] = {}
    for target in wanted:
        usual = DATABASES if target.kind in ("database", "cache") else FILES
        who = known.get(target) or of_path.get(target.name) or (Measurer(usual, None),)
        if there is None:
            groups.setdefault(Measurer("", who[0].user), []).append(target)
            continue
        whys = {one: _why_not(target, one.kind, there) for one in who}
        able = next((one for one, why in whys.items() if why is None), None)
        if able is None:
            answers[target] = not_measured(str(whys[who[0]]))
        else:
            groups.setdefault(able, []).append(target)
    return groups, answers


def _why_not(target: Target, kind: str, there: Mapping[str, Any]) -> str | None:
    """Why a worker of that kind cannot measure it, or None."""
    kinds = there.get("kinds", {})
    if kind not in kinds:
        return f"there is no worker {kind}, which would measure it: {APPLY}"
    if kind.partition("-")[0] != FILES or is_in(target.name, kinds[kind]):
        return None
    return f"not given to the worker for {kind}, which would measure it: {why_unbound(target.name, kind, there)}"


def given() -> Mapping[str, Any] | None:
    """Return what was applied where workers are units; None where each is a child of the daemon."""
    return applied() if units_are_used() else None


def not_measured(problem: str, silent: bool = False) -> dict[str, Any]:
    """Return the answer for a target that has no figure; `silent`: it keeps waiting whoever asks."""
    return {"bytes": None, "problem": problem, **({"silent": True} if silent else {})}


def opening(wanted: Sequence[Target], who: Measurer, now: datetime, trust: Iterable[str]) -> Message:
    """Return the first line to a worker that is to measure these."""
    return {
        "do": "open",
        "execution": str(uuid4()),
        "executor": "usage",
        "task": {
            "name": "usage",
            "config": {"addresses": _addresses(wanted)},
            "rollback": False,
            "mass_deletion": {"share": 0.0, "items": 0},
            "timeout_seconds": None,
        },
        "now": json_views.time(now),
        "user": who.user,
        "trust": list(trust),
        "limits": {"low_space": 0.0},
    }


def _addresses(wanted: Sequence[Target]) -> dict[str, Any]:
    """What the worker may reach, by the target's name; it looks up what of it is a secret."""
    return {
        target.name: {"dsn": json.loads(target.name) if target.name.startswith("{") else target.name}
        for target in wanted
        if target.is_address
    }
