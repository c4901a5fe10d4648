"""system.cleanup: each kind does its own, one that fails does not keep the next from it, and all of it comes back."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion, Plan, Step, step_from_json, step_to_json
from jamaint.core.safety.deletion_guard import Filesystem, RootObservation, from_json
from jamaint.executors.shared.executor import StepError, StopRequestedError
from jamaint.executors.system_cleanup.executor import SystemCleanup
from logs_cleanup_runs import EVERYTHING, NOW, Talk, work
from tree_snapshot import differences, snapshot

NO_CACHE = {
    "url": "unix:///nonexistent/redis.sock",
    "pattern": "*",
    "idle_for_seconds": None,
    "missing_expiry": False,
    "max_memory_share": None,
    "keep_for_rollback": False,
}


def aged(directory: Path, ages_days: tuple[int, ...]) -> Path:
    directory.mkdir(mode=0o755)
    for days in ages_days:
        file = directory / f"{days}.log"
        file.write_text("a line\n" * 900)
        os.utime(file, (NOW.timestamp() - days * 86400,) * 2)
    return directory


def logs_config(directory: Path) -> dict[str, Any]:
    one = work(log_paths=[f"{directory}/*.log"], compress={"algorithm": "gzip", "older_than_seconds": 86400.0})
    return dict(one.config)


def executor(directory: Path, talk: Talk | None = None, *, with_cache: bool = True) -> SystemCleanup:
    kinds: list[dict[str, Any]] = [{"kind": "logs", "config": logs_config(directory)}]
    if with_cache:
        kinds.append({"kind": "cache", "config": {"redis": NO_CACHE}})
    whole = replace(work(mass_deletion=EVERYTHING), config={"kinds": kinds})
    return SystemCleanup(whole, talk or Talk())


def handed_over(plan: Plan) -> list[Step]:
    """The steps as the daemon hands them over."""
    return [step_from_json(step_to_json(step)) for step in plan.steps]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return aged(tmp_path / "logs", (0, 2, 5, 40, 41))


def test_a_kind_that_cannot_be_is_a_step_that_says_so_and_stops_no_other(logs: Path) -> None:
    one = executor(logs)
    steps = handed_over(one.plan())
    assert [step.name for step in steps] == ["log_cleanup", "cache_cleanup"]
    assert all(step.independent for step in steps)
    assert steps[1].says.startswith("Nothing, because the server at /nonexistent/redis.sock cannot be reached")
    with pytest.raises(StepError, match="cannot be reached"):
        one.run(steps[1])
    details = one.run(steps[0])
    assert (details["files"], set(details["steps"])) == (4, {"analysis", "cleanup", "compression"})
    assert sorted(path.name for path in logs.glob("[0-9]*")) == ["0.log", "2.log.gz", "5.log.gz"]


def test_it_comes_back_byte_for_byte_also_in_a_dry_run_first(logs: Path) -> None:
    before = snapshot(logs)
    one = executor(logs)
    (step, _) = handed_over(one.plan())
    details = one.run(step)
    again = executor(logs)  # an undo has a worker of its own
    dry = again.undo(step, dry_run=True)
    assert dry["restored"] == 4
    undone = again.undo(step, dry_run=False)
    assert (undone["restored"], undone["kept"], undone["problems"]) == (4, [], [])
    assert differences(before, snapshot(logs)) == []
    assert details["freed_on_purge"] > 0


def test_what_the_guard_against_mass_deletion_refuses_is_not_done_and_its_root_not_remembered(tmp_path: Path) -> None:
    logs = aged(tmp_path / "many", tuple(range(40, 100)))
    whole = replace(executor(logs)._work, mass_deletion=MassDeletion(share=0.25, items=50))
    one = SystemCleanup(whole, Talk())
    plan = one.plan()
    step = handed_over(plan)[0]
    assert plan.roots == ()
    assert "60 of 60" in step.says
    with pytest.raises(StepError, match="60 of 60") as failed:
        one.run(step)
    assert failed.value.kind == "refused"
    assert len(list(logs.iterdir())) == 60
    assert one.items is None  # a plan in which something is refused is compared as a whole


def test_a_root_on_another_file_system_is_refused_at_the_second_run_too(logs: Path) -> None:
    gone = Filesystem("0", "/dev/gone", "ext4", str(logs))
    seen = {str(logs): RootObservation(str(logs), 5, gone, 0, "2026-11-20T02:00:00+00:00")}
    for _ in range(2):
        whole = replace(executor(logs, with_cache=False)._work, seen=seen)
        plan = SystemCleanup(whole, Talk()).plan()
        assert "is on another file system" in plan.steps[0].says
        seen |= {root["path"]: from_json(root) for root in plan.roots}  # as the daemon keeps them


def test_two_kinds_that_mean_other_files_of_one_root_are_not_taken_for_each_other(tmp_path: Path) -> None:
    logs = aged(tmp_path / "logs", tuple(range(60)))
    one = {"path": str(logs), "pattern": "*.bak", "age_seconds": 86400.0, "min_size": 0, "max_size": None}
    one |= {"max_files": None, "keep_newest": 0, "exclude": []}
    config: dict[str, Any] = {"remove_empty_directories": False, "broken_links": False, "duplicates": None}
    config |= {"directory_age_seconds": 86400.0, "paths": [one]}
    kinds = [{"kind": "logs", "config": logs_config(logs)}, {"kind": "filesystem", "config": config}]
    seen: dict[str, RootObservation] = {}
    for _ in range(2):
        whole = replace(work(mass_deletion=MassDeletion(share=0.9)), config={"kinds": kinds}, seen=seen)
        plan = SystemCleanup(whole, Talk()).plan()
        assert [step.args.get("refused") for step in plan.steps] == [None, None]
        seen |= {root["path"]: from_json(root) for root in plan.roots}  # as the daemon keeps them
    assert [one.files for one in seen.values()] == [60, 0]


def test_a_purge_frees_what_it_said(logs: Path) -> None:
    one = executor(logs)
    (step, _) = handed_over(one.plan())
    said = one.run(step)["freed_on_purge"]
    assert executor(logs).purge(step)["freed_space"] == said > 0


def test_two_kinds_in_one_directory_keep_apart_in_its_trash(logs: Path) -> None:
    one = executor(logs, with_cache=False)
    (step,) = handed_over(one.plan())
    one.run(step)
    assert [path.name for path in (logs / ".jamaint-trash").iterdir()] == [f"{work().execution}.logs"]


def test_stopped_it_tells_what_was_done_and_that_comes_back(logs: Path) -> None:
    before = snapshot(logs)
    talk = Talk()
    one = executor(logs, talk)
    (step, _) = handed_over(one.plan())
    talk.stop_after(2)
    with pytest.raises(StopRequestedError) as stopped:
        one.run(step)
    assert stopped.value.args[0]["files"] < 4
    assert executor(logs).undo(step, dry_run=False)["problems"] == []
    assert differences(before, snapshot(logs)) == []


def test_the_plan_changes_nothing(logs: Path) -> None:
    before = snapshot(logs)
    began = time.time_ns()
    executor(logs).plan()
    assert differences(before, snapshot(logs)) == []
    assert all(path.stat().st_atime_ns < began for path in logs.iterdir())


def test_a_part_that_cannot_be_undone_keeps_no_other_and_what_is_held_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"from_ns": 1, "until_ns": 2, "inodes": []}
    outcomes: dict[str, Any] = {
        "one": {"restored": 2, "removed": 0, "kept": [], "problems": [], "held": [held]},
        "two": StepError("its trash is in use", "refused", {"restored": 1, "problems": [{"path": "/a", "why": "b"}]}),
    }

    class Part:
        def undo(self, step: Step, _dry_run: bool) -> dict[str, Any]:
            if isinstance(outcomes[step.name], StepError):
                raise outcomes[step.name]
            found: dict[str, Any] = outcomes[step.name]
            return found

    whole = executor(aged(tmp_path / "logs", ()))
    monkeypatch.setattr(whole, "_executor", lambda _kind: Part())
    parts = [step_to_json(Step(name, "", undo={"trash": "x"})) for name in outcomes]
    undone = whole.undo(Step("log_cleanup", "", undo={"kind": "logs", "steps": parts}), False)
    assert (undone["restored"], undone["held"]) == (3, [held])
    assert [one["why"] for one in undone["problems"]] == ["b", "its trash is in use"]
