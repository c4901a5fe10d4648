"""A descent: what is open on the way, how it comes up again, and what it says when the way up is lost."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jamaint.files.access.directory_cursor import MOVED, OPEN_LEVELS, Descent
from jamaint.files.access.root import DirectoryRefusedError, Root, open_root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def descent(top: Path) -> Iterator[Descent]:
    with open_root(str(top)) as root:
        found = Descent(root, os.dup(root.fd))
        try:
            yield found
        finally:
            found.close()


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def chain(top: Path, depth: int) -> None:
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def climb(way: Descent) -> None:
    while len(way.levels) > 1:
        way.leave()


def test_descent_knows_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with descent(tmp_path) as way:
        assert (way.rel, way.here.name) == (".", "")
        assert way.here.seen.st_ino == tmp_path.stat().st_ino
        way.enter("a")
        level = way.enter("b")
        assert (way.rel, way.here.name, way.here) == ("a/b", "b", level)
        assert level.seen.st_ino == (tmp_path / "a" / "b").stat().st_ino
        assert os.listdir(level.fd) == []
        gone = way.leave()
        assert (gone, gone.fd, way.rel) == (level, -1, "a")


def test_descent_closes_all_that_it_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "file").touch()
    before = open_count()
    with descent(tmp_path) as way:
        started = open_count()
        way.enter("a")
        assert open_count() == started + 1
        way.leave()
        assert open_count() == started
        with pytest.raises(DirectoryRefusedError):
            way.enter("file")
        assert open_count() == started
        way.enter("a")
        way.close()
        assert way.levels == []
    assert open_count() == before


def test_descent_keeps_the_deepest_levels_open_and_opens_those_above_again(tmp_path: Path) -> None:
    chain(tmp_path, OPEN_LEVELS + 3)
    with descent(tmp_path) as way:
        for _ in range(OPEN_LEVELS):
            way.enter("d")
        assert all(level.fd >= 0 for level in way.levels)
        way.enter("d")
        assert [at for at, level in enumerate(way.levels) if level.fd < 0] == [1]
        started = open_count()
        way.leave()
        way.enter("d")
        assert open_count() == started
        way.enter("d")
        way.enter("d")
        assert [at for at, level in enumerate(way.levels) if level.fd < 0] == [1, 2, 3]
        assert open_count() == started
        seen = [level.seen for level in way.levels]
        while len(way.levels) > 1:
            way.leave()
            assert os.path.samestat(os.fstat(way.here.fd), seen[len(way.levels) - 1])


def test_descent_whose_way_up_was_moved_says_so_and_is_at_an_open_level(tmp_path: Path) -> None:
    chain(tmp_path, OPEN_LEVELS + 3)
    (tmp_path / "elsewhere").mkdir()
    with descent(tmp_path) as way:
        for _ in range(OPEN_LEVELS + 3):
            way.enter("d")
        (tmp_path / "d" / "d" / "d" / "d").rename(tmp_path / "elsewhere" / "d")
        started = open_count()
        with pytest.raises(DirectoryRefusedError) as refusal:
            climb(way)
        assert refusal.value.why == MOVED == "it was moved while it was looked through"
        assert not refusal.value.missing
        assert (way.rel, len(way.levels)) == (".", 1)
        assert os.path.samestat(os.fstat(way.here.fd), tmp_path.stat())
        assert open_count() == started - OPEN_LEVELS


def test_descent_leaves_access_times(tmp_path: Path) -> None:
    chain(tmp_path, OPEN_LEVELS + 2)
    places = (tmp_path / "d", tmp_path / "d" / "d")
    with descent(tmp_path) as way:
        for _ in range(OPEN_LEVELS + 2):
            way.enter("d")
        for place in places:
            os.utime(place, ns=(5, 10**18))
        while len(way.levels) > 1:
            way.leave()
            os.listdir(way.here.fd)
    assert [place.stat().st_atime_ns for place in places] == [5, 5]


@as_root
def test_descent_of_another_user_comes_up_without_the_right_to_keep_access_times() -> None:
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        chain(Path(path), OPEN_LEVELS + 2)
        os.seteuid(65534)
        try:
            with descent(Path(path)) as way:
                for _ in range(OPEN_LEVELS + 2):
                    way.enter("d")
                climb(way)
                assert way.rel == "."
        finally:
            os.seteuid(0)


def test_descent_that_cannot_list_a_directory_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with open_root(str(tmp_path)) as root:
        way = Descent(_Unreadable(root.path, root.fd, root.stat, root.mount), os.dup(root.fd))
        started = open_count()
        with pytest.raises(OSError, match="Not a directory"):
            way.enter("a")
        assert open_count() == started
        assert way.rel == "."
        way.close()


class _Unreadable(Root):
    """A root below which a file is met where a directory has been looked at."""

    def look_in(self, parent_fd: int, name: str) -> tuple[int, os.stat_result]:
        return os.open("/dev/null", os.O_PATH), os.stat("/dev/null")
