"""`jamaintctl policy …`: what must not run when, whatever tasks and windows say."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.cli.object_files import send
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import outline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look


def show_list(call: Call) -> int:
    """`policy list`."""
    call.show(call.items("policy.list", {}), draw_list)
    return DONE


def show(call: Call) -> int:
    """`policy show`."""
    call.show(call.ask("policy.get", {"policy": call.values["policy"]}), lambda policy, _look: outline(policy))
    return DONE


def create(call: Call) -> int:
    """`policy create -f`."""
    call.show(send(call, "policy.create", "policy"), lambda policy, _look: [f"policy {policy['name']} created"])
    return DONE


def update(call: Call) -> int:
    """`policy update`."""
    found = send(call, "policy.update", "policy", call.values["policy"])
    call.show(found, lambda policy, _look: [f"policy {policy['name']} updated"])
    return DONE


def delete(call: Call) -> int:
    """`policy delete`."""
    name = call.values["policy"]
    call.show(call.ask("policy.delete", {"policy": name}), lambda _result, _look: [f"policy {name} deleted"])
    return DONE


def draw_list(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `policy.list` as lines."""
    if not found["items"]:
        return ["no policies are defined"]
    return table(
        ("POLICY", "PRIORITY", "STATE", "RULES", "DOES", "TO"),
        [_row(policy) for policy in found["items"]],
        look,
        right=(1,),
    )


def _row(policy: Mapping[str, Any]) -> Sequence[Cell]:
    scope = policy.get("scope") or {}
    to = "; ".join(f"{key} {', '.join(map(str, names))}" for key, names in scope.items() if isinstance(names, list))
    given = policy.get("actions") or ()
    actions = ", ".join(" and ".join(action) if isinstance(action, dict) else str(action) for action in given)
    rules = policy.get("rules") or ()
    asks = ", ".join(" and ".join(rule).replace("_", " ") for rule in rules if isinstance(rule, dict))
    state: Cell = "on" if policy.get("enabled", True) else ("yellow", "off")
    return str(policy["name"]), str(policy.get("priority", "")), state, asks or "-", actions or "-", to or "everything"
