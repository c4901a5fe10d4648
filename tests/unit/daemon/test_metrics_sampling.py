"""Sampling goes on whatever fails, tells a problem once, and rolls up what an outage has left."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
import trio
import trio.testing

from jamaint.daemon.monitoring import metrics
from jamaint.daemon.monitoring.metrics import Metrics
from jamaint.store import metrics as store

DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


class Place:
    """Metrics of a daemon without tasks; what it writes and says is kept."""

    def __init__(self, textfile: Path | None) -> None:
        self.now = MIDNIGHT + timedelta(hours=12)
        self.written: list[tuple[Any, ...]] = []
        self.said: list[str] = []
        config = SimpleNamespace(textfile=None if textfile is None else str(textfile), state_dir="/")

        async def run(work: Callable[..., Awaitable[Any]], *args: Any) -> Any:
            self.written.append((work, *args))
            return {}

        part: Any = SimpleNamespace(
            config=config, tasks={}, windows={}, openings={}, all=list, away=None, run=run, first_due=None
        )
        log = structlog.wrap_logger(cast("Any", self), processors=[lambda _log, _name, event: event["event"]])
        self.metrics = Metrics(
            definitions=part,
            scheduler=part,
            current=part,
            recorder=part,
            postgres=part,
            now=lambda: self.now,
            log=log,
        )

    def warning(self, event: str) -> None:
        self.said.append(event)

    def rolled_up(self) -> list[tuple[datetime, datetime]]:
        return [(one[1], one[2]) for one in self.written if one[0] is store.roll_up]


async def none() -> list[tuple[str, str]]:
    return []


async def test_a_textfile_that_cannot_be_written_is_told_once_until_it_can(tmp_path: Path) -> None:
    file = tmp_path / "later" / "a.prom"
    place = Place(file)
    for _ in range(2):
        await place.metrics.write_textfile()
    assert place.said == [
        f"{file} cannot be written: No such file or directory; metrics are missing or old until that is over"
    ]
    file.parent.mkdir()
    await place.metrics.write_textfile()
    assert "jamaint_build_info" in file.read_text()
    file.unlink()
    file.parent.rmdir()
    await place.metrics.write_textfile()
    assert len(place.said) == 2


async def test_an_internal_error_of_a_sample_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    place = Place(None)

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(metrics, "machine_figures", broken)
    with trio.move_on_after(5 * metrics.EVERY_SECONDS) as limit:
        await place.metrics.serve(none)
    assert limit.cancelled_caught
    assert place.said == [
        "internal error in a sample (ZeroDivisionError); metrics are missing or old until that is over"
    ]


async def test_days_are_rolled_up_from_a_start_on_and_then_from_the_last_time() -> None:
    place = Place(None)
    await place.metrics.sample()
    place.now += timedelta(minutes=5)
    await place.metrics.sample()
    assert place.rolled_up() == [(MIDNIGHT - 29 * DAY, MIDNIGHT + DAY)]
    place.now += 3 * DAY
    await place.metrics.sample()
    assert place.rolled_up()[1:] == [(MIDNIGHT - DAY, MIDNIGHT + 4 * DAY)]
    place.now += timedelta(minutes=5)
    await place.metrics.sample()
    assert len(place.rolled_up()) == 2
