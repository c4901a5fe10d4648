"""Tells the file workers which files are in use: the one program of ours that may look into every process.

It reads one byte of a request, and answers with records of a fixed size (host.use_records). No name of a file, and
nothing else that others have written, is taken from a caller or told to one. Who may connect, the socket's owner and
mode say; systemd starts it for the first that does, and it ends when it has not been asked for a while.
"""

import os
import socket
import struct
import sys

from jamaint.host.procfs import uses
from jamaint.host.read_only import forbid_writing
from jamaint.host.use_records import REQUEST, pack

IDLE_SECONDS = 60.0
CALLER_SECONDS = 10.0
"""For a caller to ask, and to take each part of the answer: the next one waits meanwhile."""
ROOT = "/proc/1/root"
"""The machine's file system: the unit has an empty one."""

_FIRST = 3
_PART_BYTES = 64 << 10
_CREDENTIALS = struct.Struct("iII")


def main() -> None:
    """Serve the socket that systemd has passed, until nobody asks."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        sys.exit("this program is started by jamaint-openfiles.socket")
    if not forbid_writing():
        print("this machine's system calls are not known here: only the unit forbids to write", file=sys.stderr)
    serve(socket.socket(fileno=_FIRST))


def serve(listener: socket.socket, idle_seconds: float = IDLE_SECONDS, root: str = ROOT) -> None:
    """Answer one caller after the other, until there has been none for so long."""
    listener.settimeout(idle_seconds)
    while True:
        try:
            caller, _ = listener.accept()
        except TimeoutError:
            return
        with caller:
            try:
                answer(caller, root)
            except OSError as error:  # gone, or too slow
                print(f"a caller was not answered: {error}", file=sys.stderr)


def answer(caller: socket.socket, root: str = ROOT) -> None:
    """Answer one request. The caller's own files are left out. Raises OSError."""
    caller.settimeout(CALLER_SECONDS)
    if caller.recv(len(REQUEST)) != REQUEST:
        return
    pid, _, _ = _CREDENTIALS.unpack(caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    part = bytearray()
    for record in pack(uses(pid, root)):
        part += record
        if len(part) >= _PART_BYTES:
            caller.sendall(part)
            part.clear()
    caller.sendall(part)


if __name__ == "__main__":
    main()
