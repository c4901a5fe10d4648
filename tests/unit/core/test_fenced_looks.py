"""What a worker that is a unit looks at: what root's configuration asks, and nothing that only the daemon says."""

from typing import Any

import pytest

from jamaint.core.safety.sandbox import fences, not_applied, refused_look
from jamaint.core.tasks import Condition
from jamaint.core.worker_kinds import kind_of_look

DSN = {"address": "postgresql://me@db/cms", "password": {"secret": {"file": "/etc/pw"}}}
COMMAND = Condition(
    "command", {"command": ("/bin/ok",), "user": "www-data", "exit_codes": (0,), "timeout_seconds": 9.0}
)
HTTP = Condition(
    "http",
    {
        "url": "http://h/",
        "headers": {"a": {"secret": {"file": "/etc/token"}}},
        "status": (200,),
        "timeout_seconds": 5.0,
    },
)
POSTGRES = Condition("postgresql", {"name": "cms", "dsn": DSN, "timeout_seconds": 5.0})
LOAD = Condition("load_average", {"max": 3.0})


def test_conditions_bring_their_kinds_and_their_secrets() -> None:
    wanted, problems = fences((), conditions=(COMMAND, HTTP, POSTGRES, LOAD))
    assert problems == []
    assert "commands-www-data" in wanted.users
    assert wanted.secrets["databases"] == ("/etc/token", "/etc/pw")
    assert len(wanted.conditions) == 3


def test_the_password_of_a_granted_database_is_handed_to_whoever_may_work_on_it() -> None:
    wanted, _ = fences((), users=["www-data"], databases=[DSN])
    assert wanted.secrets == {"databases": ("/etc/pw",), "databases-www-data": ("/etc/pw",)}


@pytest.mark.parametrize("condition", [COMMAND, HTTP, POSTGRES])
def test_what_a_file_names_is_looked_at_and_nothing_beside(condition: Condition) -> None:
    applied = fences((), conditions=(condition,))[0].to_json()
    as_sent: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value for key, value in condition.params.items()
    }
    unit = kind_of_look(condition)
    assert refused_look(unit, condition.kind, as_sent, applied) is None
    for other in ("packages", "commands", "commands-backup", "files"):
        assert "does not look at such" in (refused_look(other, condition.kind, as_sent, applied) or "")
    for change in ({"command": ["/bin/sh"]}, {"url": "http://other/"}, {"dsn": "postgresql://me@other/cms"}):
        if change.keys() <= as_sent.keys():
            assert "jamaintctl config apply" in (
                refused_look(unit, condition.kind, {**as_sent, **change}, applied) or ""
            )
    assert "jamaintctl config apply" in (refused_look(unit, condition.kind, as_sent, {}) or "")


def test_what_grants_name_may_be_looked_at_by_what_was_made_through_the_socket() -> None:
    granted: dict[str, Any] = {"commands": [["/bin/ok"]], "databases": ["postgresql://other@db/cms"]}
    applied = fences((), users=["www-data"], **granted)[0].to_json()
    assert refused_look("commands-www-data", COMMAND.kind, COMMAND.params, applied) is None
    assert refused_look("databases", POSTGRES.kind, POSTGRES.params, applied) is None
    assert "none of the configuration's" in str(refused_look("databases", HTTP.kind, HTTP.params, applied))
    others = fences((), **granted)[0].to_json()
    assert "none of the configuration's" in str(refused_look("commands-www-data", COMMAND.kind, COMMAND.params, others))


def test_a_condition_that_was_not_applied_is_told() -> None:
    wanted, _ = fences((), conditions=(HTTP,))
    assert not_applied(wanted, wanted.to_json()) == []
    without = {**wanted.to_json(), "conditions": []}
    assert not_applied(wanted, without) == [
        "a condition of the configuration is not known to the workers: run jamaintctl config apply as root"
    ]
