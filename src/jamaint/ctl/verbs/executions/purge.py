"""`jamaintctl purge`: empty trash and kept rows before their time, and say what that freed."""

from __future__ import annotations

from jamaint.ctl.cli.arguments import UsageError
from jamaint.ctl.cli.context import DONE, FAILED
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import count, percent, short, size
from jamaint.ctl.output.times import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

SHOWN = 20
"""Ways back that stay, of which the reason is shown; more are counted."""


def purge(call: Call) -> int:
    """The verb. Exit code 1 when something could not be purged, or too little was free at the end."""
    result = call.ask("purge", _params(call), patient=True)
    call.show(result, draw)
    unfinished = any(not one["reached"] for one in result["until_free"]) or any(
        one["problems"] for one in result["items"]
    )
    return FAILED if unfinished and not result["dry_run"] else DONE


def _params(call: Call) -> dict[str, Any]:
    words = [str(word) for word in call.values.get("execution") or ()]
    paths = [word for word in words if word.startswith("/")]
    executions = [word for word in words if not word.startswith("/")]
    params = call.params(until_free="until_free", all="all", incomplete="incomplete", dry_run="dry_run")
    if len(paths) > 1 or (paths and "until_free" not in params):
        raise UsageError("one PATH may follow --until-free SHARE, and nothing else begins with /", "purge")
    if executions and ("until_free" in params or "all" in params):
        raise UsageError("name executions, or give --until-free or --all: not both", "purge")
    if not executions and not params:
        raise UsageError(
            "what is purged is gone for good: name executions, or give --until-free SHARE or --all", "purge"
        )
    if executions:
        params["executions"] = executions
    return params | ({"path": paths[0]} if paths else {})


def draw(result: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `purge` as lines."""
    items, dry_run = result["items"], result["dry_run"]
    lines = ["this is a dry run, nothing has been changed"] if dry_run else []
    if items:
        head = ("KEPT SINCE", "ID", "TASK", "WOULD FREE" if dry_run else "FREED")
        lines += table(head, [_row(one) for one in items], look, right=(3,))
    lines += [_problem(one, look) for one in items if one["problems"]]
    lines += [f"{_name(one)} stays: {one['why']}" for one in result["skipped"][:SHOWN]]
    if len(result["skipped"]) > SHOWN:
        lines.append(f"{len(result['skipped']) - SHOWN:,} more stay: --json has all")
    did = "would be purged, and free" if dry_run else "purged, and freed"
    ended = f"{count(len(items), 'execution')} {did} {size(result['freed_space'])}"
    lines.append(ended if items else _none(result))
    return lines + [_goal(one, dry_run, look) for one in result["until_free"]]


def _none(result: Mapping[str, Any]) -> str:
    reached = result["until_free"] and all(one["reached"] for one in result["until_free"])
    return "nothing to purge: enough is free" if reached else "nothing to purge"


def _row(one: Mapping[str, Any]) -> Sequence[Cell]:
    return stamp(one["kept_since"]), short(one["execution_id"]), str(one["task_name"]), size(one["freed_space"])


def _name(one: Mapping[str, Any]) -> str:
    return " ".join(part for part in (str(one.get("task_name") or ""), short(one["execution_id"])) if part)


def _problem(one: Mapping[str, Any], look: Look) -> str:
    first = one["problems"][0]
    more = f" (and {len(one['problems']) - 1:,} more)" if len(one["problems"]) > 1 else ""
    return look.paint("red", f"{_name(one)}: {first.get('path')}: {first.get('why')}{more}")


def _goal(one: Mapping[str, Any], dry_run: bool, look: Look) -> str:
    after, asked = percent(one["free_share_after"]), percent(one["share"])
    now = "free after it" if dry_run else "free now"
    text = f"{one['path']}: {percent(one['free_share_before'])} free before, {after} {now}"
    return text if one["reached"] else look.paint("red", f"{text}, and {asked} asked for")
