"""Plan files: what goes in comes out, page by page; a changed byte changes the hash; many take little room."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.core.plans import Item
from jamaint.host.plan_file import (
    BLOCK_BYTES,
    Packing,
    PlanFileError,
    StoredItems,
    Writing,
    hash_of,
    open_plan,
    page,
    remove_others,
    unpack,
)

NAMES = st.text(st.characters(blacklist_categories=(), blacklist_characters="/\0"), min_size=1)
ITEMS = st.builds(
    Item, st.just("/var/log"), NAMES, *[st.integers(0, 2**64 - 1)] * 3, *[st.integers(-(2**63), 2**63)] * 2
)


def some(count: int, step: str = "cleanup") -> Iterator[Item]:
    return (Item("/var/log/app", f"web-{number:07}.log", 1, number, 100, 10**18, 10**18) for number in range(count))


def write(directory: Path, *steps: tuple[str, int]) -> str:
    writing = Writing(str(directory), "new")
    try:
        for step, count in steps:
            packing = Packing(step, lambda _, block: writing.add(block))
            for item in some(count):
                packing.tell(item)
            packing.finish()
        return writing.keep(b"header")
    finally:
        writing.close()


def read(path: Path) -> list[tuple[str, Item]]:
    return list(StoredItems(open_plan(str(path))).items())


@given(st.lists(ITEMS, min_size=1, max_size=20))
@settings(max_examples=50)
def test_items_come_back_whatever_their_names(items: list[Item]) -> None:
    sent: list[tuple[int, bytes]] = []
    packing = Packing("cleanup", lambda count, block: sent.append((count, block)))
    for item in items:
        packing.tell(item)
    packing.finish()
    ((count, block),) = sent
    assert (count, unpack(block)) == (len(items), ("cleanup", items))


def test_a_plan_is_kept_under_its_hash_and_read_in_its_order(tmp_path: Path) -> None:
    name = write(tmp_path, ("cleanup", 2500), ("compression", 3))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert hash_of(str(tmp_path / name), b"header") == name
    assert hash_of(str(tmp_path / name), b"another") != name
    whole = read(tmp_path / name)
    assert whole == [("cleanup", item) for item in some(2500)] + [("compression", item) for item in some(3)]
    assert write(tmp_path, ("cleanup", 2500), ("compression", 3)) == name


@pytest.mark.parametrize("limit", [1, 7, 1000, 1001, 5000])
def test_pages_make_the_whole(tmp_path: Path, limit: int) -> None:
    count = 2 * limit + 5 if limit < 100 else 2503
    path = str(tmp_path / write(tmp_path, ("cleanup", count), ("archive", 2)))
    found, at = page(path, 0, 0, limit)
    pages = [found]
    while at is not None:
        found, at = page(path, *at, limit)
        pages.append(found)
    assert [one for found in pages for one in found] == read(Path(path))
    assert all(len(found) == limit for found in pages[:-1])


def test_what_is_not_kept_is_gone(tmp_path: Path) -> None:
    writing = Writing(str(tmp_path / "plans"), "new")
    writing.add(b"block")
    writing.close()
    assert list((tmp_path / "plans").iterdir()) == []
    assert (tmp_path / "plans").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\x09short", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x04nope"])
def test_what_is_no_plan_is_said_to_be_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "plan"
    path.write_bytes(damage)
    if not damage:
        assert read(path) == []
        return
    with pytest.raises(PlanFileError):
        read(path)


def test_a_block_that_is_too_large_is_refused(tmp_path: Path) -> None:
    writing = Writing(str(tmp_path), "new")
    with pytest.raises(PlanFileError):
        writing.add(bytes(BLOCK_BYTES + 1))
    writing.close()


def test_old_files_that_nobody_knows_are_removed_and_young_ones_are_left(tmp_path: Path) -> None:
    name = write(tmp_path, ("cleanup", 1))
    (tmp_path / "other").touch()
    written = (tmp_path / "other").stat().st_mtime
    remove_others(str(tmp_path), frozenset({name}), written + 3600)
    assert len(list(tmp_path.iterdir())) == 2
    remove_others(str(tmp_path), frozenset({name}), written + 10**6)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    remove_others(str(tmp_path / "missing"), frozenset(), written)


def test_memory_does_not_grow_with_the_plan(tmp_path: Path) -> None:
    """Ten times the items, in a process of their own: the most it had grows by less than a hundredth of them would."""
    code = """
import resource, sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from test_plan_file import read_through, write
path = Path(sys.argv[3], write(Path(sys.argv[3]), ("cleanup", int(sys.argv[4]))))
assert read_through(path) == int(sys.argv[4])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    root = Path(__file__).parents[3]
    peaks = [
        int(
            subprocess.check_output(
                [sys.executable, "-c", code, str(root / "src"), str(Path(__file__).parent), str(tmp_path), str(count)]
            )
        )
        for count in (20_000, 200_000)
    ]
    assert peaks[1] - peaks[0] < 4096  # KiB; the items themselves would be more than 60,000


def read_through(path: Path) -> int:
    return sum(1 for _ in StoredItems(open_plan(str(path))).items())
