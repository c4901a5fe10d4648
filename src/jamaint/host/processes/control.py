"""The calls of the kernel that Python has no name for: adopting orphans, and the idle disk priority."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "loongarch64": 30, "ppc64le": 273, "s390x": 282}
_WHO_PROCESS = 1
_IDLE_CLASS = 3 << 13
_OOM_SCORE = 500


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """While it lasts, whatever loses its parent below this process becomes its child, setsid or not.

    So all that a command has started stays findable by descent. The caller reaps what it adopts.
    """
    before = ctypes.c_int(0)
    _LIBC.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


def lower_priority(nice: int, idle_disk: bool) -> None:
    """Makes the calling thread, and all that it starts, at least as nice as `nice` (0..19).

    When memory runs out, it goes before what it serves. With `idle_disk` it reads and writes only when nobody else
    does. Where one of these cannot be had, the work goes on without.
    """
    _volunteer_for_the_end_of_memory()
    if os.getpriority(os.PRIO_PROCESS, 0) < nice:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    number = _IOPRIO_SET.get(os.uname().machine)
    if idle_disk and number is not None:
        _LIBC.syscall(ctypes.c_long(number), _WHO_PROCESS, 0, _IDLE_CLASS)


def _volunteer_for_the_end_of_memory() -> None:
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as score:
            if int(score.read()) < _OOM_SCORE:
                score.write(b"%d" % _OOM_SCORE)
    except OSError:  # no /proc, or not ours to write
        return
