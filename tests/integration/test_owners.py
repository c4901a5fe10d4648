"""One pattern over the directories of many owners: each is worked in with its owner's rights, and all comes back."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Item
from jamaint.executors.shared.executor import StepError
from jamaint.files.rights.owners import each_owner
from jamaint.host.accounts import find_account
from logs_cleanup_runs import DAY, age_directories, executor, grow_old, put, run_all, undo_all
from logs_rotate_runs import rotate, rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")
OWNERS = ("bin", "daemon", "nobody")
GZIP = {"algorithm": "gzip", "older_than_seconds": DAY}


@pytest.fixture
def www() -> Iterator[Path]:
    """A directory of root's with one for each of three users, and root's own, with logs in logs/."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        www = Path(made) / "www"
        for owner in (*OWNERS, "root"):
            account = find_account(owner)
            log = put(www / owner / "logs" / "a.log", 5)
            for path in (log, log.parent, log.parent.parent):
                os.chown(path, account.uid, account.gid)
                path.chmod(0o640 if path is log else 0o750)
            grow_old(log, 5)
        age_directories(www)
        yield www


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def test_rotation_works_in_the_directories_of_all_owners(www: Path) -> None:
    before = snapshot(www)
    mine = rotation_config([f"{www}/*/logs/*.log"])
    steps, details = rotate(rotator(mine))
    assert (details["rotation"]["files"], details["rotation"]["problems"]) == (4, [])
    assert "In directories of bin, daemon, nobody: with the rights of whom each belongs to." in steps[0].says
    for owner in (*OWNERS, "root"):
        uid = find_account(owner).uid
        assert owner_of(www / owner / "logs" / "a.log") == uid
        assert owner_of(www / owner / "logs" / "a.log-20261124") == uid
        assert owner == "root" or owner_of(www / owner / ".jamaint-trash") == uid
    assert os.geteuid() == 0
    outcome = undo_rotation(mine, steps)
    assert (outcome["restored"], outcome["kept"], outcome["problems"]) == (4, [], [])
    assert differences(before, snapshot(www)) == []


def test_cleanup_works_in_the_directories_of_all_owners(www: Path) -> None:
    before = snapshot(www)
    config: dict[str, Any] = {"log_paths": [f"{www}/**/*.log"], "compress": GZIP}
    steps, details = run_all(executor(**config))
    assert (details["compression"]["files"], details["compression"]["problems"]) == (4, [])
    for owner in (*OWNERS, "root"):
        assert owner_of(www / owner / "logs" / "a.log.gz") == find_account(owner).uid
    outcome = undo_all(steps, **config)
    assert (outcome["restored"], outcome["removed"], outcome["problems"]) == (4, 4, [])
    assert differences(before, snapshot(www)) == []


def test_deleted_logs_of_all_owners_are_purged(www: Path) -> None:
    config: dict[str, Any] = {"log_paths": [f"{www}/**/*.log"], "retention_seconds": DAY}
    steps, details = run_all(executor(**config))
    assert details["cleanup"]["files"] == 4
    purged = [executor(**config).purge(step) for step in steps if step.undo]
    assert (sum(found["items"] for found in purged), [found["problems"] for found in purged]) == (4, [[]])
    assert not list(www.rglob("*.log"))
    assert not list(www.rglob(".jamaint-trash"))


def test_directory_of_another_owner_can_be_the_one_that_is_named(www: Path) -> None:
    mine = rotation_config([f"{www}/nobody/logs/*.log"])
    _, details = rotate(rotator(mine))
    assert details["rotation"]["files"] == 1
    assert owner_of(www / "nobody" / "logs" / "a.log") == find_account("nobody").uid


def test_patterns_that_meet_in_one_directory_act_once(www: Path) -> None:
    mine = rotation_config([f"{www}/*/logs/*.log", f"{www}/nobody/*/a.log", f"{www}/nobody/logs/b.log"])
    nobody = find_account("nobody")
    os.chown(put(www / "nobody" / "logs" / "b.log", 5), nobody.uid, nobody.gid)
    steps, details = rotate(rotator(mine))
    assert details["rotation"]["files"] == 5
    assert len({root["path"] for root in steps[0].undo["roots"]}) == len(steps[0].undo["roots"])  # type: ignore[index]
    assert undo_rotation(mine, steps)["restored"] == 5


def test_excluded_directories_of_others_stay(www: Path) -> None:
    mine = rotation_config([f"{www}/*/logs/*.log"], exclude=["daemon/logs/*", f"{www}/bin"])
    _, details = rotate(rotator(mine))
    assert sorted(one["path"] for one in details["rotation"]["rotated"]) == [
        f"{www}/nobody/logs/a.log",
        f"{www}/root/logs/a.log",
    ]


def test_what_the_owner_may_not_read_stays_and_is_told(www: Path) -> None:
    secret = put(www / "nobody" / "logs" / "root.log", 5, mode=0o600)
    _, details = run_all(executor(log_paths=[f"{www}/*/logs/*.log"], compress=GZIP))
    assert [one["path"] for one in details["compression"]["problems"]] == [str(secret)]
    assert details["compression"]["files"] == 4
    assert not secret.with_name("root.log.gz").exists()


def test_directory_of_a_third_in_that_of_an_owner_is_left_alone(www: Path) -> None:
    third = put(www / "nobody" / "logs" / "deep" / "x.log", 5).parent
    os.chown(third, find_account("daemon").uid, -1)
    _, details = rotate(rotator(rotation_config([f"{www}/nobody/**/*.log"])))
    assert details["rotation"]["files"] == 1
    assert [one["path"] for one in details["rotation"]["problems"]] == [str(third)]


def test_directory_of_an_uid_without_account_is_refused(www: Path) -> None:
    os.chown(www / "nobody", 987654, -1)
    logs = rotator(rotation_config([f"{www}/*/logs/*.log"]))
    plan = logs.plan()
    assert any("belongs to uid 987654" in warning for warning in plan.warnings)
    assert logs.run(plan.steps[0])["files"] == 3


def test_archive_takes_the_logs_of_root_and_tells_the_others(www: Path) -> None:
    archive = {"directory": str(www.parent / "archive"), "older_than_seconds": DAY}
    _, details = run_all(executor(log_paths=[f"{www}/*/logs/*.log"], archive=archive))
    assert details["archive"]["files"] == 1
    told = {one["path"]: one["why"] for one in details["archive"]["problems"]}
    assert told.keys() == {f"{www}/{owner}" for owner in OWNERS}
    assert "`user: bin`" in told[f"{www}/bin"]


def test_stored_plan_is_carried_out_with_the_rights_of_all_owners(www: Path) -> None:
    config: dict[str, Any] = {"log_paths": [f"{www}/**/*.log"], "retention_seconds": DAY}
    planning, items = executor(**config), list[tuple[str, Item]]()
    for step in planning.plan().steps:
        planning.items(step, lambda item, part="", name=step.name: items.append((name, item)))
    assert os.geteuid() == 0

    class Stored:
        def items(self) -> list[tuple[str, Item]]:
            return items

    steps, details = run_all(executor(planned=Stored(), **config))
    assert details["cleanup"]["files"] == 4
    assert undo_all(steps, **config)["restored"] == 4


def test_plan_says_whose_logs_the_archive_does_not_take_and_counts_none_of_them(www: Path) -> None:
    archive = {"directory": str(www.parent / "archive"), "older_than_seconds": DAY}
    plan = executor(log_paths=[f"{www}/*/logs/*.log"], archive=archive).plan()
    assert (plan.steps[-1].name, plan.steps[-1].items) == ("archive", 1)
    for owner in OWNERS:
        (told,) = [warning for warning in plan.warnings if warning.startswith(f"{www}/{owner}: ")]
        assert "1 log is not archived: it is " in told
        assert f"give it a task with `user: {owner}`" in told


def test_links_of_an_owner_lead_nowhere(www: Path) -> None:
    """Whatever he puts in the way, nothing of root's is touched with root's rights."""
    secret = put(www.parent / "secret" / "b.log", 5, mode=0o600)
    logs = www / "nobody" / "logs"
    (logs / "link.log").symlink_to(secret)
    logs.rename(www / "nobody" / "real")
    logs.symlink_to(secret.parent)
    before = snapshot(secret.parent)
    rotate(rotator(rotation_config([f"{www}/*/logs/*.log"])))
    assert differences(before, snapshot(secret.parent)) == []


def test_no_rights_are_borrowed_for_a_worker_of_a_user(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.files.rights.owners.can_lend", lambda: False)
    with pytest.raises(StepError, match="set `user: nobody` on the task"):
        rotator(rotation_config([f"{www}/nobody/logs/*.log"])).plan()


def test_failure_of_one_owner_keeps_no_other_from_coming_back(www: Path) -> None:
    way_back = {"roots": [{"path": str(www / owner / "logs")} for owner in (*OWNERS, "root")]}

    def act(way: Any, figure: str) -> dict[str, Any]:
        (entry,) = way["roots"]
        if entry["path"].startswith(f"{www}/bin"):
            raise OSError(5, "input/output error")
        done.append(entry["path"])
        return {figure: 1, "problems": []}

    done: list[str] = []
    outcome = each_owner(way_back, lambda way: act(way, "restored"))
    assert (outcome["restored"], len(done)) == (3, 3)
    assert outcome["problems"] == [{"path": f"{www}/bin/logs", "why": "input/output error"}]
    done.clear()
    with pytest.raises(OSError, match="input/output error"):
        each_owner(way_back, lambda way: act(way, "freed_space"))
    assert (len(done), os.geteuid()) == (3, 0)


def test_undo_of_compression_goes_by_its_own_directory_when_others_are_gone(www: Path) -> None:
    config: dict[str, Any] = {"log_paths": [f"{www}/*/logs/*.log"], "compress": GZIP}
    nobody = find_account("nobody")
    for site in ("bin", "daemon"):  # three sites of one owner
        for path in (www / site, www / site / "logs", www / site / "logs" / "a.log"):
            os.chown(path, nobody.uid, nobody.gid)
    steps, details = run_all(executor(**config))
    assert details["compression"]["files"] == 4
    shutil.rmtree(www / "bin")
    stranger = put(www / "daemon" / "logs" / "a.log", 0)
    os.chown(stranger, nobody.uid, nobody.gid)
    outcome = undo_all(steps, **config)
    assert (outcome["restored"], outcome["removed"]) == (2, 2)
    assert (www / "daemon" / "logs" / "a.log.gz").exists(), "the trash has the only other copy"
    assert not (www / "nobody" / "logs" / "a.log.gz").exists()
    assert not (www / "root" / "logs" / "a.log.gz").exists()
    assert [one["path"] for one in outcome["kept"]] == [str(stranger)]
    assert {one["path"] for one in outcome["problems"]} == {str(www / "bin")}


@pytest.mark.parametrize("victim", ["elsewhere", "nobody/roots"])
def test_owner_cannot_have_root_set_the_times_of_a_directory_that_he_may_not_change(www: Path, victim: str) -> None:
    """The trash of an owner's directory is his: he can write into it whatever he likes."""
    (www / victim).mkdir(mode=0o755)
    os.utime(www / victim, ns=(10**18, 10**18))
    mine = rotation_config([f"{www}/nobody/logs/*.log"])
    steps, _ = rotate(rotator(mine))
    (times,) = (www / "nobody").glob("**/.jamaint-trash/*/*/times")
    root = times.parents[3]
    (times / "t99.40755.0.0.5.5").symlink_to(os.path.relpath(www / victim, root))
    undo_rotation(mine, steps)
    assert (www / victim).stat().st_mtime_ns == 10**18
    assert (www / "nobody" / "logs" / "a.log").exists()


@pytest.mark.parametrize("record", ["t99.x.0.0.5.5", f"t99.40755.0.0.5.{10**30}", "t99.40755.0.0.5.-5"])
@pytest.mark.parametrize("kind", ["times", "turns"])
def test_trash_that_one_owner_has_spoilt_keeps_no_other_from_coming_back(www: Path, kind: str, record: str) -> None:
    mine = rotation_config([f"{www}/*/logs/*.log"])
    steps, _ = rotate(rotator(mine))
    (there,) = (www / "daemon").glob(f"**/.jamaint-trash/*/*/{kind}")
    (there / (record if kind == "times" else record.replace("t99.", "000099.moved."))).symlink_to("logs//../x//y")
    outcome = undo_rotation(mine, steps)
    for owner in ("bin", "nobody", "root"):
        assert not list((www / owner / "logs").glob("a.log-*")), outcome
    assert all(one["path"].startswith(f"{www}/daemon") for one in outcome["problems"])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("moved", "logs//../taken//a.log-20261124"),
        ("moved", "logs//a.log"),
        ("made", "logs//a.log//x"),
        ("cut", "logs"),
    ],
)
def test_journal_that_an_owner_has_written_names_no_log_elsewhere_to_a_script(
    www: Path, tmp_path: Path, kind: str, names: str
) -> None:
    told = tmp_path / "told"
    script = ["/bin/sh", "-c", f'echo "$1" >> {told}', "sh"]
    mine = rotation_config([f"{www}/*/logs/*.log"], postrotate=script, scripts={"user": None, "per_log": True})
    steps, _ = rotate(rotator(mine))
    (turns,) = (www / "daemon").glob("**/.jamaint-trash/*/*/turns")
    inode = (www / "daemon" / "logs" / "a.log-20261124").stat().st_ino
    (turns / f"000099.{kind}.{inode}").symlink_to(names)
    told.unlink()
    outcome = undo_rotation(mine, steps)
    assert sorted(told.read_text().splitlines()) == sorted(
        f"{www}/{owner}/logs/a.log" for owner in ("bin", "nobody", "root")
    )
    assert {one["path"] for one in outcome["problems"]} == {f"{www}/daemon"}
    assert "is not as it was written" in outcome["problems"][0]["why"]
    assert not (www / "daemon" / "taken").exists()
