"""A valid document with one key misspelled has exactly one mistake, and that at the key's line."""

from typing import Any

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jamaint.config.sections import Top
from jamaint.schema.yaml_document import read_document

VALID: dict[str, Any] = {
    "database": {"dsn": "postgresql:///jamaint"},
    "socket": {"path": "/run/x.sock", "mode": "0660", "group": "root"},
    "roles": {"viewer": ["root"], "operator": ["root"], "admin": ["root"]},
    "state_dir": "/srv/state",
    "grants": {
        "paths": ["/srv/app/x"],
        "databases": {"cms": "postgresql:///cms"},
        "commands": {"reindex": ["/bin/x"]},
        "users": ["root"],
    },
    "scheduler": {"enabled": True, "max_concurrent_tasks": 4, "misfire_grace": "1h"},
    "rollback": {"retention": "7d", "low_space": "10%"},
    "log": {"format": "text", "level": "info"},
    "notifications": {"channels": {"ops": {"url": "x://y"}}},
    "windows": {
        "nightly": {
            "description": "each night",
            "schedule": {"cron": "0 2 * * *"},
            "duration": 120,
            "timezone": "Asia/Jakarta",
            "cutoff": 15,
            "allowed_tasks": ["cleanup"],
            "max_concurrent_tasks": 3,
            "emergency_override": True,
            "enabled": True,
            "conditions": [{"load_average": {"max": 8}}, {"memory_available": {"min": "1GiB"}}],
            "notifications": {"on": ["opened"], "channels": ["ops"]},
        },
        "once": {"schedule": {"at": "2027-01-01T03:00"}, "duration": 60},
    },
    "tasks": {
        "app-logs": {
            "description": "old logs",
            "type": "cleanup",
            "category": "logs",
            "priority": "low",
            "enabled": True,
            "schedule": {"window": "nightly"},
            "timeout": "30m",
            "on_window_end": "finish",
            "config": {
                "log_paths": ["/srv/app/x/*.log"],
                "retention_days": 30,
                "exclude": ["audit.log"],
                "compress_logs": {"algorithm": "zstd", "older_than": "1d"},
                "archive_logs": {"directory": "/srv/app/old", "older_than": "7d"},
                "user": "root",
            },
            "dependencies": [{"task": "index", "state": "completed", "within": "24h"}],
            "conditions": [{"disk_free": {"path": "/var", "min": "5%"}}],
            "rollback": {"enabled": True, "auto_rollback": True},
            "mass_deletion": {"share": "25%", "items": 50},
            "notifications": {"on": ["failed"], "channels": ["ops"]},
        },
        "index": {
            "type": "custom",
            "schedule": {"cron": "0 1 * * *", "timezone": "UTC"},
            "config": {
                "command": "reindex",
                "rollback_command": ["/bin/y"],
                "user": "root",
                "environment": {"A": "b"},
                "working_directory": "/srv/app",
                "success_exit_codes": [0],
            },
        },
        "nap": {"type": "custom", "executor": "noop", "schedule": {"every": "6h"}},
        "later": {"executor": "noop", "schedule": {"at": "2027-01-01T03:00", "timezone": "UTC"}},
    },
}
OF_THE_USER = {("windows",), ("tasks",), ("grants", "databases"), ("grants", "commands"), ("notifications", "channels")}
TEXT = yaml.safe_dump(VALID, sort_keys=False).replace("'on':", "on:")  # PyYAML's on is true, and quoted
DOCUMENT = read_document("f", TEXT.encode())


def key_paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all keys that the configuration gives a meaning to."""
    if isinstance(value, list):
        return [path for index, item in enumerate(value) for path in key_paths(item, (*at, index))]
    if not isinstance(value, dict) or at[-1:] == ("environment",):
        return []
    own = [] if at in OF_THE_USER else [(*at, key) for key in value]
    return own + [path for key, item in value.items() for path in key_paths(item, (*at, key))]


def misspellings(word: str) -> st.SearchStrategy[str]:
    places = st.integers(0, len(word) - 1)
    letters = st.sampled_from("abcdefghijklmnopqrstuvwxyz_")
    return st.one_of(
        places.map(lambda at: word[:at] + word[at + 1 :]),
        places.map(lambda at: word[:at] + word[at] + word[at:]),
        places.map(lambda at: word[:at] + word[at : at + 2][::-1] + word[at + 2 :]),
        st.tuples(places, letters).map(lambda found: word[: found[0]] + found[1] + word[found[0] + 1 :]),
        st.just(word.title()),
        st.just(word.replace("_", "-")),
    )


PATHS = key_paths(VALID)
KNOWN = {str(path[-1]) for path in PATHS} | set(Top.model_fields) | {"binaries", "name", "user"}


def test_the_document_is_valid(loading):
    assert sorted(loading(TEXT).tasks) == ["app-logs", "index", "later", "nap"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_key_misspelled_is_one_mistake_at_its_line(mistakes, data):
    path = data.draw(st.sampled_from(PATHS))
    key = str(path[-1])
    word = data.draw(misspellings(key))
    assume(word and word not in KNOWN)
    line, column = DOCUMENT.spot(path, at_key=True)
    lines = TEXT.splitlines()
    lines[line - 1] = lines[line - 1][: column - 1] + word + lines[line - 1][column - 1 + len(key) :]
    (told,) = mistakes("".join(f"{text}\n" for text in lines))
    assert told.startswith(f"jamaintd.yaml:{line}:{column}: ")
    assert f"{word}: unknown " in told
