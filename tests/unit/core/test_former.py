"""What the configuration names no more: kept for undo and purge alone, and only as long as ways back were kept."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from jamaint.core.fences import Fences, refused
from jamaint.core.former import leaving, needs, with_former

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
WEEK = timedelta(days=7)
EMPTY = {"files": (), "databases": (), "commands": (), "packages": ()}


def fences(**changes: Any) -> Fences:
    paths = {**EMPTY, **changes.pop("paths", {})}
    fields = {"commands": (), "databases": (), "secrets": {}, "keeps_seconds": WEEK.total_seconds(), **changes}
    return Fences(paths=paths, **fields)


def stored(one: Fences) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(one.to_json()))
    return found


BEFORE = fences(
    paths={"files": ("/srv/app", "/var/log/app"), "files-www": ("/srv/www",), "commands-backup": ()},
    commands=("one", "two"),
    databases=("cms on db",),
    secrets={"databases": ("/etc/jamaint/secrets/cms",)},
)


def test_what_stays_is_not_former() -> None:
    assert leaving(stored(BEFORE), BEFORE, NOW) == ()
    wider = fences(
        paths={"files": ("/srv", "/var/log/app"), "files-www": ("/srv/www",), "commands-backup": ()},
        commands=("one", "three", "two"),
        databases=("cms on db",),
        secrets=BEFORE.secrets,
    )
    assert leaving(stored(BEFORE), wider, NOW) == ()
    assert leaving({}, BEFORE, NOW) == ()


def test_what_goes_is_kept_until_its_ways_back_have_expired_and_a_day_longer() -> None:
    less = fences(paths={"files": ("/srv/app/logs",)}, commands=("two",))
    (gone,) = leaving(stored(BEFORE), less, NOW)
    assert datetime.fromisoformat(gone["until"]) == NOW + WEEK + timedelta(days=1)
    assert gone["kinds"] == {
        "files": ["/srv/app", "/var/log/app"], "files-www": ["/srv/www"], "commands-backup": [],
    }  # fmt: skip
    assert (gone["commands"], gone["databases"]) == (["one"], ["cms on db"])
    assert needs([gone]).secrets == {"databases": ("/etc/jamaint/secrets/cms",)}


def test_a_second_change_lengthens_nothing() -> None:
    less = fences(former=leaving(stored(BEFORE), fences(), NOW), paths={"files": ("/srv/new",)})
    first, second = leaving(stored(less), fences(), NOW + timedelta(days=2))
    assert first["until"] == (NOW + WEEK + timedelta(days=1)).isoformat()
    assert second["kinds"] == {"files": ["/srv/new"]}
    (left,) = leaving(stored(less), fences(), NOW + timedelta(days=9))
    assert left["kinds"] == {"files": ["/srv/new"]}


def test_a_worker_may_be_given_it_for_the_way_back_only_until_then() -> None:
    there = stored(fences(former=leaving(stored(BEFORE), fences(), NOW)))
    old = ("files-www", "temp.cleanup", {"paths": [{"path": "/srv/www/tmp"}]})
    assert "has no worker files-www" in str(refused(*old, there))
    assert refused(*old, with_former(there, NOW + timedelta(days=7))) is None
    assert refused(*old, with_former(there, NOW + timedelta(days=9))) is not None
    database = ("databases", "database.cleanup", {"dsn": "postgresql://cms@db/cms"})
    assert refused(*database, there) is not None
    assert refused(*database, with_former(there, NOW)) is None
    assert refused("files", "temp.cleanup", {"paths": [{"path": "/etc"}]}, with_former(there, NOW)) is not None
