"""Usage: what is measured, how it grows, when a disk is full, and what to say of it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_examples import HOUR, NOON, task
from jamaint.core.capacity import (
    HORIZON,
    Advice,
    Gain,
    Sample,
    Target,
    Trend,
    cleaned_by,
    directory_of,
    disk_of,
    full_on,
    gain,
    of_kind,
    of_storage,
    targets,
    trend,
)
from jamaint.core.cleanup_kinds import SYSTEM
from jamaint.core.plans import Step, step_to_json

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
    found = of_kind("logs", "/a", size, Gain(reclaimable), "cleanup run logs")
    assert (found.light, found.frees) == (light, reclaimable if light == "yellow" else None)


def test_what_goes_to_the_trash_is_free_later_and_that_is_said() -> None:
    found = of_kind("logs", "/a", 100, Gain(50, True), "cleanup run logs")
    assert found.reason == "a part (50%) is old enough to go; the space is freed when the trash is purged"
    disk = of_storage("/", 96, 100, full=None, helps=[found], now=NOON)
    assert disk.reason == "96% is used; the space is freed when the trash is purged"


def test_what_another_task_cleans_up_says_so() -> None:
    assert of_kind("logs", "/a", 5, None, None).reason == "cleaned by its own task, not by `cleanup`"


def test_a_disk_is_promised_nothing_where_nothing_would_go() -> None:
    helps = [Advice("logs", "/a", "green", "", "cleanup run logs")]
    assert of_storage("/", 96, 100, full=None, helps=helps, now=NOON).task is None


def system_step(*parts: Step) -> Step:
    return Step("log_cleanup", "", {"steps": [step_to_json(part) for part in parts]}, None, 9, 999)


def test_what_a_cleanup_frees_is_told_of_each_directory_and_only_what_is_deleted() -> None:
    deletes = Step("cleanup", "", {"direct": {"/b": "low"}, "frees": {"/a": 10, "/b": 5, "/a/x": 1}}, {}, 3, 16)
    packs = Step("compression", "", {"direct": {}, "frees": {}}, {}, 3, 1000)
    step = system_step(Step("analysis", "", items=9, bytes=5000), deletes, packs)
    assert gain(step) == Gain(16, True)
    assert gain(step, Target("logs", "/a")) == Gain(11, True)
    assert gain(step, Target("logs", "/b")) == Gain(5, False)
    assert gain(step, Target("logs", "/elsewhere")) == Gain(0)
    assert gain(step, Target("logs", "/")) == Gain(16, True)
    keys = Step("cleanup", "", {"cutoff": 3}, None, 7, 70)
    directories = Step("directories", "", {"step": step_to_json(deletes)}, {}, 3, 16)
    both = system_step(keys, directories)
    assert (gain(both), gain(both, Target("cache", "redis://x"))) == (Gain(86, True), Gain(70))
    assert gain(both, Target("files", "/b")) == Gain(5)


def test_a_cleanup_helps_where_it_works_and_on_the_disk_of_that() -> None:
    kinds = [{"kind": "logs", "config": {"log_paths": ["/var/log/app.log"]}}, {"kind": "temp", "config": TEMP}]
    found = cleaned_by(task("cleanup", executor=SYSTEM, config={"kinds": kinds}))
    assert found == {Target("logs", "/var/log"): "logs", Target("temp", "/var/tmp/a"): "temp"}
    assert disk_of("/var/log/app", ["/", "/var", "/var/log", "/var/log/ap"]) == "/var/log"
    assert disk_of("/srv", ["/", "/srv"]) == "/srv"
    assert disk_of("/srv", []) is None


def test_a_cleanup_that_would_be_refused_says_why() -> None:
    found = of_kind("database", "shop", 5, None, "cleanup run database", refusal="all rows would go")
    assert (found.light, found.reason) == ("yellow", "its cleanup would be refused: all rows would go")
    assert found.task == "cleanup run database"


@pytest.mark.parametrize(
    ("inodes", "light", "says"),
    [
        (None, "green", "10% is used: no action is needed"),
        (0.79, "green", "10% is used: no action is needed"),
        (0.85, "yellow", "10% is used, and 85% of the inodes"),
        (0.96, "red", "10% is used, and 96% of the inodes"),
        (1.0, "red", "10% is used, and no inodes are left: no file can be made"),
    ],
)
def test_storage_without_inodes_is_no_good_storage(inodes: float | None, light: str, says: str) -> None:
    found = of_storage("/", 10, 100, full=None, helps=[], now=NOON, inodes=inodes)
    assert (found.light, found.reason) == (light, says)


def test_where_inodes_are_scarce_files_count_that_free_no_bytes() -> None:
    deletes = Step("cleanup", "", {"direct": {}, "frees": {}, "files": {"/var/a": 500, "/var/b": 1}}, {}, 501, 0)
    found = gain(deletes, Target("files", "/var/a"))
    assert found == Gain(0, True, 500)
    enough = of_kind("files", "/var/a", 0, found, "cleanup run filesystem", inodes=0.5)
    assert (enough.light, enough.task) == ("green", None)
    short = of_kind("files", "/var/a", 0, found, "cleanup run filesystem", inodes=1.0)
    assert (short.light, short.task, short.frees) == ("yellow", "cleanup run filesystem", 0)
    assert "500 files are old enough to go, and each has one of the inodes that its disk lacks" in short.reason
    disk = of_storage("/var", 1, 100, full=None, helps=[short], now=NOON, inodes=1.0)
    assert (disk.light, disk.task) == ("red", "cleanup run filesystem")
    assert "when the trash is purged" in disk.reason
