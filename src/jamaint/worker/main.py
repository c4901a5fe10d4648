"""The other end of worker_client/session: one execution in a process of its own, spoken to in JSON lines.

As a child of the daemon it is `main`; as a unit of systemd `serve_unit`, where worker.supervisor stands in between.
The dialogue has the two pipes for itself: what an executor prints goes to stderr, and what it starts reads /dev/null.
"""

import os
import signal
import socket
import sys
import time
from _queue import SimpleQueue
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from threading import Lock, Thread
from typing import Any

from jamaint.core import rotation_records
from jamaint.core.executor_table import EXECUTORS
from jamaint.core.owner_rights import BY_OWNER, OWNER
from jamaint.core.plans import MassDeletion, Plan, Step, step_from_json, step_to_json
from jamaint.core.rate_limits import Limits, WindowEnd
from jamaint.core.rotation_records import Records
from jamaint.core.safety import deletion_guard
from jamaint.errors import JamaintError
from jamaint.executors import executor_of
from jamaint.executors.shared.executor import NOWHERE, Executor, Planned, StepError, StopRequestedError, Work
from jamaint.executors.shared.subplans import items_of
from jamaint.files.rights import writable_groups
from jamaint.files.rights.borrowed import acting_as, can_lend
from jamaint.files.trash.inventory import Inventory
from jamaint.files.trash.stops import NotRecordedError
from jamaint.host import secrets
from jamaint.host.accounts import Account, become, check_reachable, find_account
from jamaint.host.plan_file import Packing, PlanFileError, StoredItems, open_plan
from jamaint.host.processes.control import lower_priority
from jamaint.host.processes.output import printable
from jamaint.host.processes.run import children, end_all
from jamaint.host.secrets import SecretError
from jamaint.protocol import control
from jamaint.protocol.worker import LINE_LIMIT, RECORDED, TAKEN, line, parse
from jamaint.worker.pace import Pace
from jamaint.worker.supervisor import supervise

PROGRESS_SECONDS = 0.1
KEPT = "JAMAINT_KEPT"
"""Where a unit has a directory of its own for what is kept."""
_EXACT = frozenset({"is", "args", "undo", "block", "unit", "level", "kind", "held", "roots"})
"""The keys below which nothing is for people, or what is there is compared with something."""
MESSAGE_LIMIT = 64 << 10
_CHUNK_BYTES = 64 << 10
_LEVELS = frozenset({"info", "warning", "error"})

Order = dict[str, Any]
Answer = dict[str, Any]


class Dialogue:
    """The daemon at the other end: its orders one by one, and whether this worker is to stop.

    A thread listens while an operation runs. A cancel is for the operation that is under way and for no other.
    """

    def __init__(self, source: int, target: int) -> None:
        self.pace = Pace()
        self.window_end = WindowEnd()
        self._target = target
        self._lines = _lines(source)
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self.recorded: SimpleQueue[Order | None] = SimpleQueue()
        """The daemon's answers to lines `taken`; None when no more will come."""
        self._lock = Lock()
        self._unanswered = 0
        self._cancelled = False
        self._ending = False

    @property
    def stopping(self) -> bool:
        """Whether to stop at the next safe point: a cancel, the daemon gone, or SIGTERM."""
        return self._cancelled or self._ending

    def opening(self) -> Order | None:
        """The first line; None when the daemon went without a word. To be called once, before `listen`."""
        first = next(self._lines, None)
        if first is None:
            return None
        opening = parse(first)
        self.window_end.at, self.window_end.pauses = _moment(opening), bool(opening.get("pauses"))
        return opening

    def listen(self) -> None:
        """Starts the thread that listens."""
        Thread(target=self._listen, daemon=True).start()

    def next_order(self) -> Order | None:
        """Waits for the next operation; None when there is to be none: one that came before the end is not begun."""
        order = self._orders.get()
        return None if self._ending else order

    def end(self, *_: object) -> None:
        """Nothing more is to be done. Takes no lock: it is a signal's handler too."""
        self._ending = True
        self._orders.put(None)
        self.recorded.put(None)

    def say(self, message: Answer) -> None:
        """Sends a line on the way, from any thread."""
        data = line(_without_secrets(message))
        with self._lock:
            self._write(data)

    def answer(self, message: Answer) -> None:
        """Sends the line that ends the operation under way."""
        try:
            data = line(_without_secrets(message))
        except (TypeError, ValueError) as error:
            sys.excepthook(*sys.exc_info())
            data = line(failed(f"the answer cannot be sent: {error}"))
        with self._lock:
            self._unanswered -= 1
            self._cancelled = False
            self._write(data)

    def _listen(self) -> None:
        try:
            for data in self._lines:
                self._take(data)
        except (JamaintError, OSError):
            sys.excepthook(*sys.exc_info())
        finally:
            self.end()

    def _take(self, data: bytes) -> None:
        try:
            order = parse(data)
        except ValueError as error:
            order = {"do": f"a line that is no order ({error})"}
        if not isinstance(order.get("do"), str):
            order = {**order, "do": f"{order.get('do')!r}"}
        steer = _STEERING.get(order.get("do", ""))
        if steer is not None:  # at once, and not in the queue of operations
            steer(self, order)
            return
        with self._lock:
            if order.get("do") == "cancel":
                self._cancelled = self._unanswered > 0
                return
            self._unanswered += 1
        self._orders.put(order)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._target, view) :]
        except BrokenPipeError:
            self.end()


def _move_end(dialogue: Dialogue, order: Order) -> None:
    dialogue.window_end.at = _moment(order)


def _moment(message: Order) -> datetime | None:
    return None if message.get("ends_at") is None else datetime.fromisoformat(message["ends_at"])


_STEERING: dict[str, Callable[[Dialogue, Order], None]] = {
    "pause": lambda dialogue, order: dialogue.pace.pause(int(order["number"])),
    "resume": lambda dialogue, _: dialogue.pace.resume(),
    "throttle": lambda dialogue, order: dialogue.pace.throttle(float(order["ratio"])),
    "move_end": _move_end,
    RECORDED: lambda dialogue, order: dialogue.recorded.put(order),
}


class DaemonHost:
    """The Host of an executor here; every method may be called from any thread."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._lock = Lock()
        self._recording = Lock()
        self._blocks = 0
        """Blocks of the record that were sent."""
        self._waiting: Answer | None = None
        self._said_at = float("-inf")

    def progress(self, done: int, total: int | None, unit: str) -> None:
        with self._lock:
            self._dialogue.pace.note(unit, done)
            self._waiting = {"is": "progress", "done": done, "total": total, "unit": unit}
            if time.monotonic() - self._said_at < PROGRESS_SECONDS:
                return
        self.flush()

    def log(self, level: str, message: str) -> None:
        level = level if level in _LEVELS else "info"
        self._dialogue.say({"is": "log", "level": level, "message": printable(message[:MESSAGE_LIMIT])})

    def waiting(self, why: str) -> None:
        self.flush()
        self._dialogue.say({"is": "waiting", "why": printable(why[:MESSAGE_LIMIT])})

    def checkpoint(self) -> None:
        self._dialogue.pace.keep(lambda: self._dialogue.stopping, self.flush, self.held)
        if self._dialogue.stopping:
            raise StopRequestedError

    def paused(self) -> int:
        if self._dialogue.stopping:
            raise StopRequestedError
        return self._dialogue.pace.paused

    def alone(self) -> bool:
        return self._dialogue.pace.holds_back

    def portion(self, most: int) -> int:
        return self._dialogue.pace.portion(most)

    def found(self, number: int, answer: Answer) -> None:
        """Tells the fact of one condition, or why it cannot be learnt: see executors.internal.condition_probes."""
        self._dialogue.say({"is": "found", "number": number, **answer})

    def held(self, number: int) -> None:
        self._dialogue.say({"is": "held", "number": number})

    def tell_items(self, count: int, block: bytes) -> None:
        """Sends some of what a step of a plan would act on, for the plan to be stored."""
        self.checkpoint()
        self._dialogue.say({"is": "items", "count": count, "block": b64encode(block).decode("ascii")})

    def taken(self, block: bytes) -> None:
        """Have the daemon write a block down, and return when it has. Raises NotRecordedError; StopRequestedError
        when it went."""
        with self._recording:
            self._blocks += 1
            number = self._blocks
            self._dialogue.say({"is": TAKEN, "number": number, "block": b64encode(block).decode("ascii")})
            why = self._why_not_recorded(number)
        if why:
            raise NotRecordedError(why)

    def _why_not_recorded(self, number: int) -> str:
        while (answer := self._dialogue.recorded.get()) is not None:
            if answer.get("number") == number:
                return str(answer.get("why") or "")
        self._dialogue.recorded.put(None)  # for who asks next
        raise StopRequestedError

    def flush(self) -> None:
        """Sends the progress that has been held back."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
            self._said_at = time.monotonic()
        if waiting is not None:
            self._dialogue.say(waiting)


def main(unit: str | None = None) -> None:
    """Serves one execution until stdin ends, or SIGTERM. `unit`: the kind of worker that this unit is, if it is one."""
    source, target = _take_over_pipes()
    _clear_signals()
    secrets.keep_out_of_tracebacks()
    dialogue = Dialogue(source, target)
    opening = dialogue.opening()
    if opening is None:
        return
    host = DaemonHost(dialogue)
    perform = _open(opening, host, dialogue.window_end, unit)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, dialogue.end)
    dialogue.listen()
    while (order := dialogue.next_order()) is not None:
        dialogue.pace.limit(_limits(opening) if order.get("do") in _LIMITED else Limits())
        answer = perform(order)
        host.flush()
        dialogue.answer(answer)
    if children():
        end_all(str(opening["execution"]))
    sys.stderr.flush()
    os._exit(0)  # the thread that listens may be in the midst of a read, and there is nothing else to put in order


def serve_unit() -> None:
    """Serves one execution as a unit of systemd: stdin is the connection that the unit was started for."""
    channel = socket.socket(fileno=os.dup(0))
    _nothing_to_read()
    unit = sys.argv[1]
    supervise(channel, lambda: main(unit))


def failed(message: str, kind: str = "failed", details: dict[str, Any] | None = None) -> Answer:
    """The answer of an operation that could not be done."""
    return {
        "is": "failed",
        "error": {"message": printable(message[:MESSAGE_LIMIT]), "kind": kind},
        "details": details or {},
    }


def _open(opening: Order, host: DaemonHost, window_end: WindowEnd, unit: str | None) -> Callable[[Order], Answer]:
    """Becomes what the opening asks for. What cannot be is the answer to every operation."""
    try:
        name = opening["executor"]
        if name not in EXECUTORS or not EXECUTORS[name].folder:
            raise StepError(f"this worker knows no executor {name}", "refused")
        if not _is_name(str(opening["execution"])):  # directories are named after it
            raise StepError("the execution's id is no name of one", "refused")
        only_back: str | None = None
        writable_groups.trust(opening.get("trust", ()))
        if unit is not None:
            from jamaint.worker import authorization  # noqa: PLC0415 - a fifth of our start, and a child does not need it

            writable_groups.trust(authorization.trusted_groups())
            only_back, back = authorization.why_only_back(unit, opening)
            if not back:
                raise StepError(str(only_back), "refused")
        # A command may be one that others wait for (a service's reindex): it yields, but is not starved.
        if name != "looks":  # a start waits for it, and a busy machine is what it may be asked about
            lower_priority(10 if name == "command" else 19, idle_disk=name != "command")
        planned, taken = _planned(opening, unit), _taken(opening)
        opening = _with_secrets(opening)
        kind = executor_of(name)  # as who we are now: another user may not be able to read our own modules
        if opening.get("user") is not None:
            from jamaint.executors.shared.preload import preload  # noqa: PLC0415 - of no use without another user

            preload(name, opening["task"]["config"])
        account = _take_rights(opening)
        executor = kind(replace(_work(opening, window_end), planned=planned, taken=taken), host)
    except SecretError as problem:
        answer = failed(f"a secret cannot be had: {problem}", "refused")
        return lambda _: answer
    except StepError as refusal:
        answer = failed(refusal.message, refusal.kind, refusal.details)
        return lambda _: answer
    except Exception as error:  # the daemon learns of it as the answer to what it asks next
        sys.excepthook(*sys.exc_info())
        answer = failed(f"{type(error).__name__}: {error}")
        return lambda _: answer

    def perform(order: Order) -> Answer:
        with acting_as(account):
            if unit is None:
                answer = _perform(executor, host, order)
            else:
                answer = _perform_if_allowed(unit, only_back, executor, host, order)
        return _from_items(answer, planned is not None)

    return perform


def _is_name(ident: str) -> bool:
    """True if it is made of letters, digits and hyphens, as the ids of executions are."""
    return ident.isascii() and ident.replace("-", "").isalnum() and len(ident) <= 64


def _from_items(answer: Answer, from_items: bool) -> Answer:
    """Say with a plan whether it was made from a stored plan's items: the daemon carries out no other for that one."""
    return {**answer, "from_items": True} if from_items and answer["is"] == "plan" else answer


def _perform_if_allowed(unit: str, only_back: str | None, executor: Executor, host: DaemonHost, order: Order) -> Answer:
    """Does what the unit is allowed. `only_back`: why no more than an undo or a purge is, or None."""
    from jamaint.worker import authorization  # noqa: PLC0415 - see _open

    if only_back is not None and order.get("do") not in authorization.BACK:
        return failed(only_back, "refused")
    why = authorization.why_not(unit, order)
    return _perform(executor, host, authorization.looked_at(unit, order)) if why is None else failed(why, "refused")


def _with_secrets(opening: Order) -> Order:
    """The opening with the secrets that its config refers to: looked up here, as who we are now, and kept nowhere."""
    task = opening["task"]
    environment = {**os.environ, **opening.get("environment", {})}
    return {**opening, "task": {**task, "config": secrets.resolved(task["config"], environment)}}


def _without_secrets(message: Answer) -> Answer:
    """What people read of a message; what it is about (`args`, `undo`, `items`) is sent as it is."""
    return {key: value if key in _EXACT else _read_by_people(value) for key, value in message.items()}


def _read_by_people(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_secrets(value)
    if isinstance(value, list | tuple):
        return [_read_by_people(item) for item in value]
    return secrets.cleaned(value) if isinstance(value, str) else value


def _take_rights(opening: Order) -> Account | None:
    """Become the task's user, with no way back; or return the one whom this process acts as and keeps its own rights.

    It keeps them where scripts have rights of their own, and where root has to give a new log the group of the old one,
    which its user is no member of (Debian's logs are in adm). Raises StepError.
    """
    user, scripts = opening.get("user"), opening["task"]["config"].get("scripts") or {}
    if user is None or (user == OWNER and opening["executor"] in BY_OWNER):
        os.umask(0o077)
        return None
    try:
        account = find_account(user)
        if not scripts.get("user") and not (opening["executor"] in BY_OWNER and can_lend()):
            become(account)
            return None
        check_reachable(account)
    except (LookupError, PermissionError) as error:
        raise StepError(str(error), "refused") from None
    os.umask(0o077)
    return account


def _work(opening: Order, window_end: WindowEnd) -> Work:
    task = opening["task"]
    return Work(
        execution=opening["execution"],
        task_name=task["name"],
        config=task["config"],
        keeps_way_back=task["rollback"],
        when_full=task.get("when_full", "keep"),
        mass_deletion=MassDeletion(share=task["mass_deletion"]["share"], items=task["mass_deletion"]["items"]),
        timeout_seconds=task["timeout_seconds"],
        now=datetime.fromisoformat(opening["now"]),
        low_space=opening["limits"]["low_space"],
        kept_directory=os.environ.get(KEPT) or opening["limits"].get("kept_directory", NOWHERE),
        seen={one["path"]: deletion_guard.from_json(one) for one in opening.get("seen", ())},
        rotations=rotation_records.from_json(opening["rotations"]) if "rotations" in opening else Records(),
        held=opening.get("held", ()),
        window_end=window_end,
    )


def _planned(opening: Order, unit: str | None) -> Planned | None:
    """The stored plan that is to be carried out: opened as who we are now, for only root may read it."""
    items = _items_of_plan(opening)
    if items is None or unit is None:
        return items
    from jamaint.worker import authorization  # noqa: PLC0415 - see _open

    return authorization.AllowedItems(unit, items)


def _items_of_plan(opening: Order) -> StoredItems | None:
    path, fd = opening.get("plan"), opening.get("plan_fd")
    if "taken" in opening:
        return None
    try:
        if fd is not None:  # a daemon that may read what this process may not has opened it
            return StoredItems(int(fd))
        return None if path is None else StoredItems(open_plan(path))
    except OSError as error:
        raise StepError(f"the plan's items cannot be read: {error}", "refused") from None


def _taken(opening: Order) -> Inventory | None:
    """The record of what was taken: opened as who we are now, as a plan is."""
    path, fd = opening.get("taken"), opening.get("plan_fd")
    try:
        if path is None:
            return None
        return Inventory(open_plan(path) if fd is None else int(fd))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepError(f"the record of what was taken cannot be read: {error}", "refused") from None


def _limits(opening: Order) -> Limits:
    limits = opening["limits"]
    return Limits(limits.get("operations_per_second"), limits.get("bytes_per_second"))


def _perform(executor: Executor, host: DaemonHost, order: Order) -> Answer:
    try:
        if order.get("do") in _HELD:
            host.checkpoint()
        operation = _OPERATIONS.get(order.get("do", ""))
        if operation is None:
            return failed(f"this worker knows no operation: {order.get('do')}")
        answer = operation(executor, order)
        if order.get("items"):
            answer["itemised"] = _tell_items(executor, host, answer)
        return answer
    except StopRequestedError as stopped:
        details = stopped.args[0] if stopped.args and isinstance(stopped.args[0], dict) else {}
        return {"is": "cancelled", "details": details}
    except StepError as failure:
        return failed(failure.message, failure.kind, failure.details)
    except PlanFileError as error:
        return failed(f"the plan's items cannot be read: {error}", "refused")
    except Exception as error:  # a worker answers for whatever its executor does
        sys.excepthook(*sys.exc_info())
        return failed(f"{type(error).__name__}: {error}")


def _plan(executor: Executor, _: Order) -> Answer:
    plan: Plan = executor.plan()
    return {
        "is": "plan",
        "steps": [step_to_json(step) for step in plan.steps],
        "warnings": list(plan.warnings),
        "refusals": list(plan.refusals),
        "roots": list(plan.roots),
    }


def _tell_items(executor: Executor, host: DaemonHost, answer: Answer) -> bool:
    """Sends the items of the plan in `answer`; false for an executor that cannot tell them."""
    items = items_of(executor)
    if items is None:
        return False
    for step in answer["steps"]:
        packing = Packing(step["name"], host.tell_items)
        items(step_from_json(step), packing.tell)
        packing.finish()
    return True


def _run(executor: Executor, order: Order) -> Answer:
    return {"is": "done", "details": executor.run(step_from_json(order["step"]))}


def _undo(executor: Executor, order: Order) -> Answer:
    return {"is": "done", "details": executor.undo(step_from_json(order["step"]), bool(order["dry_run"]))}


def _purge(executor: Executor, order: Order) -> Answer:
    return {"is": "done", "details": executor.purge(step_from_json(order["step"]))}


def _release(executor: Executor, order: Order) -> Answer:
    """Has an executor forget what it has written down as held; one that writes nothing down has nothing to do."""
    release: Callable[[Step, str | None], None] | None = getattr(executor, "release", None)
    if release is not None:
        release(step_from_json(order["step"]), order.get("path"))
    return {"is": "done", "details": {}}


def _look(executor: Executor, order: Order) -> Answer:
    look: Callable[..., Answer] | None = getattr(executor, "look", None)
    if look is None:
        return failed("this executor does not look")
    return {"is": "done", "details": look(order["conditions"], {**os.environ, **order["environment"]})}


_LIMITED = frozenset({"run", "purge"})
"""Operations that keep the task's limits: a way back is wanted soon."""

_HELD = frozenset({"plan", "run"})
"""Operations that do not begin while the execution is paused."""

_OPERATIONS: dict[str, Callable[[Executor, Order], Answer]] = {
    "plan": _plan,
    "run": _run,
    "undo": _undo,
    "purge": _purge,
    "release": _release,
    "look": _look,
}


def _lines(source: int) -> Iterator[bytes]:
    lines = control.Lines(LINE_LIMIT)
    while chunk := os.read(source, _CHUNK_BYTES):
        yield from lines.feed(chunk)


def _take_over_pipes() -> tuple[int, int]:
    """Moves the dialogue to two descriptors that nothing inherits."""
    source, target = os.dup(0), os.dup(1)
    _nothing_to_read()
    return source, target


def _nothing_to_read() -> None:
    """stdin is /dev/null from here on, and stdout goes where stderr goes."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)


def _clear_signals() -> None:
    """Whatever the daemon was started with (nohup, a blocked signal): what is ignored would be so for every command."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python's own, and undone at each start
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    serve_unit()
