"""Sweep: looks through one root for what is old, and has it taken: single files, and directories in which all goes.

Looking and taking are one pass of the same code: in a plan, what takes it only counts. Nothing is remembered of a file
beyond its directory, and no more than HOPE files of that, so that a million of them need no more room than a thousand.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from jamaint.files.access import syscalls
from jamaint.files.access.batch_stat import Status, Statuses, listed
from jamaint.files.access.directory_cursor import Descent, Level
from jamaint.files.access.globs import OURS
from jamaint.files.access.parallel_walk import ParallelWalk
from jamaint.files.access.root import DirectoryRefusedError, Place
from jamaint.files.access.skip_report import Skipped, why_not
from jamaint.files.access.traversal import count_files
from jamaint.files.access.tree_walk import BATCH, PATH_LIMIT
from jamaint.files.cleanup.eligibility import DATED, EXCLUDED, NEWEST, OTHER, OWN_RULE, Judge, Name, Three
from jamaint.files.rules.ages import BIRTH
from jamaint.files.trash.removal import Taken

HOPE = 1024
"""Files of one directory that are held while all in it may go; one with more is listed again if something stays."""
_QUIET = frozenset({NEWEST, BIRTH, DATED, OTHER})
_NO_INODES: frozenset[int] = frozenset()
Stays = tuple[Name, Name]
"""Tests of names that stay with, and without, what is below."""


@dataclass(slots=True)
class Tally:
    """What goes together: files, the bytes that they alone take on disk, directories."""

    files: int = 0
    bytes: int = 0
    directories: int = 0

    def add(self, other: "Tally") -> None:
        """Adds another one's figures."""
        self.files += other.files
        self.bytes += other.bytes
        self.directories += other.directories


class Taking(Protocol):
    """What becomes of what is old; a plan's only counts. Both methods raise what ends the step."""

    direct: bool
    """Whether files are removed at once; a directory is then removed when it is empty."""
    changes: bool
    """Whether anything is changed at all."""
    marks: bool
    """Whether it asks for fingerprints; without, `prints` of files() is empty."""

    def files(self, place: Place, names: Sequence[str], prints: Sequence[int], tally: Tally) -> bool:
        """Takes single files; false when some of them stay."""

    def directory(self, place: Place, name: str, expected: os.stat_result, tally: Tally) -> bool:
        """Takes a directory in which all may go; false when it stays, and has to be looked through for single files."""


@dataclass(slots=True)
class Met:
    """What a pass has met: files that are meant, their bytes on disk, and what stayed, by what kept it."""

    files: int = 0
    bytes: int = 0
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Met") -> None:
        """Adds what was met elsewhere."""
        self.files += other.files
        self.bytes += other.bytes
        self.kept.update(other.kept)


@dataclass(slots=True)
class _Frame:
    """A directory on the way. `whole`: as far as seen, all in it goes and it may go itself. `eager`: what goes of it
    goes at once. The rest is what waits until it is known which of the two it is."""

    level: Level
    states: Three
    whole: bool
    eager: bool
    free: bool
    open_to_all: bool
    todo: list[str] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    prints: list[int] = field(default_factory=list)
    wholes: list[tuple[str, os.stat_result, Tally]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    again: bool = False
    changed: bool = False


class Sweep:
    """One pass. `told` is called now and then, and may raise to stop: what is done then stands and can be undone."""

    def __init__(self, judge: Judge, taking: Taking, skipped: Skipped, told: Callable[[], None]) -> None:
        self._judge, self._taking, self._skipped, self._told = judge, taking, skipped, told
        self._root, self._rule = judge.root, judge.rule
        self._seen = Statuses()
        self._frames: list[_Frame] = []
        self._descent: Descent
        self.links = Taken()
        self.met = Met()

    def go(self, sharing: ParallelWalk | None = None) -> Met:
        """Looks through all of it, and gives some of it away where `sharing` takes it."""
        if sharing is None:
            self._pass(None, None)
            return self.met
        self._told = sharing.heeding(self._told)
        try:
            self._pass(None, sharing)
            for name in sharing.end(self._told):
                self.only(name)
        finally:
            sharing.close()
        return self.met

    def only(self, name: str) -> None:
        """Looks through one directory of the root, and nothing else."""
        self._pass(name, None)

    def _pass(self, only: str | None, sharing: ParallelWalk | None) -> None:
        self._frames, self._descent = [], Descent(self._root, os.dup(self._root.fd))
        try:
            root = self._push(self._descent.here, self._judge.start(), whole=False, free=not self._rule.unit)
            if only is None:
                self._list(root, again=False)
            else:
                self._note_directory(root, only, self._judge.stays(root.states))
            self._through(sharing)
        finally:
            self._descent.close()

    def _through(self, sharing: ParallelWalk | None) -> None:
        frames = self._frames
        while True:
            frame = frames[-1]
            if frame.todo:
                name = frame.todo.pop()
                if len(frames) > 1 or sharing is None or not sharing.give(name, self.met.files):
                    self._enter(name)
                continue
            self._settle(frame)
            if frame.todo:
                continue
            if len(frames) == 1:
                return
            self._leave()

    def _push(self, level: Level, states: Three, whole: bool, free: bool) -> _Frame:
        frame = _Frame(
            level,
            states,
            whole=whole,
            eager=self._taking.direct and free,
            free=free,
            open_to_all=bool(level.seen.st_mode & stat.S_IWOTH),
        )
        self._frames.append(frame)
        return frame

    def _list(self, frame: _Frame, again: bool) -> None:
        """Goes through the files of a directory, and notes the directories in it."""
        meant, stays = self._judge.meant(frame.states), self._judge.stays(frame.states)
        self._told()
        for names, directories in listed(frame.level.fd):
            full = len(names) + len(directories) == BATCH
            if not again:
                for name in directories:
                    self._note_directory(frame, name, stays)
            if meant is not None:
                chosen = [name for name in names if meant(name)]
                frame.whole = frame.whole and len(chosen) == len(names)
                names = chosen  # noqa: PLW2901
            self._judge_files(frame, names, stays, again)
            if full:
                self._told()

    def _judge_files(self, frame: _Frame, names: list[str], stays: Stays | None, again: bool) -> None:
        judge, seen = self._judge, self._seen
        names = seen.look(names, frame.level.fd, partial(self._note_failed, frame))
        if not names:
            return
        kept, at_root, blocks = Counter[str]() if again else self.met.kept, len(self._frames) == 1, seen.blocks
        if not again:
            self.met.files += len(names)
            self.met.bytes += sum(blocks) * 512
        old, young = judge.sift(seen)
        if young:
            frame.whole = False
            kept.update(young)
        if stays is None and judge.plain(names, seen, at_root):
            alone = sum(blocks if len(old) == len(names) else [blocks[number] for number in old]) * 512
        else:
            ones = [(number, seen.one(number)) for number in old]
            ones = [(number, one) for number, one in ones if self._goes(frame, names[number], one, stays, again)]
            old, alone = [number for number, _ in ones], 0 if again else self._alone([one for _, one in ones])
        if not again:  # else they are counted already
            frame.tally.files += len(old)
            frame.tally.bytes += alone
        if not frame.again:
            self._hold(frame, names, old)

    def _goes(self, frame: _Frame, name: str, seen: Status, stays: Stays | None, again: bool) -> bool:
        """Whether an old file may go; if not, why is counted."""
        judge, fd = self._judge, frame.level.fd
        why = ""
        if seen.st_size >= self._rule.least_bytes:
            why = judge.file_stays(name, fd, seen, len(self._frames) == 1)
            if not why and stays is not None and (stays[0](name) or stays[1](name)):
                why = EXCLUDED
            if not why:
                return True
            self._keep(name, why, Counter() if again else self.met.kept, again)
        frame.whole = False
        return False

    def _alone(self, ones: Sequence[Status]) -> int:
        """Bytes on disk that go with these files: of one with several names, when the last of them goes."""
        before = self.links.alone
        for one in ones:
            self.links.add(one, _NO_INODES)
        return self.links.alone - before

    def _hold(self, frame: _Frame, names: Sequence[str], old: Sequence[int]) -> None:
        """Keeps what may go until it is known whether it goes with its directory, as long as there is room."""
        every = len(old) == len(names)
        frame.names += names if every else [names[number] for number in old]
        if self._taking.marks:
            prints = self._seen.prints()
            frame.prints += prints if every else [prints[number] for number in old]
        if len(frame.names) >= BATCH:
            self._relieve(frame)

    def _note_failed(self, frame: _Frame, name: str, error: OSError) -> None:
        if error.errno == errno.ENOENT:
            return
        frame.whole = False
        self._skipped.add(self._path(name), why_not(error, name, frame.level.fd), problem=True)

    def _relieve(self, frame: _Frame) -> None:
        """Makes room for more names: has them taken, or hopes that the directory goes whole."""
        if not frame.whole and not frame.free and len(self._frames) > 1:  # a unit of which something stays
            frame.names, frame.prints = [], []
        elif not frame.whole or frame.eager:
            self._flush(frame)
        elif len(frame.names) >= HOPE:
            frame.again, frame.names, frame.prints = True, [], []

    def _note_directory(self, frame: _Frame, name: str, stays: Stays | None) -> None:
        if name.startswith(OURS):
            frame.whole = False
            return
        if self._rule.nested and self._rel(name) in self._rule.nested:
            frame.whole = False
            self._keep(name, OWN_RULE, self.met.kept, again=False)
            return
        if stays is not None and stays[0](name):
            frame.whole = False
            self._keep(name, EXCLUDED, self.met.kept, again=False)
            return
        if stays is not None and stays[1](name):
            frame.whole = False
            frame.denied.add(name)
        frame.todo.append(name)

    def _keep(self, name: str, why: str, kept: Counter[str], again: bool) -> None:
        kept[why if why in _QUIET else "left alone"] += 1
        if not again and why not in _QUIET:
            self._skipped.add(self._path(name), why)

    def _enter(self, name: str) -> None:
        above, judge = self._frames[-1], self._judge
        inner = judge.into(above.states, name)
        if self._rule.pattern is not None and not inner[0] and not self._rule.directories:
            return  # nothing in it can be meant
        try:
            level = self._descent.enter(name)
        except DirectoryRefusedError as refusal:
            if not refusal.missing:
                above.whole = False
                self._skipped.add(self._path(name), refusal.why, problem=refusal.failed)
            return
        except OSError as error:
            above.whole = False
            self._skipped.add(self._path(name), why_not(error, name, above.level.fd), problem=True)
            return
        born = partial(syscalls.born, ".", level.fd)
        at_root = len(self._frames) == 1
        why = judge.directory_stays(name, level.seen, at_root, born)
        is_unit = at_root and self._rule.unit
        if is_unit:
            why = why or self._rule.kept.get(level.seen.st_ino, "")
        if why:
            above.whole = False
            if self._rule.held is not None and why == self._rule.held.why:  # for the guard they are there
                self.met.files += count_files(self._root, level.fd)
            self._keep("", why, self.met.kept, again=False)
            if not is_unit:
                self._descent.leave()
                return
            # It stays whole; what is in it counts as what was met, for the guard against mass deletion.
            self._list(self._push(level, inner, whole=False, free=False), again=False)
            return
        may_go = self._rule.directories and judge.directory_may_go(level.seen, level.fd, above.open_to_all)
        # A directory that could not be taken whole, though all in it is old, is looked through for single files.
        free = above.free or name in above.denied
        whole = may_go and (name not in above.denied or self._taking.direct)
        self._list(self._push(level, inner, whole=whole, free=free), again=False)

    def _settle(self, frame: _Frame) -> None:
        """All in a directory is known: has taken what goes of it, where it does not go itself."""
        if frame.whole and not frame.eager:
            return
        if not frame.free and len(self._frames) > 1:  # a unit of which something stays: all of it does
            frame.names, frame.prints, frame.wholes, frame.tally, frame.again = [], [], [], Tally(), False
            return
        if frame.again:
            frame.again = False
            self._list(frame, again=True)
        self._flush(frame)
        wholes, frame.wholes = frame.wholes, []
        for name, seen, tally in wholes:
            self._take_directory(frame, name, seen, tally, eager=False)
        if frame.changed and self._taking.changes:
            _set_times(frame.level)

    def _flush(self, frame: _Frame) -> None:
        if not frame.names:
            return
        place = self._place()
        if place is None:
            frame.whole = False
            self._skipped.add(self._path(), "its path is too long for what is in it to be taken", problem=True)
        else:
            frame.changed = True
            frame.whole = self._taking.files(place, frame.names, frame.prints, frame.tally) and frame.whole
        frame.names, frame.prints, frame.tally = [], [], Tally()

    def _leave(self) -> None:
        frame = self._frames.pop()
        name = frame.level.name
        try:
            self._descent.leave()
        except DirectoryRefusedError as refusal:
            del self._frames[len(self._descent.levels) :]
            for one in self._frames:
                one.whole = False
            self._skipped.add(self._path(name), refusal.why)
            return
        above = self._frames[-1]
        if not frame.whole:
            above.whole = False
            return
        frame.tally.directories += 1
        for _, _, tally in frame.wholes:
            frame.tally.add(tally)
        if above.whole and not above.eager:
            above.wholes.append((name, frame.level.seen, frame.tally))
            if len(above.wholes) > HOPE:
                above.whole = False
        elif not above.free and len(self._frames) > 1:
            return
        else:
            self._take_directory(above, name, frame.level.seen, frame.tally, eager=frame.eager)

    def _take_directory(self, above: _Frame, name: str, seen: os.stat_result, tally: Tally, eager: bool) -> None:
        place = self._place()
        if place is None:
            above.whole = False
            self._skipped.add(self._path(name), "its path is too long for it to be taken", problem=True)
            return
        above.changed = True
        if self._taking.directory(place, name, seen, tally):
            return
        above.whole = False
        if not eager and name not in above.denied and (self._taking.direct or not self._rule.unit):
            above.denied.add(name)
            above.todo.append(name)

    def _place(self) -> Place | None:
        rel = self._descent.rel
        if len(os.fsencode(rel)) > PATH_LIMIT:
            return None
        levels = self._descent.levels[1:] or self._descent.levels
        return Place(rel, self._descent.here.fd, [level.seen for level in levels])

    def _rel(self, name: str) -> str:
        rel = self._descent.rel
        return name if rel == "." else f"{rel}/{name}"

    def _path(self, name: str = "") -> str:
        return self._root.name(self._descent.rel, name)


def _set_times(level: Level) -> None:
    """Gives a directory the times back that it had before we changed it; where we may not, it keeps the new ones."""
    try:
        os.utime(level.fd, ns=(level.seen.st_atime_ns, level.seen.st_mtime_ns))
    except OSError:
        return
