"""Makes one call of the file system fail, or all from one on, in a process of its own, as a full disk or table does."""

import ctypes
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jamaint.files.access import syscalls

CALLS = (
    "close_range",
    "fchmod",
    "fchown",
    "fstat",
    "fsync",
    "ftruncate",
    "getxattr",
    "link",
    "listdir",
    "listxattr",
    "lstat",
    "mkdir",
    "open",
    "pread",
    "read",
    "readlink",
    "rename",
    "rmdir",
    "scandir",
    "setxattr",
    "stat",
    "statvfs",
    "symlink",
    "unlink",
    "utime",
    "write",
)
OPENING = ("open", "scandir", "listdir")
"""What needs a new descriptor, and fails when there is none."""
EXTENDING = ("link", "mkdir", "open", "rename", "setxattr", "symlink", "write", "ftruncate", "fsync")
"""What may need room on the disk."""
AFFECTED = {errno.EIO: CALLS, errno.EMFILE: OPENING, errno.ENOSPC: EXTENDING, errno.EDQUOT: EXTENDING}


class Faults:
    """Counts the calls, and lets the one with number `at` fail with `code`; `lasting`: each from there on."""

    def __init__(self, code: int, at: int, lasting: bool = False) -> None:
        self._code, self._at, self._lasting = code, at, lasting
        self.count = 0
        self.failed = ""

    def due(self, name: str) -> bool:
        """Counts one call; true if it is to fail."""
        self.count += 1
        due = self.count == self._at or (self._lasting and self.count > self._at)
        if due and not self.failed:
            self.failed = name
        return due

    def error(self, path: Any) -> OSError:
        """What a failing call raises."""
        return OSError(self._code, os.strerror(self._code), path if isinstance(path, (str, bytes)) else None)


@contextmanager
def injected(faults: Faults, code: int) -> Iterator[None]:
    """While it lasts, the calls that `code` may meet are counted and fail as `faults` says."""
    names = [name for name in AFFECTED[code] if hasattr(os, name)]
    before: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in names}
    renameat2 = syscalls._renameat2

    def failing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if _is_counted(name, args) and faults.due(name):
                raise faults.error(args[0] if args else None)
            return call(*args, **kwargs)

        return wrapper

    def failing_rename(*args: Any) -> int:
        if faults.due("renameat2"):
            ctypes.set_errno(code)
            return -1
        return int(renameat2(*args))

    for name, call in before.items():
        setattr(os, name, failing(name, call))
    if "rename" in names:
        vars(syscalls)["_renameat2"] = failing_rename
    try:
        yield
    finally:
        for name, call in before.items():
            setattr(os, name, call)
        vars(syscalls)["_renameat2"] = renameat2


def _is_counted(name: str, args: tuple[Any, ...]) -> bool:
    """Not what only looks at the machine: processes, mounts."""
    return not (args and isinstance(args[0], str) and args[0].startswith("/proc/") and name != "open")


def with_fault(act: Callable[[], Any], code: int, at: int, lasting: bool = False) -> tuple[Any, str]:
    """What `act` returns, through JSON, in a process of its own with a fault, and the call that failed; "" for none."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            faults = Faults(code, at, lasting)
            with injected(faults, code):
                result = act()
            os.write(writing, json.dumps([result, faults.failed]).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "see the traceback on stderr"
    result, failed = json.loads(text)
    return result, failed
