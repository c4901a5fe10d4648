"""`jamaintctl database`: remove what tasks have left in a database."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import count, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look


def forget(call: Call) -> int:
    """`database forget`."""
    params = {"task": call.values["task"], **call.params(with_kept="with_kept", dry_run="dry_run")}
    call.show(call.ask("database.forget", params, patient=True), draw)
    return DONE


def draw(result: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `database.forget` as lines."""
    if not result["tables"]:
        return [f"{result['database']}: nothing of jamaint exists in it"]
    lines = ["this is a dry run, nothing has been changed"] if result["dry_run"] else []
    lines += table(("TABLE", "SIZE"), [(one["name"], size(one["bytes"])) for one in result["tables"]], look, right=(1,))
    did = "would be removed, and free" if result["dry_run"] else "removed, and freed"
    return [
        *lines,
        f"{result['database']}: {count(len(result['tables']), 'table')} {did} {size(result['freed_space'])}",
    ]
