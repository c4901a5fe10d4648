"""The embedded PostgreSQL: a private server that is made, started, watched, started again when it dies, and stopped.

It listens on a Unix socket only, and nobody but this daemon and the user it runs as can connect. It never outlives its
daemon for long: what a killed daemon has left is ended by the next one before it starts its own.
"""

import contextlib
import errno
import os
import pwd
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.errors import UNAVAILABLE, JamaintError
from jamaint.host.accounts import SAFE_PATH, Account, find_account, own_account
from jamaint.store.embedded import orphans
from jamaint.store.embedded.binaries import Programs, call, find, identity
from jamaint.store.embedded.files import DATABASE, ROLE, Files

ACCOUNTS = ("jamaint", "postgres", "nobody")
"""Whom root runs it as: the first that exists. PostgreSQL refuses to be root."""

HEALTHY_SECONDS = 60.0
"""A server that has lived that long is started again at once when it dies."""

_PASSING = (None, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EIO)
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_FAST_SECONDS, _QUIT_SECONDS, _KILL_SECONDS = 20.0, 5.0, 5.0
_LAST_WORDS_SECONDS = 5.0
_LINE_BYTES = 64 * 1024
_READY = "database system is ready to accept connections"
_SAID = re.compile(r"(?:\S+ \S+ \S+ \[\d+\] )?(?P<severity>[A-Z]+):  (?P<said>.*)")
_LEVELS = {"WARNING": "warning", "ERROR": "warning", "FATAL": "warning", "PANIC": "critical"}


class StartFailedError(Exception):
    """It could not be started this time; the next attempt may succeed."""


class _Launch(NamedTuple):
    programs: Programs
    account: Account
    argv: tuple[str, ...]


class Cluster:
    """One embedded PostgreSQL. `await nursery.start(cluster.supervise)` answers the database's address."""

    def __init__(
        self,
        state_dir: str,
        runtime_dir: str,
        binaries: str | None = None,
        *,
        log: FilteringBoundLogger,
        fast_unsafe: bool = False,
    ) -> None:
        """`binaries` names the directory of its programs; `fast_unsafe`, for tests, forgets everything in a crash."""
        self._files = Files(os.path.abspath(state_dir), os.path.abspath(runtime_dir))
        self._binaries = binaries
        self._log = log
        self._fast_unsafe = fast_unsafe
        self._process: trio.Process | None = None
        self._last_words: deque[str] = deque(maxlen=20)
        self._pauses = _pauses()

    @property
    def dsn(self) -> str:
        """The database's address, known also while the server is down."""
        return self._files.dsn

    @property
    def pid(self) -> int | None:
        """The server's process, or None while there is none."""
        return None if self._process is None else self._process.pid

    async def supervise(self, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps it running until it is cancelled, then stops it within half a minute. Started with its address.

        That is when it takes connections, or when the first attempt to start it has failed for a reason that may pass
        (a full disk): it goes on trying, with pauses of up to 30 s. Raises JamaintError for what no attempt can mend:
        no programs, another major version, a closed directory, another daemon on the same state directory.
        """
        self._files.check()
        with self._files.alone():
            launch = await trio.to_thread.run_sync(self._prepare_first)
            answered = trio.Event()

            def answer() -> None:
                if not answered.is_set():
                    answered.set()
                    task_status.started(self.dsn)

            while True:
                began = trio.current_time()
                try:
                    if launch is None:
                        launch = await trio.to_thread.run_sync(self._prepare)
                    why = await self._serve(launch, answer)
                except (StartFailedError, JamaintError, OSError, subprocess.SubprocessError) as error:
                    why = str(error)
                launch = None
                answer()
                await self._pause(why, trio.current_time() - began)

    def restart_if_replaced(self) -> bool:
        """Restarts the server when its programs were replaced on disk, as an upgrade of the package does.

        A server that goes on with old code and new libraries fails in odd ways. Cheap: to be called now and then.
        """
        process = self._process
        if process is None:
            return False
        try:
            replaced = os.readlink(f"/proc/{process.pid}/exe").endswith(" (deleted)")
        except OSError:
            return False
        if replaced:
            self._log.warning("PostgreSQL's programs were replaced on disk, it is restarted")
            process.send_signal(signal.SIGINT)
        return replaced

    async def _pause(self, why: str, lived_seconds: float) -> None:
        if lived_seconds >= HEALTHY_SECONDS:
            self._pauses = _pauses()
        pause = next(self._pauses)
        self._log.error("the embedded PostgreSQL is down, it is started again", why=why, in_seconds=pause)
        await trio.sleep(pause)

    def _prepare_first(self) -> _Launch | None:
        """None when it failed for a reason that may pass. Raises JamaintError for one that will not."""
        try:
            return self._prepare()
        except (StartFailedError, OSError, subprocess.SubprocessError) as error:
            if isinstance(error, OSError) and error.errno not in _PASSING:
                raise JamaintError(UNAVAILABLE, f"the embedded PostgreSQL cannot be prepared: {error}") from error
            self._log.error("the embedded PostgreSQL could not be prepared", why=str(error))
            return None

    def _prepare(self) -> _Launch:
        """All that comes before the server: blocking, for a thread."""
        files, account = self._files, _account(self._files.owner())
        pinned = files.pinned_major()
        files.check_owner(account)
        programs = find(self._binaries, pinned, account, files.home)
        files.prepare(account, programs.major, self._fast_unsafe)
        if pinned is None:
            self._initialise(programs, account)
        elif ended := orphans.end(files, account):
            self._log.warning("ended what was left of an earlier PostgreSQL", processes=ended)
        settings = os.path.join(files.settings, "postgresql.conf")
        return _Launch(
            programs, account, (programs.path("postgres"), "-D", files.data, "-c", f"config_file={settings}")
        )

    def _initialise(self, programs: Programs, account: Account) -> None:
        """Makes a cluster with the database in it, beside its place, and moves it there when it is whole."""
        data = self._files.new_data(account)
        unsynced = ["--no-sync"] if self._fast_unsafe else []
        _succeed(
            account,
            [
                programs.path("initdb"),
                "-D",
                data,
                "-U",
                ROLE,
                "-A",
                "peer",
                "--no-locale",
                "-E",
                "UTF8",
                "-k",
                *unsynced,
            ],
        )
        unsafe = ["-F"] if self._fast_unsafe else []
        alone = [programs.path("postgres"), "--single", "-D", data, *unsafe, "-c", "exit_on_error=on", "template1"]
        _succeed(account, alone, f"CREATE DATABASE {DATABASE};\n")
        self._files.adopt(data)
        self._log.info("made a cluster", version=programs.version, directory=self._files.data, user=account.name)

    async def _serve(self, launch: _Launch, on_ready: Callable[[], None]) -> str:
        """Runs the server to its end and says how it ended."""
        self._last_words.clear()
        process = self._process = await trio.lowlevel.open_process(
            list(launch.argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": SAFE_PATH, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
            start_new_session=True,  # Ctrl-C is for the daemon, which still has to write to it
            **identity(launch.account),
        )
        try:
            async with trio.open_nursery() as nursery:
                heard_all = trio.Event()
                nursery.start_soon(self._hear, process, launch, on_ready, heard_all)
                await process.wait()
                # The last of its children has let go of the pipe: a new server will not find the old memory in use.
                with trio.move_on_after(_LAST_WORDS_SECONDS):
                    await heard_all.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await _stop(process)
            self._process = None
        return f"{_ending(process)}: {'; '.join(self._last_words) or 'it said nothing'}"

    async def _hear(
        self, process: trio.Process, launch: _Launch, on_ready: Callable[[], None], heard_all: trio.Event
    ) -> None:
        """What the server says goes into our log; one line of it means that it takes connections."""
        assert process.stderr is not None
        rest, level = b"", "debug"
        async for chunk in process.stderr:
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-_LINE_BYTES:]
            for line in lines:
                text = line.decode("utf-8", "replace")
                if found := _SAID.match(text):
                    level = _LEVELS.get(found["severity"], "debug")
                    self._last_words.append(found["said"])
                getattr(self._log, level)(f"postgres: {text.strip()}")
                if text.endswith(_READY):
                    self._log.info("the embedded PostgreSQL is up", version=launch.programs.version, pid=process.pid)
                    on_ready()
        heard_all.set()


def _pauses() -> Iterator[float]:
    """None before the first new start, then longer and longer ones, in seconds."""
    pause = 0.0
    while True:
        yield pause
        pause = min(max(_FIRST_PAUSE_SECONDS, 2 * pause), _LONGEST_PAUSE_SECONDS)


def _account(owner: int | None) -> Account:
    """Whom it runs as: us, or for root the one of ACCOUNTS that owns the cluster, or the first. Raises JamaintError."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise JamaintError(
            UNAVAILABLE,
            f"user id {os.geteuid()} has no entry in the user table, and PostgreSQL lets in only users that have one: "
            "add it, or name a database in database.dsn",
        ) from None
    if os.geteuid() != 0:
        return own_account()
    there = []
    for name in ACCOUNTS:
        with contextlib.suppress(LookupError):
            there.append(find_account(name))
    if not there:
        names = ", ".join(ACCOUNTS)
        raise JamaintError(UNAVAILABLE, f"PostgreSQL does not run as root, and there is no user {names} to run it as")
    return next((account for account in there if account.uid == owner), there[0])


def _succeed(account: Account, argv: list[str], text: str = "") -> None:
    done = call(account, argv, text)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StartFailedError(f"{os.path.basename(argv[0])} failed: {'; '.join(said[-5:])}")


async def _stop(process: trio.Process) -> None:
    """Fast first: sessions are ended and everything is written. What does not end so is ended less gently."""
    for number, seconds in (
        (signal.SIGINT, _FAST_SECONDS),
        (signal.SIGQUIT, _QUIT_SECONDS),
        (signal.SIGKILL, _KILL_SECONDS),
    ):
        if process.poll() is not None:
            break
        process.send_signal(number)
        with trio.move_on_after(seconds):
            await process.wait()
    if process.stderr is not None:
        await process.stderr.aclose()


def _ending(process: trio.Process) -> str:
    code = process.returncode
    if code is None:
        return "it does not end"
    return f"it ended with {code}" if code >= 0 else f"it was ended by {signal.Signals(-code).name}"
