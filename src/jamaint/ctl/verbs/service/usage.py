"""`jamaintctl usage` and `cleanup analysis`: how large things are, how they grow, and what would help."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import bar, count, size
from jamaint.ctl.output.times import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

BAR = 20
SHORT_BAR = 5
WIDE_ENOUGH = 120
"""From so many columns on the whole bar is drawn."""
LIGHTS = {"green": "good", "yellow": "look", "red": "act"}
"""What each light says, also where there are no colours."""
KINDS = ("storage", "database", "cache", "logs", "temp", "files")
HEAD = ("KIND", "WHAT", "SIZE", "USED", "PER DAY", "FULL ON", "HOLDS")


def show(call: Call) -> int:
    """`usage`."""
    call.show(call.ask("usage", {}, patient=True), draw)
    return DONE


def show_analysis(call: Call) -> int:
    """`cleanup analysis`."""
    call.show(call.ask("cleanup.analysis", {}, patient=True), draw_analysis)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `usage` as lines."""
    return _sizes(found["items"], look)


def draw_analysis(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `cleanup.analysis` as lines."""
    items = [one for kind in KINDS for one in found.get(kind) or ()]
    lines = _sizes(items, look)
    freed = {kind: amount for kind, amount in (found.get("reclaimable") or {}).items() if amount is not None}
    lines += ["", look.paint("bold", "RECOMMENDATIONS")]
    advice = [_advice(one) for one in found["recommendations"]]
    lines += table(("", "KIND", "WHAT", "WHY", "WHAT HELPS"), advice, look, below=True)
    if freed:
        total = size(sum(freed.values()))
        lines += ["", f"a cleanup would remove {total} now: jamaintctl cleanup run --dry-run shows what"]
    return lines


def _sizes(items: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    return table(HEAD, [_row(one, look) for one in items], look, right=(2,))


def _row(one: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    share, growth = one.get("share"), one.get("growth_per_day")
    used: Cell = ""
    if isinstance(share, (int, float)):
        style = "red" if share >= 0.95 else "yellow" if share >= 0.8 else "green"
        length = BAR if not look.width or look.width >= WIDE_ENOUGH else SHORT_BAR
        used = (style, f"{bar(share, length, look.unicode)} {share * 100:.0f}%")
    grows = "not known yet" if growth is None else f"{'+' if growth >= 0 else '-'}{size(abs(growth))}"
    more = one.get("problem") or (count(one["files"], "file") if "files" in one else _of_cache(one)) + _inodes(one)
    full = moment(one["full_on"], look.now) if one.get("full_on") else ""
    return str(one["kind"]), str(one["name"]), size(one.get("bytes")), used, grows, full, str(more)


def _inodes(one: Mapping[str, Any]) -> str:
    """`, 97% of inodes`: where they are scarcer than the space, that is what ends first."""
    share = one.get("inodes_share")
    if not isinstance(share, (int, float)) or share < max(0.5, one.get("share") or 0.0):
        return ""
    return ", no inodes free" if share >= 1 else f", {share * 100:.0f}% of inodes used"


def _of_cache(one: Mapping[str, Any]) -> str:
    if "keys" not in one:
        return f"{size(one['free'])} free" if one.get("free") is not None else ""
    hits = one.get("hit_share")
    return count(one["keys"], "key") + (f", {hits * 100:.1f}% hits" if isinstance(hits, (int, float)) else "")


def _advice(one: Mapping[str, Any]) -> Sequence[Cell]:
    light = str(one.get("light"))
    helps = ""
    if one.get("task"):
        helps = f"jamaintctl {one['task']}" + (f" ({size(one['frees'])})" if one.get("frees") is not None else "")
    return (light, LIGHTS.get(light, light)), str(one["kind"]), str(one["name"]), str(one.get("reason") or ""), helps
