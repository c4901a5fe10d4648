"""What is told of many files at once by their columns is what is told of each by itself."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.files.access.batch_stat import Statuses
from jamaint.files.access.root import Root, open_root
from jamaint.files.cleanup.eligibility import Judge, Rule
from jamaint.files.rules.ages import Ages
from jamaint.files.use.in_use import InUse

PLAIN = [f"f{number}" for number in range(5)]
OURS = ".jamaint-half"
SPECIAL = [
    OURS,
    "sticky",
    "linked",
    "second",
    "fifo",
    "link",
    "socket",
    "directory",
    "device",
    "held",
    "lost+found",
]
LATER = 4_000_000_000 * 10**9


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    top = tmp_path_factory.mktemp("judging")
    for name in (*PLAIN, OURS, "sticky", "linked", "held", "lost+found"):
        (top / name).write_bytes(b"x" * 10)
    (top / "sticky").chmod(0o1644)
    os.link(top / "linked", top / "second")
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("f0")
    (top / "directory").mkdir()
    with suppress(PermissionError):
        os.mknod(top / "device", 0o020600, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as stack:
        listening.bind(str(top / "socket"))
        yield stack.enter_context(open_root(str(top)))


@settings(derandomize=True, deadline=None, max_examples=500)
@given(
    names=st.lists(st.sampled_from(PLAIN + SPECIAL), min_size=1, max_size=3, unique=True),
    by=st.sampled_from([("modification",), ("birth", "modification"), ("birth",)]),
    before=st.sampled_from([None, 1, LATER]),
    at_root=st.booleans(),
    mount=st.booleans(),
)
def test_files_that_are_plain_are_kept_by_nothing(
    root: Root, names: list[str], by: tuple[str, ...], before: int | None, at_root: bool, mount: bool
) -> None:
    top = Path(root.path)
    use = InUse({(top / "held").stat().st_ino: "process 1 holds it open"})
    judge = Judge(root, Rule(ages=Ages(1, by, ("modification",)), before=before), use)
    judge._of_mount = mount
    seen = Statuses()
    found = seen.look(names, root.fd, lambda *_: None)
    if not found:
        return
    whys = [judge.file_stays(name, root.fd, seen.one(number), at_root) for number, name in enumerate(found)]
    if judge.plain(found, seen, at_root):
        assert set(whys) == {""}
    ordinary = set(found) <= set(PLAIN) and not (at_root and mount) and ("birth" not in by or before in (None, LATER))
    assert not ordinary or judge.plain(found, seen, at_root)
