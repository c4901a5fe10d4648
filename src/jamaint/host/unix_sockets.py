"""Whether a process still has a socket in the file system, by asking the kernel for that very inode.

/proc/net/unix has the name at which a socket was made, in one network namespace only. A datagram socket that connects
is told ECONNREFUSED when nobody has the socket, in whatever namespace and under whatever name it lies. One that a
process has refuses it as of another type (EPROTOTYPE), or takes it: no word is sent, and its owner learns nothing.
"""

import errno
import os
import socket
import stat

LISTENING = "it is a socket that somebody listens on"


def why_socket_stays(name: str, dir_fd: int) -> str:
    """Return why a socket is left alone, or the empty text when no process has it."""
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        return _unknown(error)
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return "it has become something else meanwhile"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
            asking.connect(f"/proc/self/fd/{fd}")
    except ConnectionRefusedError:
        return ""
    except OSError as error:
        # EPERM: a datagram socket that takes only what its peer sends.
        return LISTENING if error.errno in (errno.EPROTOTYPE, errno.EPERM, errno.EAGAIN) else _unknown(error)
    finally:
        os.close(fd)
    return LISTENING


def _unknown(error: OSError) -> str:
    return f"whether somebody listens on this socket cannot be known: {error.strerror}"
