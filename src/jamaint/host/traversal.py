"""Traversal: goes through trees of one shape side by side, without recursion, so that no depth is too deep.

Taking and purging reach paths of 3,900 bytes, which is 1,950 levels. What goes back up has to reach as far: a recursive
function of Python ends at a thousand frames, and one descriptor a level ends at RLIMIT_NOFILE.
"""

from collections.abc import Callable, Iterable, Sequence

from jamaint.host.descent import Descent
from jamaint.host.roots import NotEntered

Level = Callable[[], Iterable[str]]
"""Acts in the directories that the descents are in; returns the names to go into, the same in each tree."""


def traverse(
    descents: Sequence[Descent],
    level: Level,
    left: Callable[[str], object],
    failed: Callable[[str, OSError | NotEntered], object],
) -> None:
    """Calls `level` in each directory, from where the descents are on down, and closes them at the end.

    `left` is called in the directory above with each name that is through; `failed` there with one that cannot be
    entered or whose level raised OSError: the others go on. Raises NotEntered when the way up is lost.
    """
    try:
        todo = [_listed(level, failed)]
        while todo:
            if todo[-1]:
                name = todo[-1].pop()
                if _enter(descents, name, failed):
                    todo.append(_listed(level, failed))
                continue
            todo.pop()
            if todo:
                name = descents[0].here.name
                for descent in descents:
                    descent.leave()
                left(name)
    finally:
        for descent in descents:
            descent.close()


def _listed(level: Level, failed: Callable[[str, OSError | NotEntered], object]) -> list[str]:
    try:
        return list(level())
    except OSError as error:
        failed("", error)
        return []


def _enter(
    descents: Sequence[Descent], name: str, failed: Callable[[str, OSError | NotEntered], object]
) -> bool:
    entered: list[Descent] = []
    try:
        for descent in descents:
            descent.enter(name)
            entered.append(descent)
    except (OSError, NotEntered) as error:
        for descent in entered:
            descent.leave()
        failed(name, error)
        return False
    return True
