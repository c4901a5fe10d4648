"""Processes of PostgreSQL that a killed daemon has left: found by what they are, never by a number in a file alone."""

import contextlib
import os
import select
import signal
import time

from jamaint.host.accounts import Account
from jamaint.store.embedded.files import Files, read_small

FAST_SECONDS = 20.0
QUIT_SECONDS = 5.0
KILL_SECONDS = 5.0


def end(files: Files, account: Account) -> list[int]:
    """Ends what still runs on the data directory and returns its process ids. Takes half a minute at the most.

    A postmaster's lock file whose number some other process has got since is removed. Raises TimeoutError when
    something would not end. To be called with the lock on the cluster, in a thread.
    """
    lock = os.path.join(files.data, "postmaster.pid")
    postmaster = _first_number(lock)
    if postmaster is None:
        return []
    left = _running_in(files.data, account)
    ended = sorted(left)
    try:
        if postmaster in left:
            _signal({postmaster: left[postmaster]}, signal.SIGINT)
            _await(left, FAST_SECONDS)
        for number, seconds in ((signal.SIGQUIT, QUIT_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            _signal(left, number)
            _await(left, seconds)
        if left:
            raise TimeoutError(f"processes {sorted(left)} of the embedded PostgreSQL do not end, even by SIGKILL")
    finally:
        for fd in left.values():
            os.close(fd)
    if postmaster not in ended and _is_other(postmaster):
        _remove(lock)
    _remove_socket_lock(files)
    return ended


def _running_in(directory: str, account: Account) -> dict[int, int]:
    """The account's processes of PostgreSQL that work in `directory`, with a descriptor for each."""
    place = os.stat(directory)
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            # The descriptor comes first: what is looked at afterwards is what it stands for.
            fd = os.pidfd_open(int(name))
            try:
                if _is_postgres(name, account.uid) and os.path.samestat(os.stat(f"/proc/{name}/cwd"), place):
                    found[int(name)], fd = fd, -1
            finally:
                if fd >= 0:
                    os.close(fd)
    return found


def _is_postgres(pid: str, uid: int) -> bool:
    program = os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    return program in ("postgres", "postmaster") and os.stat(f"/proc/{pid}").st_uid == uid


def _is_other(pid: int) -> bool:
    """Whether a process has that number which is certainly no PostgreSQL; one that cannot be seen might be."""
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    return os.path.basename(program).removesuffix(" (deleted)") not in ("postgres", "postmaster")


def _signal(processes: dict[int, int], number: signal.Signals) -> None:
    for fd in processes.values():
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)


def _await(processes: dict[int, int], seconds: float) -> None:
    """Waits until all have ended, at most that long, and takes those that have out."""
    deadline = time.monotonic() + seconds
    while processes and (left := deadline - time.monotonic()) > 0:
        poll = select.poll()
        for fd in processes.values():
            poll.register(fd, select.POLLIN)
        gone = {fd for fd, _events in poll.poll(left * 1000)}
        for pid in [pid for pid, fd in processes.items() if fd in gone]:
            os.close(processes.pop(pid))


def _remove_socket_lock(files: Files) -> None:
    """The socket has a lock file of its own; with nothing of ours left, only another cluster could hold it."""
    lock = f"{files.socket}.lock"
    holder = _first_number(lock)
    if holder is not None and (_is_other(holder) or not os.path.exists(f"/proc/{holder}")):
        _remove(lock)


def _first_number(path: str) -> int | None:
    text = (read_small(path) or "").partition("\n")[0].strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
