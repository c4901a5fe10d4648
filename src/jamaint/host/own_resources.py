"""What the daemon itself needs of the machine, and whether there is enough: its state directory, its descriptors."""

import os
import resource

LEAST_BYTES = 1 << 20
LEAST_INODES = 16
LEAST_DESCRIPTORS = 16


def lack_of_directory(path: str) -> str | None:
    """What keeps the daemon from writing below `path`, in words; None while it can."""
    try:
        found = os.statvfs(path)
        if found.f_flag & os.ST_RDONLY:
            return f"{path} is on a file system that is mounted read-only"
        if found.f_bavail * found.f_frsize < LEAST_BYTES:
            return f"the disk of {path} is full"
        if found.f_files and found.f_favail < LEAST_INODES:
            return f"the disk of {path} has no inodes left"
        if not os.access(path, os.W_OK | os.X_OK):
            return f"{path} cannot be written to"
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"
    return None


def lack_of_descriptors() -> str | None:
    """Whether as good as all descriptors that the process may have are open, in words; None while they are not."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        count = len(os.listdir("/proc/self/fd"))
    except OSError:
        count = limit
    return f"{count} of {limit} file descriptors are open" if limit - count < LEAST_DESCRIPTORS else None
