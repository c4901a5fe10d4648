"""Each mistake that one can make, with its exact place and words: they stand in mistakes.txt."""

import pytest

from jamaint.config.executor_models import CONFIG_OF

CASES = "mistakes.txt"
ROOTS = (
    "/usr /etc /boot /home /root /var /var/lib /bin /sbin /lib /lib64 /dev /proc /sys /run /opt /srv /mnt /media /data"
)


def logs(path: str, days: str = "9") -> str:
    return (
        f"tasks: {{ a: {{ executor: logs.cleanup, config: {{ log_paths: ['{path}'], retention_days: {days} }} }} }}\n"
    )


def test_each_mistake(mistakes, case):
    text, lines = case
    there = ", ".join(sorted(CONFIG_OF))
    assert mistakes(text) == [f"jamaintd.yaml:{line}".replace("{executors}", there) for line in lines]


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "'30'", "30d", "true", "36526"])
def test_retention_is_whole_days_and_at_least_one(mistakes, days):
    text = (
        f"tasks: {{ a: {{ executor: logs.cleanup, config: {{ log_paths: [/srv/a/x], retention_days: {days} }} }} }}\n"
    )
    (line,) = mistakes(text)
    assert "tasks.a.config.retention_days: must be" in line


@pytest.mark.parametrize("root", ROOTS.split(" "))
@pytest.mark.parametrize("shape", ["{}", "{}/x.log", "{}/*.log", "{}/*/x.log"])
def test_a_protected_directory(mistakes, root, shape):
    (line,) = mistakes(logs(shape.format(root)))
    assert "tasks.a.config.log_paths[0]: " in line


@pytest.mark.parametrize(
    "pattern",
    [
        "/var/log/*.log",
        "/var/log/syslog",
        "/var/log/**/*.gz",
        "/usr/local/app/logs/*",
        "/home/ana/logs/*.log",
        "/var/lib/postgresql/15/main/log/*.csv",
        "/home/somebody/.local/state/jamaint/sample/*.log",
        "/srv/app//logs/./*.log",
    ],
)
def test_a_directory_of_an_applications_own(loading, pattern):
    (path,) = loading(logs(pattern)).tasks["a"].config["log_paths"]
    assert path == pattern.replace("//", "/").replace("/./", "/")


def test_a_ring_of_tasks_is_told_once_with_its_way(mistakes):
    text = """\
tasks:
  a: { executor: noop, dependencies: [{ task: b }] }
  b: { executor: noop, dependencies: [{ task: d }, { task: c }] }
  c: { executor: noop, dependencies: [{ task: b }] }
  d: { executor: noop }
"""
    assert mistakes(text) == [
        "jamaintd.yaml:3:60: tasks.b.dependencies[1].task: these tasks wait for one another, so none would start: "
        "b -> c -> b"
    ]


def test_a_chain_of_thousands_is_no_ring(loading):
    tasks = [f"  t{n}: {{ executor: noop, dependencies: [{{ task: t{n + 1} }}] }}\n" for n in range(3000)]
    assert len(loading(f"tasks:\n{''.join(tasks)}  t3000: {{ executor: noop }}\n").tasks) == 3001


def test_a_ring_of_thousands(mistakes):
    tasks = [f"  t{n}: {{ executor: noop, dependencies: [{{ task: t{(n + 1) % 3000} }}] }}\n" for n in range(3000)]
    (line,) = mistakes(f"tasks:\n{''.join(tasks)}")
    assert line.endswith("-> t2999 -> t0")


def test_a_directory_that_holds_the_state(mistakes):
    (line,) = mistakes(logs("/srv/a/b"), JAMAINT_STATE_DIR="/srv/a/b/c")
    assert line.endswith("/srv/a, which is or holds the daemon's own state (/srv/a/b/c): name another one")
    (line,) = mistakes(logs("/srv/a/b/c/postgres/data/log/*"), JAMAINT_STATE_DIR="/srv/a/b/c")
    assert line.endswith("where a database keeps its files: name another directory")
