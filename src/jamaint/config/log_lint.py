"""Warnings for logs that several tasks work on: each undoes what the other is for."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import combinations

from jamaint.core.glob_overlap import overlap
from jamaint.core.tasks import Task
from jamaint.schema.errors import Flaw

ROTATES, CLEANS = "logs.rotate", "logs.cleanup"


def shared_logs(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Flaw]]:
    """One flaw, with the task it stands at, for each two enabled tasks that rotate one log or clean one pattern."""
    for executor in (ROTATES, CLEANS):
        mine = {name: task for name, task in tasks.items() if task.executor == executor and task.enabled}
        for first, second in combinations(mine, 2):
            flaw = _shared(mine[first], mine[second])
            if flaw is not None:
                yield second, flaw


def _shared(first: Task, second: Task) -> Flaw | None:
    for index, pattern in enumerate(second.config["log_paths"]):
        for other in first.config["log_paths"]:
            if _meet(first, other, second, pattern):
                does = "rotates" if first.executor == ROTATES else "cleans up"
                problem = f"{pattern}: {first.name} {does} it too ({other})"
                return Flaw(("config", "log_paths", index), f"{problem}; take it out of one of the two, or exclude it")
    return None


def _meet(first: Task, other: str, second: Task, pattern: str) -> bool:
    if first.executor == CLEANS:  # rules for a directory and for what is in it may well differ
        return other == pattern
    plain = next((one for one in (other, pattern) if not any(sign in one for sign in "*?[")), None)
    spared = [*first.config["exclude"], *second.config["exclude"]]
    if plain is not None and any(fnmatchcase(plain.rpartition("/")[2], one) or one == plain for one in spared):
        return False
    return overlap(other, pattern)
