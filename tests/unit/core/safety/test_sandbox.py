"""What workers are to reach, from tasks and grants; and what a worker refuses of an opening."""

from dataclasses import replace
from typing import Any

import pytest

from jamaint.core.safety.sandbox import fences, not_applied, refused, refused_step, topmost
from jamaint.core.tasks import Task


def task(name: str, executor: str, **config: Any) -> Task:
    return Task(id=name, schedule=None, name=name, type="custom", category="system", executor=executor, config=config)


TASKS = (
    task("logs", "logs.cleanup", log_paths=["/var/log/app/*.log", "/var/log/app/old/*.log"]),
    task("theirs", "temp.cleanup", paths=[{"path": "/srv/www/tmp"}], user="www-data"),
    task("reindex", "command", command=["/usr/bin/app", "reindex"], environment={"A": "1"}, user="app"),
    task("rows", "database.cleanup", dsn="postgresql://cms@db/cms"),
    task("all", "system.cleanup", kinds=[
        {"kind": "temp", "config": {"paths": [{"path": "/var/tmp/app"}]}},
        {"kind": "cache", "config": {"redis": {"url": "redis://cache/0"}}},
    ]),
)  # fmt: skip
WANTED, PROBLEMS = fences(TASKS, ["/srv/granted"], ["backup"], [["/usr/bin/sync"]])
APPLIED = WANTED.to_json()


def test_each_kind_gets_what_its_tasks_name() -> None:
    assert not PROBLEMS
    assert WANTED.paths["files"] == ("/srv/granted", "/var/log/app", "/var/tmp/app")
    assert WANTED.paths["files-www-data"] == ("/srv/www/tmp",)
    assert WANTED.paths["files-backup"] == ("/srv/granted",)
    assert set(WANTED.users) == {
        "files-www-data", "commands-app", "files-backup", "databases-backup", "commands-backup",
    }  # fmt: skip


def test_a_directory_in_another_is_no_mount_of_its_own() -> None:
    assert topmost(["/a/b", "/a", "/a/b/c", "/ab", "/c"]) == ("/a", "/ab", "/c")


@pytest.mark.parametrize(
    ("kind", "executor", "config", "why"),
    [
        ("files", "logs.cleanup", {"log_paths": ["/var/log/app/x/*.log"]}, None),
        ("files", "logs.cleanup", {"log_paths": ["/var/log/*.log"]}, "/var/log is not bound"),
        ("files", "logs.cleanup", {"log_paths": ["/var/log/application/*.log"]}, "/var/log/application is not bound"),
        ("files-www-data", "temp.cleanup", {"paths": [{"path": "/var/log/app"}]}, "/var/log/app is not bound"),
        ("files-other", "temp.cleanup", {"paths": []}, "has no worker files-other"),
        ("commands", "command", {"command": ["/usr/bin/sync"]}, None),
        ("commands-app", "command", {"command": ["/usr/bin/app", "reindex"], "environment": {"A": "1"}}, None),
        ("commands-app", "command", {"command": ["/usr/bin/app", "reindex"], "environment": {"A": "2"}}, "its command"),
        ("commands", "command", {"command": ["/usr/bin/app", "reindex"], "environment": {"A": "1"}}, "its command"),
        ("commands-backup", "command", {"command": ["/usr/bin/app", "reindex"], "environment": {"A": "1"}}, "for that"),
        ("commands-backup", "command", {"command": ["/usr/bin/sync"]}, None),
        ("commands-app", "command", {"command": ["/usr/bin/sync"]}, "for that user"),
        ("files", "command", {"command": ["/usr/bin/sync"]}, "its command"),
        ("packages", "command", {"command": ["/usr/bin/app", "reindex"], "environment": {"A": "1"}}, "for that user"),
        ("packages", "command", {"command": ["/bin/sh"]}, "its command"),
        ("packages", "logs.rotate", {"log_paths": [], "postrotate": ["/bin/sh"]}, "its command"),
        ("commands", "command", {"command": ["/usr/bin/sync"], "rollback_command": ["/bin/sh"]}, "its command"),
        ("databases", "database.cleanup", {"dsn": "postgresql://other@db/cms"}, None),
        ("databases", "database.cleanup", {"dsn": "postgresql://cms@db/mysql"}, "database mysql on db is none"),
    ],
)
def test_a_worker_does_what_was_applied_and_nothing_else(
    kind: str, executor: str, config: dict[str, Any], why: str | None
) -> None:
    said = refused(kind, executor, config, APPLIED)
    assert said is None if why is None else why in (said or "")


ROTATED = task(
    "shop", "logs.rotate", log_paths=["/srv/shop/logs/*.log"], user="shop", postrotate=["/srv/shop/reopen"],
    scripts={"user": "shop", "per_log": False}, signal={"pid_file": "/run/shop/app.pid", "signal": "HUP"},
)  # fmt: skip
BOTH = task(
    "both", "cache.cleanup", directories=[{"path": "/srv/cache"}],
    redis={"url": {"address": "redis://cache/0", "password": {"secret": {"file": "/etc/jamaint/redis"}}}},
)  # fmt: skip


@pytest.mark.parametrize(
    ("executor", "changes", "why"),
    [
        ("logs.rotate", {}, None),
        ("logs.rotate", {"log_paths": ["/srv/granted/*.log"]}, None),
        ("logs.rotate", {"log_paths": ["/etc/cron.d/*"]}, "/etc/cron.d is none of the configuration's"),
        ("logs.cleanup", {"log_paths": ["/var/log/*.log"], "user": "owner"}, "/var/log is none of"),
        ("logs.cleanup", {"archive": {"directory": "/etc"}}, "/etc is none of"),
        ("logs.rotate", {"user": None, "scripts": None}, "its command is none of the configuration's for that user"),
        ("logs.rotate", {"scripts": {"user": "root"}}, "for that user"),
        ("logs.rotate", {"scripts": None, "user": "owner"}, "for that user"),
        ("logs.rotate", {"postrotate": ["/usr/bin/sync"], "scripts": None, "user": "owner"}, None),
        ("logs.rotate", {"postrotate": ["/usr/bin/sync"], "scripts": {"user": "backup"}}, None),
        ("logs.rotate", {"postrotate": ["/usr/bin/sync"], "scripts": {"user": "postgres"}}, "for that user"),
        ("logs.rotate", {"signal": {"pid_file": "/run/sshd.pid", "signal": "USR1"}}, "/run/sshd.pid is none of"),
        ("logs.rotate", {"log_paths": [{"secret": {"file": "/etc/shadow"}}]}, "/etc/shadow, which is to hold"),
    ],
)
def test_worker_that_sees_the_machine_whole_works_where_and_as_whom_it_is_told(
    executor: str, changes: dict[str, Any], why: str | None
) -> None:
    wanted, problems = fences([*TASKS, ROTATED, BOTH], ["/srv/granted"], ["backup"], [["/usr/bin/sync"]])
    assert problems == []
    for back in (False, True):
        if back and "postrotate" in changes:  # what grants name is no way back's alone
            continue
        said = refused("packages", executor, {**ROTATED.config, **changes}, wanted.to_json(), back=back)
        assert said is None if why is None else why in (said or "")
    said = refused("packages", "cache.cleanup", BOTH.config, wanted.to_json())
    assert said is None
    step = {"undo": {"roots": [{"path": "/srv/shop/logs"}, {"path": "/etc"}]}}
    assert "/etc is none of the configuration's" in str(refused_step("packages", step, wanted.to_json()))


def test_what_is_left_to_apply_is_told_by_name() -> None:
    assert not_applied(WANTED, APPLIED) == []
    more, _ = fences([*TASKS, task("new", "temp.cleanup", paths=[{"path": "/srv/new"}])], ["/srv/granted"], ["backup"])
    assert not_applied(more, APPLIED) == [
        "/srv/new (new): not bound into the worker for files: run jamaintctl config apply as root"
    ]
    never = not_applied(WANTED, {})
    assert "there is no worker files: run jamaintctl config apply as root" in never


def test_owner_is_no_user_with_workers_of_its_own() -> None:
    owned = task("www", "logs.rotate", log_paths=["/srv/www/*/logs/*.log"], user="owner")
    found, problems = fences([owned], users=["owner"])
    assert (problems, found.users) == ([], ())
    assert found.paths["packages"] == ("/srv/www",)


def test_trusted_groups_are_applied_and_told_until_then() -> None:
    wanted = replace(WANTED, trust=("syslog",))
    assert not_applied(wanted, wanted.to_json()) == []
    assert not_applied(wanted, APPLIED) == [
        "trust.groups has syslog, which the workers do not trust yet: run jamaintctl config apply as root"
    ]


def test_unbound_directory_is_told_with_reason_and_tasks() -> None:
    why = "it belongs to otto: set `user: otto` on the task"
    applied = {**APPLIED, "kinds": {**APPLIED["kinds"], "files": []}, "unbound": {"files": {"/var/log/app": why}}}
    said = next(text for text in not_applied(WANTED, applied) if text.startswith("/var/log/app"))
    assert said == (
        f"/var/log/app (logs): not bound into the worker for files: {why}; then run jamaintctl config apply as root"
    )
    refusal = refused("files", "logs.cleanup", {"log_paths": ["/var/log/app/x/*.log"]}, applied) or ""
    assert refusal.endswith(f"{why}; then run jamaintctl config apply as root")
    step = {"args": {"path": "/var/log/app/x"}}
    assert refused_step("files", step, applied) == (
        f"/var/log/app/x is not bound into the worker for files: {why}; then run jamaintctl config apply as root"
    )


def test_namers_are_all_tasks_and_grants_of_a_directory() -> None:
    below, above = [{"path": "/srv/x/b"}], [{"path": "/srv/x"}]
    found, _ = fences([task("b", "temp.cleanup", paths=below), task("a", "temp.cleanup", paths=above)], ["/srv/x"])
    assert found.namers("files", "/srv/x") == ["a", "b", "grants.paths"]
    assert found.namers("files", "/srv/x/b") == ["b"]


def test_address_without_database_is_called_a_server() -> None:
    cache = task("keys", "cache.cleanup", redis={"url": "redis://localhost:6379"})
    wanted, _ = fences([cache])
    (said,) = not_applied(wanted, {"kinds": wanted.to_json()["kinds"]})
    assert said == "the server on localhost:6379 is not known to the workers: run jamaintctl config apply as root"


def test_a_user_whom_no_unit_can_be_named_after_is_a_problem_and_no_more() -> None:
    found, problems = fences([task("odd", "command", command=["/bin/true"], user="a@b")], users=["c@d"])
    assert len(problems) == 2
    assert "files" in found.paths


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"args": {"root": "/var/log/app/old", "prefix": "/x"}}, None),
        ({"args": {"root": "/srv/elsewhere", "prefix": "x"}}, "/srv/elsewhere is not bound"),
        ({"args": {"root": "/var/log/app/../../../etc"}}, "/etc is not bound"),
        ({"undo": {"roots": [{"path": "/var/tmp/app"}, {"path": "/home"}]}}, "/home is not bound"),
        ({"undo": {"kind": "temp", "steps": [{"undo": {"roots": [{"path": "/home"}]}}]}}, "/home is not bound"),
        ({"sample": [{"path": "/a key of a cache"}], "args": {}, "undo": None}, None),
    ],
)
def test_a_step_names_no_other_directory_than_its_opening_may(step: dict[str, Any], why: str | None) -> None:
    said = refused_step("files", step, APPLIED)
    assert said is None if why is None else why in str(said)
    assert refused_step("commands", step, APPLIED) is None
