"""Context of a verb: its values, the screen, the daemon."""

from __future__ import annotations

import os
import sys

from jamaint.ctl.cli.client import Client, default_path
from jamaint.ctl.output.terminal import columns_of, speaks_unicode
from jamaint.ctl.output.text import Look, escaped, folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from jamaint.ctl.output.terminal import Screen

DONE = 0
FAILED = 1
REFUSED = 5
INTERRUPTED = 130
PAGE = 100
PAGES_LIMIT = 1000


class Call:
    """One run of one verb. Nothing is connected before it is needed."""

    __slots__ = ("_client", "json", "look", "screen", "values")

    def __init__(self, values: dict[str, Any], screen: Screen, now: float) -> None:
        self.values = values
        self.json = bool(values.get("json"))
        self.screen = screen
        width = columns_of(sys.stdout)
        self.look = Look(now, width, bool(width) and self.wants_colours, speaks_unicode(sys.stdout))
        """How standard output is drawn on: a width and colours are a terminal's only."""
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The verb's connection. Raises UnreachableError."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    def connect(self) -> Client:
        """One more connection. Every text of the daemon's is escaped where it comes in, unless it goes out as JSON."""
        path = self.values.get("socket") or default_path()
        return Client(path, self.values.get("timeout"), _as_it_is if self.json else escaped)

    def ask(self, method: str, params: dict[str, Any], patient: bool = False) -> Any:
        """The result of one call to the daemon; see Client.call."""
        return self.client.call(method, params, patient)

    @property
    def wants_colours(self) -> bool:
        """Whether a terminal may be coloured: neither --no-color nor NO_COLOR, nor a terminal that cannot."""
        return not (self.values.get("no_color") or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb")

    def params(self, **names: str) -> dict[str, Any]:
        """The values that were given, as params: `params(task="task", window="window")` is {param: value of flag}."""
        return {param: self.values[key] for param, key in names.items() if key in self.values}

    def items(self, method: str, params: dict[str, Any], limit: int | None = None) -> dict[str, Any]:
        """A list, page after page, as one result: whole, or of at most `limit` items."""
        items: list[Any] = []
        cursor = None
        for _ in range(PAGES_LIMIT):
            page = params if limit is None else {**params, "limit": min(PAGE, limit - len(items))}
            found = self.ask(method, page if cursor is None else {**page, "cursor": cursor})
            items += found["items"]
            cursor = found.get("next_cursor")
            if cursor is None or not found["items"] or (limit is not None and len(items) >= limit):
                break
        return {"items": items, "next_cursor": cursor}

    def show(self, value: Any, draw: Callable[[Any, Look], Iterable[str]]) -> None:
        """The method's result on standard output: as JSON, or as `draw` says it."""
        if self.json:
            self.screen.document(value)
        else:
            self.screen.lines(folded(draw(value, self.look), self.look))


def _as_it_is(value: Any) -> Any:
    return value
