"""`jamaintctl usage` and `cleanup analysis` against a real daemon, and the samples that they keep."""

import os
from collections.abc import Iterator

import pytest

import postgres_server as server
from command_line import Scene, scene

SAMPLES = "SELECT metric_name, value, unit FROM maintenance_metrics WHERE metric_type = 'usage'"


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        logs = found.logs((0, 2, 40, 41))
        found.configure(cleanup={"logs": {"log_paths": [f"{logs}/*.log"], "retention_days": 30}})
        yield found


def test_usage_tells_sizes_and_keeps_them(place: Scene, database: str) -> None:
    with place.serving():
        items = {(one["kind"], one["name"]): one for one in place.json("usage")["items"]}
        logs = items["logs", str(place.directory / "logs" / "app")]
        assert logs["files"] == 4
        assert logs["bytes"] == sum(path.stat().st_blocks * 512 for path in place.directory.glob("logs/app/*.log"))
        assert logs["growth_per_day"] is None
        assert "samples" in logs["growth_unknown"]
        assert any(kind == "storage" for kind, _ in items)
        assert "not known yet" in place.ctl("usage").stdout
    rows = server.on_connection(
        database,
        lambda one: one.fetch(SAMPLES),
    )
    assert {row["metric_name"] for row in rows} == {"storage", "logs"}
    assert {row["unit"] for row in rows} == {"B"}


def test_growth_is_told_from_the_samples_that_are_kept(place: Scene, database: str) -> None:
    with place.serving():
        name = place.json("usage")["items"][-1]["name"]
        size = place.json("usage")["items"][-1]["bytes"]
        server.on_connection(
            database,
            lambda one: one.execute(
                # also of days to come, as a clock that was wrong leaves them
                "INSERT INTO maintenance_metrics (id, timestamp, metric_type, metric_name, value, unit, tags)"
                " SELECT gen_random_uuid(), now() - day * interval '1 day', 'usage', 'logs',"
                " CASE WHEN day > 0 THEN $1::bigint - day * 1000 ELSE 1 END, 'B',"
                " jsonb_build_object('name', $2::text) FROM generate_series(-300, 9) AS day WHERE day NOT IN (0)",
                size,
                name,
            ),
        )
        grown = place.json("usage")["items"][-1]
        assert grown["growth_per_day"] == pytest.approx(1000, abs=50)


def test_the_analysis_says_what_a_cleanup_would_take(place: Scene) -> None:
    with place.serving():
        before = sorted(path.name for path in place.directory.glob("logs/app/*"))
        found = place.json("cleanup", "analysis")
        old = sum(path.stat().st_size for path in place.directory.glob("logs/app/web-*4[01].log"))
        assert found["reclaimable"] == {"logs": old}
        advice = {one["kind"]: one for one in found["recommendations"]}
        assert (advice["logs"]["light"], advice["logs"]["task"]) == ("yellow", "cleanup run logs")
        assert advice["logs"]["frees"] == old
        assert advice["logs"]["reason"].endswith("the space is freed when the trash is purged")
        assert set(found) >= {"timestamp", "storage", "database", "cache", "logs", "temp", "recommendations"}
        assert "jamaintctl cleanup run logs" in place.ctl("cleanup", "analysis").stdout
        assert sorted(path.name for path in place.directory.glob("logs/app/*")) == before


def test_a_directory_of_another_task_is_not_promised_what_the_cleanup_frees(place: Scene) -> None:
    logs, other = place.directory / "logs" / "app", place.directory / "other"
    other.mkdir()
    (other / "a.log").write_text("x" * 10_000)
    task = {"executor": "logs.cleanup", "config": {"log_paths": [f"{other}/*.log"], "retention_days": 30}}
    place.configure(cleanup={"logs": {"log_paths": [f"{logs}/*.log"], "retention_days": 30}}, tasks={"other": task})
    with place.serving():
        found = place.json("cleanup", "analysis")["recommendations"]
        advice = {one["name"]: one for one in found if one["kind"] == "logs"}
        assert advice[str(logs)]["task"] == "cleanup run logs"
        assert (advice[str(other)]["task"], advice[str(other)]["frees"]) == (None, None)


def test_recommendations_know_what_the_tasks_would_do_and_what_cannot_be_reached(place: Scene) -> None:
    """Also without any section `cleanup`."""
    old = place.directory / "old"
    old.mkdir()
    for number in range(20):
        file = old / f"{number}.log"
        file.write_text("x" * 10_000)
        os.utime(file, (0, 0))
    everything = {"mass_deletion": {"share": "100%", "items": 1000}}
    tasks = {
        "sweep": {
            "executor": "logs.cleanup",
            "config": {"log_paths": [f"{old}/*.log"], "retention_days": 30},
            **everything,
        },
        "rows": {
            "executor": "database.cleanup",
            "config": {
                "dsn": f"postgresql://nobody@/none?host={place.directory}",
                "cleanup_old_data": [{"table": "t", "age_column": "at", "older_than": "1d"}],
            },
        },
    }
    place.configure(tasks=tasks)
    with place.serving():
        found = {one["kind"]: one for one in place.json("cleanup", "analysis")["recommendations"]}
        assert (found["logs"]["light"], found["logs"]["task"]) == ("yellow", "execute sweep")
        assert found["logs"]["frees"] == 20 * 10_000
        assert found["database"]["light"] == "red"
        place.json("execute", "sweep")
        found = {one["kind"]: one for one in place.json("cleanup", "analysis")["recommendations"]}
        assert found["logs"]["light"] == "green"
