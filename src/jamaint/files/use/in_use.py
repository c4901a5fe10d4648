"""In use: what processes and the kernel use on one file system, and why it is left alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jamaint.files.use.open_files import OpenFiles
from jamaint.files.use.records import PURPOSES


@dataclass(frozen=True, slots=True)
class InUse:
    """Why files and directories of one file system are left alone, by inode."""

    why: Mapping[int, str] = field(default_factory=dict)


def in_use(device: int, held: OpenFiles) -> InUse:
    """Return what is in use on the file system of that number."""
    why = {inode: f"process {pid} holds it open" for inode, pid in held.all_on(device).items()}
    why |= {
        inode: f"process {pid or 'of another container'} has locked it"
        for (dev, inode), pid in held.locks.items()
        if dev == device
    }
    why |= {inode: PURPOSES[purpose] for (dev, inode), purpose in held.kernel.items() if dev == device}
    return InUse(why)
