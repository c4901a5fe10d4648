"""Plan items of a survey: made from what it found, and checked against what is still the same."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from jamaint.core.plans import Item
from jamaint.files.access.root import DirectoryRefusedError, Place, Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.access.tree_walk import BATCH, Batches, fingerprint
from jamaint.files.cleanup.survey import SAMPLE, Found, Survey
from jamaint.files.rights.borrowed import acting_as
from jamaint.files.rights.owners import owner_of


def items_of(found: Sequence[Found], what: str, checkpoint: Callable[[], None]) -> Iterator[Item]:
    """The files that are to be done this with, each looked at once more; one that has changed meanwhile is left out."""
    for one in found:
        if not one.count(what):
            continue
        with suppress(RootRefusedError), one.reopen() as root:
            for rel, names, prints in one.work[what]:
                checkpoint()
                try:
                    place = root.descend(rel)
                except DirectoryRefusedError:
                    continue
                with place:
                    yield from _items_in(root, place, names, prints)


def resurvey(items: Iterable[tuple[str, Item]], skipped: Skipped, checkpoint: Callable[[], None]) -> Survey:
    """What of a plan's items still is what it was, as a survey; nothing else is looked at. Why each other is left
    alone stands in `skipped`."""
    looking = _Looking(skipped, checkpoint)
    try:
        for what, item in items:
            looking.look(what, item)
    finally:
        looking.close()
    return Survey(list(looking.found.values()), looking.refused)


class _Looking:
    """Goes through items; the root and the directory of the last one stay open, for the next is mostly there too."""

    def __init__(self, skipped: Skipped, checkpoint: Callable[[], None]) -> None:
        self.found: dict[str, Found] = {}
        self.refused: list[RootRefusedError] = []
        self._skipped, self._checkpoint = skipped, checkpoint
        self._roots: dict[str, Root | None] = {}
        self._place: tuple[str, str, Place | None, str] | None = None
        self._until_check = BATCH

    def look(self, what: str, item: Item) -> None:
        self._until_check -= 1
        if not self._until_check:
            self._checkpoint()
            self._until_check = BATCH
        root = self._root(item.root)
        if root is None:
            self._skipped.add(f"{item.root}/{item.path}", "its root cannot be used any more")
            return
        with self.found[item.root].acting():
            self._look_at(what, item, root)

    def _look_at(self, what: str, item: Item, root: Root) -> None:
        rel, _, name = item.path.rpartition("/")
        place, why = self._place_of(root, rel or ".")
        seen: os.stat_result | None = None
        if place is not None:
            try:
                seen = os.lstat(name, dir_fd=place.fd)
            except FileNotFoundError:
                why = "it is no longer there"
            except OSError as error:
                why = words(error)
        if seen is None:
            self._skipped.add(root.name(item.path), why)
            return
        changed = changed_since(item, seen)
        if changed is not None:
            self._skipped.add(root.name(item.path), changed)
            return
        self._take(what, root, rel or ".", name, seen)

    def close(self) -> None:
        self._leave()
        for root in self._roots.values():
            if root is not None:
                os.close(root.fd)

    def _take(self, what: str, root: Root, rel: str, name: str, seen: os.stat_result) -> None:
        found = self.found[root.path]
        if what not in found.work:
            found.work[what], found.sample[what] = Batches(), []
        if found.work[what].count < SAMPLE:
            found.sample[what].append((root.name(rel, name), seen.st_size, seen.st_mtime_ns))
        found.work[what].add(rel, name, seen)
        found.files += 1
        found.bytes += seen.st_size
        time = seen.st_mtime_ns
        found.oldest = time if found.oldest is None else min(found.oldest, time)
        found.newest = time if found.newest is None else max(found.newest, time)

    def _root(self, path: str) -> Root | None:
        if path not in self._roots:
            root: Root | None = None
            try:
                account = owner_of(path)
                with acting_as(account):
                    root = open_root(path)
                self.found[path] = Found(path, root.stat, account=account)
            except RootRefusedError as refusal:
                self.refused.append(refusal)
            self._roots[path] = root
        return self._roots[path]

    def _place_of(self, root: Root, rel: str) -> tuple[Place | None, str]:
        if self._place is None or self._place[:2] != (root.path, rel):
            self._leave()
            try:
                self._place = (root.path, rel, root.descend(rel), "")
            except DirectoryRefusedError as refusal:
                self._place = (root.path, rel, None, f"its directory cannot be entered: {refusal.why}")
        return self._place[2], self._place[3]

    def _leave(self) -> None:
        if self._place is not None and self._place[2] is not None:
            os.close(self._place[2].fd)
        self._place = None


def changed_since(item: Item, seen: os.stat_result) -> str | None:
    """Why a file is not what the plan means any more, or None."""
    if (seen.st_dev, seen.st_ino) != (item.device, item.inode):
        return "another file has its name since the plan"
    if seen.st_size != item.size:
        return f"its size has changed since the plan: {item.size} bytes then, {seen.st_size} now"
    if seen.st_mtime_ns != item.mtime_ns:
        return "it has been written to since the plan"
    if seen.st_ctime_ns != item.ctime_ns:
        return "its name, owner, mode or links have changed since the plan"
    return None


def _items_in(root: Root, place: Place, names: Sequence[str], prints: Sequence[int]) -> Iterator[Item]:
    for name, mark in zip(names, prints, strict=True):
        try:
            seen = os.lstat(name, dir_fd=place.fd)
        except OSError:
            continue
        if fingerprint(seen) == mark:
            path = name if place.rel == "." else f"{place.rel}/{name}"
            yield Item(root.path, path, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
