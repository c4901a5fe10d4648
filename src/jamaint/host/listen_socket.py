"""The control socket's file: taken over from systemd, or made so that nobody can connect before it has its mode; and
only when we are alone."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Sequence

from jamaint.errors import CONFLICT, JamaintError
from jamaint.host.unix_sockets import LISTENING, why_socket_stays

PATH_LIMIT = 107


@contextlib.contextmanager
def listening(
    path: str, mode: int, gid: int | None, passed: Sequence[socket.socket] = ()
) -> Iterator[list[socket.socket]]:
    """Listening Unix sockets, one of them at `path`, there as long as the block lives.

    `passed` are those that systemd has opened for us: theirs are the files, which stay with systemd, and with them the
    clients that connect while no daemon runs. The one at `path` gets the mode and the group too.

    Raises JamaintError(CONFLICT) when somebody else listens there, when something that is no dead socket stands there,
    or when nothing can be made there.
    """
    taken = [one for one in passed if _listens(one)]
    for one in taken:
        one.setblocking(False)
    try:
        if any(one.getsockname() == path for one in taken):
            _give(path, mode, gid)
            yield taken
        else:
            with _made(path, mode, gid) as own:
                yield [*taken, own]
    finally:
        for one in passed:
            one.close()


def _listens(one: socket.socket) -> bool:
    return (
        one.family == socket.AF_UNIX
        and one.type == socket.SOCK_STREAM
        and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    )


def _give(path: str, mode: int, gid: int | None) -> None:
    """What the configuration says is believed, so it has to be so; what it says already needs no right to do it."""
    found = os.stat(path)
    try:
        if gid is not None and found.st_gid != gid:
            os.chown(path, -1, gid)
        if stat.S_IMODE(found.st_mode) != mode:
            os.chmod(path, mode)
    except OSError as error:
        wanted = f"mode {mode:04o}" + ("" if gid is None else f", group {gid}")
        what = f"cannot give {path} the {wanted} of the configuration ({error.strerror})"
        raise JamaintError(CONFLICT, f"{what}: say the same in its unit (systemctl edit jamaintd.socket)") from error


@contextlib.contextmanager
def _made(path: str, mode: int, gid: int | None) -> Iterator[socket.socket]:
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise JamaintError(
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


def _cannot(path: str, error: OSError) -> JamaintError:
    return JamaintError(CONFLICT, f"cannot listen at {path}: {error.filename or path}: {error.strerror}")


def _alone(lock: int, path: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise JamaintError(CONFLICT, f"cannot listen at {path}: another jamaintd does; stop it first") from None


def _remove_dead(path: str) -> None:
    """What stands at `path` goes only if it is a socket at which nobody listens."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise JamaintError(CONFLICT, f"cannot listen at {path}: something that is no socket stands there; move it away")
    why = _why_taken(path)
    if why == LISTENING:
        what = "another program does, most likely systemd for jamaintd.service"
        raise JamaintError(
            CONFLICT, f"cannot listen at {path}: {what}; systemctl stop jamaintd.socket jamaintd.service"
        )
    if why:
        raise JamaintError(CONFLICT, f"cannot listen at {path}: {why}; if nobody does, remove it")
    os.unlink(path)


def _why_taken(path: str) -> str:
    """Return why a socket is left alone, or the empty text: a connection would start the service of a socket unit."""
    directory, name = os.path.split(path)
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot(path, error) from error
    try:
        return why_socket_stays(name, fd)
    finally:
        os.close(fd)


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
