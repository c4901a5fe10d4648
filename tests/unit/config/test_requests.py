"""Tasks and windows that come through the socket: the same rules, and what the grants allow."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.config import Grants, Known, parse_policy, parse_task, parse_window
from jamaint.config.schedules import TaskSchedule
from jamaint.config.task_window_models import TaskGiven
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.executors.command.config import RunCommand
from jamaint.executors.logs_cleanup.config import LogsCleanup

FILE = "/etc/jamaint/jamaintd.yaml"
NO_NAME = (
    f"must be a name in grants.commands (reindex, restore): add the command there, in {FILE}, and write its name here"
)
GRANTS = Grants(
    paths=("/var/log/ja-cms", "/srv/uploads/tmp"),
    commands={"reindex": ("/usr/bin/ja-cms", "reindex"), "restore": ("/usr/bin/ja-cms", "restore")},
    users=("www-data",),
    file=FILE,
)
NONE = Grants(file=FILE)
KNOWN = Known(
    tasks={
        "backup": {"name": "backup", "executor": "noop"},
        "off": {"name": "off", "executor": "noop", "enabled": False},
    },
    windows={"nightly": {}},
    commands=GRANTS.commands,
    state_dir="/var/lib/jamaint",
)


def task(grants=GRANTS, known=KNOWN, **given):
    return parse_task({"name": "x", **given}, origin="api", grants=grants, known=known)


def refusal(grants=GRANTS, known=KNOWN, **given) -> JamaintError:
    with pytest.raises(JamaintError) as caught:
        task(grants, known, **given)
    assert caught.value.code == INVALID_PARAMS
    return caught.value


def logs(**config):
    return {"type": "cleanup", "category": "logs", "config": {"retention_days": 3, **config}}


def command(**config):
    return {"type": "custom", "config": {"command": "reindex", **config}}


def test_a_task_as_it_was_given():
    given = {"name": "x", **command(), "schedule": {"window": "nightly"}, "dependencies": [{"task": "backup"}]}
    made = parse_task(given, origin="api", grants=GRANTS, known=KNOWN)
    assert (made.name, made.origin, made.executor) == ("x", "api", "command")
    assert made.config["command"] == ["/usr/bin/ja-cms", "reindex"]
    assert made.definition == given
    assert parse_task(made.definition, origin="api", grants=GRANTS, known=KNOWN) == made


@pytest.mark.parametrize("user", ["root", "backup"])
def test_rotation_scripts_of_a_user_who_is_not_granted(user):
    given = {
        "executor": "logs.rotate",
        "config": {
            "log_paths": ["/var/log/ja-cms/*.log"],
            "keep": 3,
            "user": "www-data",
            "postrotate": "reindex",
            "scripts": {"user": user},
        },
    }
    grants = replace(GRANTS, users=("www-data", "root"))
    (mistake,) = refusal(grants, **given).data["mistakes"]
    assert mistake["path"] == "config.scripts.user"
    assert task(None, **given).config["scripts"] == {"user": user, "per_log": False}
    given["config"]["scripts"] = {"user": "www-data"}
    assert task(grants, **given).config["scripts"] == {"user": "www-data", "per_log": False}


ROTATION = {"log_paths": ["/var/log/ja-cms/*.log"], "keep": 3}


@pytest.mark.parametrize("user", [{}, {"user": "owner"}])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prerotate", "reindex"),
        ("postrotate", "reindex"),
        ("signal", {"pid_file": "/var/log/ja-cms/app.pid", "signal": "HUP"}),
    ],
)
def test_rotation_scripts_with_the_rights_of_root_by_default(user, key, value):
    given = {"executor": "logs.rotate", "config": {**ROTATION, **user, key: value}}
    grants = replace(GRANTS, users=("www-data", "root", "owner"))
    (mistake,) = refusal(grants, **given).data["mistakes"]
    assert mistake["path"] == f"config.{key}"
    assert "scripts: { user: NAME }" in mistake["problem"]
    assert task(None, **given).config[key]
    given["config"]["scripts"] = {"user": "www-data"}
    assert task(grants, **given).config["scripts"]["user"] == "www-data"


def test_rotation_scripts_for_each_log_are_no_granted_command():
    given = {"executor": "logs.rotate", "config": {**ROTATION, "user": "www-data", "postrotate": "reindex"}}
    assert task(**given).config["postrotate"]
    given["config"]["scripts"] = {"per_log": True}
    (mistake,) = refusal(**given).data["mistakes"]
    assert mistake["path"] == "config.scripts.per_log"
    assert task(None, **given).config["scripts"]["per_log"]


def test_all_mistakes_at_once():
    problem = refusal(
        type="cleanup", category="logs", timeout=30, config={"log_paths": ["log/x"]}, schedule={"window": "day"}
    )
    assert problem.data["mistakes"] == [
        {"path": "timeout", "problem": "needs a unit: 30s, 30m, 30h or 30d"},
        {"path": "config.log_paths[0]", "problem": "must be an absolute path, from /, not log/x"},
        {"path": "config.retention_days", "problem": "is missing: how many days a log is kept, such as 30"},
        {"path": "schedule.window", "problem": "there is no window day: there are nightly"},
    ]
    assert (problem.data["path"], problem.data["problem"]) == ("timeout", "needs a unit: 30s, 30m, 30h or 30d")
    assert problem.message.startswith("timeout: needs a unit: 30s, 30m, 30h or 30d; config.log_paths[0]: must be")


@pytest.mark.parametrize("name", [None, "", "Big", "a b", "-a", "a" * 64, 5, ["a"]])
def test_no_name(name):
    (mistake,) = refusal(name=name, **command()).data["mistakes"]
    assert mistake["path"] == "name"


@pytest.mark.parametrize(
    "pattern",
    ["/var/log/ja-cms/*.log", "/var/log/ja-cms/a/*/b.log", "/var/log/ja-cms/app.log", "/srv/uploads/tmp/x/./y//*.log"],
)
def test_paths_below_a_granted_one(pattern):
    assert task(**logs(log_paths=[pattern])).config["log_paths"]


@pytest.mark.parametrize(
    ("pattern", "add"),
    [
        ("/var/log/ja-cms2/*.log", "/var/log/ja-cms2"),
        ("/var/log/ja-cms*/x.log", "/var/log"),
        ("/var/log/*.log", "/var/log"),
        ("/var/log/nginx.log", "/var/log/nginx.log"),
        ("/srv/uploads/*/x", "/srv/uploads"),
    ],
)
def test_paths_beside_a_granted_one(pattern, add):
    assert refusal(**logs(log_paths=["/var/log/ja-cms/x", pattern])).data["mistakes"] == [
        {
            "path": "config.log_paths[1]",
            "problem": f"{pattern} is not granted: add {add} to grants.paths in {FILE}, or define this task there",
        }
    ]


def test_a_path_that_climbs_out_of_a_granted_one():
    (mistake,) = refusal(**logs(log_paths=["/var/log/ja-cms/../nginx/*.log"])).data["mistakes"]
    assert mistake["problem"].startswith("/var/log/ja-cms/../nginx/*.log climbs by ..")


def test_every_key_that_names_something_is_bound():
    given = {
        **logs(log_paths=["/var/log/a/x"], archive_logs={"directory": "/srv/b/c", "older_than": "1d"}, user="root"),
        "conditions": [{"disk_free": {"path": "/srv", "min": "1%"}}],
    }
    assert [mistake["path"] for mistake in refusal(**given).data["mistakes"]] == [
        "config.log_paths[0]",
        "config.archive_logs.directory",
        "config.user",
        "conditions[0].disk_free.path",
    ]
    assert task(None, **given).config["user"] == "root"


@pytest.mark.parametrize(
    ("config", "path", "problem"),
    [
        (
            {"command": ["/usr/bin/ja-cms", "reindex"]},
            "config.command",
            NO_NAME,
        ),
        (
            {"rollback_command": ["/bin/sh"]},
            "config.rollback_command",
            NO_NAME,
        ),
        (
            {"user": "root"},
            "config.user",
            f"user root is not granted: add it to grants.users in {FILE}, or define this task there",
        ),
        (
            {"environment": {"LD_PRELOAD": "/tmp/x.so"}},
            "config.environment.LD_PRELOAD",
            f"LD_PRELOAD can only be set in a file: add a command to grants.commands in {FILE}, such as "
            "[/usr/bin/env, LD_PRELOAD=…, …], and name that",
        ),
        (
            {"working_directory": "/srv/x"},
            "config.working_directory",
            f"/srv/x is not granted: add /srv/x to grants.paths in {FILE}, or define this task there",
        ),
    ],
)
def test_a_command_beyond_the_grants(config, path, problem):
    given = command(**config)
    assert refusal(**given).data["mistakes"] == [{"path": path, "problem": problem}]
    assert task(None, **given).executor == "command"


def test_a_command_within_the_grants():
    given = command(rollback_command="restore", user="www-data", working_directory="/srv/uploads/tmp/x")
    assert task(**given).config["rollback_command"] == ["/usr/bin/ja-cms", "restore"]


def test_without_grants_nothing_may_be_named():
    known = Known(state_dir="/var/lib/jamaint")
    assert "there are none" in refusal(NONE, known, **command()).message
    assert "is not granted" in refusal(NONE, known, **logs(log_paths=["/var/log/ja-cms/x"])).message
    assert task(NONE, known, type="custom", executor="noop").executor == "noop"


def test_root_is_not_bound_by_grants_and_yet_by_what_is_protected():
    assert "protected" in refusal(None, **logs(log_paths=["/etc/x.log"])).message
    assert "daemon's own state" in refusal(None, **logs(log_paths=["/var/lib/jamaint/x.log"])).message
    assert task(None, type="custom", config={"command": ["/bin/sh", "-c", "x"]}).config["command"] == [
        "/bin/sh",
        "-c",
        "x",
    ]


def test_no_ring_through_a_new_task():
    tasks = {**KNOWN.tasks, "a": {"dependencies": [{"task": "b"}]}, "b": {"dependencies": [{"task": "x"}]}}
    known = Known(tasks=tasks, windows=KNOWN.windows)
    assert refusal(None, known, executor="noop", dependencies=[{"task": "backup"}, {"task": "a"}]).data["mistakes"] == [
        {
            "path": "dependencies[1].task",
            "problem": "these tasks wait for one another, so none would start: x -> a -> b -> x",
        }
    ]


def test_a_task_that_is_changed_is_not_in_its_own_way():
    known = Known(tasks={"x": {"dependencies": [{"task": "y"}]}, "y": {"dependencies": [{"task": "x"}]}})
    assert task(None, known, executor="noop").dependencies == ()


def test_a_dependency_that_is_disabled():
    assert "off is disabled" in refusal(executor="noop", dependencies=[{"task": "off"}]).message


def test_a_window():
    given = {"name": "w", "schedule": {"cron": "0 2 * * *"}, "duration": 60, "timezone": "Asia/Jakarta"}
    window = parse_window(given, origin="api", grants=NONE, known=KNOWN)
    assert (window.name, window.origin, window.definition) == ("w", "api", given)
    with pytest.raises(JamaintError) as caught:
        parse_window(
            {**given, "conditions": [{"disk_free": {"path": "/srv", "min": "1%"}}]},
            origin="api",
            grants=NONE,
            known=KNOWN,
        )
    assert caught.value.data["path"] == "conditions[0].disk_free.path"
    with pytest.raises(JamaintError) as caught:
        parse_window({**given, "cutoff": 60, "durations": 1}, origin="api", grants=NONE, known=KNOWN)
    assert [mistake["path"] for mistake in caught.value.data["mistakes"]] == ["durations", "cutoff"]


KEYS = st.sampled_from(
    [
        *TaskGiven.model_fields,
        *TaskSchedule.model_fields,
        *LogsCleanup.model_fields,
        *RunCommand.model_fields,
        *("task", "state", "within", "load_average", "disk_free", "max", "min", "path", "share", "items", "x"),
    ]
)
VALUES = st.sampled_from(
    [
        "x",
        "noop",
        "command",
        "custom",
        "cleanup",
        "logs",
        "1h",
        "5%",
        "0 2 * * *",
        "nightly",
        "\x1b[2J",
        "x" * 5000,
        "",
        "/",
        "UTC",
    ]
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300)
@given(st.dictionaries(KEYS, ANY, max_size=8))
def test_whatever_comes_is_a_task_or_a_problem_that_can_be_shown(value):
    try:
        name, problem = parse_task(value, origin="api", grants=GRANTS, known=KNOWN).name, None
    except JamaintError as refused:
        name, problem = None, refused
    if problem is None:
        assert name == value["name"]
    else:
        assert problem.data["mistakes"]
        assert "\x1b" not in problem.message
        assert len(problem.message) < 20_000


FULL = {
    "name": "x",
    "description": "d",
    "type": "cleanup",
    "category": "logs",
    "executor": "logs.cleanup",
    "priority": "low",
    "enabled": True,
    "schedule": {"cron": "0 2 * * *", "timezone": "UTC"},
    "timeout": "30m",
    "on_window_end": "finish",
    "config": {
        "log_paths": ["/srv/uploads/tmp/*.log"],
        "retention_days": 3,
        "exclude": ["a"],
        "compress_logs": {"algorithm": "gzip", "older_than": "1d"},
        "archive_logs": {"directory": "/srv/uploads/tmp/a", "older_than": "1d"},
        "user": "www-data",
    },
    "dependencies": [{"task": "backup", "state": "completed", "within": "1h"}],
    "conditions": [{"disk_free": {"path": "/srv/uploads/tmp", "min": "5%"}}, {"load_average": {"max": 8}}],
    "rollback": {"enabled": True, "auto_rollback": False},
    "mass_deletion": {"share": "25%", "items": 50},
    "notifications": {"on": ["failed"], "channels": ["ops"]},
}
RUN = {
    "name": "x",
    "type": "custom",
    "config": {
        "command": "reindex",
        "rollback_command": "restore",
        "user": "www-data",
        "working_directory": "/srv/uploads/tmp",
        "success_exit_codes": [0],
    },
    "schedule": {"every": "1h"},
}


def paths_in(value, at=()):
    if isinstance(value, dict):
        return [at, *(path for key, item in value.items() for path in paths_in(item, (*at, key)))]
    if isinstance(value, list):
        return [at, *(path for index, item in enumerate(value) for path in paths_in(item, (*at, index)))]
    return [at]


def with_value(value, path, new):
    if not path:
        return new
    if isinstance(value, list):
        return [with_value(item, path[1:], new) if index == path[0] else item for index, item in enumerate(value)]
    return {key: with_value(item, path[1:], new) if key == path[0] else item for key, item in value.items()}


@pytest.mark.parametrize("given", [FULL, RUN])
@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J", "x" * 100_000, "9" * 5000, "9" * 5000 + "\x1bd", "\n", {"\x1b": 1}, ["\x1b"], [[]], -1, 1e300],
)
def test_a_hostile_value_anywhere_is_refused_in_words_that_can_be_shown(given, hostile):
    assert parse_task(given, origin="api", grants=GRANTS, known=KNOWN).name == "x"
    for path in paths_in(given)[1:]:
        value = with_value(given, path, hostile)
        try:
            taken = parse_task(value, origin="api", grants=GRANTS, known=KNOWN)
        except JamaintError as refused:
            said = refused.message
        else:
            # Free text, and a load that is never reached.
            assert path[-1] in ("description", "exclude", "on", 0, "max"), path
            said = taken.name
        assert said.isprintable(), path
        assert len(said) < 2000, path


def test_what_a_configuration_knows(loading):
    config = loading(
        "grants: { commands: { reindex: [/bin/x] } }\n"
        "windows: { nightly: { schedule: { cron: '@daily' }, duration: 5, timezone: UTC } }\n"
        "tasks: { first: { executor: noop, dependencies: [{ task: second }] }, second: { executor: noop } }\n"
    )
    known = Known.of(config, config.tasks, config.windows)
    given = {**command(), "schedule": {"window": "nightly"}, "dependencies": [{"task": "first"}]}
    assert task(config.grants, known, **given).config["command"] == ["/bin/x"]
    (mistake,) = refusal(None, known, name="second", executor="noop", dependencies=[{"task": "first"}]).data["mistakes"]
    assert mistake["problem"].endswith("second -> first -> second")
    assert "there are first, second" in refusal(None, known, executor="noop", dependencies=[{"task": "z"}]).message


@pytest.mark.parametrize(
    ("condition", "path", "problem"),
    [
        ({"command": {"command": ["/bin/true"]}}, "command.command", NO_NAME),
        ({"file": {"path": "/srv/x"}}, "file.path", "/srv/x is not granted: add /srv/x to grants.paths"),
        ({"command": {"command": "reindex", "user": "root"}}, "command.user", "user root is not granted"),
        (
            {"http": {"url": "http://h/"}},
            "http.url",
            f"a server can only be named in a file: define this task in {FILE} or",
        ),
        ({"tcp": {"host": "h", "port": 1}}, "tcp.host", "a server can only be named in a file"),
        (
            {"postgresql": {"dsn": "postgresql://me:secret@/x", "primary": True}},
            "postgresql.dsn",
            f"an address can only stand in a file: add it to grants.databases in {FILE}, and name it with `database`",
        ),
    ],
)
def test_what_a_condition_made_through_the_socket_may_name(condition, path, problem):
    refused = refusal(**command(), conditions=[condition])
    assert refused.data["path"] == f"conditions[0].{path}"
    assert refused.data["problem"].startswith(problem)
    assert "secret" not in refused.message
    if "postgresql" in condition:  # not even root's password may be kept in the database
        condition = {"postgresql": {"dsn": "postgresql://me@/x", "password": {"file": "/etc/pw"}, "primary": True}}
    assert task(None, **command(), conditions=[condition]).conditions


def test_a_condition_names_commands_and_databases_by_their_names():
    known = Known(commands=GRANTS.commands, databases={"cms": "postgresql:///cms"}, state_dir="/s")
    wanted = [{"command": {"command": "reindex"}}, {"postgresql": {"database": "cms", "primary": False}}]
    grants = Grants(commands=GRANTS.commands, databases=known.databases)
    made = task(grants, known, **command(), conditions=wanted).conditions
    assert made[0].params["command"] == ("/usr/bin/ja-cms", "reindex")
    assert (made[1].params["dsn"], made[1].params["name"]) == ("postgresql:///cms", "cms")


@pytest.mark.parametrize(
    ("action", "met"), [("deny", True), ("defer", True), ("require_approval", True), ("allow", False)]
)
def test_policy_condition_unknown_restricts(action: str, met: bool) -> None:
    given = {
        "name": "p",
        "rules": [{"freeze": {"from": "2026-12-20", "to": "2027-01-03"}}],
        "actions": [action],
        "conditions": [{"load_average": {"max": 8}}],
    }
    policy = parse_policy(given, origin="api", grants=None)
    assert [one.unknown_is_met for one in policy.conditions] == [met]
