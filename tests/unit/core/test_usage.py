"""Usage: what is measured, how it grows, when a disk is full, and what to say of it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.examples import HOUR, NOON, task
from jamaint.core.cleanups import SYSTEM
from jamaint.core.usage import (
    HORIZON,
    Advice,
    Sample,
    Target,
    Trend,
    directory_of,
    full_on,
    of_kind,
    of_storage,
    targets,
    trend,
)

DAY = timedelta(days=1)
GIB = 1 << 30
TEMP = {"paths": [{"path": "/var/tmp/a"}]}


def line(per_day: float, days: int = 10, begin: int = 10 * GIB) -> list[Sample]:
    return [Sample(NOON + DAY * day, begin + round(per_day * day)) for day in range(days)]


def test_each_directory_and_disk_once_and_nothing_of_a_task_that_is_off() -> None:
    logs = {"log_paths": ["/var/log/app/*.log", "/var/log/app/*.txt"]}
    found = targets(
        [
            task("a", executor="logs.cleanup", config=logs),
            task("b", executor="logs.cleanup", config={"log_paths": ["/srv/x/*"]}, enabled=False),
            task(
                "c",
                executor=SYSTEM,
                config={"kinds": [{"kind": "temp", "config": {"paths": [{"path": "/var/tmp/a"}]}}]},
            ),
            task("d", executor="database.cleanup", config={"dsn": "postgresql:///cms"}),
            task("e", executor="cache.cleanup", config={"redis": {"url": "redis://x"}}),
            task("f", executor="command", config={"command": ["true"]}),
        ],
        "/var/lib/jamaint",
    )
    assert found == (
        *(Target("storage", path) for path in ("/", "/var/lib/jamaint", "/var/log/app", "/var/tmp/a")),
        Target("cache", "redis://x"),
        Target("database", "postgresql:///cms"),
        Target("logs", "/var/log/app"),
        Target("temp", "/var/tmp/a"),
    )


@pytest.mark.parametrize(
    ("path", "directory"), [("/a/b/*.log", "/a/b"), ("/a/b", "/a/b"), ("/a/**/c", "/a"), ("/a/b?/c", "/a"), ("/*", "/")]
)
def test_directory_of(path: str, directory: str) -> None:
    assert directory_of(path) == directory


@given(st.integers(-GIB, GIB), st.integers(3, 60))
def test_a_line_has_its_slope(per_day: int, days: int) -> None:
    found = trend(line(per_day, days)).per_day
    assert found == pytest.approx(per_day, abs=1)


def test_one_odd_sample_does_not_turn_it_round() -> None:
    samples = line(GIB)
    samples[5] = samples[5]._replace(bytes=samples[5].bytes * 2)
    assert (trend(samples).per_day or 0) > 0


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "0 samples so far"),
        (line(GIB, 2), "2 samples so far"),
        ([Sample(NOON + HOUR * n, n) for n in range(5)], "the samples span 4.0 h"),
        ([Sample(NOON, n) for n in range(5)], "the samples span 0.0 h"),
    ],
)
def test_with_too_little_to_go_by_no_growth_is_told(samples: list[Sample], why: str) -> None:
    found = trend(samples)
    assert found.per_day is None
    assert found.why.startswith(why)


def test_a_disk_is_full_when_what_is_free_has_been_used_up() -> None:
    assert full_on(10 * GIB, Trend(2.0 * GIB), NOON) == NOON + 5 * DAY
    assert full_on(0, Trend(1.0), NOON) == NOON


@pytest.mark.parametrize("growth", [Trend(None, "why"), Trend(0.0), Trend(-5.0)])
def test_what_does_not_grow_is_never_full(growth: Trend) -> None:
    assert full_on(GIB, growth, NOON) is None


def test_beyond_the_horizon_no_date_is_told() -> None:
    assert full_on(GIB, Trend(GIB / (HORIZON / DAY + 1)), NOON) is None


@pytest.mark.parametrize(
    ("used", "full", "light"),
    [(50, None, "green"), (80, None, "yellow"), (95, None, "red"), (50, 20 * DAY, "yellow"), (50, 3 * DAY, "red"),
     (50, 90 * DAY, "green")],
)  # fmt: skip
def test_the_light_of_a_disk(used: int, full: timedelta | None, light: str) -> None:
    moment = None if full is None else NOON + full
    helps = [Advice("logs", "/a", "yellow", "", "cleanup run logs", 5), Advice("temp", "/b", "green", "")]
    found = of_storage("/", used, 100, full=moment, helps=helps, now=NOON)
    assert found.light == light
    assert (found.task, found.frees) == ((None, None) if light == "green" else ("cleanup run logs", 5))
    assert ("full on" in found.reason) == (full is not None and full <= 30 * DAY)


@pytest.mark.parametrize(
    ("size", "reclaimable", "light"),
    [(100, 0, "green"), (100, 9, "green"), (100, 10, "yellow"), (10 * GIB, GIB // 2, "yellow"), (0, 0, "green")],
)
def test_the_light_of_what_could_be_freed(size: int, reclaimable: int, light: str) -> None:
    found = of_kind("logs", "/a", size, reclaimable, "cleanup run logs")
    assert (found.light, found.frees) == (light, reclaimable if light == "yellow" else None)


def test_what_nothing_cleans_up_says_so() -> None:
    assert of_kind("logs", "/a", 5, None, None).reason == "nothing that cleans it up is configured"


def test_a_cleanup_that_would_be_refused_says_why() -> None:
    found = of_kind("database", "shop", 5, None, "cleanup run database", refusal="all rows would go")
    assert (found.light, found.reason) == ("yellow", "its cleanup would be refused: all rows would go")
    assert found.task == "cleanup run database"
