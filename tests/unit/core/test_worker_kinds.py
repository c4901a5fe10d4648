"""Which kind of worker does the work of an executor."""

from typing import Any

import pytest

from jamaint.core.worker_kinds import kind_of


@pytest.mark.parametrize(
    ("executor", "config", "user", "kind"),
    [
        ("logs.cleanup", {}, None, "files"),
        ("temp.cleanup", {}, "www-data", "files-www-data"),
        ("filesystem.cleanup", {}, None, "files"),
        ("database.optimize", {}, "postgres", "databases-postgres"),
        ("cache.cleanup", {}, None, "databases"),
        ("command", {}, None, "commands"),
        ("command", {"user": "backup"}, None, "commands-backup"),
        ("command", {"user": "root", "unit": "packages"}, None, "packages"),
        ("filesystem.optimize", {}, None, "packages"),
        ("logs.rotate", {"postrotate": None}, None, "files"),
        ("logs.rotate", {"postrotate": ["/bin/true"]}, None, "packages"),
        ("system.cleanup", {"kinds": [{"kind": "temp", "config": {}}, {"kind": "logs", "config": {}}]}, None, "files"),
        ("system.cleanup", {"kinds": [{"kind": "cache", "config": {}}]}, None, "databases"),
        (
            "system.cleanup",
            {"kinds": [{"kind": "temp", "config": {}}, {"kind": "cache", "config": {}}]},
            None,
            "packages",
        ),
        ("logs.rotate", {"signal": {"pid_file": "/run/app.pid", "signal": "HUP"}}, None, "packages"),
        ("logs.rotate", {"user": "owner"}, "owner", "packages"),
        ("logs.cleanup", {"user": "owner"}, "owner", "packages"),
        ("temp.cleanup", {"user": "owner"}, "owner", "files-owner"),
        ("cache.cleanup", {"directories": {"paths": []}, "redis": None}, None, "files"),
        ("cache.cleanup", {"directories": {"paths": []}, "redis": {"url": "redis://a"}}, None, "packages"),
    ],
)
def test_the_executor_decides(executor: str, config: dict[str, Any], user: str | None, kind: str) -> None:
    assert kind_of(executor, config, user) == kind


@pytest.mark.parametrize("name", ["../root", "a/b", "", "-x", "a b", "a@b"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="named after the user"):
        kind_of("command", {"user": name})
