"""A plan is stored, shown, approved and carried out exactly; what would delete too much is refused before that."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import NOBODY, Scene, scene
from daemon_harness import refusal
from socket_peers import CAN_BE_OTHERS, ME
from tree_snapshot import differences, snapshot

OLD = tuple(range(100, 160))
YOUNG = (1, 2, 3)


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        configure(found, 30)
        yield found


def configure(place: Scene, retention_days: int, **more: object) -> None:
    directory = place.directory / "logs" / "app"
    if not directory.exists():
        place.logs((*OLD, *YOUNG))
    task = {
        "type": "cleanup",
        "category": "logs",
        "config": {"log_paths": [f"{directory}/*.log"], "retention_days": retention_days},
        **more,
    }
    place.configure(tasks={"app-logs": task, "held": place.held("held")}, roles={"operator": ["nobody"]})


def names(place: Scene) -> list[str]:
    return sorted(path.name for path in (place.directory / "logs" / "app").glob("*.log"))


def test_too_much_is_refused_until_that_very_plan_is_approved(place: Scene) -> None:
    with place.serving() as caller:
        before = snapshot(place.directory / "logs")
        refused = place.ctl("execute", "app-logs")
        assert refused.returncode == 5
        assert "60 of 63 logs would be deleted (95%)" in refused.stdout
        execution = place.json("execution", "show", "last")
        assert (execution["status"], execution["error"]["kind"]) == ("failed", "refused")
        assert [(reason["guard"], reason["items"], reason["files"]) for reason in execution["reasons"]] == [
            ("mass_deletion", 60, 63)
        ]
        shown = place.ctl("plan", "app-logs")
        assert shown.returncode == 0
        assert "needs approval" in shown.stdout
        plan = place.json("plan", "app-logs")
        assert (plan["count"], plan["approved_by"]) == (60, None)
        name = plan["hash"][:12]
        early = place.ctl("execute", "app-logs", "--plan", name)
        assert early.returncode == 5
        assert f"plan {name} has to be approved before" in early.stderr
        if CAN_BE_OTHERS:
            assert place.ctl("plan", "approve", name, before=NOBODY).returncode == 6
        assert differences(before, snapshot(place.directory / "logs")) == []
        assert place.json("plan", "approve", name)["approved_by"] == ME
        assert f"approved by {ME}" in place.ctl("plan", "list").stdout
        done = place.json("execute", "app-logs", "--plan", name)
        assert (done["status"], done["metrics"]["processed_items"]) == ("completed", 60)
        assert len(names(place)) == len(YOUNG)
        place.json("rollback", done["id"])
        assert differences(before, snapshot(place.directory / "logs")) == []
        methods = [(entry["method"], entry["outcome"]) for entry in place.json("audit")["items"]]
        assert {("task.plan", "done"), ("plan.approve", "done")} <= set(methods)
        assert (("plan.approve", "refused") in methods) == CAN_BE_OTHERS
        assert refusal(caller, "plan.get", plan="0" * 64).message.startswith("no such plan")


def test_what_has_changed_since_is_left_alone_and_what_is_new_is_not_in_it(place: Scene) -> None:
    configure(place, 30, mass_deletion={"share": "100%", "items": 1000})
    directory = place.directory / "logs" / "app"
    with place.serving():
        plan = place.json("plan", "app-logs")["hash"]
        (directory / "web-0100.log").write_text("it is used again")
        (directory / "web-0101.log").unlink()
        Path(directory, "new.log").write_text("old, and in no plan")
        os.utime(directory / "new.log", (10**9, 10**9))
        dry = place.ctl("execute", "app-logs", "--plan", plan, "--dry-run")
        assert dry.returncode == 0
        assert "58 items" in dry.stdout
        assert len(names(place)) == len(OLD) + len(YOUNG)
        done = place.ctl("execute", "app-logs", "--plan", plan)
        assert done.returncode == 0
        assert "web-0101.log  it is no longer there" in done.stdout
        assert "web-0100.log  its size has changed since the plan" in done.stdout
        assert names(place) == ["new.log", "web-0001.log", "web-0002.log", "web-0003.log", "web-0100.log"]


def test_a_changed_task_makes_its_plans_useless(place: Scene) -> None:
    configure(place, 30, mass_deletion={"share": "100%", "items": 1000})
    with place.serving():
        plan = place.json("plan", "app-logs")["hash"]
        configure(place, 31, mass_deletion={"share": "100%", "items": 1000})
        place.json("reload")
        said = place.ctl("execute", "app-logs", "--plan", plan)
        assert said.returncode == 5
        assert "app-logs has been changed since plan" in said.stderr
        assert "is one of app-logs" in place.ctl("execute", "held", "--plan", plan).stderr
        assert len(names(place)) == len(OLD) + len(YOUNG)


def test_its_items_come_in_pages_and_a_changed_file_is_found_out(place: Scene) -> None:
    configure(place, 30, mass_deletion={"share": "100%", "items": 1000})
    with place.serving() as caller:
        made = caller.call("task.plan", task="app-logs", limit=7)
        again = caller.call("task.plan", task="app-logs", limit=7)
        assert again["hash"] == made["hash"]
        paths = [item["path"] for item in made["items"]]
        page = made
        while page["next_cursor"] is not None:
            page = caller.call("plan.get", plan=made["hash"], cursor=page["next_cursor"], limit=7)
            paths += [item["path"] for item in page["items"]]
        assert sorted(path.rpartition("/")[2] for path in paths) == [f"web-{days:04}.log" for days in OLD]
        assert place.ctl("plan", "show", made["hash"][:12], "--limit", "100").stdout.count("cleanup  ") >= len(OLD)
        for cursor in ("", "x", f"{made['hash']}-1-0", f"{made['hash']}-0", "0" * 64 + "-0-0"):
            assert refusal(caller, "plan.get", plan=made["hash"], cursor=cursor).code in (-32602, -32001)
        file = place.directory / "state" / "plans" / made["hash"]
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        file.write_bytes(file.read_bytes()[:-1] + b"\0")
        assert (
            "are not those it was made with"
            in refusal(caller, "execution.start", task="app-logs", plan=made["hash"]).message
        )
        assert len(names(place)) == len(OLD) + len(YOUNG)


def test_a_command_is_planned_as_what_would_be_run(place: Scene) -> None:
    with place.serving():
        plan = place.json("plan", "held")
        assert (plan["itemised"], plan["count"]) == (False, 0)
        assert "run: cat" in plan["plan"]["steps"][0]["says"]
        ident = place.ctl("execute", "held", "--plan", plan["hash"], "--detach").stdout.strip()
        place.let_go("held")
        assert json.loads(place.ctl("--json", "execution", "show", ident).stdout)["id"] == ident


def test_a_cleaning_by_age_does_what_its_plan_lists_and_leaves_what_has_changed(place: Scene) -> None:
    directory = place.directory / "logs" / "app"
    by = {"files": ["modification"], "directories": ["modification"]}
    config = {"paths": [{"path": str(directory), "age": "30d", "age_by": by}]}
    temp = {"executor": "temp.cleanup", "config": config, "mass_deletion": {"share": "100%", "items": 1000}}
    place.configure(tasks={"temp": temp})
    with place.serving():
        before = snapshot(directory)
        plan = place.json("plan", "temp")
        assert (plan["itemised"], plan["count"]) == (True, len(OLD))
        assert differences(before, snapshot(directory)) == []
        changed = directory / f"web-{OLD[0]:04}.log"
        changed.write_text("written to since")
        done = place.json("execute", "temp", "--plan", plan["hash"])
        shown = place.ctl("execution", "show", done["id"]).stdout
        assert changed.name in shown
        assert "its size has changed since the plan" in shown
        assert names(place) == sorted([changed.name, *(f"web-{days:04}.log" for days in YOUNG)])


def test_a_plan_made_again_has_what_the_guard_says_of_today(place: Scene) -> None:
    directory = place.directory / "logs" / "app"
    young = [directory / f"young-{number}" for number in range(300)]
    for path in young:
        path.write_text("x")
    by = {"files": ["modification"], "directories": ["modification"]}
    place.configure(
        tasks={
            "temp": {
                "executor": "temp.cleanup",
                "config": {"paths": [{"path": str(directory), "age": "30d", "age_by": by}]},
            }
        }
    )
    with place.serving():
        made = place.json("plan", "temp")
        assert made["refusals"] == []
        for path in young:
            path.unlink()
        again = place.json("plan", "temp")
        assert again["hash"] == made["hash"]
        assert "60 of 63 files would be deleted" in again["refusals"][0]["detail"]
        assert place.ctl("execute", "temp", "--plan", made["hash"]).returncode == 5
        assert len(names(place)) == len(OLD) + len(YOUNG)
