"""Writers: telling the process that writes a log that it was rotated, without hitting any other process."""

import os
import signal

from jamaint.files.access.root import RootRefusedError, open_root
from jamaint.files.access.skip_report import words

_LIMIT = 64
_LINKS = 16


class SignalError(Exception):
    """A process that was not signalled, and why."""


def signal_writer(pid_file: str, name: str) -> int:
    """Signals the process whose number stands in a file, and returns the number. Raises SignalError.

    Who may write the file, or put another in its place, could have us signal any process: so it must be root's or ours,
    and its directory too, or else the process must be of the user whose file or directory it is.
    """
    number = getattr(signal, f"SIG{name}")
    pid, owner = _read(pid_file)
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        raise SignalError(f"{pid_file} names process {pid}: {words(error)}") from None
    try:
        runs_as = os.stat(f"/proc/{pid}").st_uid
        if owner not in (0, os.geteuid(), runs_as):
            raise SignalError(f"{pid_file} belongs to uid {owner}, and process {pid} in it to uid {runs_as}")
        signal.pidfd_send_signal(descriptor, number)
    except OSError as error:
        raise SignalError(f"process {pid} of {pid_file}: {words(error)}") from None
    finally:
        os.close(descriptor)
    return pid


def _read(pid_file: str) -> tuple[int, int]:
    """Return the number in a file, and whom it speaks for: its owner, or who could put another file in its place."""
    directory, _, name = pid_file.rpartition("/")
    real, holder = _where(directory or "/", pid_file)
    try:
        fd = os.open(os.path.join(real, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SignalError(f"{pid_file} cannot be read: {words(error)}") from None
    try:
        seen, content = os.fstat(fd), os.read(fd, _LIMIT).strip()
    except OSError as error:
        raise SignalError(f"{pid_file} cannot be read: {words(error)}") from None
    finally:
        os.close(fd)
    if not content.isdigit() or int(content) < 2 or int(content) > 1 << 30:
        raise SignalError(f"{pid_file} holds no number of a process")
    if seen.st_mode & 0o022:
        raise SignalError(f"{pid_file} may be written by others than its owner (mode {seen.st_mode & 0o7777:04o})")
    return int(content), seen.st_uid if holder is None else holder


def _where(directory: str, pid_file: str) -> tuple[str, int | None]:
    """Return a directory without links on the way, and who else could have another one there; None for nobody.

    A link is followed where nobody else can change it, as /var/run is. Raises SignalError.
    """
    here, rest = "/", directory.strip("/").split("/")
    for _ in range(_LINKS):
        while rest and not os.path.islink(os.path.join(here, rest[0])):
            here = os.path.join(here, rest.pop(0))
        holder = _holder(here, pid_file)
        if holder is not None:
            return directory, holder
        if not rest:
            return here, None
        target = os.path.normpath(os.path.join(here, os.readlink(os.path.join(here, rest[0]))))
        here, rest = "/", [part for part in (*target.split("/"), *rest[1:]) if part]
    raise SignalError(f"{pid_file} cannot be read: too many links on the way to it")


def _holder(directory: str, pid_file: str) -> int | None:
    """Return who else decides what is in a directory, or None for nobody. Raises SignalError."""
    if directory == "/":
        return None
    try:
        with open_root(directory):
            return None
    except RootRefusedError as refused:
        if refused.owner is not None:
            return refused.owner
        raise SignalError(f"{pid_file} cannot be relied on: {refused.why}") from None
