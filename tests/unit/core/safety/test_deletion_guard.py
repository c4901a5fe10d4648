"""The guard against mass deletion, on figures."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.plans import MassDeletion
from jamaint.core.safety.deletion_guard import Filesystem, RootObservation, from_json, refusals, to_json, worth_noting

DISK = Filesystem("8a1f", "/dev/sda1", "ext4", "/srv")
LIMIT = MassDeletion(share=0.25, items=50)
SEEN = RootObservation("/srv/logs", 1204, DISK, 10, "2026-11-20T02:00:00+00:00")


def why(now: RootObservation, before: RootObservation | None = SEEN) -> str | None:
    found = refusals([now], {} if before is None else {before.path: before}, LIMIT, "logs")
    return None if not found else str(found[0]["detail"])


@pytest.mark.parametrize(
    ("doomed", "files", "refuses"),
    [(51, 100, True), (50, 60, False), (51, 204, False), (52, 204, True), (25, 100, False), (1000, 5000, False)],
)
def test_it_needs_both_a_number_and_a_share(doomed: int, files: int, refuses: bool) -> None:
    told = why(replace(SEEN, doomed=doomed, files=files))
    assert (told is not None) is refuses
    if told is not None:
        assert f"{doomed} of {files} logs would be deleted" in told


def test_refusal_says_figures_and_limits_and_what_needs_approval() -> None:
    (found,) = refusals([replace(SEEN, doomed=1020)], {}, LIMIT)
    assert found == {
        "guard": "mass_deletion",
        "verdict": "refuse",
        "detail": "/srv/logs: 1,020 of 1,204 files would be deleted (85%); more than 50 that are more than 25% "
        "require approval",
        "root": "/srv/logs",
        "items": 1020,
        "files": 1204,
    }


def test_sighting_dooms_nothing_unless_said() -> None:
    assert RootObservation("/srv", 1, None) == RootObservation("/srv", 1, None, 0, "")


def test_a_missing_root_that_was_there_is_told_apart_from_an_empty_one() -> None:
    assert why(replace(SEEN, files=0, filesystem=None)) == (
        "/srv/logs is missing, and had 1,204 logs when it was last worked in (2026-11-20): is something not mounted?"
    )
    assert why(replace(SEEN, files=0)) == (
        "/srv/logs is empty, and had 1,204 logs when it was last worked in (2026-11-20): were they meant to go?"
    )


def test_what_was_never_seen_is_taken_as_it_is() -> None:
    assert why(replace(SEEN, files=0, filesystem=None), None) is None
    assert why(replace(SEEN, files=0), None) is None
    assert why(SEEN, replace(SEEN, filesystem=None)) is None
    assert why(replace(SEEN, files=0), replace(SEEN, filesystem=None)) is None


def test_a_root_with_few_files_may_be_empty() -> None:
    assert why(replace(SEEN, files=0, doomed=0), replace(SEEN, files=50)) is None


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (Filesystem("8a1f", "/dev/sdb1", "ext4", "/srv"), True),  # another name of the same disk
        (Filesystem("77", "tmpfs", "tmpfs", "/srv"), False),
        (Filesystem("77", "/dev/sda1", "ext4", "/srv"), True),  # an id that does not last
        (Filesystem("77", "/dev/sda2", "ext4", "/"), False),  # not mounted
    ],
)
def test_another_file_system(now: Filesystem, same: bool) -> None:
    told = why(replace(SEEN, filesystem=now))
    assert (told is None) is same
    if told is not None:
        assert told == (
            f"/srv/logs is on another file system ({now.type} {now.source} at {now.mount}) than when it was last "
            "worked in (2026-11-20), ext4 /dev/sda1 at /srv: is something not mounted, or mounted over it?"
        )


def test_only_what_says_something_new_is_worth_noting() -> None:
    assert worth_noting(SEEN, None, LIMIT)
    assert not worth_noting(replace(SEEN, files=1203, at="2026-11-20T03:00:00+00:00"), SEEN, LIMIT)
    assert worth_noting(replace(SEEN, at="2026-11-21T02:00:00+00:00"), SEEN, LIMIT)
    assert worth_noting(replace(SEEN, files=0), SEEN, LIMIT)
    assert worth_noting(replace(SEEN, filesystem=replace(DISK, id="1")), SEEN, LIMIT)
    assert not worth_noting(replace(SEEN, filesystem=None), SEEN, LIMIT)
    assert worth_noting(SEEN, replace(SEEN, filesystem=None), LIMIT)


@pytest.mark.parametrize(("before", "now", "notes"), [(0, 1, True), (1, 0, True), (1, 2, False), (50, 51, True)])
def test_worth_noting_tells_empty_from_few_and_few_from_many(before: int, now: int, notes: bool) -> None:
    assert worth_noting(replace(SEEN, files=now), replace(SEEN, files=before), LIMIT) is notes


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**5))
def test_how_many_were_there_is_known_well_enough_for_the_guard(first: int, last: int, items: int) -> None:
    """Of two runs on one day the later counts: an emptied root is refused if it had more than that number then."""
    before, later = replace(SEEN, files=first), replace(SEEN, files=last)
    limit = MassDeletion(0.25, items)
    known = later if worth_noting(later, before, limit) else before
    empty = replace(SEEN, files=0, doomed=0)
    told = [bool(refusals([empty], {SEEN.path: one}, limit)) for one in (known, later)]
    assert told[0] is told[1]


@given(st.builds(RootObservation, st.text(), st.integers(0), st.none() | st.just(DISK), st.integers(0), st.text()))
def test_it_goes_through_json(observation: RootObservation) -> None:
    assert from_json(json.loads(json.dumps(to_json(observation)))) == observation
