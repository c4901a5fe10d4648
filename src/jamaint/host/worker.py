"""Workers as the daemon sees them: this file alone knows how one is started, and that it leaves nothing behind.

There is no task in the background: pipes and end of the process are looked at while an operation is waited for.
"""

import math
import os
import select
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio

import jamaint
from jamaint import wire
from jamaint.errors import Problem
from jamaint.host.accounts import SAFE_PATH
from jamaint.host.dialogue import FINAL, HEARD, LINE_LIMIT, line, parse
from jamaint.host.output import Lines
from jamaint.host.processes import MARK, end_all, signal_name
from jamaint.host.secrets import cleaned, handed_over

GRACE_SECONDS = 10.0
"""From a cancel, or SIGTERM, to SIGKILL: more than a worker gives its command, so that it ends that itself."""

_CLOSE_SECONDS = 5.0
_STATUS_SECONDS = 2.0
_STDERR_LINES = 20
_CHUNK_BYTES = 64 << 10
_LAST_BYTES = 1 << 20
_ENDING = trio.CapacityLimiter(math.inf)
"""Its own, so that an ending never waits for threads that hang in something else."""

# The worker runs the very code that this process runs, from a checkout too: -I keeps PYTHONPATH out, -m would search.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); import jamaint; del sys.path[0]; "
    "from jamaint.worker import main; main()"
)
_HOME = str(Path(jamaint.__file__).parent.parent)

Message = dict[str, Any]
OnLine = Callable[[Message], Awaitable[None] | None]
"""Gets each line of dialogue.HEARD in order. While an async one is awaited, nothing more is taken from the worker."""


class WorkerLost(Exception):  # noqa: N818 - it says what happened
    """The worker did not start, died, or spoke nonsense. `message` tells which, for a person.

    `exit_status` as in subprocess (negative: a signal), None while it is not known; `stderr` its last lines.
    """

    def __init__(self, message: str, exit_status: int | None = None, stderr: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.exit_status = exit_status
        self.stderr = stderr


class _Descriptors(NamedTuple):
    """Our ends of the worker's pipes, its end as a process, and what is ready when one of them is."""

    stdin: int
    stdout: int
    stderr: int
    exit: int
    ready: select.epoll


class Worker:
    """One worker process, as `open_worker` gives it. One operation at a time."""

    def __init__(
        self,
        execution: str,
        process: trio.Process,
        descriptors: _Descriptors,
        *,
        on_line: OnLine,
        on_stderr: Callable[[str], None],
        grace_seconds: float,
    ) -> None:
        self._execution = execution
        self._process = process
        self._stdin, self._stdout, self._stderr, self._exit, self._ready = descriptors
        self._on_line = on_line
        self._grace_seconds = grace_seconds
        self._sending = trio.Lock()
        self._lines = wire.Lines(LINE_LIMIT)
        self._messages: deque[Message] = deque()
        self._last_words = _LastWords(self._stderr, on_stderr)
        self._answered: trio.Event | None = None
        self._lost: WorkerLost | None = WorkerLost("this worker was not opened")
        self._ended_because: str | None = None
        for descriptor in (self._stdout, self._stderr, self._exit):
            self._ready.register(descriptor, select.EPOLLIN)

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    async def open(self, opening: Message) -> None:
        """Sends the first line, which has no answer of its own."""
        await self._send(opening)
        self._lost = None

    async def ask(self, message: Message) -> Message:
        """Has one operation done and returns the line that ends it: plan, done, failed or cancelled.

        Raises WorkerLost when the worker dies in between or says what is no answer. An `ask` that is itself cancelled
        leaves a worker that is of no more use.
        """
        if self._answered is not None:
            raise RuntimeError("a worker does one operation at a time")
        if self._lost is not None:
            raise self._lost
        self._answered = trio.Event()
        # Stands if this is left in the midst: the answer that comes then would be taken for that of the next operation.
        self._lost = WorkerLost("an operation of this worker was abandoned")
        try:
            await self._send(message)
            answer = await self._answer()
        except WorkerLost as lost:
            self._lost = lost
            raise
        else:
            self._lost = None
            return answer
        finally:
            self._answered.set()
            self._answered = None

    async def cancel(self) -> None:
        """Asks the operation under way to stop, and returns when it has; past the grace period it is ended hard.

        `ask` then returns cancelled (done or failed if it was too late), or raises WorkerLost.
        """
        answered = self._answered
        if answered is None:
            return
        with trio.move_on_after(self._grace_seconds):
            await self._send({"do": "cancel"})
            await answered.wait()
            return
        self._ended_because = f"did not stop within {self._grace_seconds:g} s and was ended"
        await self._end_all(0.0)
        await answered.wait()

    async def steer(self, message: Message) -> None:
        """Sends pause, resume or throttle, which have no answer; a line `held` tells when a pause is in force."""
        await self._send(message)

    async def _send(self, message: Message) -> None:
        data = memoryview(line(message))
        async with self._sending:
            while data and self._stdin >= 0:
                try:
                    data = data[os.write(self._stdin, data) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._stdin)
                except BrokenPipeError:
                    return  # it has died, which is read from its other end

    async def _answer(self) -> Message:
        while True:
            while self._messages:
                message = self._messages.popleft()
                kind = message.get("is")
                if kind in FINAL:
                    return message
                if kind not in HEARD:
                    raise self._nonsense(f"a line that is {kind!r:.40}")
                waiting = self._on_line(message)
                if waiting is not None:
                    await waiting
            await trio.lowlevel.wait_readable(self._ready.fileno())
            if not self._read_ready() and not self._messages:
                raise await self._death()

    def _read_ready(self) -> bool:
        """Reads what there is. False once nothing more will come on stdout."""
        ready = {descriptor for descriptor, _ in self._ready.poll(0)}
        if self._stderr in ready and not self._last_words.read(_CHUNK_BYTES):
            self._ready.unregister(self._stderr)
        if self._exit in ready:
            self._read_stdout(_LAST_BYTES)
            return False
        return self._stdout not in ready or self._read_stdout(_CHUNK_BYTES)

    def _read_stdout(self, limit: int) -> bool:
        """False at its end. Raises WorkerLost for what is no line of ours."""
        for chunk in _chunks(self._stdout, limit):
            if not chunk:
                return False
            try:
                self._messages.extend(parse(data) for data in self._lines.feed(chunk))
            except (ValueError, Problem) as error:
                raise self._nonsense(str(error)) from None
        return True

    async def _death(self) -> WorkerLost:
        with trio.move_on_after(_STATUS_SECONDS):
            await self._process.wait()
        status = self._process.returncode
        self._last_words.finish()
        said = self._last_words.lines
        if self._ended_because is not None:
            return WorkerLost(f"the worker {self._ended_because}", status, said)
        if status is None:
            happened = "closed its pipe and lives on"
        elif status < 0:
            happened = f"was killed by {signal_name(-status)}"
        else:
            happened = f"exited with {status}"
        return WorkerLost(f"the worker {happened}" + (f": {said[-1]}" if said else ""), status, said)

    def _nonsense(self, what: str) -> WorkerLost:
        return WorkerLost(f"the worker said what is no answer: {what}", None, self._last_words.lines)

    async def close(self) -> None:
        """Ends the worker and all that it has started. Shielded, for at most `_CLOSE_SECONDS` when it is idle, and
        the grace and five seconds more when it is not."""
        with trio.CancelScope(shield=True):
            self._hang_up()
            if self._lost is None:
                with trio.move_on_after(_CLOSE_SECONDS):
                    await self._process.wait()
            if self._process.returncode != 0:  # it lives on, or has died without ending what it had started
                await self._end_all(self._grace_seconds)
                with trio.move_on_after(_STATUS_SECONDS):
                    await self._process.wait()
        self._last_words.finish()
        trio.lowlevel.notify_closing(self._ready.fileno())
        self._ready.close()
        os.close(self._stderr)
        os.close(self._exit)

    def _hang_up(self) -> None:
        """Closes what the dialogue goes through: the worker stops at the next safe point, and never waits for us."""
        stdin, self._stdin = self._stdin, -1
        trio.lowlevel.notify_closing(stdin)
        os.close(stdin)
        self._ready.unregister(self._stdout)
        os.close(self._stdout)

    async def _end_all(self, grace_seconds: float) -> None:
        ending = partial(end_all, self._execution, grace_seconds=grace_seconds)
        try:
            await trio.to_thread.run_sync(ending, limiter=_ENDING)
        except OSError as error:  # no descriptor to be had, or no /proc
            self._last_words.add(f"what execution {self._execution} has started could not be looked for: {error}")
        if self._process.returncode is None:
            self._process.kill()


class _LastWords:
    """stderr of a worker: each line goes to the callback, the last ones are kept."""

    def __init__(self, source: int, on_stderr: Callable[[str], None]) -> None:
        self._source = source
        self._on_stderr = on_stderr
        self._cut = Lines()
        self._kept: deque[str] = deque(maxlen=_STDERR_LINES)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._kept)

    def read(self, limit: int) -> bool:
        """Takes what is there, about `limit` bytes at most; False at the end."""
        for chunk in _chunks(self._source, limit):
            if not chunk:
                return False
            for text in self._cut.feed(chunk):
                self.add(text)
        return True

    def finish(self) -> None:
        """Takes the rest."""
        self.read(_LAST_BYTES)
        for text in self._cut.flush():
            self.add(text)

    def add(self, text: str) -> None:
        text = cleaned(text)
        self._kept.append(text)
        self._on_stderr(text)


@asynccontextmanager
async def open_worker(
    opening: Message,
    on_line: OnLine,
    on_stderr: Callable[[str], None],
    grace_seconds: float = GRACE_SECONDS,
) -> AsyncIterator[Worker]:
    """Starts a worker for one execution and gives it its opening line; on the way out it is ended, come what may.

    `opening` is the first line of the dialogue. `on_stderr` gets printable lines for the journal. `grace_seconds` is
    from a cancel, or SIGTERM, to SIGKILL. Raises WorkerLost when no worker can be started.
    """
    worker = await _start(opening["execution"], on_line, on_stderr, grace_seconds)
    try:
        await worker.open({**opening, "environment": handed_over(opening)})
        yield worker
    finally:
        await worker.close()


async def _start(execution: str, on_line: OnLine, on_stderr: Callable[[str], None], grace_seconds: float) -> Worker:
    with ExitStack() as theirs, ExitStack() as ours:
        try:
            ready = select.epoll()
            ours.callback(ready.close)
            (child_stdin, stdin), (stdout, child_stdout), (stderr, child_stderr) = _pipes(theirs, ours)
            process = await trio.lowlevel.open_process(
                [sys.executable, "-I", "-c", _BOOT, _HOME, "jamaint-worker", execution],
                stdin=child_stdin,
                stdout=child_stdout,
                stderr=child_stderr,
                cwd="/",
                env={"PATH": SAFE_PATH, "LANG": "C.UTF-8", **_credentials(), MARK: execution},
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerLost(f"no worker could be started: {error}") from error
        try:
            end = os.pidfd_open(process.pid)
        except OSError as error:
            process.kill()  # it has had no order yet
            with trio.move_on_after(_STATUS_SECONDS, shield=True):
                await process.wait()
            raise WorkerLost(f"no worker could be started: {error}") from error
        ours.pop_all()
    descriptors = _Descriptors(stdin, stdout, stderr, end, ready)
    return Worker(execution, process, descriptors, on_line=on_line, on_stderr=on_stderr, grace_seconds=grace_seconds)


def _credentials() -> dict[str, str]:
    """Where systemd has put secrets; what a worker starts itself is not told."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return {"CREDENTIALS_DIRECTORY": directory} if directory else {}


def _pipes(theirs: ExitStack, ours: ExitStack) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """stdin, stdout and stderr as (reading end, writing end); both stacks close what is entered in them."""
    pairs = []
    for is_stdin in (True, False, False):
        reading, writing = os.pipe()
        theirs.callback(os.close, reading if is_stdin else writing)
        own = writing if is_stdin else reading
        ours.callback(os.close, own)
        os.set_blocking(own, False)
        pairs.append((reading, writing))
    return pairs[0], pairs[1], pairs[2]


def _chunks(source: int, limit: int) -> Iterator[bytes]:
    """What a pipe holds now, about `limit` bytes at most; an empty chunk last is its end."""
    taken = 0
    while taken < limit:
        try:
            chunk = os.read(source, _CHUNK_BYTES)
        except BlockingIOError:
            return
        yield chunk
        if not chunk:
            return
        taken += len(chunk)
