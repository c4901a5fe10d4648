"""Metrics: figures of scheduler, tasks, windows, system and performance."""

from typing import Any

from jamaint.daemon.control.commands.command import Call, Daemon, take
from jamaint.errors import invalid, unavailable
from jamaint.store.postgres import DatabaseAwayError

FORMATS = ("json", "openmetrics")


async def metrics(daemon: Daemon, call: Call) -> dict[str, Any]:
    """As JSON; with format openmetrics, {lines} of a scrape."""
    (form,) = take(call, format=str)
    if form not in (None, *FORMATS):
        raise invalid("format", f"must be one of {', '.join(FORMATS)}")
    if form == "openmetrics":
        return {"lines": (await daemon.metrics.openmetrics()).splitlines()}
    try:
        return await daemon.metrics.collect()
    except DatabaseAwayError as error:
        raise unavailable(f"the database is away: {error}", 5) from error
