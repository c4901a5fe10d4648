"""`jamaintctl execution log [--follow]`: what an execution said."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE, INTERRUPTED, PAGES_LIMIT
from jamaint.ctl.output.execution_text import ENDED
from jamaint.ctl.output.times import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look

PAGE = 500
QUIET_SECONDS = 2.0
LEVELS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}


def log(call: Call) -> int:
    """The verb."""
    ident = call.values["execution"]
    if call.values.get("follow"):
        try:
            return _follow(call, ident)
        except KeyboardInterrupt:
            return INTERRUPTED
    items: list[Any] = []
    for page in _pages(call, ident, 0):
        items += page
        if not call.json:
            _write(call, page)
    if call.json:
        call.screen.document({"items": items, "next_cursor": None})
    return DONE


def line(entry: Mapping[str, Any], look: Look) -> str:
    """One entry: time of day, level where it matters, step, message."""
    level = str(entry.get("level") or "info")
    head = look.paint("dim", clock(entry.get("at")))
    step = f" {entry['step']}:" if entry.get("step") else ""
    words = f"{step} {entry.get('message')}"
    return head + (words if level == "info" else " " + look.paint(LEVELS.get(level, ""), level + ":") + words)


def _follow(call: Call, ident: str) -> int:
    """Reads what there is, then again whenever something has happened: by its numbers nothing is lost or said twice."""
    events = call.connect()
    execution = events.call("event.subscribe", {"execution": ident})["execution"]
    ended, last = execution["status"] in ENDED, 0
    while not call.screen.gone:
        for page in _pages(call, execution["id"], last):
            last = page[-1]["seq"]
            _write(call, page)
        call.screen.flush()
        if ended:
            break
        event = events.event(QUIET_SECONDS)
        while event is not None and not ended:
            ended = event.get("event") == "execution.ended"
            event = events.event(0)
    return DONE


def _pages(call: Call, ident: str, last: int) -> Any:
    """The pages of entries after number `last`, none of them empty."""
    for _ in range(PAGES_LIMIT):
        found = call.ask("execution.logs", {"execution": ident, "after_seq": last, "limit": PAGE})
        if found["items"]:
            yield found["items"]
            last = found["items"][-1]["seq"]
        if found.get("next_cursor") is None or not found["items"]:
            return


def _write(call: Call, page: list[dict[str, Any]]) -> None:
    if call.json:
        for entry in page:
            call.screen.document(entry)
    else:
        call.screen.lines(line(entry, call.look) for entry in page)
