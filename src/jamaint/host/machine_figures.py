"""Figures of this machine and this process that cost next to nothing: load, memory, and what the daemon itself uses."""

import os
import resource
from typing import NamedTuple

import psutil


class MachineFigures(NamedTuple):
    """As of now. Memory is in bytes; `load` is the average over one minute; processor time is of this process."""

    load: float
    processors: int
    memory_bytes: int
    memory_available_bytes: int
    own_memory_bytes: int
    own_processor_seconds: float
    open_files: int


def machine_figures() -> MachineFigures:
    """Return the figures as of now. Raises OSError where /proc does not tell."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    try:
        memory, process = psutil.virtual_memory(), psutil.Process()
        own_memory, open_files = process.memory_info().rss, process.num_fds()
    except psutil.Error as error:
        raise OSError(str(error)) from error
    return MachineFigures(
        load=os.getloadavg()[0],
        processors=os.cpu_count() or 1,
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        own_memory_bytes=own_memory,
        own_processor_seconds=usage.ru_utime + usage.ru_stime,
        open_files=open_files,
    )
