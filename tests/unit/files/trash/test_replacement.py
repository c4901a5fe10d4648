"""A file goes only when what was made of it is proven and in its place; else nothing of it is left."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.files.access.compression import codec
from jamaint.files.access.file_copy import Sum
from jamaint.files.access.root import Root, open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.access.tree_walk import fingerprint
from jamaint.files.trash import replacement
from jamaint.files.trash.removal import Held, RemovalTally, sync_place
from jamaint.files.trash.replacement import Copying, Maker, Packing, Replacing
from jamaint.files.trash.trash import Trash
from logs_cleanup_runs import grow_old, put

MAKERS = pytest.mark.parametrize("kind", ["packing", "copying"])


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    for name in ("a", "b"):
        put(tmp_path / "r" / f"{name}.log", 40, 3_000_000)
    (tmp_path / "r" / "kept").mkdir()
    grow_old(tmp_path / "r", 100)
    with open_root(str(tmp_path / "r")) as opened:
        yield opened


def maker(kind: str) -> Maker:
    if kind == "packing":
        return Packing(codec("gzip")[0])
    copying = Copying()
    copying.links = False  # as on another disk
    return copying


def replaced(
    root: Root, made: Maker, tick: Callable[[int], None] = lambda count: None, writers: dict[int, int] | None = None
) -> Replacing:
    way = Trash(root, "e-1", "compression")
    work = Replacing(made, way, way, 0, RemovalTally(Held(writers or {}, frozenset()), Skipped()))
    with root.descend(".") as place, root.descend("kept") as target:
        try:
            for name in ("a.log", "b.log"):
                work.replace(place, target, name, fingerprint(os.lstat(name, dir_fd=root.fd)), tick)
        finally:
            work.settle(place, target)
            way.finish()
    return work


def told(work: Replacing) -> list[str]:
    return [item["why"] for item in work.ledger.skipped.details()["skipped"]]


def made_in(root: Root) -> list[str]:
    """In the archive's place and in the trash."""
    top = Path(root.path)
    trash = [path for path in top.glob(".jamaint-trash/*/*/made/**/*") if path.is_file()]
    return sorted(os.listdir(top / "kept") + [path.name for path in trash])


@MAKERS
def test_both_are_replaced(root: Root, kind: str) -> None:
    work = replaced(root, maker(kind))
    ending = ".gz" if kind == "packing" else ""
    assert made_in(root) == [f"a.log{ending}", f"a.log{ending}", f"b.log{ending}", f"b.log{ending}"]
    assert work.ledger.taken.files == work.made.verified == 2
    assert work.made.bytes == sum(path.stat().st_size for path in Path(root.path, "kept").iterdir())


@MAKERS
def test_what_does_not_read_back_the_same_is_thrown_away(
    root: Root, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement, "read_back", lambda *args: Sum(1, 2))
    monkeypatch.setattr("jamaint.files.access.compression.Codec.unpack", lambda *args: None)
    work = replaced(root, maker(kind))
    assert told(work) == ["what was made of it, read back, is not the same"] * 2
    assert work.ledger.skipped.problems_count == 2
    assert made_in(root) == []
    assert sorted(path.name for path in Path(root.path).glob("*.log")) == ["a.log", "b.log"]


@MAKERS
@pytest.mark.parametrize("grows", [True, False])
def test_what_is_written_to_meanwhile_is_not_even_published(root: Root, kind: str, grows: bool) -> None:
    seen: list[str] = []

    def write(count: int) -> None:
        path = Path(root.path, "a.log")
        seen.extend(made_in(root))
        if grows and len(told_so_far) == 0:
            told_so_far.append("x")
            with path.open("ab") as file:
                file.write(b"more")
        elif not grows:
            os.utime(path, ns=(1, 2))  # as somebody who overwrites in place

    told_so_far: list[str] = []
    work = replaced(root, maker(kind), write)
    assert told(work) == ["it was written to while it was read"]
    assert not any(name.startswith("a") for name in seen + made_in(root))


@MAKERS
def test_what_changes_after_it_was_read_loses_what_was_made_of_it(
    root: Root, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = sync_place

    def late(place: Any) -> None:
        plain(place)
        Path(root.path, "a.log").write_bytes(b"fresh")

    monkeypatch.setattr(replacement, "sync_place", late)
    work = replaced(root, maker(kind))
    assert told(work) == ["it has changed since it was looked at"]
    assert Path(root.path, "a.log").read_bytes() == b"fresh"
    assert {name.split(".")[0] for name in made_in(root)} == {"b"}
    assert work.made.bytes == next(Path(root.path, "kept").iterdir()).stat().st_size


@MAKERS
def test_what_somebody_writes_to_is_not_read_at_all(root: Root, kind: str) -> None:
    ticks: list[int] = []
    writers = {path.stat().st_ino: 4711 for path in Path(root.path).glob("*.log")}
    work = replaced(root, maker(kind), ticks.append, writers)
    assert told(work) == ["process 4711 holds it open for writing"] * 2
    assert ticks == []


@MAKERS
def test_what_is_made_is_durable_before_its_source_goes(root: Root, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []
    plain_fsync, plain_rename = os.fsync, os.rename

    def fsync(fd: int) -> None:
        told.append(("fsync", os.fstat(fd).st_ino))
        plain_fsync(fd)

    def rename(source: str, *args: Any, **kwargs: Any) -> None:
        told.append((source, 0))
        plain_rename(source, *args, **kwargs)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    replaced(root, maker(kind))
    place = Path(root.path, "kept")
    for made in place.iterdir():
        source = told.index((made.name.removesuffix(".gz"), 0))
        assert told.index(("fsync", made.stat().st_ino)) < source
        assert told.index(("fsync", place.stat().st_ino)) < source


def test_names_never_end() -> None:
    packing, copying = Packing(codec("gzip")[0]).names("a"), Copying().names("a")
    assert [next(packing) for _ in range(3)] == ["a.gz", "a.1.gz", "a.2.gz"]
    assert [next(copying) for _ in range(3)] == ["a", "a.1", "a.2"]


def test_many_are_settled_together(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    plain = sync_place

    def counted(place: Any) -> None:
        synced.append(place.rel)
        plain(place)

    monkeypatch.setattr(replacement, "sync_place", counted)
    monkeypatch.setattr(replacement, "TOGETHER", 1)
    replaced(root, maker("packing"))
    assert synced == ["kept", "kept"]
    synced.clear()
    monkeypatch.setattr(replacement, "TOGETHER", 64)
    for name in ("a", "b"):
        put(Path(root.path) / f"{name}.log", 40)
    replaced(root, maker("packing"))
    assert synced == ["kept"]
