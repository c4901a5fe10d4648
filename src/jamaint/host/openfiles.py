"""Which files processes hold open now, by device and inode, as far as /proc lets us see."""

import os
import stat
from dataclasses import dataclass, field

from jamaint.host import syscalls


@dataclass(slots=True)
class OpenFiles:
    """Pids by (device, inode); `others` are directories (open, or somebody's working directory), FIFOs and devices.

    `hidden` counts processes that we may not look into.
    """

    writers: dict[tuple[int, int], int] = field(default_factory=dict)
    readers: dict[tuple[int, int], int] = field(default_factory=dict)
    hidden: int = 0
    others: dict[tuple[int, int], int] = field(default_factory=dict)

    def writers_on(self, device: int) -> dict[int, int]:
        """pid by inode, of the files of one file system that are open for writing."""
        return {inode: pid for (dev, inode), pid in self.writers.items() if dev == device}

    def any_on(self, device: int) -> frozenset[int]:
        """Inodes of the files of one file system that are open at all: their space stays taken when they go."""
        return frozenset(inode for files in (self.writers, self.readers) for dev, inode in files if dev == device)

    def all_on(self, device: int) -> dict[int, int]:
        """pid by inode of all that is held on one file system, directories too."""
        held = (self.others, self.readers, self.writers)
        return {inode: pid for files in held for (dev, inode), pid in files.items() if dev == device}


def open_files() -> OpenFiles:
    """Looks once through /proc; our own files are left out."""
    found = OpenFiles()
    own = os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != own:
            _look_at(int(entry), found)
    return found


def _look_at(pid: int, found: OpenFiles) -> None:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        found.hidden += 1
        return
    except OSError:  # it has ended
        return
    for path in (f"/proc/{pid}/cwd", *(f"/proc/{pid}/fd/{number}" for number in numbers)):
        try:
            if not os.readlink(path).startswith("/"):  # pipes and sockets
                continue
            mode, device, inode = syscalls.identity(path)
            if stat.S_ISREG(mode):
                writes = os.lstat(path).st_mode & stat.S_IWUSR
                (found.writers if writes else found.readers)[device, inode] = pid
            else:
                found.others[device, inode] = pid
        except OSError:  # closed meanwhile
            continue
