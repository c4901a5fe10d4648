"""Writes docs/reference/protocol.md from the table of commands: `python packaging/protocol_page.py`.

Parameters are read from the handlers' own `take(…)`, what they do from their docstrings.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from jamaint.daemon.control.commands import COMMANDS
from jamaint.daemon.control.commands.command import Command

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "protocol.md"
KINDS = {
    "str": "string",
    "int": "whole number",
    "bool": "true or false",
    "dict": "object",
    "(int, float)": "number",
    "list": "list",
}

HEAD = """\
# The protocol of the socket

<!-- Made by packaging/protocol_page.py from the table of commands; a test holds it to that. -->

A Unix stream socket; a line is one JSON object (UTF-8, at most 1 MiB, nested at most 64 deep), as JSON-RPC 2.0 has
it. A client may send the next call before the answer to the last one; answers carry the call's `id` and may come in
another order. Batches are refused.

- Request: `{"jsonrpc":"2.0","id":1,"method":"status","params":{}}`. `id` is a string or a whole number of 64 bits,
  or null, which is answered with null. A call with no `id` at all is a notification: it is carried out and not
  answered. `params` is an object.
- Answer: `{"jsonrpc":"2.0","id":1,"result":…}` or
  `{"jsonrpc":"2.0","id":1,"error":{"code":…,"message":…,"data":{…}}}`.
- Pushed events: `{"jsonrpc":"2.0","method":"event","params":{"event":…,"at":…,…}}`, after `event.subscribe`.
- Lists take `limit` (100 if it is not given) and `cursor`, and answer `{"items":[…],"next_cursor":…}`; null at the
  end.
- Times are RFC 3339 with a zone, answered in UTC; sizes are bytes, durations milliseconds, both whole numbers.

## Errors

| code | means | `data` |
|---|---|---|
| -32700 | it is not JSON, or has a key twice; `id` is null | |
| -32600 | it is not a request: the message names the field | |
| -32601 | there is no such method | |
| -32602 | a parameter cannot be taken; also a number beyond 64 bits, a NUL, half a surrogate pair | `path`, `problem` |
| -32603 | internal: the id stands in the journal too | `id` |
| -32001 | there is no such object | `kind`, `name` |
| -32002 | refused by guards | `reasons`: `[{guard, verdict, detail}]` |
| -32003 | conflict with how things are: it has ended, it comes from a file, it is there already | |
| -32004 | the caller's role, or its own part in it, does not allow it | `needs`, `role`; or `own` |
| -32005 | not now: the database is away, or there is no room | `retry_after`, in seconds |
| -32006 | the line, or the answer, is too large | |

Any method may answer -32602, -32603, -32004, -32005; those that name an object also -32001, and those that change
something -32003.

## Roles

The caller is who the kernel says (`SO_PEERCRED`). Each role may do what those before it may: `viewer`, `operator`,
`admin`; root is admin. *Four eyes*: nobody but root, or the person whose own daemon it is, does it for what
he asked for or made himself. *Not of files*: objects that come from files are changed there. *Not root's*: what root
made through the socket, only root changes.

## Methods

A parameter with * is needed. Those that change something, and all that are refused, stand in the audit log.

"""


def page() -> str:
    """Return the page as it should be."""
    lines = ["| method | role | changes | parameters | does |", "|---|---|---|---|---|"]
    for method, command in COMMANDS.items():
        handler = inspect.unwrap(command.carry_out)
        does = textwrap.shorten(str(inspect.getdoc(handler)).split("\n\n")[0], 400).replace("|", "\\|")
        changes = "yes" if command.changes else ""
        parameters = ", ".join(_parameters(handler)) or "none"
        lines.append(f"| `{method}` | {command.role} | {changes} | {parameters} | {does}{_limits(command)} |")
    return HEAD + "\n".join(lines) + "\n"


def _limits(command: Command) -> str:
    told = [
        words
        for holds, words in (
            (command.four_eyes, "Four eyes."),
            (not command.of_files, "Not of files."),
            (not command.of_root, "Not root's."),
        )
        if holds
    ]
    return "".join(f" *{words}*" for words in told)


def _parameters(handler: object) -> Iterator[str]:
    """Yield what the handler takes, or the helper of its module that takes it."""
    module = inspect.getmodule(handler)
    tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))  # type: ignore[arg-type]  # a function
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    takes = [call for call in calls if call.func.id == "take"]  # type: ignore[attr-defined]  # a name, see above
    if not takes:
        for call in calls:
            helper = getattr(module, call.func.id, None)  # type: ignore[attr-defined]
            passes_on = any(isinstance(one, ast.Name) and one.id == "call" for one in call.args)
            if inspect.isfunction(helper) and helper.__module__ == getattr(module, "__name__", "") and passes_on:
                yield from _parameters(helper)
        return
    given = [(keyword.arg, keyword.value) for keyword in takes[0].keywords]
    pairs = [
        pair
        for name, value in given
        for pair in (
            [(ast.literal_eval(key), one) for key, one in zip(value.keys, value.values, strict=True) if key is not None]
            if name is None and isinstance(value, ast.Dict)
            else [(name, value)]
        )
    ]
    for name, value in pairs:
        kind = KINDS.get(ast.unparse(value), ast.unparse(value))
        yield f"`{name.rstrip('_')}`{'*' if name.endswith('_') else ''} ({kind})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
