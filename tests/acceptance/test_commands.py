"""Every verb of `jamaintctl` against a real daemon: exit codes, one JSON document each, objects, grants, reload."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import postgres_server as server
from command_line import NOBODY, Scene, needs_nobody, scene, window
from daemon_harness import Daemon
from jamaint.core.guards import GUARDS
from jamaint.ctl.verbs.table import VERBS

WORDS = {
    "status": [],
    "execute": ["quick"],
    "task show": ["quick"],
    "window show": ["open"],
    "execution show": ["last"],
    "execution log": ["last"],
    "execution list": ["--limit", "2"],
    "why": ["quick"],
    "next": ["closed", "-n", "2"],
    "completion": ["bash"],
}
"""Words of the verbs that need some; the others need none."""
CHANGING = (
    "task ", "window ", "policy ", "rollback", "drain", "reload", "cleanup run", "completion", "plan", "schedule set",
    "schedule apply",
    "execution cancel", "execution pause", "execution resume", "execution throttle", "execution approve",
    "execution reject", "config apply", "purge", "database forget", "held release", "import ",
)  # fmt: skip
"""What is tested with --json where it changes something."""
QUICK = {"type": "custom", "category": "system", "executor": "noop"}
FAILS = {"type": "custom", "category": "system", "config": {"command": ["false"]}}


@pytest.fixture(scope="module")
def busy(postgres_dsn: str, _template: str) -> Iterator[Scene]:
    """One daemon for all tests that change nothing of it."""
    with server.fresh_database(postgres_dsn, _template) as dsn, scene(dsn) as place:
        place.configure(
            windows={"open": window(-60, allowed_tasks=["cleanup"]), "closed": window(86400, allowed_tasks=["custom"])},
            tasks={
                "quick": QUICK,
                "fails": FAILS,
                "off": {**QUICK, "enabled": False},
                "unmet": {**QUICK, "conditions": [{"disk_free": {"path": "/", "min": "900TiB"}}]},
                "depends": {**QUICK, "dependencies": [{"task": "never"}]},
                "never": QUICK,
            },
        )
        with place.serving():
            yield place


class TestExitCodes:
    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["execute", "quick"], 0, None),
            (["execute", "quick", "--dry-run"], 0, None),
            (["execute", "fails"], 1, None),
            (["execute"], 2, "needs TASK|TASK"),
            (["execute", "quick", "--nosuch"], 2, "no such flag: --nosuch"),
            (["execute", "quick", "--plan", "abc"], 2, "must be a plan's hash"),
            (["--socket", "/nowhere/sock", "execute", "quick"], 3, "cannot reach the daemon at /nowhere/sock"),
            (["execute", "nosuch"], 4, "no such task: nosuch"),
            (["execute", "quick", "--window", "nosuch"], 4, "no such window: nosuch"),
            (["execute", "quik"], 4, r"no such task: quik; did you mean quick\?"),
            (["why", "qiuck"], 4, r"no such task: qiuck; did you mean quick\?"),
            (["window", "show", "clsoed"], 4, r"no such window: clsoed; did you mean closed\?"),
            (["execution", "show", "ffffffff"], 4, "no such execution: ffffffff"),
            (["execute", "off"], 5, "off is disabled"),
            (["execute", "quick", "--window", "closed"], 5, "window closed is closed"),
            (["execute", "quick", "--window", "open"], 5, "window open allows cleanup, and quick is of type custom"),
            (["execute", "unmet"], 5, "are required"),
            (["execute", "depends"], 5, "never has not run yet"),
            (["task", "delete", "quick"], 5, "comes from a file: change it there"),
            (["task", "create", "-f", "/nowhere"], 2, "cannot read /nowhere"),
        ],
    )
    def test_each(self, busy: Scene, words: list[str], code: int, said: str | None) -> None:
        done = busy.ctl(*words)
        assert done.returncode == code, done
        if said is None:
            assert "jamaintctl:" not in done.stderr
        else:
            assert re.fullmatch(rf"jamaintctl: .*({said}).*\n", done.stderr), done

    def test_an_invalid_object_is_seven_with_its_place(self, busy: Scene) -> None:
        text = "name: new\ntype: custom\ncategory: system\nexecutor: noop\npriorty: high\ntimeout: 7x\n"
        done = busy.ctl("task", "create", "-f", "-", stdin=text)
        assert done.returncode == 7
        lines = done.stderr.splitlines()
        assert lines[0].startswith("jamaintctl: <stdin>:5:1: priorty: ")
        assert lines[1].startswith("jamaintctl: <stdin>:6:1: timeout: ")

    @needs_nobody
    def test_who_has_no_role_is_told_so(self, busy: Scene) -> None:
        done = busy.ctl("execute", "quick", before=NOBODY)
        assert done.returncode == 6
        assert "execution.start needs the role operator, and nobody has no role" in done.stderr
        assert "as root: add user:nobody to roles.operator in the configuration" in done.stderr

    def test_a_refusal_tells_every_reason_as_json(self, busy: Scene) -> None:
        done = busy.ctl("--json", "execute", "off")
        assert (done.returncode, done.stdout) == (5, "")
        error = json.loads(done.stderr)["error"]
        assert error["code"] == -32002
        assert error["data"]["reasons"] == [
            {
                "guard": "task",
                "verdict": "refuse",
                "detail": "off is disabled in the configuration or no longer defined there",
            }
        ]


class TestOneDocument:
    """--json: standard output has exactly one document, which is the method's result, for each verb that there is."""

    @pytest.mark.parametrize(
        "verb",
        [name for name in (one.name for one in VERBS)
         if name in WORDS or name.endswith("list") or not name.startswith(CHANGING)],
    )  # fmt: skip
    def test_each_verb(self, busy: Scene, verb: str) -> None:
        busy.json("execute", "quick")
        found = busy.json(*verb.split(), *WORDS.get(verb, []))
        assert isinstance(found, dict)
        if verb.endswith("list"):
            assert set(found) == {"items", "next_cursor"}

    def test_why_tells_every_guard(self, busy: Scene) -> None:
        found = busy.json("why", "depends")
        every = [guard.__module__.rpartition(".")[2] for guard in GUARDS]
        assert [guard["guard"] for guard in found["guards"]] == every


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def as_yaml(**fields: Any) -> str:
    return yaml.safe_dump(fields)


class TestObjects:
    def test_a_time_that_is_past_is_told_and_a_failure_has_its_time_and_its_log(self, place: Scene) -> None:
        fails = {**FAILS, "config": {"command": ["sh", "-c", "echo why; exit 1"]}}
        place.configure(tasks={"fails": fails})
        with place.serving() as caller:
            past = as_yaml(name="late", schedule={"at": "2020-01-01T00:00", "timezone": "UTC"}, **QUICK)
            said = place.ctl("task", "create", "-f", "-", stdin=past).stdout
            assert "late will not come due any more: its schedule lies in the past" in said
            ended = caller.run("fails")
            assert ended["started_at"] <= ended["error"]["at"] <= ended["completed_at"]
            logs = caller.call("execution.get", execution=ended["id"])["logs"]
            assert logs == caller.call("execution.logs", execution=ended["id"])["items"]
            assert logs

    def test_tasks_and_windows_are_made_changed_and_deleted_and_survive_a_restart(self, place: Scene) -> None:
        place.configure(tasks={"in-a-file": QUICK})
        with place.serving():
            made = place.json("window", "create", "-f", "-", stdin=as_yaml(name="w", **window(3600)))
            assert (made["origin"], made["max_concurrent_tasks"]) == ("api", 3)
            made = place.json("task", "create", "-f", "-", stdin=as_yaml(name="t", schedule={"window": "w"}, **QUICK))
            assert (made["origin"], made["priority"], made["next_due"]) == (
                "api", "medium", place.json("window", "show", "w")["next"]["starts_at"],
            )  # fmt: skip
            place.json("task", "create", "-f", "-", stdin=as_yaml(name="a", dependencies=[{"task": "t"}], **QUICK))
            changed = place.json("task", "update", "t", "-f", "-", stdin='{"priority": "high"}')
            assert changed == {**made, "priority": "high"}
            assert place.json("window", "update", "w", "-f", "-", stdin="max_concurrent_tasks: 1\n")[
                "max_concurrent_tasks"
            ] == 1  # fmt: skip
            assert place.json("task", "disable", "t")["enabled"] is False
            twice = place.ctl("task", "create", "-f", "-", stdin=as_yaml(name="t", **QUICK))
            assert (twice.returncode, "there is a task t already" in twice.stderr) == (5, True)
        with place.serving():
            shown = {task["name"]: task for task in place.json("task", "list")["items"]}
            assert set(shown) == {"in-a-file", "t", "a"}
            assert (shown["t"]["priority"], shown["t"]["enabled"], shown["t"]["next_due"]) == ("high", False, None)
            assert place.json("task", "enable", "t")["next_due"] == made["next_due"]
            assert place.ctl("window", "delete", "w").returncode == 5
            assert place.ctl("task", "delete", "t").returncode == 5
            for name in ("a", "t"):
                assert place.json("task", "delete", name) == {"deleted": name}
            assert place.json("window", "delete", "w") == {"deleted": "w"}
            assert place.ctl("task", "show", "t").returncode == 4
        with place.serving():
            assert [task["name"] for task in place.json("task", "list")["items"]] == ["in-a-file"]
            methods = {(one["method"], one["object"]) for one in place.json("audit")["items"]}
        assert {("task.create", "t"), ("task.update", "t"), ("window.delete", "w")} <= methods

    def test_those_of_a_file_say_where_to_change_them(self, place: Scene) -> None:
        conf = place.directory / "conf.d"
        conf.mkdir()
        place.configure(windows={"w": window(3600)}, tasks={"t": QUICK})
        with place.serving():
            for words, stdin in (
                (["task", "update", "t", "-f", "-"], "priority: high"),
                (["task", "delete", "t"], None),
                (["window", "update", "w", "-f", "-"], "cutoff: 1"),
                (["window", "delete", "w"], None),
            ):
                done = place.ctl(*words, stdin=stdin)
                assert done.returncode == 5
                assert f"comes from a file: change it there ({place.config}) and reload" in done.stderr

    def test_many_come_in_pages(self, place: Scene) -> None:
        place.configure(tasks={f"task-{number:03}": QUICK for number in range(250)})
        with place.serving() as caller:
            first = caller.call("task.list", limit=120)
            assert (len(first["items"]), first["next_cursor"]) == (120, "task-119")
            second = caller.call("task.list", limit=120, cursor=first["next_cursor"])
            third = caller.call("task.list", limit=120, cursor=second["next_cursor"])
            assert [len(page["items"]) for page in (second, third)] == [120, 10]
            assert third["next_cursor"] is None
            assert len(place.json("task", "list")["items"]) == 250

    @needs_nobody
    def test_who_is_not_root_is_bound_by_the_grants(self, place: Scene) -> None:
        granted = place.directory / "granted"
        granted.mkdir()
        place.configure(
            roles={"admin": ["user:nobody"]},
            grants={"paths": [str(granted)], "commands": {"greet": ["/bin/echo", "hello"]}, "users": []},
        )
        logs = {"type": "cleanup", "category": "logs"}
        with place.serving():
            for fields, told in (
                ({**logs, "config": {"log_paths": ["/var/log/*.log"], "retention_days": 1}}, "/var/log"),
                ({**FAILS, "config": {"command": ["rm", "-rf", "/srv"]}}, "grants.commands"),
                ({**FAILS, "config": {"command": "greet", "user": "root"}}, "user root is not granted"),
                ({**FAILS, "config": {"command": "greet", "environment": {"LD_PRELOAD": "/x"}}}, "LD_PRELOAD"),
            ):
                text = as_yaml(name="mine", **fields)
                done = place.ctl("task", "create", "-f", "-", stdin=text, before=NOBODY)
                assert (done.returncode, told in done.stderr) == (7, True), done
            text = as_yaml(name="mine", **{**FAILS, "config": {"command": "greet"}})
            assert place.ctl("task", "create", "-f", "-", stdin=text, before=NOBODY).returncode == 0
            done = place.ctl("--json", "execute", "mine", before=NOBODY)
            assert (done.returncode, json.loads(done.stdout)["requested_by"]) == (0, "nobody")
            text = as_yaml(name="logs", **logs, config={"log_paths": [f"{granted}/*.log"], "retention_days": 1})
            assert place.ctl("task", "create", "-f", "-", stdin=text, before=NOBODY).returncode == 0
            root_s = as_yaml(name="root-s", **FAILS)
            assert place.ctl("task", "create", "-f", "-", stdin=root_s).returncode == 0
        with place.serving():
            assert [task["name"] for task in place.json("task", "list")["items"]] == ["logs", "mine", "root-s"]
            assert place.ctl("execute", "mine").returncode == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root makes objects beyond the grants")
    def test_what_root_made_beyond_the_grants_outlives_a_restart_and_a_row_alone_does_not(self, place: Scene) -> None:
        beyond = [{"file": {"path": "/nowhere/at/all", "exists": False}}]
        made = {
            "window": as_yaml(name="of-root", **window(86400), conditions=beyond),
            "task": as_yaml(name="of-root", **QUICK, conditions=beyond),
            "policy": as_yaml(name="of-root", rules=[{"rate": {"at_most": 9, "within": "1h"}}], actions=["deny"]),
        }
        place.configure()
        with place.serving():
            for kind, text in made.items():
                assert place.ctl(kind, "create", "-f", "-", stdin=text).returncode == 0
        with place.serving():
            for kind in made:
                assert place.ctl(kind, "show", "of-root").returncode == 0, kind
        assert place.dsn is not None
        for table in ("maintenance_windows", "maintenance_tasks"):
            server.execute(place.dsn, f"UPDATE {table} SET seal = NULL")
        with place.serving():
            alerts = place.json("status")["alerts"]
            for kind in ("window", "task"):
                assert place.ctl(kind, "show", "of-root").returncode == 4, kind
                assert [one for one in alerts if one["message"].startswith(f"{kind} of-root is not in force")], alerts


class TestReload:
    def test_a_good_file_is_applied_and_a_bad_one_is_not(self, place: Scene) -> None:
        place.configure(tasks={"one": QUICK, "two": QUICK})
        with place.serving():
            place.configure(tasks={"two": {**QUICK, "priority": "high"}, "three": QUICK}, windows={"w": window(60)})
            assert place.json("reload") == {
                "applied": True,
                "changes": {
                    "tasks": {"added": ["three"], "changed": ["two"], "removed": ["one"]},
                    "windows": {"added": ["w"], "changed": [], "removed": []},
                    "policies": {"added": [], "changed": [], "removed": []},
                    "freezes": {"added": [], "changed": [], "removed": []},
                    "settings": {"changed": []},
                },
                "warnings": [],
            }
            freezes = {"f": {"from": "2199-12-01", "to": "2199-12-31"}}
            rest = {"tasks": {"two": {**QUICK, "priority": "high"}, "three": QUICK}, "windows": {"w": window(60)}}
            place.configure(**rest, freezes=freezes, rollback={"low_space": "5%"}, enabled=False)
            said = place.ctl("reload").stdout
            assert "setting rollback.low_space changed" in said
            assert "setting scheduler.enabled changed" in said
            assert "freeze f added" in said
            place.configure(tasks={"two": {**QUICK, "priority": "high"}, "three": QUICK}, windows={"w": window(60)})
            place.json("reload")
            place.config.write_text(place.config.read_text().replace('"noop"', '"nop"') + "\nfoo: 1\n")
            for verb in ("reload", "config check"):
                done = place.ctl(*verb.split())
                assert done.returncode == 7, verb
                assert all(line.startswith(f"jamaintctl: {place.config}:") for line in done.stderr.splitlines())
            place.config.write_text(place.config.read_text().removesuffix("\nfoo: 1\n"))
            done = place.ctl("config", "check")
            assert done.returncode == 7
            assert len(done.stderr.splitlines()) == 2
            assert re.search(r"jamaintd.yaml:\d+:\d+: tasks.two.executor: .*noop", done.stderr)
            assert {task["name"] for task in place.json("task", "list")["items"]} == {"two", "three"}
            status = place.json("status")
            assert status["overall"] == "issues"
            assert [alert["kind"] for alert in status["alerts"]] == ["configuration_refused"]
            place.config.write_text(place.config.read_text().replace('"nop"', '"noop"'))
            assert place.json("config", "check")["ok"] is True
            assert place.json("reload")["changes"]["tasks"] == {"added": [], "changed": [], "removed": []}
            assert place.json("status")["alerts"] == []

    def test_what_only_a_restart_can_change_is_said(self, place: Scene) -> None:
        place.configure(tasks={"one": QUICK})
        with place.serving():
            place.configure(tasks={"one": QUICK}, socket={"path": f"{place.socket}2", "mode": "0600"})
            for _ in range(2):  # it stays true
                assert place.json("reload")["warnings"] == [
                    "socket: a change takes effect at the next start of the daemon",
                ]

    def test_an_every_schedule_keeps_its_beat(self, place: Scene) -> None:
        """Or a task of every hour would never run where something is changed more often."""
        tasks: dict[str, Any] = {"hourly": {**QUICK, "schedule": {"every": "1h"}}}
        place.configure(tasks=tasks)
        with place.serving():
            due = place.json("task", "show", "hourly")["next_due"]
            place.json("task", "create", "-f", "-", stdin=as_yaml(name="other", **QUICK))
            place.json("task", "disable", "other")
            place.configure(tasks={**tasks, "more": QUICK})
            place.json("reload")
            assert place.json("task", "show", "hourly")["next_due"] == due
            place.configure(tasks={"hourly": {**QUICK, "schedule": {"every": "2h"}}})
            place.json("reload")
            assert place.json("task", "show", "hourly")["next_due"] > due


class TestASecondDaemon:
    def test_on_the_same_database(self, place: Scene) -> None:
        place.configure(tasks={"one": QUICK})
        second = place.config.with_name("second.yaml")
        text = place.config.read_text().replace("/sock", "/sock2").replace("/state", "/state2")
        second.write_text(text)
        with place.serving():
            said = _fails(second)
            assert re.search(r"cannot use the database: jamaintd, process \d+ on \S+, since .* uses it already", said)
            assert said.count("uses it already") == 1
            assert place.ctl("execute", "one").returncode == 0
        with Scene(place.directory, place.dsn).serving():
            pass

    def test_with_the_same_embedded_one(self) -> None:
        with scene(None) as place:
            place.configure(tasks={"one": QUICK})
            second = place.config.with_name("second.yaml")
            second.write_text(place.config.read_text().replace("/sock", "/sock2"))
            with place.serving():
                assert "Traceback" not in _fails(second)
                assert place.ctl("execute", "one").returncode == 0


def _fails(config: Path) -> str:
    failing = Daemon(config)
    assert not failing.wait_ready()
    assert failing.wait() == 1
    return config.with_suffix(".log").read_text()
