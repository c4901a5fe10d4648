"""What is read of a process and of a series: memory, CPU time, wakeups, quantiles, the machine's load."""

import os
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def load() -> float:
    """The machine's load over the last minute."""
    return os.getloadavg()[0]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that `share` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def resident_mib(pid: int) -> float:
    """What of the process is in memory, shared pages included, in MiB."""
    return _field(f"/proc/{pid}/status", "VmRSS:") / 1024


def peak_mib(pid: int) -> float:
    """The most of the process that has been in memory so far, shared pages included, in MiB."""
    return _field(f"/proc/{pid}/status", "VmHWM:") / 1024


def shared_out_mib(pids: Iterable[int]) -> float:
    """The memory of several processes, each shared page divided among those that share it, in MiB."""
    return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids) / 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_seconds_of_children() -> float:
    """User and system time of the processes that we have started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wakeups(*pids: int) -> dict[str, int]:
    """How often each of their threads has slept and been woken so far: its voluntary context switches."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return {task.name: _field(str(task / "status"), "voluntary_ctxt_switches:") for task in tasks}


def woken(before: dict[str, int], now: dict[str, int]) -> int:
    """Wakeups in between; a thread that has ended meanwhile takes its count along."""
    return sum(count - before.get(thread, 0) for thread, count in now.items())


def children(pid: int) -> list[int]:
    """The process's children, and theirs."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # one that ends meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def idle(pid: int, seconds: float) -> dict[str, float]:
    """Resident memory in MiB, CPU in percent and wakeups of a process while `seconds` go by."""
    cpu, before, began = cpu_seconds(pid), wakeups(pid), time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - began
    return {
        "resident MiB": resident_mib(pid),
        "CPU %": 100 * (cpu_seconds(pid) - cpu) / lasted,
        "wakeups": woken(before, wakeups(pid)),
    }


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits for `holds()`; raises TimeoutError with `what` when that takes longer."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def _field(path: str, name: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(f"{path} has no {name}")
