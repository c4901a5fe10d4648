"""A worker as a child process, spoken to through pipes: how it is started, and ended with all that it has started."""

import math
import os
import select
import sys
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

import jamaint
from jamaint.host.accounts import SAFE_PATH
from jamaint.host.processes.run import MARK, end_all
from jamaint.protocol.worker import line
from jamaint.worker_client.link import CHUNK_BYTES, LAST_BYTES, LineBuffer, Message, StderrTail, WorkerLostError, chunks

_CLOSE_SECONDS = 5.0
_STATUS_SECONDS = 2.0
_ENDING = trio.CapacityLimiter(math.inf)
"""Its own, so that an ending never waits for threads that hang in something else."""

# The worker runs the very code that this process runs, from a checkout too: -I keeps PYTHONPATH out, -m would search.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); import jamaint; del sys.path[0]; "
    "from jamaint.worker.main import main; main()"
)
_HOME = str(Path(jamaint.__file__).parent.parent)


class _Descriptors(NamedTuple):
    """Our ends of the worker's pipes, its end as a process, and what is ready when one of them is."""

    stdin: int
    stdout: int
    stderr: int
    exit: int
    ready: select.epoll


class Child:
    """One worker process of ours; see links.Link."""

    def __init__(
        self, execution: str, process: trio.Process, descriptors: _Descriptors, on_stderr: Callable[[str], None]
    ) -> None:
        self.messages: deque[Message] = deque()
        self.last_words = StderrTail(on_stderr)
        self._execution = execution
        self._process = process
        self._stdin, self._stdout, self._stderr, self._exit, self._ready = descriptors
        self._incoming = LineBuffer(self.messages)
        for descriptor in (self._stdout, self._stderr, self._exit):
            self._ready.register(descriptor, select.EPOLLIN)

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    async def send(self, message: Message) -> None:
        """See Link."""
        data = memoryview(line(message))
        while data and self._stdin >= 0:
            try:
                data = data[os.write(self._stdin, data) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._stdin)
            except BrokenPipeError:
                return  # it has died, which is read from its other end

    async def wait(self) -> None:
        """See Link."""
        await trio.lowlevel.wait_readable(self._ready.fileno())

    def read(self) -> bool:
        """See Link."""
        ready = {descriptor for descriptor, _ in self._ready.poll(0)}
        if self._stderr in ready and not self._read_stderr(CHUNK_BYTES):
            self._ready.unregister(self._stderr)
        if self._exit in ready:
            self._read_stdout(LAST_BYTES)
            return False
        return self._stdout not in ready or self._read_stdout(CHUNK_BYTES)

    async def status(self) -> int | None:
        """See Link."""
        with trio.move_on_after(_STATUS_SECONDS):
            await self._process.wait()
        self._read_stderr(LAST_BYTES)
        self.last_words.finish()
        return self._process.returncode

    def unknown(self) -> str:
        """See Link."""
        return "closed its pipe and lives on"

    async def end(self) -> None:
        """See Link."""
        await self._end_all(0.0)

    async def close(self, idle: bool, grace_seconds: float) -> None:
        """See Link. For at most `_CLOSE_SECONDS` when it is idle, and the grace and five seconds more when not."""
        self._hang_up()
        if idle:
            with trio.move_on_after(_CLOSE_SECONDS):
                await self._process.wait()
        if self._process.returncode != 0:  # it lives on, or has died without ending what it had started
            await self._end_all(grace_seconds)
            with trio.move_on_after(_STATUS_SECONDS):
                await self._process.wait()
        self._read_stderr(LAST_BYTES)
        self.last_words.finish()
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
            self.last_words.add(f"what execution {self._execution} has started could not be looked for: {error}")
        if self._process.returncode is None:
            self._process.kill()

    def _read_stdout(self, limit: int) -> bool:
        for chunk in chunks(self._stdout, limit):
            if not chunk:
                return False
            self._incoming.feed(chunk)
        return True

    def _read_stderr(self, limit: int) -> bool:
        for chunk in chunks(self._stderr, limit):
            if not chunk:
                return False
            self.last_words.feed(chunk)
        return True


async def start(execution: str, on_stderr: Callable[[str], None]) -> Child:
    """Starts a worker for one execution. Raises WorkerLostError."""
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
            raise WorkerLostError(f"no worker could be started: {error}") from error
        try:
            end = os.pidfd_open(process.pid)
        except OSError as error:
            process.kill()  # it has had no order yet
            with trio.move_on_after(_STATUS_SECONDS, shield=True):
                await process.wait()
            raise WorkerLostError(f"no worker could be started: {error}") from error
        ours.pop_all()
    return Child(execution, process, _Descriptors(stdin, stdout, stderr, end, ready), on_stderr)


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
