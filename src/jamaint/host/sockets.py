"""The control socket's file: made so that nobody can connect before it has its mode, and only when we are alone."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator

from jamaint.errors import CONFLICT, Problem

PATH_LIMIT = 107


@contextlib.contextmanager
def listening(path: str, mode: int, gid: int | None) -> Iterator[socket.socket]:
    """A listening Unix socket at `path`, there as long as the block lives.

    Raises Problem(CONFLICT) when another daemon listens there, when something that is no dead socket stands there, or
    when nothing can be made there.
    """
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise Problem(
            CONFLICT, f"cannot listen at {path}: a socket's path may have {PATH_LIMIT} bytes; name a shorter one"
        )
    lock = _open_lock(path)
    try:
        _alone(lock, path)
        _remove_dead(path)
        listener = _bind(path, mode, gid)
        try:
            yield listener
        finally:
            listener.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    finally:
        os.close(lock)


def _open_lock(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        return os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: str, error: OSError) -> Problem:
    return Problem(CONFLICT, f"cannot listen at {path}: {error.filename or path}: {error.strerror}")


def _alone(lock: int, path: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise Problem(CONFLICT, f"cannot listen at {path}: another jamaintd does; stop it first") from None


def _remove_dead(path: str) -> None:
    """What stands at `path` goes only if it is a socket: with the lock in our hands nobody listens there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise Problem(CONFLICT, f"cannot listen at {path}: something that is no socket stands there; move it away")
    os.unlink(path)


def _bind(path: str, mode: int, gid: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    # Connecting needs write permission: with this mask nobody else has it until chmod, and listen comes last.
    before = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise _cannot(path, error) from error
    finally:
        os.umask(before)
    try:
        if gid is not None:
            os.chown(path, -1, gid)
        os.chmod(path, mode)
        listener.listen(128)
    except OSError as error:
        listener.close()
        os.unlink(path)
        raise _cannot(path, error) from error
    return listener
