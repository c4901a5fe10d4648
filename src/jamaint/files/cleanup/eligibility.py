"""Eligibility: which files below a path are old enough, and why others are left alone whatever their age."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jamaint.files.access import syscalls
from jamaint.files.access.batch_stat import Statuses
from jamaint.files.access.globs import OURS, Globs, States, exclusion
from jamaint.files.access.mounts import is_mount_point
from jamaint.files.access.root import Root
from jamaint.files.cleanup.live_targets import live_targets
from jamaint.files.rules.ages import BIRTH, CHANGE, Ages, Old, asks_for_birth, old, sift, youngest
from jamaint.files.trash.recently_restored import Born, Hold
from jamaint.files.use.in_use import InUse
from jamaint.host.unix_sockets import why_socket_stays

Name = Callable[[str], object]
"""A test of a name: true for those that are meant."""
Three = tuple[States, States, States]
"""Where we are in the globs of `pattern`, `spared` and `alone`."""

NOT_IN_PLAN = "not in the plan"
EXCLUDED, NEWEST = "it is to be left alone", "newest"
DATED, OTHER = "date in the name", "not meant"
UNDATED = "its name has no date as `age_from_name` has it"
OWN_RULE = "it has a rule of its own"
_OF_FILE_SYSTEM = frozenset({"lost+found", ".journal", "aquota.user", "aquota.group"})
_DEVICES = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_PLAIN = stat.S_IFMT(0o177777) | stat.S_ISVTX


def _none() -> Globs:
    return Globs((), hidden=True)


@dataclass(frozen=True, slots=True)
class Only:
    """Tests, by its status, whether a file and whether a directory is one of those that a stored plan means."""

    file: Old
    directory: Old


@dataclass(frozen=True, slots=True)
class Rule:
    """What is old below one path. `before` is the moment in nanoseconds that ages end at; None: everything is old.

    `pattern` are the files that are meant. `spared` stay with all that is below them, `alone` without. `nested` are
    paths below the root that have a rule of their own. `directories`: one in which all goes, goes too. `unit`: a
    directory right below the root goes whole or not at all. `mount`: the root is where a file system is mounted, on
    purpose. `also` tells of (status, name, open directory) why a file stays all the same, or the empty text. `held`
    tells whether something was put back by an undo. `old` is asked instead of `ages` whether a file is old, and `only`
    instead of both, for directories too. With `unit`: `whole_only` leaves single files right below the root, and `kept`
    are directories there that stay, by inode, with the reasons. `live`: what a link beside leads to stays.
    """

    ages: Ages
    before: int | None
    pattern: Globs | None = None
    spared: Globs = field(default_factory=_none)
    alone: Globs = field(default_factory=_none)
    nested: frozenset[str] = frozenset()
    least_bytes: int = 0
    directories: bool = True
    unit: bool = False
    mount: bool = False
    whole_only: bool = False
    live: bool = False
    kept: Mapping[int, str] = field(default_factory=dict)
    also: Callable[[Any, str, int], str] | None = None
    old: Old | None = None
    only: Only | None = None
    held: Hold | None = None

    @property
    def forgets(self) -> bool:
        """Whether judging one file leaves nothing behind that the next one is judged by, or that is told at the end."""
        return self.also is None and self.old is None and self.only is None


class Judge:
    """One rule below one open root, with what is in use on its file system."""

    def __init__(self, root: Root, rule: Rule, use: InUse) -> None:
        self.root, self.rule = root, rule
        self.use = replace(use, why={**live_targets(root), **use.why}) if rule.live else use
        self.file_is_old: Old = rule.old or old(rule.ages.files_by, rule.before)
        self.directory_is_old: Old = old(rule.ages.directories_by, rule.before)
        if rule.only is not None:
            self.file_is_old, self.directory_is_old = rule.only.file, rule.only.directory
        self._of_mount = _has_file_system(root)

    def sift(self, seen: Statuses) -> tuple[Sequence[int], Mapping[str, int]]:
        """(numbers of the files that are old, how many of the others were kept by what, in a word or a few)."""
        rule, is_old = self.rule, self.file_is_old
        if rule.old is None and rule.only is None:
            return sift(rule.ages.files_by, rule.before, seen)
        ones = [seen.one(number) for number in range(seen.count)]
        aged = [number for number, one in enumerate(ones) if is_old(one)]
        if rule.only is not None:
            return aged, {NOT_IN_PLAN: seen.count - len(aged)} if len(aged) < seen.count else {}
        return aged, Counter(youngest(rule.ages.files_by, one) for one in ones if not is_old(one))

    def plain(self, names: Sequence[str], seen: Statuses, at_root: bool) -> bool:
        """Whether nothing but their age keeps any of these files. If not, each that is old has to be asked for."""
        rule = self.rule
        if rule.held is not None or rule.also is not None or (at_root and (self._of_mount or rule.whole_only)):
            return False
        if {mode & _PLAIN for mode in set(seen.modes)} != {stat.S_IFREG} or seen.locked or max(seen.links) > 1:
            return False
        if "/" + OURS in "/" + "/".join(names) or not self.use.why.keys().isdisjoint(seen.inodes):
            return False
        if rule.least_bytes and min(seen.sizes) < rule.least_bytes:
            return False
        asks = rule.before is not None and BIRTH in rule.ages.files_by
        return not asks or max(seen.seconds(CHANGE)) < (rule.before or 0) // 10**9

    def start(self) -> Three:
        """Where the globs are at the root. Those of what stays begin at /, the pattern's at the root."""
        rule, path = self.rule, self.root.path.lstrip("/")
        start = frozenset() if rule.pattern is None else rule.pattern.start
        spared, alone = (globs.below(path)[0] if globs.start else globs.start for globs in (rule.spared, rule.alone))
        return start, spared, alone

    def into(self, states: Three, name: str) -> Three:
        """Where they are in a directory."""
        rule = self.rule
        return (
            rule.pattern.into(states[0], name) if rule.pattern is not None and states[0] else states[0],
            rule.spared.into(states[1], name) if states[1] else states[1],
            rule.alone.into(states[2], name) if states[2] else states[2],
        )

    def at(self, rel: str) -> Three:
        """Where they are in a directory given by its path."""
        states = self.start()
        for name in rel.split("/") if rel != "." else ():
            states = self.into(states, name)
        return states

    def meant(self, states: Three) -> Name | None:
        """A test of files' names; None when all are meant."""
        return None if self.rule.pattern is None else self.rule.pattern.files(states[0])

    def stays(self, states: Three) -> tuple[Name, Name] | None:
        """Tests of names that stay with, and without, what is below; None when there are none here."""
        if not states[1] and not states[2]:
            return None
        return self.rule.spared.files(states[1]), self.rule.alone.files(states[2])

    def file_stays(self, name: str, fd: int, seen: Any, at_root: bool) -> str:  # noqa: PLR0911 - a list of reasons
        """Return why an old file of the open directory `fd` stays all the same, or the empty text."""
        mode = seen.st_mode
        kind = stat.S_IFMT(mode)
        if seen.st_ino in self.use.why:
            return self.use.why[seen.st_ino]
        if kind in _DEVICES:
            return "it is a device"
        if kind == stat.S_IFDIR:
            return "it has become a directory meanwhile"
        if kind == stat.S_IFSOCK and (why := why_socket_stays(name, fd)):
            return why
        if mode & stat.S_ISVTX:
            return "it has the sticky bit, which asks to be left alone"
        if name.startswith(OURS):
            return "it belongs to jamaint"
        if at_root and self._is_of_file_system(name, seen):
            return "it belongs to the file system"
        rule = self.rule
        if at_root and rule.whole_only:
            return OTHER
        if rule.held is not None and rule.held(seen, None):
            return rule.held.why
        if asks_for_birth(rule.ages.files_by, seen, rule.before) and newborn(rule, name, fd):
            return BIRTH
        return "" if rule.also is None else rule.also(seen, name, fd)

    def directory_stays(self, name: str, seen: os.stat_result, at_root: bool, born: Born) -> str:
        """Why a directory stays with all that is in it, or the empty text. `born` is asked when it was made."""
        if seen.st_ino in self.use.why:
            return self.use.why[seen.st_ino]
        if at_root and self._is_of_file_system(name, seen):
            return "it belongs to the file system"
        if self.rule.held is not None and self.rule.held(seen, born):
            return self.rule.held.why
        return ""

    def directory_may_go(self, seen: os.stat_result, fd: int, open_to_all: bool) -> bool:
        """Whether a directory itself may go, once all in it does. `open_to_all`: everybody may write above it.

        There, one that belongs to root stays: somebody else would make it again, and its users would trust it.
        """
        if open_to_all and seen.st_uid == 0 and os.geteuid() == 0:
            return False
        if not self.directory_is_old(seen):
            return False
        asks = asks_for_birth(self.rule.ages.directories_by, seen, self.rule.before)
        return not (asks and newborn(self.rule, ".", fd))

    def _is_of_file_system(self, name: str, seen: Any) -> bool:
        return self._of_mount and seen.st_uid == 0 and name in _OF_FILE_SYSTEM


def newborn(rule: Rule, name: str, fd: int) -> bool:
    """Return whether a file was made after the moment that the rule's ages end at; `fd` is its directory."""
    born = syscalls.born(name, fd)
    return born is not None and rule.before is not None and born >= rule.before


def in_trash(root: Root) -> Root:
    """The same root for what lies in its trash: that may belong to anybody, for nobody else reaches it."""
    return replace(root, shared=True)


ALONE = "/."
"""What an exclusion ends in that means a directory itself, and not what is in it."""


def alone_and_below(
    exclude: Sequence[str], path: str, below: Sequence[str] = (), alone: Sequence[str] = ()
) -> tuple[Globs, Globs]:
    """Exclusions as globs from /, with those of others added: (with all that is below, alone).

    Those without a leading slash are meant below `path`; without any, at any depth.
    """
    own_alone = [one.removesuffix(ALONE) for one in exclude if one.endswith(ALONE)]
    own_below = [one for one in exclude if not one.endswith(ALONE)]
    return _globs(own_below, path, below), _globs(own_alone, path, alone)


def _globs(patterns: Sequence[str], path: str, others: Sequence[str]) -> Globs:
    full = [one if one.startswith("/") else f"{path}/{exclusion(one)}" for one in patterns]
    return Globs([one.lstrip("/") for one in (*full, *others)], hidden=True)


def _has_file_system(root: Root) -> bool:
    """True if the root may hold a file system's own files: one is mounted there, or that cannot be told."""
    try:
        return is_mount_point(root)
    except OSError:
        return True
