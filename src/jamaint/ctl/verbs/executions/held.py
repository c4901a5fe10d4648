"""`jamaintctl held`: what rollbacks have put back and cleanings leave alone, and to release it."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import count, short
from jamaint.ctl.output.times import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

ANOTHER_AGE = "another age of its rule"
SHOWN = 3
"""Places of a rollback that a sentence names; more are counted."""


def show_list(call: Call) -> int:
    """The verb `held list`."""
    call.show(call.ask("held.list", call.params(execution="execution", limit="limit")), draw_list)
    return DONE


def release(call: Call) -> int:
    """The verb `held release`."""
    call.show(call.ask("held.release", call.params(execution="execution", path="path")), draw_released)
    return DONE


def draw_list(result: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `held.list` as lines."""
    items = result["items"]
    if not items:
        return ["nothing is held: the next runs take whatever their rules mean"]
    lines = table(("HELD UNTIL", "ROLLED BACK", "TASK", "WHAT", "WHERE"), [_row(one, look) for one in items], look)
    lines.append("put back by these rollbacks, and left alone by the next runs until then")
    if result.get("next_cursor"):
        lines.append("there are more: --limit shows up to 1000")
    return [*lines, f"to let go of it: jamaintctl held release {short(items[0]['execution_id'])} [PATH]"]


def draw_released(result: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `held.release` as lines."""
    name, ident = result["task_name"], short(result["execution_id"])
    lines = [f"{name} {ident}: {amounts(result['released'])} released: the next runs may take it again"]
    if result["held"]:
        lines.append(f"  still held until {ends(result['held'], look)}: {amounts(result['held'])}")
    return lines


def told(places: Sequence[Mapping[str, Any]], ident: str, look: Look, dry_run: bool = False) -> list[str]:
    """The lines of a rollback that say what is held from now on."""
    if not places:
        return []
    words = "would be left alone" if dry_run else "left alone"
    lines = [f"  {words} by the next runs until {ends(places, look)}: {amounts(places)}"]
    return lines if dry_run else [*lines, f"  to let them take it before: jamaintctl held release {ident}"]


def amounts(places: Sequence[Mapping[str, Any]]) -> str:
    """How much at which places, such as `3 files in /srv/a, 2 rows in events`."""
    named = [f"{_amount(one)} in {one['path']}" for one in places[:SHOWN]]
    more = [f"{len(places) - SHOWN} more places"] if len(places) > SHOWN else []
    return ", ".join((*named, *more))


def ends(places: Iterable[Mapping[str, Any]], look: Look) -> str:
    """Until when the last of them is held."""
    known = [str(one["until"]) for one in places if one.get("until")]
    return moment(max(known), look.now) if known else ANOTHER_AGE


def _row(one: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    until = moment(one["until"], look.now) if one.get("until") else ANOTHER_AGE
    return until, short(one["execution_id"]), str(one["task_name"]), _amount(one), str(one["path"])


def _amount(one: Mapping[str, Any]) -> str:
    return "all" if one.get("items") is None else count(one["items"], str(one["unit"]))
