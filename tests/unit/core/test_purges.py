"""Purges before their time: what may go, in what order, and where it lies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jamaint.core.purges import (
    FreeSpace,
    KeptWayBack,
    device_of,
    devices_of,
    mount_point_of,
    not_there,
    oldest_first,
    roots_of,
    why_not,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEPT = KeptWayBack("p", "e", "t", NOON, NOON + timedelta(days=7), "open", "completed", trusted=True, in_hand=False)
MOUNTS = [("/", "8:1"), ("/srv", "8:2"), ("/srv/a", "8:3")]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"status": "purging"}, None),
        ({"run_status": "running"}, "its execution still runs"),
        ({"status": "undoing"}, "it is being rolled back or purged"),
        ({"in_hand": True}, "it is being rolled back or purged"),
        ({"status": "undone"}, "there is nothing to purge: it is undone already"),
        ({"trusted": False}, "its rollback point was not written by this daemon"),
        ({"status": "incomplete", "left": 3}, "a rollback could not restore 3 of its items"),
    ],
)
def test_why_not_tells_the_reason(changes: dict[str, object], why: str | None) -> None:
    found = why_not(replace(KEPT, **changes), incomplete=False)  # type: ignore[arg-type]  # any field
    assert found is None if why is None else (found or "").startswith(why)


def test_why_not_lets_what_is_incomplete_go_where_that_is_said() -> None:
    assert why_not(replace(KEPT, status="incomplete"), incomplete=True) is None
    assert why_not(replace(KEPT, status="incomplete", trusted=False), incomplete=True)


def test_oldest_first_goes_by_when_it_was_kept() -> None:
    ages = [replace(KEPT, point_id=str(day), kept_since=NOON - timedelta(days=day)) for day in (1, 3, 2)]
    assert [one.point_id for one in oldest_first(ages)] == ["3", "2", "1"]


def test_disk_of_a_path_is_that_of_the_longest_mount_point() -> None:
    assert [device_of(path, MOUNTS) for path in ("/etc", "/srv/ab", "/srv/a/b")] == ["8:1", "8:2", "8:3"]
    assert device_of("/srv", [*MOUNTS, ("/srv", "0:9")]) == "0:9"
    assert mount_point_of("/srv/x", MOUNTS) == "/srv"
    there = replace(KEPT, disks=devices_of(["/srv/x"], MOUNTS))
    assert not_there(there, "8:2", "/srv") is None
    assert not_there(there, "8:1", "/etc") == "it keeps nothing on the disk of /etc"
    assert not_there(KEPT, "8:1", "/etc") == "on which disk it keeps something is not known"


def test_roots_of_finds_those_of_parts() -> None:
    part = {"undo": {"trash": "e", "roots": [{"path": "/a"}, {"path": "/b"}]}}
    assert roots_of({"kind": "temp", "steps": [part, {"undo": None}]}) == ["/a", "/b"]
    assert roots_of({"directories": part}) == ["/a", "/b"]
    assert roots_of(None) == []


def test_free_share_is_of_what_is_scarcer() -> None:
    space = FreeSpace(50, 100, 1, 100)
    assert space.share == 0.01
    assert space.after(replace(KEPT, bytes=10, items=30)) == FreeSpace(60, 100, 31, 100)
    assert FreeSpace(50, 100).share == 0.5
