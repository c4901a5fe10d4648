"""Files that are taken one by one lie in shards of a few each, and come back from them byte for byte."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jamaint.files.access.root import open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.access.tree_walk import fingerprint
from jamaint.files.trash import shards
from jamaint.files.trash.purge import purge
from jamaint.files.trash.removal import Held, RemovalTally
from jamaint.files.trash.restore import undo
from jamaint.files.trash.shards import Drawn
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Trash
from logs_cleanup_runs import grow_old, put
from tree_snapshot import differences, snapshot

NAMES = [f"f{number:02}" for number in range(70)]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    root = tmp_path / "r"
    for name in NAMES:
        put(root / "s" / name, 40, name.encode())
    put(root / "s" / "young", 0)
    grow_old(root / "s", 100)
    grow_old(root, 100)
    return root


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def opened(stack: ExitStack, top: Path) -> Trash:
    way = Trash(stack.enter_context(open_root(str(top))), "e-1", "cleanup", in_drawers=True)
    stack.callback(way.close)
    return way


def books() -> RemovalTally:
    return RemovalTally(Held({}, frozenset()), Skipped())


def take(way: Trash, names: list[str], ledger: RemovalTally | None = None, rel: str = "s") -> list[str]:
    with way.root.descend(rel) as place:
        marks = [fingerprint(os.lstat(name, dir_fd=place.fd)) for name in names]
        return way.take(place, names, marks, ledger or books())


def way_back(top: Path) -> dict[str, Any]:
    seen = top.stat()
    times = [seen.st_atime_ns, seen.st_mtime_ns]
    return {"trash": "e-1", "step": "cleanup", "roots": [{"path": str(top), "times": times}]}


def undone(back: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
    return undo(back, dry_run, lambda: None, lambda done: None)


def purged(back: dict[str, Any]) -> dict[str, Any]:
    return purge(back, lambda: None, lambda done: None)


def filled(top: Path) -> list[list[str]]:
    """What lies in each shard, in the order of the shards."""
    step = top / ".jamaint-trash" / "e-1" / "cleanup"
    found = (path for above in sorted((step / "loose").iterdir()) for path in above.iterdir())
    return [sorted(os.listdir(path)) for path in sorted(found, key=lambda path: int(path.name))]


def test_many_files_lie_a_few_in_each_drawer_and_come_back(top: Path, stack: ExitStack) -> None:
    before, back = snapshot(top), way_back(top)
    way = opened(stack, top)
    assert take(way, NAMES) == []
    assert filled(top) == [NAMES[:32], NAMES[32:64], NAMES[64:]]
    modes = {path.stat().st_mode & 0o7777 for path in (top / ".jamaint-trash").rglob("*") if path.is_dir()}
    assert modes == {0o700}
    way.finish()
    assert undone(back, dry_run=True) == undone(back) == {"restored": 70, "removed": 0, "kept": [], "problems": []}
    assert differences(before, snapshot(top)) == []
    assert undone(back)["restored"] == 0


def test_a_few_files_are_not_worth_a_drawer(top: Path, stack: ExitStack) -> None:
    before, back = snapshot(top), way_back(top)
    way = opened(stack, top)
    take(way, NAMES[: shards.WORTH - 1])
    assert not (top / ".jamaint-trash/e-1/cleanup/loose").exists()
    take(way, NAMES[shards.WORTH :])
    way.finish()
    assert undone(back)["restored"] == 69
    assert differences(before, snapshot(top)) == []


def test_later_drawers_hold_more(top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LATER", 2)
    take(opened(stack, top), NAMES)
    assert [len(names) for names in filled(top)] == [32, 32, 6]
    monkeypatch.setattr(shards, "LATER", 1)
    monkeypatch.setattr(shards, "LATER_CAPACITY", 5)
    for name in NAMES[:12]:
        put(top / "s" / name, 40)
    stack.close()
    take(opened(stack, top), NAMES[:12])
    assert [len(names) for names in filled(top)] == [32, 32, 6, 5, 5, 2]


def test_a_step_that_goes_on_begins_new_drawers(top: Path, stack: ExitStack) -> None:
    back, way = way_back(top), opened(stack, top)
    take(way, NAMES[:10])
    way.close()
    for name in NAMES[:10]:
        put(top / "s" / name, 40, b"again")
    assert take(opened(stack, top), NAMES[:20]) == []
    assert filled(top) == [NAMES[:10], NAMES[:20]]
    stack.close()
    outcome = undone(back)
    assert outcome["restored"] == 20
    assert sorted(item["path"] for item in outcome["kept"]) == [f"{top}/s/{name}" for name in NAMES[:10]]
    assert {(top / "s" / name).read_bytes() for name in NAMES[:10]} == {name.encode() for name in NAMES[:10]}
    assert filled(top) == [NAMES[:10]]
    assert purged(back)["items"] == 10
    assert not (top / ".jamaint-trash").exists()


def test_one_that_slips_in_while_taking_is_put_back(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, ledger, plain = opened(stack, top), books(), os.rename

    def swapped(source: str, *args: Any, **kwargs: Any) -> None:
        if source == "f40":
            (top / "s" / "f40").unlink()
            put(top / "s" / "f40", 1, b"fresh")
        plain(source, *args, **kwargs)

    monkeypatch.setattr(os, "rename", swapped)
    assert take(way, NAMES, ledger) == ["f40"]
    assert (top / "s" / "f40").read_bytes() == b"fresh"
    told = ledger.skipped.details()["skipped"]
    assert [(item["path"], item["why"]) for item in told] == [
        (f"{top}/s/f40", "it changed while it was taken, and was put back")
    ]
    assert ledger.taken.files == 69


def test_a_disk_that_fills_in_the_midst_ends_it_and_what_went_is_counted(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, back, ledger, plain = snapshot(top), way_back(top), books(), os.mkdir

    def full(path: str, mode: int, dir_fd: int) -> None:
        if path == "1" and os.readlink(f"/proc/self/fd/{dir_fd}").endswith("/loose/1"):
            raise OSError(errno.ENOSPC, "full")
        plain(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", full)
    way = opened(stack, top)
    with pytest.raises(DiskError, match=r"/r/\.jamaint-trash cannot be extended: no space left"):
        take(way, NAMES, ledger)
    assert ledger.taken.files == 32
    monkeypatch.undo()
    way.close()
    assert undone(back)["restored"] == 32
    assert differences(before, snapshot(top)) == []


def test_a_directory_of_which_something_lies_in_drawers_does_not_go_whole(top: Path, stack: ExitStack) -> None:
    way = opened(stack, top)
    take(way, NAMES)
    with way.root.descend(".") as place, pytest.raises(FileExistsError):
        way.move_directory(place, "s", os.lstat(top / "s"))
    assert (top / "s" / "young").exists()


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_what_is_made_again_where_a_directory_was_taken_whole_is_left_for_later(
    top: Path, stack: ExitStack, mode: int, count: int
) -> None:
    (top / "s").chmod(mode)
    names = NAMES[:count]
    before, back = snapshot(top), way_back(top)
    way, ledger = opened(stack, top), books()
    with way.root.descend(".") as place:
        moved = way.move_directory(place, "s", os.lstat(top / "s"))
        assert way.settle(moved, 71) is None
    for name in names:
        put(top / "s" / name, 40)
    assert take(way, names, ledger) == names
    assert {item["why"] for item in ledger.skipped.problems} == {
        "a directory on the way to it was taken whole and has been made again since: the next execution takes it"
    }
    way.finish()
    for name in names:
        (top / "s" / name).unlink()
    (top / "s").rmdir()
    assert undone(back)["restored"] == 71
    assert [line for line in differences(before, snapshot(top)) if "mtime" not in line] == []


def test_an_undo_makes_a_directory_again_that_is_gone(top: Path, stack: ExitStack) -> None:
    before, back, way = snapshot(top), way_back(top), opened(stack, top)
    (top / "s" / "young").rename(top.parent / "young")
    (top / "s").chmod(0o751)
    take(way, NAMES)
    way.finish()
    (top / "s").rmdir()
    assert undone(back, dry_run=True) == undone(back) == {"restored": 70, "removed": 0, "kept": [], "problems": []}
    assert (top / "s").stat().st_mode & 0o7777 == 0o751
    assert set(before) - set(snapshot(top)) == {b"s/young"}


def test_a_strangers_file_in_a_place_stays_and_ours_waits_in_the_trash(top: Path, stack: ExitStack) -> None:
    back, way = way_back(top), opened(stack, top)
    take(way, NAMES)
    way.finish()
    put(top / "s" / "f33", 1, b"theirs")
    for outcome in (undone(back, dry_run=True), undone(back)):
        assert outcome["restored"] == 69
        assert [item["path"] for item in outcome["kept"]] == [f"{top}/s/f33"]
    assert filled(top) == [["f33"]]
    assert (top / "s" / "f33").read_bytes() == b"theirs"
    (top / "s" / "f33").unlink()
    assert undone(back)["restored"] == 1
    assert not (top / ".jamaint-trash").exists()


def test_drawers_without_a_record_are_told_and_stay(top: Path, stack: ExitStack) -> None:
    back, way = way_back(top), opened(stack, top)
    take(way, NAMES)
    way.finish()
    (top / ".jamaint-trash/e-1/cleanup/loose/77").mkdir(mode=0o700)
    outcome = undone(back)
    assert outcome["restored"] == 70
    assert [item["path"] for item in outcome["problems"]] == [f"{top}/loose/77"]
    assert [item["path"] for item in purged(back)["problems"]] == [f"{top}/loose/77"]


def test_a_purge_empties_drawers_and_tells_by_where_it_came_from(top: Path, stack: ExitStack) -> None:
    size = sum((top / "s" / name).stat().st_blocks * 512 for name in NAMES)
    back, way = way_back(top), opened(stack, top)
    take(way, NAMES)
    way.finish()
    loose = top / ".jamaint-trash/e-1/cleanup/loose"
    (number,) = os.listdir(loose)
    put(loose / number / "1" / "stranger" / "file", 1)
    (loose / number / "1" / "link").symlink_to("/etc/passwd")
    outcome = purged(back)
    assert (outcome["items"], outcome["freed_space"]) == (71, size)
    assert [item["path"] for item in outcome["problems"]] == [f"{top}/s/stranger"]
    (loose / number / "1" / "stranger" / "file").unlink()
    (loose / number / "1" / "stranger").rmdir()
    assert purged(back)["problems"] == []
    assert not (top / ".jamaint-trash").exists()


def test_files_of_the_root_itself_lie_in_drawers_too(top: Path, stack: ExitStack) -> None:
    names = [os.fsdecode(b"\xff\n%d" % number) for number in range(9)]
    for name in names:
        put(top / name, 40)
    grow_old(top, 100)
    before, back, way = snapshot(top), way_back(top), opened(stack, top)
    take(way, names, rel=".")
    way.finish()
    assert undone(back)["restored"] == 9
    assert differences(before, snapshot(top)) == []


def test_where_a_path_of_the_trash_came_from() -> None:
    drawn = Drawn({0: ".", 3: "a/b"})
    assert [drawn.origin(path) for path in ("0/1/x", "3/1/x", "3/1/x/y", "3/1", "3", "9/1/x", "no/1/x")] == [
        "x", "a/b/x", "a/b/x/y", "a/b", "a/b", "loose/9/x", "loose/no/x",
    ]  # fmt: skip
    assert [path for path in ("0", "3/17", "9", "9/1", "3/1/x", "3/x", "x") if drawn.ours(path)] == ["0", "3/17"]


def test_a_batch_may_be_larger_than_what_is_looked_at_at_once(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jamaint.files.trash.trash.BATCH", 16)
    before, back, way = snapshot(top), way_back(top), opened(stack, top)
    assert take(way, NAMES) == []
    assert [len(names) for names in filled(top)] == [16, 16, 16, 16, 6]
    way.finish()
    assert undone(back)["restored"] == 70
    assert differences(before, snapshot(top)) == []
