"""Opening a file for anything but reading, forbidden to this process and its children for good (seccomp)."""

import ctypes
import os
import platform
import struct
import sys

_SYSCALLS = {
    "x86_64": (0xC000003E, {257: 32, 2: 24}, (437, 85)),
    "aarch64": (0xC00000B7, {56: 32}, (437,)),
}
"""By machine: its audit number; where the flags of openat and open stand; openat2 and creat, which go altogether."""

_FORBIDDEN_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_NUMBER, _MACHINE = 0, 4
_SET_SECCOMP, _SET_NO_NEW_PRIVILEGES, _MODE_FILTER = 22, 38, 2


def forbid_writing() -> bool:
    """Forbid it; false on a machine whose system calls are not known here. Raises OSError."""
    known = _SYSCALLS.get(platform.machine())
    if known is None or sys.byteorder != "little":
        return False
    code = ctypes.create_string_buffer(_filter(*known))
    program = struct.pack("HP", len(code.raw) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((_SET_NO_NEW_PRIVILEGES, 1, 0), (_SET_SECCOMP, _MODE_FILTER, program)):
        if libc.prctl(*words, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    return True


def _filter(machine: int, opens: dict[int, int], others: tuple[int, ...]) -> bytes:
    """The instructions of the kernel's packet filter: (code, steps on if true, if false, operand)."""
    found = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    for number, flags in opens.items():
        found += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, flags), (_ANY_BIT, 0, 1, _FORBIDDEN_FLAGS)]
        found += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    for number in others:
        found += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("HBBI", *one) for one in (*found, (_RETURN, 0, 0, _ALLOW)))
