"""A second process that helps to look: what it finds counts as if one had looked, and nothing depends on it."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.executors.shared.executor import StopRequestedError
from jamaint.files.access import forked_helper, parallel_walk
from jamaint.files.access.disk_usage import measure
from jamaint.files.access.forked_helper import ForkedHelper, HelperDiedError
from jamaint.files.access.root import open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.cleanup import whole_directories
from jamaint.files.cleanup.directory_recheck import Whole
from jamaint.files.cleanup.eligibility import Rule
from jamaint.files.cleanup.survey_step import StepReporter
from jamaint.files.cleanup.sweep_step import Area, Bounds, SweepStep, look
from jamaint.files.rules.ages import Ages
from jamaint.files.trash import moved_directories
from jamaint.files.trash.restore import undo
from jamaint.files.trash.trash import Trash
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import age_directories, put
from tree_snapshot import differences, snapshot

SECONDS = 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sixty directories in which all is old, ten in which something stays, names across them, and one not to enter."""
    top = tmp_path / "tmp"
    for number in range(60):
        put(top / f"old{number:02}" / "a", 20, 5000)
        put(top / f"old{number:02}" / "deep" / "b", 30, 100)
    for number in range(10):
        put(top / f"mixed{number}" / "old", 20)
        (top / f"mixed{number}" / "young").write_text("young")
    for number in (3, 7, 40):
        os.link(top / "old00" / "a", top / f"old{number:02}" / "second")
    os.link(top / "old01" / "a", tmp_path / "outside")
    age_directories(top)
    return top


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is given to a second process, which helps from the first file on, on a machine with two processors."""
    tasks: list[Any] = []
    give = ForkedHelper.give

    def note(self: ForkedHelper, task: Any) -> None:
        tasks.append(task)
        give(self, task)

    monkeypatch.setattr(ForkedHelper, "give", note)
    monkeypatch.setattr(parallel_walk, "WORTH_FILES", 0)
    monkeypatch.setattr(whole_directories, "WORTH_FILES", 0)
    monkeypatch.setattr(parallel_walk, "second_processor", lambda: True)
    monkeypatch.setattr(whole_directories, "second_processor", lambda: True)
    return tasks


def planned(root: Path, alone: bool) -> Area:
    before = limit(root)
    rule = Rule(ages=Ages(1, ("modification",), ("modification",)), before=before)
    return look(str(root), rule, held=OpenFiles(), checkpoint=lambda: None, alone=lambda: alone, now_ns=before)


def limit(root: Path) -> int:
    """What was put there is older than this, and what was written now is not."""
    return max(path.stat().st_mtime_ns for path in root.glob("old*/a")) + 1


def figures(area: Area) -> tuple[Any, ...]:
    return area.tally, area.met, sorted(area.units), len(area.sample), area.skipped.count, area.skipped.problems


def way_back(root: Path) -> dict[str, Any]:
    seen = root.stat()
    times = [seen.st_atime_ns, seen.st_mtime_ns]
    return {"trash": "e-1", "step": "s", "roots": [{"path": str(root), "times": times, "shared": True}]}


def cleared(area: Area, back: dict[str, Any], alone: bool, stop_after: int = -1) -> dict[str, Any]:
    """The figures of a step; it is stopped at that safe point."""
    points = [0]

    def checkpoint() -> int:
        points[0] += 1
        if points[0] == stop_after:
            raise StopRequestedError
        return 0

    telling = StepReporter(checkpoint, lambda done, total, unit: None)
    with SweepStep([area], back, area.tally.files, telling, Bounds(checkpoint, lambda: alone)) as clearing:
        clearing.clear()
    return clearing.details()


def trash(root: Path) -> Path:
    return root / ".jamaint-trash" / "e-1" / "s"


def noted(root: Path) -> set[str]:
    """Directories that are in the trash on purpose."""
    if not (trash(root) / "wholes").exists():
        return set()
    fd = os.open(trash(root) / "wholes", os.O_RDONLY)
    try:
        return set(moved_directories.read(fd))
    finally:
        os.close(fd)


def undone(back: dict[str, Any]) -> dict[str, Any]:
    return undo(back, False, lambda: None, lambda done: None)


def test_a_plan_by_two_is_the_plan_by_one(root: Path, given: list[Any]) -> None:
    by_one = planned(root, alone=True)
    assert given == []
    assert figures(planned(root, alone=False)) == figures(by_one)
    assert given
    assert by_one.tally.files == 60 * 2 + 10 + 3
    assert len(by_one.units) == 60


def test_a_measuring_by_two_is_the_measuring_by_one(root: Path, given: list[Any]) -> None:
    def measured(alone: bool) -> tuple[int, int]:
        with open_root(str(root), shared=True) as opened:
            return measure(opened, Skipped(), lambda: None, lambda: alone)

    by_one = measured(True)
    assert given == []
    assert measured(False) == by_one
    assert given
    assert by_one[1] == 60 * 2 + 10 * 2


def test_two_take_what_one_takes_and_all_of_it_comes_back(root: Path, given: list[Any]) -> None:
    before, back = snapshot(root), way_back(root)
    details = []
    for alone in (True, False):
        area = planned(root, alone=True)
        del given[:]
        details.append(cleared(area, back, alone))
        assert bool(given) != alone
        assert {path.name for path in root.iterdir() if path.name.startswith("old")} == set()
        assert undone(back)["problems"] == []
        assert differences(before, snapshot(root)) == []
    for one in details:
        one.pop("free_bytes_before"), one.pop("free_bytes_after")
    assert details[0] == details[1]
    assert details[0]["files"] == 60 * 2 + 10 + 3


def test_what_may_not_go_by_now_is_put_back_whoever_has_looked(root: Path, given: list[Any]) -> None:
    area, back = planned(root, alone=True), way_back(root)
    for number in range(0, 60, 2):
        (root / f"old{number:02}" / "deep" / "new").write_text("somebody has come back")
        os.utime(root / f"old{number:02}" / "deep", ns=(0, 0))
    before = snapshot(root)
    cleared(area, back, alone=False)
    assert given
    for number in range(60):
        assert (root / f"old{number:02}" / "deep" / "new").exists() == (number % 2 == 0)
        assert (root / f"old{number:02}").exists() == (number % 2 == 0)
    assert undone(back)["problems"] == []
    assert differences(before, snapshot(root)) == []


def test_stopped_anywhere_it_leaves_nothing_half_taken(root: Path, given: list[Any]) -> None:
    before, back = snapshot(root), way_back(root)
    stopped = 0
    for point in range(1, 200, 7):
        area = planned(root, alone=True)
        try:
            cleared(area, back, alone=False, stop_after=point)
        except StopRequestedError:
            stopped += 1
        assert noted(root) == {
            path.name for path in (trash(root) / "gone").glob("old*") if not (root / path.name).exists()
        }
        assert undone(back)["problems"] == []
        assert differences(before, snapshot(root)) == []
    assert stopped
    assert given


def test_who_is_asked_to_stop_waits_for_no_answer(
    root: Path, given: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, back, ours = snapshot(root), way_back(root), os.getpid()
    slow = Whole.look

    def hangs(self: Whole, fd: int) -> int | str:
        if os.getpid() != ours:
            signal.pause()
        return slow(self, fd)

    monkeypatch.setattr(Whole, "look", hangs)
    with pytest.raises(StopRequestedError):
        cleared(planned(root, alone=True), back, alone=False, stop_after=8)
    assert given
    assert undone(back)["problems"] == []
    assert differences(before, snapshot(root)) == []


def test_nothing_waits_while_it_is_open_whether_a_directory_may_go(root: Path, given: list[Any]) -> None:
    back, area = way_back(root), planned(root, alone=True)
    open_at: list[int] = []

    def checkpoint() -> None:
        gone = {path.name for path in (trash(root) / "gone").glob("old*")}
        open_at.append(len(gone - noted(root)))

    telling = StepReporter(checkpoint, lambda done, total, unit: None)
    with SweepStep([area], back, area.tally.files, telling, Bounds(lambda: 0, lambda: False)) as clearing:
        clearing.clear()
    assert given
    assert open_at
    assert not any(open_at)


def test_a_directory_that_can_no_longer_be_opened_ends_nothing(
    root: Path, given: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, back = snapshot(root), way_back(root)
    real = os.open

    def refuse(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("old30"):
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        return real(path, flags, *args, **kwargs)

    area = planned(root, alone=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        details = cleared(area, back, alone=False)
    assert given
    assert details["files"] == 60 * 2 + 3 + 10 - 2
    assert (root / "old30").exists()
    assert undone(back)["problems"] == []
    assert differences(before, snapshot(root)) == []


def test_directories_that_a_kill_has_left_between_the_two_come_back(root: Path) -> None:
    before, back = snapshot(root), way_back(root)
    opened = open_root(str(root), shared=True)
    way = Trash(opened, "e-1", "s")
    place = opened.descend(".")
    for name in ("old00", "old01", "old02"):
        way.move_directory(place, name, os.lstat(root / name))
        assert not (root / name).exists()
    for fd in (place.fd, opened.fd):
        os.close(fd)
    way.close()  # a kill lets go of all that is open, its lock too
    assert undone(back)["problems"] == []
    assert differences(before, snapshot(root)) == []


class TestLost:
    """It may be killed by anybody, as when memory is short."""

    @pytest.fixture(params=[0, 3, 11])
    def killed(self, request: pytest.FixtureRequest, given: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        give = ForkedHelper.give

        def killing(self: ForkedHelper, task: Any) -> None:
            give(self, task)
            if len(given) > request.param:
                os.kill(self._pid, signal.SIGKILL)

        monkeypatch.setattr(ForkedHelper, "give", killing)
        return given

    def test_a_plan_is_whole_without_it(self, root: Path, killed: list[Any]) -> None:
        assert figures(planned(root, alone=False)) == figures(planned(root, alone=True))
        assert killed

    def test_a_step_takes_all_without_it(self, root: Path, killed: list[Any]) -> None:
        before, back = snapshot(root), way_back(root)
        details = cleared(planned(root, alone=True), back, alone=False)
        assert killed
        assert (details["files"], details["problems"]) == (60 * 2 + 10 + 3, [])
        assert undone(back)["problems"] == []
        assert differences(before, snapshot(root)) == []

    def test_where_none_can_be_started_one_does_all(
        self, root: Path, given: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused() -> int:
            raise BlockingIOError

        monkeypatch.setattr(forked_helper.os, "fork", refused)
        descriptors = len(os.listdir("/proc/self/fd"))
        area = planned(root, alone=False)
        assert figures(area) == figures(planned(root, alone=True))
        cleared(area, way_back(root), alone=False)
        assert given == []
        assert len(os.listdir("/proc/self/fd")) == descriptors


class TestBeside:
    def test_it_answers_in_order_and_holds_what_it_knows(self) -> None:
        def begin() -> Any:
            seen: list[int] = []

            def act(task: int) -> list[int]:
                seen.append(task)
                return seen

            return act

        other = ForkedHelper(begin)
        try:
            for task in range(5):
                other.give(task)
            assert list(other.pending) == [0, 1, 2, 3, 4]
            assert [other.answer(lambda: None) for _ in range(5)][-1] == [0, 1, 2, 3, 4]
            assert not other.pending
        finally:
            other.close()

    def test_an_answer_may_be_long(self) -> None:
        other = ForkedHelper(lambda: lambda size: "x" * size)
        try:
            other.give(5 << 20)
            assert len(other.answer(lambda: None)) == 5 << 20
        finally:
            other.close()

    def test_what_goes_wrong_in_it_stays_in_it(self) -> None:
        other = ForkedHelper(lambda: lambda task: 1 // task)
        try:
            other.give(0)
            with pytest.raises(HelperDiedError):
                other.answer(lambda: None)
            assert list(other.pending) == [0]
        finally:
            other.close()

    def test_beside_that_hangs_is_lost_and_the_task_pending(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(forked_helper, "_SILENT_LOOKS", 3)
        reading, _writing = os.pipe()
        told: list[int] = []
        other = ForkedHelper(lambda: lambda _task: os.read(reading, 1))
        try:
            other.give("a")
            with pytest.raises(HelperDiedError):
                other.answer(lambda: told.append(1))
            assert list(other.pending) == ["a"]
            assert len(told) >= 3
        finally:
            other.close()

    def test_it_ends_with_us_however_we_end(self) -> None:
        code = (
            "import sys; sys.path[:0] = sys.argv[1:]; from jamaint.files.access.forked_helper import ForkedHelper;"
            "import time;"
            "other = ForkedHelper(lambda: lambda task: time.sleep(600)); other.give(1); print(other._pid, flush=True);"
            "time.sleep(600)"
        )
        source = str(Path(forked_helper.__file__).parents[3])
        command = [sys.executable, "-I", "-c", code, source]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ended = os.pidfd_open(int(process.stdout.readline()))
            try:
                process.kill()
                assert select.select([ended], [], [], SECONDS)[0]
            finally:
                os.close(ended)
