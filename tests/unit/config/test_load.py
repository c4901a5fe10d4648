"""Loading whole configurations: what a good one becomes, and all mistakes of a bad one at once."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest

from jamaint.config import ConfigError, Database, Grants, Roles, mistakes_text, shown_config
from jamaint.core.plans import MassDeletion
from jamaint.core.recurrence import Schedule
from jamaint.core.tasks import Condition, Dependency, RollbackRule
from jamaint.errors import INVALID_PARAMS, JamaintError

CONTRACT = """\
database: { dsn: postgresql:///jamaint }
socket:   { path: /run/jamaint/jamaintd.sock, mode: "0660", group: root }
roles:    { viewer: [group:root, daemon], operator: ["user:daemon"], admin: [root] }
state_dir: /var/lib/jamaint
grants:
  paths: [/var/log/ja-cms, /srv/uploads/tmp]
  databases: { cms: "postgresql://jamaint@/cms" }
  commands: { reindex-search: [/usr/bin/ja-cms, reindex] }
  users: [daemon]
scheduler: { enabled: true, max_concurrent_tasks: 4, misfire_grace: 1h }
rollback:  { retention: 7d, low_space: 10% }

windows:
  nightly:
    description: every night
    schedule: { cron: "0 2 * * *" }
    duration: 120
    timezone: Asia/Jakarta
    cutoff: 15
    allowed_tasks: [cleanup, optimization, backup]
    max_concurrent_tasks: 3
    emergency_override: true
    conditions: [{ load_average: { max: 8 } }]

tasks:
  nightly-backup:
    type: custom
    schedule: { every: 90m }
    config: { command: [/usr/bin/backup] }
  app-logs:
    description: rotate and expire the application's logs
    type: cleanup
    category: logs
    priority: high
    schedule: { window: nightly }
    timeout: 30m
    on_window_end: cancel
    config:
      log_paths: ["/var/log/ja-cms/*.log*"]
      retention_days: 30
      compress_logs: { algorithm: zstd, older_than: 1d }
      archive_logs: { directory: /var/backups/logs, older_than: 7d }
    dependencies: [{ task: nightly-backup, state: completed, within: 24h }]
    conditions: [{ disk_free: { path: /var, min: 5% } }, { disk_free: { path: /srv, min: 2GiB } }]
    rollback: { enabled: true, auto_rollback: true }
    mass_deletion: { share: 20%, items: 60 }
"""


def test_the_contracts_example(loading):
    config = loading(CONTRACT)
    assert config.warnings == ()
    assert config.loaded_at == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert config.database == Database("postgresql:///jamaint", None)
    assert (config.socket.path, config.socket.mode, config.socket.group) == (
        "/run/jamaint/jamaintd.sock",
        0o660,
        "root",
    )
    assert config.roles == Roles((("group", "root"), ("user", "daemon")), (("user", "daemon"),), (("root", "root"),))
    assert config.state_dir == "/var/lib/jamaint"
    assert config.grants == Grants(
        ("/var/log/ja-cms", "/srv/uploads/tmp"),
        {"cms": "postgresql://jamaint@/cms"},
        {"reindex-search": ("/usr/bin/ja-cms", "reindex")},
        ("daemon",),
        config.path,
    )
    assert (config.scheduler.enabled, config.scheduler.max_concurrent_tasks) == (True, 4)
    assert config.scheduler.misfire_grace_seconds == 3600
    assert (config.rollback.retention_seconds, config.rollback.low_space) == (604800, 0.1)
    assert (config.log.format, config.log.level) == (None, "info")

    window = config.windows["nightly"]
    assert window.schedule == Schedule(cron="0 2 * * *", timezone="Asia/Jakarta")
    assert (window.duration_minutes, window.cutoff_minutes, window.max_concurrent_tasks) == (120, 15, 3)
    assert window.allowed_tasks == ("cleanup", "optimization", "backup")
    assert window.conditions == (Condition("load_average", {"max": 8.0, "minutes": 1, "per_cpu": False}),)
    assert window.emergency_override
    assert window.enabled

    task = config.tasks["app-logs"]
    assert task.executor == "logs.cleanup"
    assert task.schedule == Schedule(window="nightly")
    assert task.config == {
        "log_paths": ["/var/log/ja-cms/*.log*"],
        "retention_seconds": 2592000.0,
        "compress": {"algorithm": "zstd", "older_than_seconds": 86400.0},
        "archive": {"directory": "/var/backups/logs", "older_than_seconds": 604800.0},
        "exclude": [],
        "user": None,
    }
    assert (task.priority, task.timeout_seconds, task.on_window_end) == ("high", 1800, "cancel")
    assert task.dependencies == (Dependency("nightly-backup", "completed", 86400),)
    assert task.conditions == (
        Condition("disk_free", {"path": "/var", "min_share": 0.05}),
        Condition("disk_free", {"path": "/srv", "min_bytes": 2 << 30}),
    )
    assert task.rollback == RollbackRule(True, True)
    assert task.mass_deletion == MassDeletion(0.2, 60)
    assert task.origin == "file"
    assert task.definition["config"]["retention_days"] == 30
    assert config.tasks["nightly-backup"].schedule == Schedule(every_seconds=5400)


def test_it_cannot_be_changed(loading):
    with pytest.raises(FrozenInstanceError):
        loading(CONTRACT).state_dir = "/elsewhere"


def test_ids_depend_on_the_kind_and_name_alone(loading):
    window = "windows: { a: { schedule: { cron: '@daily' }, duration: 5, timezone: UTC } }\n"
    text = window + "tasks: { a: { executor: noop } }\n"
    first = loading(text)
    second = loading(text.replace("duration: 5", "duration: 6"))
    assert first.tasks["a"].id == second.tasks["a"].id
    assert first.windows["a"].id == second.windows["a"].id
    assert first.windows["a"].id != first.tasks["a"].id


def test_a_task_of_few_words(loading):
    task = loading("tasks: { nap: { type: custom, executor: noop } }\n").tasks["nap"]
    assert (task.type, task.category, task.executor, task.schedule) == ("custom", "system", "noop", None)
    assert task.config == {}
    assert task.definition == {"name": "nap", "type": "custom", "executor": "noop"}


def test_an_executor_says_the_type_and_category_that_are_left_out(loading):
    text = "tasks: { a: { executor: logs.cleanup, config: { log_paths: [/srv/a/x.log], retention_days: 1 } } }\n"
    task = loading(text).tasks["a"]
    assert (task.type, task.category) == ("cleanup", "logs")


def test_a_command_in_full(loading):
    text = """\
tasks:
  index:
    type: custom
    config:
      command: [/usr/bin/sort, -n, 5, ""]
      rollback_command: [undo]
      user: daemon
      environment: { PORT: 5432, TIME: 2:30, EMPTY: "" }
      working_directory: /srv//app/
      success_exit_codes: [3, 0, 3]
"""
    assert loading(text).tasks["index"].config == {
        "command": ["/usr/bin/sort", "-n", "5", ""],
        "rollback_command": ["undo"],
        "user": "daemon",
        "environment": {"PORT": "5432", "TIME": "2:30", "EMPTY": ""},
        "working_directory": "/srv/app",
        "success_exit_codes": [0, 3],
    }


def test_compress_logs_true_and_false(loading):
    text = "tasks: {{ a: {{ executor: logs.cleanup, config: {{ log_paths: [/srv/a/x], retention_days: 9, {} }} }} }}\n"
    switched = {value: loading(text.format(f"compress_logs: {value}")).tasks["a"].config for value in ("true", "false")}
    assert switched["true"]["compress"] == {"algorithm": "gzip", "older_than_seconds": 86400.0}
    assert switched["false"]["compress"] is None


def test_keys_without_a_value_are_left_out(loading):
    text = "scheduler:\npolicies: {}\ncleanup:\ntasks:\n  nap:\n    executor: noop\n    conditions:\n    schedule:\n"
    config = loading(text)
    assert config.scheduler.max_concurrent_tasks == 4
    assert config.tasks["nap"].conditions == ()


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("{ at: 2026-12-24T01:00, timezone: Asia/Jakarta }", datetime(2026, 12, 23, 18, tzinfo=UTC)),
        ("{ at: 2026-12-24 01:00:30 }", datetime(2026, 12, 24, 1, 0, 30, tzinfo=UTC)),
        ("{ at: '2026-12-24T01:00Z' }", datetime(2026, 12, 24, 1, tzinfo=UTC)),
        ("{ at: '2026-12-24T01:00+07:00' }", datetime(2026, 12, 23, 18, tzinfo=UTC)),
        # 02:30 comes twice that night; the first is at +02:00.
        ("{ at: 2026-10-25T02:30, timezone: Europe/Berlin }", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_moment(loading, schedule, at):
    task = loading(f"tasks: {{ nap: {{ executor: noop, schedule: {schedule} }} }}\n").tasks["nap"]
    assert task.schedule.at == at


def test_a_window_at_a_moment_of_its_zone(loading):
    text = "windows: { w: { schedule: { at: 2026-12-24T01:00 }, duration: 2h, timezone: Asia/Jakarta } }\n"
    window = loading(text).windows["w"]
    assert window.schedule.at == datetime(2026, 12, 23, 18, tzinfo=UTC)
    assert (window.duration_minutes, window.allowed_tasks) == (120, ())


NINE = """\
database: { dsn: mysql://root:secret@h/x }
scheduler: { max_concurrent_tasks: 0 }
rollback: { retention: 7x }
windows:
  nightly:
    schedule: { cron: "0 25 * * *" }
    duration: 60
    cutoff: 90
tasks:
  logs:
    type: cleanup
    category: logs
    schedule: { window: nihgtly }
    config: { log_paths: ["/etc/*.log"], retention_day: 3 }
    dependencies: [{ task: loogs }]
"""


def test_nine_mistakes_at_once(mistakes):
    assert mistakes(NINE) == [
        "jamaintd.yaml:1:18: database.dsn: must be an address such as postgresql:///jamaint or "
        "postgresql://user@host:5432/name",
        "jamaintd.yaml:2:36: scheduler.max_concurrent_tasks: must be at least 1, not 0",
        "jamaintd.yaml:3:24: rollback.retention: the unit x is not known: there are ms, s, m (minutes), h, d, w",
        'jamaintd.yaml:6:23: windows.nightly.schedule.cron: cannot use cron "0 25 * * *": bad hour',
        "jamaintd.yaml:8:13: windows.nightly.cutoff: cannot open window nightly: cutoff (90 min) is longer than the "
        "window (60 min)",
        "jamaintd.yaml:13:25: tasks.logs.schedule.window: there is no window nihgtly: did you mean nightly?",
        "jamaintd.yaml:14:27: tasks.logs.config.log_paths[0]: /etc/*.log has a wildcard in its first two parts, and "
        "could mean anything: name the directory",
        "jamaintd.yaml:14:42: tasks.logs.config.retention_day: unknown key: did you mean retention_days?",
        "jamaintd.yaml:15:28: tasks.logs.dependencies[0].task: there is no task loogs: there are none",
    ]


def test_the_mistakes_go_over_the_wire(loading, tmp_path):
    with pytest.raises(JamaintError) as caught:
        loading("scheduler: { max_concurrent_tasks: 0 }\ntasks: []\n")
    file = str(tmp_path / "jamaintd.yaml")
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data == {
        "mistakes": [
            {
                "file": file,
                "line": 1,
                "column": 36,
                "key": "scheduler.max_concurrent_tasks",
                "problem": "must be at least 1, not 0",
            },
            {
                "file": file,
                "line": 2,
                "column": 1,
                "key": "tasks",
                "problem": "must be a mapping of names to tasks, not a list",
            },
        ]
    }
    assert caught.value.message.startswith(f"the configuration has 2 mistakes, the first: {file}:1:36: scheduler")
    assert isinstance(caught.value, ConfigError)
    assert mistakes_text(caught.value.mistakes).splitlines() == [str(mistake) for mistake in caught.value.mistakes]


def test_what_is_shown_has_no_password(loading):
    text = """\
database: { dsn: "postgresql://jamaint:s3cret@db/jamaint?sslpassword=s3cret&a=b" }
grants: { databases: { cms: "postgresql:///cms?password=s3cret" } }
"""
    shown = shown_config(loading(text))
    assert "s3cret" not in str(shown)
    assert shown["database"]["dsn"] == "postgresql://jamaint:***@db/jamaint?sslpassword=***&a=b"
    assert shown["grants"]["databases"]["cms"] == "postgresql:///cms?password=***"
    assert shown["socket"]["mode"] == "0660"
    assert shown["roles"]["admin"] == ["root"]


@pytest.mark.parametrize(
    "text",
    [
        "database: postgresql://u:s3cret@h/x\n",
        "database: { dsn: mysql://u:s3cret@h/x }\n",
        "grants: { databases: 'postgresql://u:s3cret@h/x' }\n",
        "grants: { databases: ['postgresql://u:s3cret@h/x'] }\n",
        "grants: { paths: 'postgresql://u:s3cret@h/x' }\n",
    ],
)
def test_no_mistake_repeats_a_password(mistakes, text):
    assert "s3cret" not in str(mistakes(text))
