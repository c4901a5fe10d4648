"""`jamaintctl config show|drain|reload|version`: the daemon itself."""

from __future__ import annotations

from jamaint import VERSION
from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.text import columns, count, outline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look

ONE = {"tasks": "task", "windows": "window", "policies": "policy", "freezes": "freeze", "settings": "setting"}
NOTHING_RUNS = "nothing runs: jamaintd can be stopped"


def config(call: Call) -> int:
    """`config show`."""
    call.show(call.ask("config.show", {}), draw_config)
    return DONE


def drain(call: Call) -> int:
    """`drain`."""
    call.show(call.ask("daemon.drain", {"off": True} if call.values.get("off") else {}), draw_drain)
    return DONE


def reload(call: Call) -> int:
    """`reload`."""
    call.show(call.ask("daemon.reload", {}, patient=True), draw_reload)
    return DONE


def version(call: Call) -> int:
    """`version`: the client's even when there is no daemon."""
    if not call.json:
        call.screen.lines([f"jamaintctl {VERSION}"])
        call.screen.flush()
    call.show(call.ask("daemon.version", {}), draw_version)
    return DONE


def draw_config(found: Mapping[str, Any], _look: Look) -> list[str]:
    """The result of `config.show` as lines: a comment, then YAML."""
    return [f"# {found['path']}", *outline(found["config"])]


def draw_drain(found: Mapping[str, Any], _look: Look) -> list[str]:
    """The result of `daemon.drain` as lines."""
    running, state = found["running"], found["state"]
    if state != "draining":
        starts = "tasks start again" if state == "active" else "tasks start only on request"
        return [f"no longer draining: the scheduler is {state}, {starts}"]
    runs = f"{count(running, 'execution')} still running (jamaintctl status)" if running else NOTHING_RUNS
    return ["draining: no task starts until `jamaintctl drain --off` or a restart of jamaintd", f"  {runs}"]


def draw_reload(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `daemon.reload` as lines."""
    lines = []
    for kind, changes in (found.get("changes") or {}).items():
        for change, names in changes.items():
            lines += [f"  {ONE.get(str(kind), str(kind))} {name} {change}" for name in names]
    warnings = columns([(("yellow", "warning"), str(warning)) for warning in found.get("warnings") or []], look, "  ")
    return [f"reloaded: {count(len(lines), 'change') if lines else 'nothing has changed'}", *lines, *warnings]


def draw_version(found: Mapping[str, Any], _look: Look) -> list[str]:
    """The result of `daemon.version` as lines."""
    told = f"protocol {found.get('protocol')}, Python {found.get('python')}, PostgreSQL {found.get('postgresql')}"
    return [f"jamaintd   {found['version']} ({told})"]
