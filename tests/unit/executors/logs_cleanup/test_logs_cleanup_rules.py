"""What becomes of a log, at the limits of its age."""

from datetime import UTC, datetime, timedelta

import pytest

from jamaint.core.formatting import span
from jamaint.executors.logs_cleanup.rules import ARCHIVE, CLEANUP, COMPRESSION, LogRules, Sorting

NOW = datetime(2026, 11, 24, 2, 0, 0, 123457, tzinfo=UTC)
DAY = 86400
DAY_NS = DAY * 10**9
RULES = LogRules(NOW, 30.0 * DAY, 10.0 * DAY, "zstd", 5.0 * DAY, "/archive")


def sort(age_ns: int, name: str = "a.log", size: int = 1, names: int = 1, archived: bool = False) -> str:
    return Sorting(RULES)(name, size, RULES.now_ns - age_ns, names, archived)


def test_now_is_exact_to_the_microsecond() -> None:
    assert RULES.now_ns == 1795485600123457000
    assert LogRules(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), 1).now_ns == -(10**9)


@pytest.mark.parametrize(
    ("age_ns", "what"),
    [
        (30 * DAY_NS + 1, CLEANUP),
        (30 * DAY_NS, COMPRESSION),  # as old as the limit is kept
        (10 * DAY_NS + 1, COMPRESSION),
        (10 * DAY_NS, ARCHIVE),
        (5 * DAY_NS + 1, ARCHIVE),
        (5 * DAY_NS, ""),
        (0, ""),
        (-DAY_NS, ""),  # the future
        (200 * 365 * DAY_NS, CLEANUP),  # before 1970
    ],
)
def test_ages(age_ns: int, what: str) -> None:
    assert sort(age_ns) == what


@pytest.mark.parametrize("name", ["a.log.gz", "a.ZST", "a.log.1.xz", "a.bz2"])
def test_what_is_packed_is_not_packed_again_but_archived(name: str) -> None:
    assert sort(20 * DAY_NS, name) == ARCHIVE
    assert sort(20 * DAY_NS, name, archived=True) == ""


def test_empty_and_hard_linked_files_are_not_packed() -> None:
    assert sort(20 * DAY_NS, size=0) == ARCHIVE
    assert sort(20 * DAY_NS, names=2) == ARCHIVE
    sorting = Sorting(RULES)
    aged = RULES.now_ns - 20 * DAY_NS
    assert sorting.hard_linked("a.log", 1, aged, 2)
    for other in (("a.log", 1, aged, 1), ("a.log", 0, aged, 2), ("a.gz", 1, aged, 2), ("a.log", 1, RULES.now_ns, 2)):
        assert not sorting.hard_linked(*other)


def test_what_is_not_asked_for_is_not_done() -> None:
    rules = LogRules.of({"retention_seconds": 30.0 * DAY, "compress": None, "archive": None}, NOW)
    assert rules.steps() == (CLEANUP,)
    assert Sorting(rules)("a.log", 1, rules.now_ns - 20 * DAY_NS, 1, False) == ""
    config = {
        "retention_seconds": 9.5,
        "compress": {"algorithm": "gzip", "older_than_seconds": 1.5},
        "archive": {"directory": "/x", "older_than_seconds": 3},
    }
    rules = LogRules.of(config, NOW)
    assert rules.steps() == (CLEANUP, COMPRESSION, ARCHIVE)
    assert rules.before(9.5) == rules.now_ns - 9_500_000_000


def test_a_century_in_seconds_is_exact() -> None:
    assert RULES.before(36525.0 * DAY) == RULES.now_ns - 36525 * DAY_NS
    assert RULES.before(None) is None


def test_words() -> None:
    assert RULES.says(CLEANUP, 1, "") == "Delete 1 log last written more than 30 days ago."
    assert RULES.says(COMPRESSION, 2, ".zst") == "Compress 2 logs last written more than 10 days ago to .zst."
    assert RULES.says(ARCHIVE, 3, "") == "Move 3 logs last written more than 5 days ago to /archive."
    assert [span(s) for s in (86400, 7200, 90, 1.5, 60)] == [
        "1 day",
        "2 hours",
        "90 seconds",
        "1.5 seconds",
        "1 minute",
    ]
    assert NOW - timedelta(days=30) < NOW
