"""What every command of the socket is: a method's handler, the role it needs, and whether it changes anything."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from jamaint.core.executions import Execution
from jamaint.daemon.control.background import Pending
from jamaint.daemon.execution.rollbacks import Rollbacks
from jamaint.daemon.execution.runner import Runner
from jamaint.daemon.execution.stored_plans import Plans
from jamaint.daemon.monitoring.metrics import Metrics
from jamaint.daemon.monitoring.usage import Usage
from jamaint.daemon.scheduling.scheduler import Scheduler
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.events import Observer, Subscription
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.recent import History
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import CONFLICT, NOT_AUTHORISED, JamaintError, invalid, not_found, unavailable
from jamaint.host.peer_credentials import Peer
from jamaint.schema.errors import closest
from jamaint.store import executions
from jamaint.store.postgres import DatabaseAwayError, Postgres
from jamaint.worker_client.systemd_unit import VARIABLE

FIRST_YEAR, LAST_YEAR = 1970, 9998
SHORTEST_PREFIX = 8
RECENT = 100
"""So many of the newest executions are looked through for one that was meant."""
ALIKE = 0.7


@dataclass(frozen=True)
class Daemon:
    """The parts that commands talk to, wired in daemon.app."""

    definitions: Definitions
    scheduler: Scheduler
    runner: Runner
    rollbacks: Rollbacks
    plans: Plans
    recorder: Recorder
    postgres: Postgres
    current: Current
    observer: Observer
    history: History
    usage: Usage
    metrics: Metrics
    now: Callable[[], datetime]
    started_at: datetime
    reload: Callable[[], Awaitable[dict[str, Any]]]
    check: Callable[[], Awaitable[dict[str, Any]]]
    configuration: Callable[[], dict[str, Any]]
    background: Callable[..., Pending]
    """Starts a task that outlives the connection that asked for it."""


class Call(NamedTuple):
    """One call: its parameters, and who calls."""

    params: Mapping[str, Any]
    peer: Peer
    role: str
    user: str


class Stream(NamedTuple):
    """An outcome that goes on: the reply, then events."""

    reply: dict[str, Any]
    subscription: Subscription


class Command(NamedTuple):
    """A row of the table: who may call it, whether it changes anything, what carries it out, and for which objects.

    `four_eyes`: nobody but an owner (`is_owner`) does it for what he asked for or made himself. `of_files`: objects
    that come from files may be its object. `of_root`: others than root may do it to what root made through the socket.
    """

    role: str
    changes: bool
    carry_out: Callable[[Daemon, Call], Awaitable[Any]]
    four_eyes: bool = False
    of_files: bool = True
    of_root: bool = True


def take(call: Call, **kinds: type | tuple[type, ...]) -> list[Any]:
    """The parameters named, in order, each of its kind or None; raises JamaintError for any other parameter.

    A name ending in `_` is required (`task_=str`). bool is no int here.
    """
    required = {name.rstrip("_"): name.endswith("_") for name in kinds}
    unknown = [name for name in call.params if name not in required]
    if unknown:
        takes = ", ".join(required) or "no parameters"
        raise invalid(unknown[0][:100], f"there is no such parameter; it takes {takes}")
    return [_one(call.params, name.rstrip("_"), kind, required[name.rstrip("_")]) for name, kind in kinds.items()]


def _one(params: Mapping[str, Any], name: str, kind: type | tuple[type, ...], required: bool) -> Any:
    value = params.get(name)
    if value is None:
        if required:
            raise invalid(name, "is needed")
        return None
    wrong_bool = isinstance(value, bool) and kind is not bool
    if wrong_bool or not isinstance(value, kind):
        raise invalid(name, f"must be {_NAMES.get(kind, 'of another kind')}")
    return value


_NAMES: Mapping[Any, str] = {
    str: "a string",
    int: "a whole number",
    (int, float): "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def moment_of(name: str, text: str | None) -> datetime | None:
    """An RFC 3339 time with its zone, in UTC. Raises JamaintError(INVALID_PARAMS)."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid(name, f"must be an RFC 3339 time with its zone, as 2026-11-24T02:00:00Z, and is {text[:60]!r}")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:  # at the ends of the calendar nothing can be reckoned
        raise invalid(name, f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}, not in {moment.year}")
    return moment.astimezone(UTC)


async def _execution_meant(daemon: Daemon, reference: str) -> str | None:
    """The execution that a reference to none was probably meant to be: of that task the newest, or one of a like id."""
    if reference in daemon.definitions.tasks:
        newest = await ask(daemon, executions.page, task=reference, limit=1)
        return f"{newest[0].id[:SHORTEST_PREFIX]}, the newest of the task {reference}" if newest else None
    recent = await ask(daemon, executions.page, limit=RECENT)
    return closest(reference, [one.id[: max(len(reference), SHORTEST_PREFIX)] for one in recent], ALIKE)


async def execution_of(daemon: Daemon, reference: str) -> Execution:
    """The execution that an id, a unique prefix of 8 characters or more, or `last` names."""
    live = daemon.current.get(reference)
    if live is not None:
        return live
    try:
        found = await ask(daemon, executions.by_reference, reference)
    except JamaintError:  # the database is away; what waits or runs is known all the same
        found = daemon.current.matching(reference) if len(reference) >= SHORTEST_PREFIX else []
        if not found:
            raise
    if not found:
        raise not_found("execution", reference, await _execution_meant(daemon, reference))
    if len(found) > 1:
        raise invalid("execution", f"more than one execution begins with {reference}: give more of its id")
    return daemon.current.get(found[0].id) or found[0]


async def ask(daemon: Daemon, work: Callable[..., Awaitable[Any]], *args: Any, **kw: Any) -> Any:
    """Reads from the store. Raises JamaintError(UNAVAILABLE) while the database is away."""
    try:
        return await daemon.postgres.run(work, *args, **kw)
    except DatabaseAwayError as error:
        raise unavailable(f"the database is away: {error}", 5) from error


def writable(daemon: Daemon) -> None:
    """Raises JamaintError(UNAVAILABLE) while the database is away: what is promised must be kept."""
    if daemon.recorder.away is not None:
        raise unavailable(f"the database is away, nothing new can be taken: {daemon.recorder.away}", 5)


def is_owner(call: Call) -> bool:
    """Return True for root, and for the person whose own daemon it is, for whom nobody else could approve anything.

    As a service of the system its account is nobody's: no person acts as it, and no process of its should approve.
    """
    return call.peer.uid == 0 or (call.peer.uid == os.geteuid() and VARIABLE not in os.environ)


def refuse_own(call: Call, author: str | None, why: str) -> None:
    """Raise JamaintError(NOT_AUTHORISED) where the caller is the author of what he decides over. Its owner may."""
    if author == call.user and not is_owner(call):
        raise JamaintError(NOT_AUTHORISED, f"{why}, another has to approve it", {"own": True})


def refuse_file(kind: str, name: str, origin: str, path: str | None) -> None:
    """Objects from files are changed in their files."""
    if origin == "file":
        raise JamaintError(
            CONFLICT,
            f"{kind} {name} comes from a file: change it there ({path}) and reload",
            {"origin": "file"},
        )
