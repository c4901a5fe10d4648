"""The trash: what is taken is in its place or there, what is made has a name there first, nobody else's is used."""

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jamaint.files.access import syscalls
from jamaint.files.access.root import Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.access.tree_walk import fingerprint
from jamaint.files.trash.purge import purge
from jamaint.files.trash.removal import DirectRemoval, Held, RemovalMethod, RemovalTally, Second
from jamaint.files.trash.restore import undo
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Trash, TrashBusyError
from logs_cleanup_runs import grow_old, put
from tree_snapshot import differences, snapshot

WAYS = pytest.mark.parametrize("way", [Trash, DirectRemoval])


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        put(tmp_path / "r" / "s" / f"{name}.log", 40)
    grow_old(tmp_path / "r" / "s", 100)
    grow_old(tmp_path / "r", 100)
    return tmp_path / "r"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def books(**writers: int) -> RemovalTally:
    return RemovalTally(Held({int(inode[1:]): pid for inode, pid in writers.items()}, frozenset()), Skipped())


def opened(stack: ExitStack, top: Path, kind: type = Trash) -> Any:
    root = stack.enter_context(open_root(str(top)))
    way: RemovalMethod = Trash(root, "e-1", "cleanup") if kind is Trash else DirectRemoval(root)
    stack.callback(way.close)
    return way


def take(
    way: RemovalMethod, rel: str, names: list[str], ledger: RemovalTally | None = None, marks: list[int] | None = None
) -> list[str]:
    with way.root.descend(rel) as place:
        if marks is None:
            marks = [fingerprint(os.lstat(name, dir_fd=place.fd)) for name in names]
        return way.take(place, names, marks, ledger or books())


def way_back(top: Path) -> dict[str, Any]:
    seen = top.stat()
    return {
        "trash": "e-1",
        "step": "cleanup",
        "roots": [{"path": str(top), "times": [seen.st_atime_ns, seen.st_mtime_ns]}],
    }


def undone(back: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
    return undo(back, dry_run, lambda: None, lambda done: None)


@WAYS
def test_what_changed_since_it_was_judged_stays(way: type, top: Path, stack: ExitStack) -> None:
    files = [top / "s" / f"{name}.log" for name in "abc"]
    marks = [fingerprint(path.stat()) for path in files]
    files[0].write_text("new")
    os.replace(put(top / "fresh", 40), files[1])
    ledger = books()
    left = take(opened(stack, top, way), "s", [path.name for path in files], ledger, marks)
    assert left == ["a.log", "b.log"]
    assert files[0].read_text() == "new"
    assert files[1].exists()
    assert not files[2].exists()
    assert [item["why"] for item in ledger.skipped.details()["skipped"]] == [
        "it has changed since it was looked at"
    ] * 2
    assert ledger.skipped.problems == []


@WAYS
def test_what_is_written_to_or_gone_is_skipped(way: type, top: Path, stack: ExitStack) -> None:
    marks = [fingerprint((top / "s" / f"{name}.log").stat()) for name in "abc"]
    (top / "s" / "b.log").unlink()
    ledger = books(**{f"i{(top / 's' / 'a.log').stat().st_ino}": 4711})
    left = take(opened(stack, top, way), "s", ["a.log", "b.log", "c.log"], ledger, marks)
    assert sorted(left) == ["a.log", "b.log"]
    why = [item["why"] for item in ledger.skipped.details()["skipped"]]
    assert sorted(why) == ["it is no longer there", "process 4711 holds it open for writing"]


@WAYS
def test_what_was_taken_is_counted_in_blocks_and_only_with_its_last_name(
    way: type, top: Path, stack: ExitStack
) -> None:
    put(top / "s" / "big.log", 40, 100_000)
    os.link(top / "s" / "a.log", top / "s" / "a2.log")
    os.link(top / "s" / "b.log", top / "elsewhere")
    sizes = [(top / "s" / f"{name}.log").stat() for name in ("a", "b", "c", "big")]
    ledger = books()
    object.__setattr__(ledger.held, "any", frozenset({sizes[2].st_ino}))
    names = ["a.log", "a2.log", "b.log", "c.log", "big.log"]
    assert take(opened(stack, top, way), "s", names, ledger) == []
    assert ledger.taken.files == 5
    assert ledger.taken.bytes == sum(seen.st_size for seen in sizes) + sizes[0].st_size
    assert ledger.taken.alone == (sizes[0].st_blocks + sizes[3].st_blocks) * 512  # b has a name left, c is open


def test_the_trash_is_ours_alone_and_an_undo_leaves_nothing_of_it(top: Path, stack: ExitStack) -> None:
    before, back = snapshot(top), way_back(top)
    way = opened(stack, top)
    take(way, "s", ["a.log", "b.log"])
    trash = top / ".jamaint-trash"
    assert {path.stat().st_mode & 0o7777 for path in (trash, *trash.rglob("*")) if path.is_dir()} == {0o700}
    assert (trash / "e-1" / "cleanup" / "gone" / "s" / "a.log").exists()
    way.finish()
    assert undone(back, dry_run=True) == undone(back) == {"restored": 2, "removed": 0, "kept": [], "problems": []}
    assert differences(before, snapshot(top)) == []
    assert undone(back)["restored"] == 0


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_trash_that_is_not_ours_alone_is_refused(top: Path, stack: ExitStack, kind: str) -> None:
    trash = top / ".jamaint-trash"
    if kind == "open":
        trash.mkdir()
        trash.chmod(0o755)
    elif kind == "link":
        (top / "target").mkdir(mode=0o700)
        trash.symlink_to("target")
    else:
        trash.touch()
    back = way_back(top)
    with pytest.raises(RootRefusedError, match="not a directory of ours alone") as refusal:
        take(opened(stack, top), "s", ["a.log"])
    assert refusal.value.kind == "unsafe"
    assert (top / "s" / "a.log").exists()
    assert len(undone(back)["problems"]) == 1
    assert len(purge(back, lambda: None, lambda done: None)["problems"]) == 1


@pytest.mark.parametrize("name", ["..", "../x", "a/b", ""])
def test_a_name_from_outside_leads_nowhere_else(top: Path, stack: ExitStack, name: str) -> None:
    root = stack.enter_context(open_root(str(top)))
    with pytest.raises(RootRefusedError):
        take(Trash(root, name, "cleanup"), "s", ["a.log"])
    back = way_back(top) | {"trash": name}
    (top / ".jamaint-trash").mkdir(mode=0o700, exist_ok=True)
    assert len(undone(back)["problems"]) == 1


def test_one_that_slips_in_while_taking_is_put_back(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is judged again in the trash: between the first look and the rename it may become another one."""
    way, ledger = opened(stack, top), books()
    plain = os.rename

    def swapped(source: str, *args: Any, **kwargs: Any) -> None:
        if source == "a.log":
            (top / "s" / "a.log").unlink()
            put(top / "s" / "a.log", 1, b"fresh")
        plain(source, *args, **kwargs)

    monkeypatch.setattr(os, "rename", swapped)
    assert take(way, "s", ["a.log", "b.log"], ledger) == ["a.log"]
    assert (top / "s" / "a.log").read_bytes() == b"fresh"
    assert "put back" in ledger.skipped.details()["skipped"][0]["why"]


def test_two_that_slip_in_are_both_kept(top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    back, ledger = way_back(top), books()
    way = opened(stack, top)
    plain = os.rename

    def swapped(source: str, *args: Any, **kwargs: Any) -> None:
        (top / "s" / source).write_bytes(b"first")
        plain(source, *args, **kwargs)
        (top / "s" / source).write_bytes(b"second")

    monkeypatch.setattr(os, "rename", swapped)
    assert take(way, "s", ["a.log"], ledger) == ["a.log"]
    assert len(ledger.skipped.problems) == 1
    monkeypatch.undo()
    way.finish()
    outcome = undone(back)
    assert outcome["restored"] == 0
    assert [item["path"] for item in outcome["kept"]] == [f"{top}/s/a.log"]
    assert (top / "s" / "a.log").read_bytes() == b"second"
    assert (top / ".jamaint-trash/e-1/cleanup/gone/s/a.log").read_bytes() == b"first"


def test_a_second_run_of_a_step_overwrites_nothing_in_the_trash(top: Path, stack: ExitStack) -> None:
    way = opened(stack, top)
    take(way, "s", ["a.log"])
    way.close()
    put(top / "s" / "a.log", 50, b"another")
    ledger = books()
    assert take(opened(stack, top), "s", ["a.log", "b.log"], ledger) == ["a.log"]
    assert ledger.skipped.problems[0]["why"] == "file exists"
    assert (top / "s" / "a.log").read_bytes() == b"another"


def test_a_trash_in_use_is_left_to_its_user(top: Path, stack: ExitStack) -> None:
    back, way = way_back(top), opened(stack, top)
    take(way, "s", ["a.log"])
    with pytest.raises(TrashBusyError):
        undone(back)
    with pytest.raises(TrashBusyError):
        purge(back, lambda: None, lambda done: None)
    with pytest.raises(TrashBusyError):
        take(opened(stack, top), "s", ["b.log"])
    assert undone(back, dry_run=True)["restored"] == 1
    way.close()
    assert undone(back)["restored"] == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_or_read_only_disk_ends_it_at_once(
    top: Path, stack: ExitStack, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, ledger = opened(stack, top), books()
    take(way, "s", ["a.log"], ledger)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(syscalls, "rename_noreplace", refuse)
    with pytest.raises(DiskError, match=r"b\.log"):
        take(way, "s", ["b.log", "c.log"], ledger)
    assert ledger.taken.files == 1
    assert ledger.skipped.count == 1


def test_a_full_disk_on_which_no_trash_can_be_made_is_told(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, back = snapshot(top), way_back(top)
    plain = os.mkdir

    def full(path: str, *args: Any, **kwargs: Any) -> None:
        if path == "cleanup":
            raise OSError(errno.ENOSPC, "full")
        plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(DiskError, match=r"\.jamaint-trash cannot be made: no space left"):
        take(opened(stack, top), "s", ["a.log"])
    monkeypatch.undo()
    undone(back)
    assert differences(before, snapshot(top)) == []


@WAYS
def test_publishing_never_overwrites(way: type, top: Path, stack: ExitStack) -> None:
    put(top / "s" / "new", 1, b"theirs")
    out = opened(stack, top, way)
    with out.root.descend("s") as place:
        for expected in ("new.1", "new.2"):
            half = out.half(place)
            os.write(half.fd, b"ours")
            assert out.publish(place, half, (f"new{end}" for end in ("", ".1", ".2")), "0/s/a.log") == expected
            half.close()
        assert (top / "s" / "new").read_bytes() == b"theirs"
        assert (top / "s" / "new.2").read_bytes() == b"ours"
        out.withdraw(place, "new.2", (top / "s" / "new.2").stat().st_ino)
    assert not (top / "s" / "new.2").exists()


def test_a_name_that_is_taken_at_the_last_moment(top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    back, before = way_back(top), snapshot(top)
    out, plain = opened(stack, top), os.link

    def late(source: str, name: str, **kwargs: Any) -> None:
        if source == name == "new":
            put(top / "s" / "new", 1, b"theirs")
        plain(source, name, **kwargs)

    monkeypatch.setattr(os, "link", late)
    with out.root.descend("s") as place:
        half = out.half(place)
        assert out.publish(place, half, (f"new{end}" for end in ("", ".1")), "0/s/a.log") == "new.1"
        half.close()
    out.finish()
    assert undone(back)["removed"] == 1
    assert (top / "s" / "new").read_bytes() == b"theirs"
    (top / "s" / "new").unlink()
    assert [line for line in differences(before, snapshot(top)) if "mtime" not in line] == []


@WAYS
def test_a_half_made_file_leaves_nothing(
    way: type, top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.open

    def no_nameless(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no")
        return plain(path, flags, *args, **kwargs)

    for patch in (False, True, True):
        if patch:
            monkeypatch.setattr(os, "open", no_nameless)
        out = opened(stack, top, way)
        with out.root.descend("s") as place:
            half = out.half(place)
            os.write(half.fd, b"x")
            half.close()
        out.close()
    assert sorted(path.name for path in (top / "s").iterdir()) == ["a.log", "b.log", "c.log"]
    assert not list((top / ".jamaint-trash").rglob("half*"))


def test_a_second_name_is_given_only_to_the_file_that_was_judged(top: Path, stack: ExitStack) -> None:
    root: Root = stack.enter_context(open_root(str(top)))
    with root.descend("s") as place:
        inode = (top / "s" / "a.log").stat().st_ino
        with pytest.raises(FileNotFoundError):
            Second(place.fd, "a.log", inode + 1)
        second = Second(place.fd, "a.log", inode)
        second.link(root.fd, "again")
        second.close()
    assert (top / "again").stat().st_ino == inode


def test_a_link_that_is_not_allowed_leaves_no_mark(top: Path, stack: ExitStack) -> None:
    class Forbidden(Second):
        def link(self, dir_fd: int, name: str) -> None:
            raise OSError(errno.EPERM, "no")

    out = opened(stack, top)
    with out.root.descend("s") as place:
        file = Forbidden(place.fd, "a.log", (top / "s" / "a.log").stat().st_ino)
        with pytest.raises(OSError, match="no"):
            out.publish(place, file, itertools.repeat("new"), "0/s/a.log")
        file.close()
        half = out.half(place)
        assert out.publish(place, half, iter(["new"]), "0/s/a.log") == "new"
        half.close()


@WAYS
def test_a_directory_is_made_like_another(way: type, top: Path, stack: ExitStack) -> None:
    back, before = way_back(top), snapshot(top)
    (top / "s").chmod(0o2750)
    out = opened(stack, top, way)
    with out.root.descend(".") as place:
        out.make_directory(place, "new", (top / "s").stat())
        out.make_directory(place, "s", os.stat("/"))  # it is there, and stays as it is
    assert (top / "new").stat().st_mode & 0o7777 == 0o2750
    assert (top / "s").stat().st_mode & 0o7777 == 0o2750
    out.finish()
    if way is Trash:
        (top / "s").chmod(before[b"s"].mode & 0o7777)
        undone(back)
        assert differences(before, snapshot(top)) == []


def test_files_that_chattr_has_locked_are_told_as_such(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "locked_by_attribute", lambda name, fd: "immutable" if name == "a.log" else None)
    plain = os.rename

    def refuse(source: str, *args: Any, **kwargs: Any) -> None:
        if source != "c.log":
            raise OSError(errno.EPERM, "no")
        plain(source, *args, **kwargs)

    monkeypatch.setattr(os, "rename", refuse)
    ledger = books()
    assert take(opened(stack, top), "s", ["a.log", "b.log", "c.log"], ledger) == ["a.log", "b.log"]
    why = [item["why"] for item in ledger.skipped.problems]
    assert why == ["it is immutable (chattr)", "operation not permitted"]


def test_a_name_that_is_taken_twice_in_one_step_overwrites_nothing(top: Path, stack: ExitStack) -> None:
    way, ledger = opened(stack, top), books()
    assert take(way, "s", ["a.log"], ledger) == []
    size = put(top / "s" / "a.log", 40, 4_000).stat().st_size
    assert take(way, "s", ["a.log"], ledger) == ["a.log"]
    assert (top / "s" / "a.log").stat().st_size == size
    assert ledger.taken.files == 1


def test_nothing_is_put_through_a_link_that_somebody_made_in_what_was_taken_whole(
    top: Path, tmp_path: Path, stack: ExitStack
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    whole = top / "a"
    whole.mkdir()
    whole.chmod(0o755)
    way, ledger = opened(stack, top), books()
    held = os.open(whole, os.O_RDONLY)  # by its owner
    with way.root.descend(".") as place:
        way.settle(way.move_directory(place, "a", whole.stat()), 0)
    os.symlink(elsewhere, "b", dir_fd=held)
    os.close(held)
    put(top / "a" / "b" / "x.log", 40)
    assert take(way, "a/b", ["x.log"], ledger) == ["x.log"]
    assert (top / "a" / "b" / "x.log").exists()
    assert list(elsewhere.iterdir()) == []
    assert "taken whole" in ledger.skipped.problems[0]["why"]


def test_where_one_cannot_be_put_back_the_others_are(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, ledger, real = opened(stack, top), books(), os.rename

    def written_meanwhile(name: str, *args: Any, **kwargs: Any) -> None:
        (top / "s" / name).write_text("written in the last moment")
        real(name, *args, **kwargs)

    def refused_once(name: str, *args: Any, **kwargs: Any) -> None:
        if name == "a.log":
            raise PermissionError(errno.EPERM, "no")
        real(name, *args, **kwargs)

    monkeypatch.setattr(os, "rename", written_meanwhile)
    monkeypatch.setattr(syscalls, "rename_noreplace", refused_once)
    left = take(way, "s", ["a.log", "b.log", "c.log"], ledger)
    assert sorted(left) == ["a.log", "b.log", "c.log"]
    assert (top / "s" / "b.log").exists()
    assert (top / "s" / "c.log").exists()
    assert [item["why"] for item in ledger.skipped.problems] == [
        "it changed while it was taken, and cannot be put back: operation not permitted; it stays in the trash"
    ]


def test_what_is_written_anew_while_its_neighbours_go_stays(
    top: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, ledger, real = opened(stack, top, DirectRemoval), books(), os.unlink

    def unlink(name: str, *args: Any, **kwargs: Any) -> None:
        (top / "s" / "c.log").write_text("new")
        real(name, *args, **kwargs)

    marks = [fingerprint((top / "s" / f"{name}.log").stat()) for name in "abc"]
    monkeypatch.setattr(os, "unlink", unlink)
    assert take(way, "s", ["a.log", "b.log", "c.log"], ledger, marks) == ["c.log"]
    assert (top / "s" / "c.log").read_text() == "new"
