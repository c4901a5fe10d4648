"""Journal of directories that were moved to the trash in one rename, with all that is in them.

One symbolic link each, made once the directory has been looked through where nobody else reaches it: the name carries
the figures, the target is its path below the root. A directory without one was not taken on purpose, or not to the end.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

WHOLES = "wholes"


@dataclass(frozen=True, slots=True)
class Whole:
    """A directory in the trash by its path below the root; `items` are the files in it, `inode` its own number."""

    rel: str
    number: int
    inode: int
    items: int

    @property
    def link(self) -> str:
        return f"{self.number}.{self.inode}.{self.items}"


def note(fd: int, whole: Whole) -> None:
    """Writes one down in the open directory of them."""
    os.symlink(whole.rel, whole.link, dir_fd=fd)


def read(fd: int) -> Mapping[str, Whole]:
    """All that stands there, by path."""
    return {whole.rel: whole for whole in _all(fd)}


def next_number(fd: int) -> int:
    """The number of the next one: a step that goes on has some already."""
    return max((whole.number for whole in _all(fd)), default=-1) + 1


def _all(fd: int) -> Iterator[Whole]:
    for link in os.listdir(fd):
        figures = link.split(".")
        if len(figures) == 3 and all(figure.isdigit() for figure in figures):
            number, inode, items = map(int, figures)
            yield Whole(os.readlink(link, dir_fd=fd), number, inode, items)
