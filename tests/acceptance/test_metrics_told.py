"""`jamaintctl metrics` against a real daemon, and the file that node_exporter collects."""

import os
import stat
from collections.abc import Iterator

import pytest

from command_line import Scene, scene


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        window = {"schedule": {"cron": "0 2 * * *"}, "duration": 60, "timezone": "UTC"}
        tasks = {
            "works": {"executor": "command", "config": {"command": ["/bin/true"]}},
            "fails": {"executor": "command", "config": {"command": ["/bin/false"]}},
        }
        found.configure(tasks=tasks, windows={"night": window})
        yield found


def test_metrics_tell_how_tasks_and_windows_did(place: Scene) -> None:
    with place.serving():
        for _ in range(2):
            place.ctl("execute", "works")
        place.ctl("execute", "fails")
        found = place.json("metrics")
        tasks = {one["task"]: one for one in found["tasks"]["items"]}
        assert (tasks["works"]["completed"], tasks["works"]["success_rate"]) == (2, 1.0)
        assert (tasks["fails"]["failed"], tasks["fails"]["success_rate"]) == (1, 0.0)
        assert tasks["fails"]["mean_seconds"] is None
        assert set(found) == {"timestamp", "since", "scheduler", "tasks", "windows", "system", "performance"}
        (night,) = found["windows"]["items"]
        assert night["openings"] in {30, 31}
        assert night["busy_seconds"] == 0
        assert found["performance"]["resident_memory_bytes"] > 0
        shown = place.ctl("metrics").stdout
        assert "2 of 2" in shown
        assert "0 of 1" in shown
        text = place.ctl("metrics", "--format", "openmetrics").stdout
        assert 'jamaint_executions_total{status="completed",task="works"} 2.0' in text
        assert text.endswith("# EOF\n")
        wrong = place.ctl("metrics", "--format", "xml")
        assert (wrong.returncode, "--format must be json or openmetrics, not xml" in wrong.stderr) == (2, True)


def test_a_textfile_of_another_name_is_refused(place: Scene) -> None:
    place.configure(monitoring={"textfile": str(place.directory / "metrics.txt")})
    refused = place.ctl("config", "check", str(place.config))
    assert refused.returncode == 7
    assert "must end in .prom" in refused.stderr


def test_the_textfile_is_written_whole_and_readable(place: Scene) -> None:
    file = place.directory / "jamaint.prom"
    place.configure(monitoring={"textfile": str(file)})
    with place.serving():
        place.ctl("reload")
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o644
        assert "jamaint_build_info" in file.read_text()
        assert not list(place.directory.glob(".jamaint-*"))
