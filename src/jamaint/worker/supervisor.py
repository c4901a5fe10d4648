"""The supervisor of a worker that is a unit: between the connection that started the unit and the executor's process.

It has the executor as a child, hands lines on in both directions, and is never busy with anything else. So it sees at
once that the daemon is gone or wants an end, and whatever the executor does, or does no more, all is ended after the
grace. What even it cannot end (another user's) systemd ends with the unit's control group.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from jamaint.errors import JamaintError
from jamaint.host.processes.control import adopting_orphans
from jamaint.host.processes.output import Lines
from jamaint.host.processes.run import end_offspring
from jamaint.protocol import control
from jamaint.protocol.worker import END, ENDED, LINE_LIMIT, STDERR, line, parse

GRACE_SECONDS = 10.0
"""From the daemon's end, or SIGTERM, to SIGKILL."""

PLAN = 3
"""The executor's descriptor of a stored plan."""

_CHUNK_BYTES = 64 << 10
_FULL_BYTES = 1 << 20
_ORDER_BYTES = 256
_FLUSH_SECONDS = 5.0
_MUTE_SECONDS = 2.0
_GONE = select.POLLHUP | select.POLLERR | select.POLLRDHUP

Order = dict[str, Any]


def supervise(channel: socket.socket, perform: Callable[[], None]) -> None:
    """Serves the daemon at the other end of `channel` until nothing is left of the executor's process.

    `perform` is the executor's side: it runs in a process of its own, with the dialogue as its stdin and stdout.
    """
    opening, plan, more = _opening(channel)
    if opening is None:
        return
    with adopting_orphans():
        executor = _fork(plan, perform)
        if plan is not None:
            os.close(plan)
            opening = {**opening, "plan_fd": PLAN}
        try:
            _Relay(channel, executor).run(opening, more)
        finally:
            end_offspring(0.0)


def _opening(channel: socket.socket) -> tuple[Order | None, int | None, bytes]:
    """The first line, the open plan that came with it, and what has come after it. None for a daemon that went."""
    data, plan = b"", None
    while b"\n" not in data:
        chunk, descriptors, _, _ = socket.recv_fds(channel, _CHUNK_BYTES, 1)
        plan = descriptors[0] if descriptors else plan
        if not chunk or len(data) > LINE_LIMIT:
            return None, plan, b""
        data += chunk
    first, _, more = data.partition(b"\n")
    return parse(first), plan, more


class _Executor(NamedTuple):
    """The child, our ends of its pipes, and its end."""

    pid: int
    stdin: int
    stdout: int
    stderr: int
    end: int


def _fork(plan: int | None, perform: Callable[[], None]) -> _Executor:
    theirs_in, stdin = os.pipe()
    stdout, theirs_out = os.pipe()
    stderr, theirs_err = os.pipe()
    pid = os.fork()
    if pid == 0:
        for descriptor, place in ((theirs_in, 0), (theirs_out, 1), (theirs_err, 2)):
            os.dup2(descriptor, place)
        if plan is not None:
            os.dup2(plan, PLAN, inheritable=False)
        os.closerange(PLAN + (plan is not None), os.sysconf("SC_OPEN_MAX"))
        _be_executor(perform)
    for descriptor in (theirs_in, theirs_out, theirs_err):
        os.close(descriptor)
    for descriptor in (stdin, stdout, stderr):
        os.set_blocking(descriptor, False)
    return _Executor(pid, stdin, stdout, stderr, os.pidfd_open(pid))


def _be_executor(perform: Callable[[], None]) -> NoReturn:
    try:
        os.setsid()
        perform()
        os._exit(0)
    except SystemExit as error:
        if isinstance(error.code, int | None):
            os._exit(error.code or 0)
        print(error.code, file=sys.stderr, flush=True)
    except BaseException:  # this process is to end here, whatever it was
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(1)


class _Relay:
    """Lines on their way, each side no faster than the other takes them; and the end."""

    def __init__(self, channel: socket.socket, executor: _Executor) -> None:
        self._channel = channel
        self._executor = executor
        self._from_daemon = control.Lines(LINE_LIMIT)
        self._words = Lines()
        self._to_executor, self._to_daemon, self._half_line = bytearray(), bytearray(), bytearray()
        self._open = {executor.stdin, executor.stdout, executor.stderr}
        self._silent = self._deaf = self._killed = False
        self._deadline: float | None = None
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, opening: Order, more: bytes) -> None:
        """Until the executor has ended, with its last words and status sent."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self._to_executor += line(opening)
        self._take_orders(more)
        while not self._turn():
            pass
        for descriptor in (self._executor.stdout, self._executor.stderr):
            while descriptor in self._open and self._read(descriptor):
                self._flush(0.0)
        end_offspring(0.0 if self._killed else GRACE_SECONDS / 2)  # it has died without ending what it had started
        status = os.waitstatus_to_exitcode(os.waitpid(self._executor.pid, 0)[1])
        for text in self._words.flush():
            self._say(STDERR, text=text)
        self._say(ENDED, status=status)
        self._flush(_FLUSH_SECONDS)

    def _turn(self) -> bool:
        """Waits for something and deals with it. True once the executor has ended."""
        found = dict(self._poll().poll(self._patience()))
        if self._woken in found:
            os.read(self._woken, _CHUNK_BYTES)
            self._end_within(GRACE_SECONDS)
        channel = found.get(self._channel.fileno(), 0)
        if channel & select.POLLIN:
            self._take_orders(self._receive())
        elif channel & _GONE:
            self._hang_up()
        self._deaf = self._deaf or bool(channel & (select.POLLHUP | select.POLLERR))
        if channel & select.POLLOUT:
            self._flush(0.0)
        for descriptor in (self._executor.stdout, self._executor.stderr):
            if descriptor in found:
                self._read(descriptor)
        if self._executor.stdin in found:
            self._write()
        if self._deadline is not None and time.monotonic() >= self._deadline and not self._killed:
            self._killed = True
            end_offspring(0.0)
        return self._executor.end in found

    def _poll(self) -> select.poll:
        poll = select.poll()
        poll.register(self._executor.end, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        if not (self._silent and self._deaf):
            wanted = 0 if self._silent else select.POLLRDHUP
            wanted |= select.POLLIN if not self._silent and len(self._to_executor) < _FULL_BYTES else 0
            poll.register(self._channel, wanted | (select.POLLOUT if self._to_daemon else 0))
        if len(self._to_daemon) < _FULL_BYTES:
            for descriptor in self._open & {self._executor.stdout, self._executor.stderr}:
                poll.register(descriptor, select.POLLIN)
        if self._to_executor and self._executor.stdin in self._open:
            poll.register(self._executor.stdin, select.POLLOUT)
        return poll

    def _patience(self) -> float | None:
        if self._deadline is None or self._killed:
            return None
        return max(0.0, self._deadline - time.monotonic()) * 1000

    def _receive(self) -> bytes:
        try:
            chunk = self._channel.recv(_CHUNK_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError:
            chunk = b""
        if not chunk:
            self._hang_up()
        return chunk

    def _take_orders(self, chunk: bytes) -> None:
        try:
            for data in self._from_daemon.feed(chunk):
                if not self._is_end(data):
                    self._to_executor += data + b"\n"
        except JamaintError:
            self._hang_up()
        self._write()

    def _is_end(self, data: bytes) -> bool:
        if len(data) > _ORDER_BYTES:
            return False
        with suppress(ValueError, TypeError, JamaintError):
            order = parse(data)
            if order.get("do") == END:
                self._end_within(float(order.get("grace", 0.0)))
                return True
        return False

    def _hang_up(self) -> None:
        """The daemon sends nothing more: the executor stops at its next safe point."""
        self._silent = True
        if self._deadline is None:
            self._end_within(GRACE_SECONDS)

    def _end_within(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        self._deadline = at if self._deadline is None else min(at, self._deadline)
        self._to_executor.clear()
        self._close(self._executor.stdin)

    def _write(self) -> None:
        try:
            while self._to_executor and self._executor.stdin in self._open:
                del self._to_executor[: os.write(self._executor.stdin, self._to_executor)]
        except BlockingIOError:
            return
        except OSError:  # it has ended, or reads no more
            self._to_executor.clear()
            self._close(self._executor.stdin)

    def _read(self, source: int) -> bool:
        """Takes what there is of stdout or stderr; false when there is nothing more now."""
        try:
            chunk = os.read(source, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close(source)
            if source == self._executor.stdout:  # it can answer no more, and has ended, or is of no use
                self._end_within(_MUTE_SECONDS)
        elif source == self._executor.stderr:
            for text in self._words.feed(chunk):
                self._say(STDERR, text=text)
        else:
            whole, newline, rest = chunk.rpartition(b"\n")
            if newline or len(self._half_line) > LINE_LIMIT:
                self._to_daemon += self._half_line + whole + newline
                self._half_line.clear()
            self._half_line += rest
        self._flush(0.0)
        return bool(chunk)

    def _say(self, kind: str, **more: object) -> None:
        self._to_daemon += line({"is": kind, **more})

    def _flush(self, seconds: float) -> None:
        """Sends what there is to say, or as much of it as the daemon takes; what nobody hears is let go."""
        deadline = time.monotonic() + seconds
        while self._to_daemon:
            try:
                del self._to_daemon[: self._channel.send(self._to_daemon, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)]
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                select.select((), (self._channel,), (), left)
            except OSError:
                self._to_daemon.clear()

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)
