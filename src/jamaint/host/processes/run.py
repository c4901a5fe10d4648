"""Commands of an execution: run one with its output captured, and end all that an execution has started.

Whatever an execution starts carries JAMAINT_EXECUTION=<id> in its environment, and is a descendant of its worker, which
adopts orphans. By both it is found and ended, also when it has forked twice and left its session.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from jamaint.host.accounts import Account, environment_of, own_account
from jamaint.host.processes.control import adopting_orphans
from jamaint.host.processes.output import Output
from jamaint.host.processes.suspend import NEVER, Pausing, Standing

MARK = "JAMAINT_EXECUTION"
GRACE_SECONDS = 5.0
LINGER_SECONDS = 1.0
"""How long what a command has left in the background may take to end by itself: the last of a pipe, mostly."""

_KILL_SECONDS = 3.0
_LOOK_SECONDS = 0.2
_BREATH_SECONDS = 0.01
_RESERVE = 3


@dataclass(frozen=True, slots=True)
class Call:
    """One command as it is run: `argv` goes to the kernel as it is, no shell reads it.

    `account` None: as the user this process is. `environment` adds to the fixed one and cannot take the mark away.
    """

    execution: str
    argv: tuple[str, ...]
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    timeout_seconds: float | None = None
    grace_seconds: float = GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `cut_short` is timeout, stopped or None; `signal` names what killed it, or None.

    `max_rss_bytes` is never less than what this process had itself when it started the command (the kernel counts so).
    """

    exit_code: int | None
    signal: str | None
    cut_short: str | None
    output_lines: int
    output_bytes: int
    omitted_bytes: int
    last_line: str
    max_rss_bytes: int
    cpu_seconds: float
    left_behind: int
    """How many processes it had left in the background, which were ended."""
    unended: int
    """How many could not be ended: another user's (setuid), or stuck in the kernel."""


def run(call: Call, on_line: Callable[[str], None], stopping: Callable[[], bool], pausing: Pausing = NEVER) -> Ended:
    """Runs one command to its end, in a session of its own, and leaves nothing of it behind.

    `on_line` gets each line of stdout and stderr in a thread of its own. `stopping` is asked five times a second. After
    the timeout (monotonic), when stopping, and for what a command leaves in the background, all gets SIGTERM and, after
    `grace_seconds`, SIGKILL. `pausing` is asked as often: all gets SIGSTOP, then SIGCONT; the timeout does not run
    meanwhile. Raises OSError and ValueError when it cannot be started, and what `on_line` raised.
    """
    output = Output(on_line)
    try:
        with adopting_orphans(), _reserve() as reserve:
            process, before = _start(call, output.target)
            output.let_go()
            try:
                cut_short, signalled, left = _see_through(
                    process,
                    call,
                    before,
                    lambda: stopping() or output.failure is not None,
                    pausing=pausing,
                    reserve=reserve,
                )
            finally:
                code, max_rss_bytes, cpu_seconds = _reap(process, before)
    finally:
        output.finish()
    if output.failure is not None:
        raise output.failure
    return Ended(
        exit_code=code if code is not None and code >= 0 else None,
        signal=signal_name(-code) if code is not None and code < 0 else None,
        cut_short=cut_short,
        output_lines=output.lines,
        output_bytes=output.bytes,
        omitted_bytes=output.omitted_bytes,
        last_line=output.last_line,
        max_rss_bytes=max_rss_bytes,
        cpu_seconds=cpu_seconds,
        left_behind=signalled if cut_short is None else 0,
        unended=left,
    )


def end_all(execution: str, but: Collection[int] = frozenset(), grace_seconds: float = GRACE_SECONDS) -> int:
    """Ends every process of an execution and returns how many it ended; with no grace SIGKILL is the first signal.

    Never this process itself, nor those of `but`. Takes at most the grace and three seconds more; to be called in a
    thread where something else is to go on. A process number that has been given anew is never signalled.
    """
    spared = {os.getpid(), *but}
    return _end(lambda: _members(execution, spared), grace_seconds)[0]


def end_offspring(grace_seconds: float) -> int:
    """As `end_all`, for every process below this one; what has lost its parent only where this one adopts orphans."""
    own = os.getpid()
    return _end(lambda: _below(own), grace_seconds)[0]


def signal_name(number: int) -> str:
    """SIGKILL for 9; a number that has no name stays a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def children() -> set[int]:
    """The processes whose parent is this one, those included that have ended and are not reaped."""
    found: set[int] = set()
    known = False
    for thread in os.listdir("/proc/self/task"):
        try:
            found.update(map(int, _read(f"/proc/self/task/{thread}/children").split()))
            known = True
        except (FileNotFoundError, ProcessLookupError):  # that thread has just ended
            continue
    if known:
        return found
    own = os.getpid()  # a kernel without CONFIG_PROC_CHILDREN
    return {process.pid for process in _processes() if process.parent == own}


def _reserve() -> ExitStack:
    """Descriptors to let go of when there are no more: enough to find what a command has started, and end it."""
    with ExitStack() as opened:
        for _ in range(_RESERVE):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        return opened.pop_all()


def _start(call: Call, target: int) -> tuple[subprocess.Popen[bytes], set[int]]:
    before = children()
    other = call.account if call.account is not None and not call.account.is_own else None
    process = subprocess.Popen(  # noqa: S603 - which commands may run is for the configuration to say
        call.argv,
        stdin=subprocess.DEVNULL,
        stdout=target,
        stderr=target,
        cwd=call.working_directory,
        env={**environment_of(call.account or own_account()), **call.environment, MARK: call.execution},
        user=other.uid if other else None,
        group=other.gid if other else None,
        extra_groups=other.groups if other else None,
        umask=0o022,
        start_new_session=True,
    )
    return process, before


def _see_through(
    process: subprocess.Popen[bytes],
    call: Call,
    before: set[int],
    stopping: Callable[[], bool],
    *,
    pausing: Pausing,
    reserve: ExitStack,
) -> tuple[str | None, int, int]:
    """Waits for the end, or makes it. Returns why it was cut short, and how many were ended and could not be."""
    spared = {os.getpid(), *before}
    lone = {*before, process.pid}

    def find() -> list[_Process]:
        return _members(call.execution, spared, below=os.getpid())

    try:
        cut_short = _watch(process.pid, call, stopping, Standing(pausing, find, _signal), lone)
        if cut_short is None and _has_left(lone):
            _wait_for(find(), LINGER_SECONDS)
            _reap_orphans(lone)
        if cut_short is None and not _has_left(lone):
            return None, 0, 0
    except BaseException:
        reserve.close()
        _end(find, 0.0)
        raise
    return cut_short, *_end(find, call.grace_seconds)


def _watch(
    pid: int, call: Call, stopping: Callable[[], bool], standing: "Standing[_Process]", lone: set[int]
) -> str | None:
    """Until the command itself has ended (None), its time is up (timeout), or the execution is to stop (stopped)."""
    deadline = None if call.timeout_seconds is None else time.monotonic() + call.timeout_seconds
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while True:
            stands_still, began = standing.look(), time.monotonic()
            left = _LOOK_SECONDS if deadline is None or stands_still else min(_LOOK_SECONDS, deadline - began)
            if poll.poll(max(0.0, left) * 1000):
                return None
            if stopping():
                return "stopped"
            if deadline is not None and stands_still:
                deadline += time.monotonic() - began
            if deadline is not None and time.monotonic() >= deadline:
                return "timeout"
            _reap_orphans(lone)
    finally:
        os.close(descriptor)


def _has_left(lone: set[int]) -> bool:
    """Whether anything but `lone` is below this process. Twice: a child may be handed on between two looks."""
    _reap_orphans(lone)
    return bool(children() - lone) or bool(children() - lone)


def _reap_orphans(lone: set[int]) -> None:
    for pid in children() - lone:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue


def _reap(process: subprocess.Popen[bytes], before: set[int]) -> tuple[int | None, int, float]:
    """Returns the command's status, bytes of memory and seconds of CPU; one that could not be ended has no status."""
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    _reap_orphans(before)
    if pid == 0:
        return None, 0, 0.0
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024, round(usage.ru_utime + usage.ru_stime, 3)


@dataclass(frozen=True, slots=True)
class _Process:
    """A live process; number and start time (in the kernel's ticks) together never come twice."""

    pid: int
    started: int
    parent: int = field(compare=False)


def _processes() -> Iterator[_Process]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := _look_at(int(name))) is not None:
            yield process


def _look_at(pid: int) -> _Process | None:
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in b"ZX" and int(fields[17]) <= 1:  # a dead first thread does not end the others
        return None
    return _Process(pid, started=int(fields[19]), parent=int(fields[1]))


def _members(execution: str, spared: Collection[int], below: int | None = None) -> list[_Process]:
    """Every live process with the mark, or below one with the mark, or below `below`; but never one of `spared`."""
    mark = f"\0{MARK}={execution}\0".encode()
    there = [process for process in _processes() if process.pid not in spared]
    found = {process.pid: process for process in there if _has_mark(process.pid, mark)}
    return _with_offspring(there, found, below)


def _below(pid: int) -> list[_Process]:
    """Every live process below that one."""
    return _with_offspring([process for process in _processes() if process.pid != pid], {}, pid)


def _with_offspring(there: Iterable[_Process], found: dict[int, _Process], below: int | None) -> list[_Process]:
    """Those that are found, and what is below them or `below`; the oldest first."""
    offspring: dict[int, list[_Process]] = {}
    for process in there:
        offspring.setdefault(process.parent, []).append(process)
    heads = [*found.values(), *(offspring.get(below, []) if below is not None else [])]
    while heads:
        process = heads.pop()
        found[process.pid] = process
        heads += [child for child in offspring.get(process.pid, []) if child.pid not in found]
    return sorted(found.values(), key=lambda process: process.started)


def _has_mark(pid: int, mark: bytes) -> bool:
    try:
        return mark in b"\0" + _read(f"/proc/{pid}/environ") + b"\0"
    except OSError:  # gone, or another user's
        return False


def _end(find: Callable[[], list[_Process]], grace_seconds: float) -> tuple[int, int]:
    """SIGTERM, grace, SIGKILL to whatever `find` finds, until it finds nothing. Returns (ended, could not be)."""
    seen: set[_Process] = set()
    deadline = time.monotonic() + grace_seconds
    while (left := deadline - time.monotonic()) > 0:
        found = find()
        if not found and not find():  # twice: between two looks a process may be handed on
            return len(seen), 0
        for process in found:  # the oldest first: a script is to learn of it before its children vanish
            if process not in seen and _signal(process, signal.SIGTERM):
                _signal(process, signal.SIGCONT)  # one that is stopped takes SIGTERM only when it goes on
        seen.update(found)
        _wait_for(found, left)
    deadline = time.monotonic() + _KILL_SECONDS
    while (found := find() or find()) and time.monotonic() < deadline:
        for process in found:
            _signal(process, signal.SIGKILL)
        seen.update(found)
        _wait_for(found, _LOOK_SECONDS)
    return len(seen.difference(found)), len(found)


def _signal(process: _Process, number: signal.Signals) -> bool:
    """Signals that very process: its start time is looked at again once a descriptor holds it. False: it is gone."""
    descriptor = _hold(process)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except OSError:  # it has ended, or is another user's
        return False
    finally:
        os.close(descriptor)
    return True


def _hold(process: _Process) -> int | None:
    """A descriptor of that very process, or None when it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    now = _look_at(process.pid)
    if now is not None and now.started == process.started:
        return descriptor
    os.close(descriptor)
    return None


def _wait_for(processes: Iterable[_Process], seconds: float) -> None:
    """Until all of them have ended, at most that long."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    held = {descriptor for process in processes if (descriptor := _hold(process)) is not None}
    try:
        for descriptor in held:
            poll.register(descriptor, select.POLLIN)
        waiting = set(held)
        if not held:
            time.sleep(min(seconds, _BREATH_SECONDS))  # all gone, or no descriptor to be had: never look in a spin
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                poll.unregister(descriptor)
                waiting.discard(descriptor)
    finally:
        for descriptor in held:
            os.close(descriptor)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
