"""Who is asked for the size of what, and what is said of that which nobody was given."""

from typing import Any

from jamaint.core.capacity import Measurer, Target, targets
from jamaint.core.safety.sandbox import fences
from jamaint.core.tasks import Task
from jamaint.daemon.monitoring.measurers import assigned


def task(name: str, executor: str, **config: Any) -> Task:
    return Task(id=name, schedule=None, name=name, type="custom", category="system", executor=executor, config=config)


TASKS = (
    task("logs", "logs.cleanup", log_paths=["/var/log/app/*.log"]),
    task("nginx", "logs.rotate", log_paths=["/var/log/nginx/*.log"], postrotate=["/bin/true"]),
    task("shop", "logs.rotate", log_paths=["/srv/shop/log/*.log"], user="shop"),
    task("rows", "database.cleanup", dsn="postgresql:///cms", user="postgres"),
    task("all", "system.cleanup", kinds=[
        {"kind": "temp", "config": {"paths": [{"path": "/var/tmp/app"}]}},
        {"kind": "cache", "config": {"redis": {"url": "redis://cache/0"}}},
    ]),
)  # fmt: skip
WANTED = [one for one in targets(TASKS, "/var/lib/jamaint") if one.kind != "storage"]
LOGS, NGINX, SHOP = (Target("logs", path) for path in ("/var/log/app", "/var/log/nginx", "/srv/shop/log"))
TEMP, ROWS = Target("temp", "/var/tmp/app"), Target("database", "postgresql:///cms")
KEYS = Target("cache", "redis://cache/0")
APPLIED = fences(TASKS)[0].to_json()


def test_assigned_asks_the_worker_of_each_target_s_task() -> None:
    groups, answers = assigned(WANTED, TASKS, APPLIED)
    assert answers == {}
    assert groups == {
        Measurer("databases", None): [KEYS],
        Measurer("databases-postgres", "postgres"): [ROWS],
        Measurer("files-shop", "shop"): [SHOP],
        Measurer("files", None): [LOGS, TEMP],
        Measurer("packages", None): [NGINX],
    }


def test_assigned_asks_a_child_of_the_daemon_for_each_user() -> None:
    groups, answers = assigned(WANTED, TASKS, None)
    assert answers == {}
    assert groups == {
        Measurer("", None): [KEYS, LOGS, NGINX, TEMP],
        Measurer("", "postgres"): [ROWS],
        Measurer("", "shop"): [SHOP],
    }


def test_assigned_says_of_what_was_not_given_that_and_why() -> None:
    why = "it belongs to shop: set `user: shop` on the task"
    kinds = {"files": ["/var/tmp/app"], "databases": [], "packages": [], "databases-postgres": []}
    _, answers = assigned([LOGS, SHOP, TEMP], TASKS, {"kinds": kinds, "unbound": {"files": {"/var/log/app": why}}})
    assert {one: answer["problem"] for one, answer in answers.items()} == {
        LOGS: "not given to the worker for files, which would measure it: "
        f"{why}; then run jamaintctl config apply as root",
        SHOP: "there is no worker files-shop, which would measure it: run jamaintctl config apply as root",
    }


def test_assigned_prefers_a_worker_that_was_given_the_directory() -> None:
    both = (*TASKS, task("also", "logs.rotate", log_paths=["/var/log/app/*.log"], user="shop"))
    kinds = {"files": [], "files-shop": ["/var/log/app"]}
    groups, _ = assigned([LOGS], both, {"kinds": kinds})
    assert groups == {Measurer("files-shop", "shop"): [LOGS]}


def test_assigned_asks_for_a_disk_where_its_directory_is_measured() -> None:
    groups, _ = assigned([Target("storage", SHOP.name)], TASKS, APPLIED)
    assert groups == {Measurer("files-shop", "shop"): [Target("storage", SHOP.name)]}
