"""What the configuration names no more: kept for undo and purge alone, and only as long as ways back were kept."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jamaint.core.safety.retained_access import RetainedAccess, StrangeError, needs, with_former, with_what_left
from jamaint.core.safety.sandbox import SandboxPolicy, digest, fences, refused
from jamaint.core.tasks import Task

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
EMPTY = {"files": (), "databases": (), "commands": (), "packages": ()}


def made(**changes: Any) -> SandboxPolicy:
    paths = {**EMPTY, **changes.pop("paths", {})}
    fields = {"commands": (), "databases": (), "secrets": {}, "keeps_seconds": WEEK.total_seconds(), **changes}
    return SandboxPolicy(paths=paths, **fields)


def stored(one: SandboxPolicy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(one.to_json()))
    return found


def former(before: SandboxPolicy, wanted: SandboxPolicy, now: datetime = NOW) -> tuple[RetainedAccess, ...]:
    return with_what_left(wanted, stored(before), now).former


BEFORE = made(
    paths={"files": ("/srv/app", "/var/log/app"), "files-www": ("/srv/www",), "commands-backup": ()},
    commands=("one", "two"),
    back=("rollback_command one", "rollback_command two"),
    databases=("cms on db",),
    secrets={"databases": ("/etc/jamaint/secrets/cms",)},
)


def test_what_stays_is_not_former() -> None:
    assert former(BEFORE, BEFORE) == ()
    paths = {"files": ("/srv", "/var/log/app"), "files-www": ("/srv/www",), "commands-backup": ()}
    assert former(BEFORE, replace(BEFORE, paths={**EMPTY, **paths}, commands=("one", "three"))) == ()
    assert with_what_left(BEFORE, {}, NOW).former == ()


def test_what_goes_is_kept_until_its_ways_back_have_expired_and_a_day_longer() -> None:
    less = made(paths={"files": ("/srv/app/logs",)}, back=("rollback_command two",))
    (gone,) = former(BEFORE, less)
    assert datetime.fromisoformat(gone["until"]) == NOW + WEEK + DAY
    assert gone["kinds"] == {
        "files": ["/srv/app", "/var/log/app"], "files-www": ["/srv/www"], "commands-backup": [],
    }  # fmt: skip
    assert (gone["back"], gone["databases"]) == (["rollback_command one"], ["cms on db"])
    assert needs([gone]).secrets == {"databases": ("/etc/jamaint/secrets/cms",)}


def test_a_second_change_lengthens_nothing() -> None:
    less = made(former=former(BEFORE, made()), paths={"files": ("/srv/new",)})
    first, second = former(less, made(), NOW + 2 * DAY)
    assert first["until"] == (NOW + WEEK + DAY).isoformat()
    assert second["kinds"] == {"files": ["/srv/new"]}
    (left,) = former(less, made(), NOW + 9 * DAY)
    assert left["kinds"] == {"files": ["/srv/new"]}


def test_what_was_kept_under_a_longer_retention_is_not_cut_short_by_a_shorter_one() -> None:
    long = replace(BEFORE, keeps_seconds=(90 * DAY).total_seconds())
    short = replace(BEFORE, keeps_seconds=DAY.total_seconds())
    applied = with_what_left(short, stored(long), NOW)
    assert applied.keeps_until == (NOW + 90 * DAY).isoformat()
    again = with_what_left(short, stored(applied), NOW + DAY)
    assert again.keeps_until == applied.keeps_until
    (gone,) = with_what_left(replace(made(), keeps_seconds=DAY.total_seconds()), stored(again), NOW + 2 * DAY).former
    assert gone["until"] == (NOW + 91 * DAY).isoformat()
    assert with_what_left(short, stored(again), NOW + 91 * DAY).keeps_until is None
    older = {key: value for key, value in stored(BEFORE).items() if key != "keeps_seconds"}
    (gone,) = with_what_left(made(), older, NOW).former
    assert gone["until"] == (NOW + WEEK + DAY).isoformat()


def test_a_worker_may_be_given_it_for_the_way_back_only_until_then() -> None:
    there = stored(made(former=former(BEFORE, made())))
    old = ("files-www", "temp.cleanup", {"paths": [{"path": "/srv/www/tmp"}]})
    assert "has no worker files-www" in str(refused(*old, there))
    assert refused(*old, with_former(there, NOW + WEEK), back=True) is None
    assert refused(*old, with_former(there, NOW + 9 * DAY), back=True) is not None
    database = ("databases", "database.cleanup", {"dsn": "postgresql://cms@db/cms"})
    assert refused(*database, there) is not None
    assert refused(*database, with_former(there, NOW), back=True) is None
    elsewhere = ("files", "temp.cleanup", {"paths": [{"path": "/etc"}]})
    assert refused(*elsewhere, with_former(there, NOW), back=True) is not None


def test_of_a_command_that_left_only_the_way_back_may_be_run() -> None:
    config = {"command": ["/bin/deploy"], "rollback_command": ["/bin/restore"], "environment": {"A": "1"}}
    task = Task(id="d", schedule=None, name="d", type="custom", category="system", executor="command", config=config)
    wanted, _ = fences([task])
    assert wanted.back == (f"rollback_command {digest(['/bin/restore'], {'A': '1'}, 'commands')}",)
    there = with_former(stored(made(former=former(wanted, made()))), NOW)
    assert refused("commands", "command", config, there, back=True) is None
    forward = {**config, "rollback_command": ["/bin/deploy"]}
    assert refused("commands", "command", forward, there, back=True) is not None
    assert refused("commands", "command", config, there) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"former": None}, {"former": "abc"}, {"former": [{"kinds": {}}]}, {"keeps_seconds": None}, {"kinds": []},
        {"former": [{"until": "2027-01-01T00:00:00", "kinds": {}, "back": [], "databases": [], "secrets": {}}]},
        {"keeps_seconds": 1e300},
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_ours_is_told(changes: dict[str, Any]) -> None:
    with pytest.raises(StrangeError):
        with_what_left(made(keeps_seconds=1.0), {**stored(BEFORE), **changes}, NOW)
