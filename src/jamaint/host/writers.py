"""Writers: telling the process that writes a log that it was rotated, without hitting any other process."""

import os
import signal

from jamaint.host.roots import RootRefused, open_root
from jamaint.host.skipped import words

_LIMIT = 64


class NotSignalled(Exception):  # noqa: N818 - it is a finding
    """A process that was not signalled, and why."""


def signal_writer(pid_file: str, name: str) -> int:
    """Signals the process whose number stands in a file, and returns the number. Raises NotSignalled.

    Who may write the file could have us signal any process: so it must be root's or ours, or else the process must be
    of the user whose file it is.
    """
    number = getattr(signal, f"SIG{name}")
    pid, owner = _read(pid_file)
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        raise NotSignalled(f"{pid_file} names process {pid}: {words(error)}") from None
    try:
        runs_as = os.stat(f"/proc/{pid}").st_uid
        if owner not in (0, os.geteuid(), runs_as):
            raise NotSignalled(f"{pid_file} belongs to uid {owner}, and process {pid} in it to uid {runs_as}")
        signal.pidfd_send_signal(descriptor, number)
    except OSError as error:
        raise NotSignalled(f"process {pid} of {pid_file}: {words(error)}") from None
    finally:
        os.close(descriptor)
    return pid


def _read(pid_file: str) -> tuple[int, int]:
    directory = pid_file.rpartition("/")[0]
    try:
        fd = os.open(pid_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotSignalled(f"{pid_file} cannot be read: {words(error)}") from None
    try:
        seen, content = os.fstat(fd), os.read(fd, _LIMIT).strip()
    except OSError as error:
        raise NotSignalled(f"{pid_file} cannot be read: {words(error)}") from None
    finally:
        os.close(fd)
    if not content.isdigit() or int(content) < 2 or int(content) > 1 << 30:
        raise NotSignalled(f"{pid_file} holds no number of a process")
    owner = seen.st_uid
    if seen.st_mode & 0o022:
        raise NotSignalled(f"{pid_file} may be written by others than its owner (mode {seen.st_mode & 0o7777:04o})")
    try:
        with open_root(directory or "/"):
            return int(content), owner
    except RootRefused:  # who owns its directory can put a file of root's there, by a hard link
        return int(content), os.stat(directory).st_uid if owner in (0, os.geteuid()) else owner
