"""Traversal: goes through trees of one shape side by side, without recursion, so that no depth is too deep.

Taking and purging reach paths of 3,900 bytes, which is 1,950 levels. What goes back up has to reach as far: a recursive
function of Python ends at a thousand frames, and one descriptor a level ends at RLIMIT_NOFILE.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from jamaint.files.access.batch_stat import listed
from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.root import DirectoryRefusedError, Root
from jamaint.files.access.skip_report import words

Level = Callable[[], Iterable[str]]
"""Acts in the directories that the descents are in; returns the names to go into, the same in each tree."""


def traverse(
    descents: Sequence[Descent],
    level: Level,
    left: Callable[[str], object],
    failed: Callable[[str, OSError | DirectoryRefusedError], object],
) -> None:
    """Calls `level` in each directory, from where the descents are on down, and closes them at the end.

    `left` is called in the directory above with each name that is through; `failed` there with one that cannot be
    entered or whose level raised OSError: the others go on. Raises DirectoryRefusedError when the way up is lost.
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


def _listed(level: Level, failed: Callable[[str, OSError | DirectoryRefusedError], object]) -> list[str]:
    try:
        return list(level())
    except OSError as error:
        failed("", error)
        return []


def _enter(
    descents: Sequence[Descent], name: str, failed: Callable[[str, OSError | DirectoryRefusedError], object]
) -> bool:
    entered: list[Descent] = []
    try:
        for descent in descents:
            descent.enter(name)
            entered.append(descent)
    except (OSError, DirectoryRefusedError) as error:
        for descent in entered:
            descent.leave()
        failed(name, error)
        return False
    return True


def visit(root: Root, rels: Iterable[str]) -> Iterator[tuple[str, int | DirectoryRefusedError]]:
    """Opens directories below a root in the order of their paths, each as long as it is the one that was given last.

    What two of them have in common is gone through once: to open each from the root would take the square of the depth.
    """
    descent = Descent(root, os.dup(root.fd))
    try:
        for names in sorted([] if rel == "." else rel.split("/") for rel in rels):
            rel = "/".join(names) or "."
            try:
                descent = _at(root, descent, names)
            except DirectoryRefusedError as refusal:
                yield rel, refusal
            except OSError as error:
                yield rel, DirectoryRefusedError(words(error), failed=True)
            else:
                yield rel, descent.here.fd
    finally:
        descent.close()


def _at(root: Root, descent: Descent, names: Sequence[str]) -> Descent:
    """The descent, gone up and down to these names; another one where somebody has moved the way up."""
    here = [level.name for level in descent.levels[1:]]
    common = next((n for n, pair in enumerate(zip(here, names, strict=False)) if pair[0] != pair[1]), len(here))
    common = min(common, len(names))
    try:
        while len(descent.levels) - 1 > common:
            descent.leave()
    except DirectoryRefusedError:
        descent.close()
        descent = Descent(root, os.dup(root.fd))
        common = 0
    for name in names[common:]:
        descent.enter(name)
    return descent


def count_files(root: Root, fd: int) -> int:
    """How many names that are no directories are in an open directory and below, on its file system."""
    descent, count = Descent(root, os.dup(fd)), 0

    def level() -> list[str]:
        nonlocal count
        found = list(listed(descent.here.fd))
        count += sum(len(names) for names, _ in found)
        return [name for _, directories in found for name in directories]

    traverse([descent], level, lambda _: None, lambda *_: None)
    return count
