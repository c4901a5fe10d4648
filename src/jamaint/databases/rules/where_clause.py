"""WHERE clause: check that a text can only be one condition, whatever the server makes of it.

The server parses the condition; what it cannot tell is that a condition was meant to be one. `a) OR (b` inside our
parentheses is good SQL and means something else, and a comment could swallow what follows.
"""

import re

_DOLLAR = re.compile(r"\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_ESCAPED = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)
_NAME = re.compile(r'"(?:[^"]|"")*"')


def wrong_condition(text: str) -> str | None:
    """Why `text` is not one condition, for a person; None if it may be one."""
    if not text.strip():
        return "it is empty"
    depth, at = 0, 0
    while at < len(text):
        end = _end_of_quoted(text, at)
        if end == -1:
            return "a quote is opened and not closed"
        why = None if end else _misplaced(text, at)
        if why is not None:
            return why
        if not end:
            depth += (text[at] in "([") - (text[at] in ")]")
        if depth < 0:
            return "a parenthesis is closed that was not opened"
        at = end or at + 1
    return "a parenthesis is opened and not closed" if depth else None


def _misplaced(text: str, at: int) -> str | None:
    if text.startswith(("--", "/*"), at):
        return "a comment has no place in a condition"
    if text[at] == "$" and text[at + 1 : at + 2].isdigit():
        return f"there is no parameter {text[at : at + 2]} to put in"
    return {";": "a semicolon has no place in a condition", "\0": "it holds a NUL"}.get(text[at])


def _end_of_quoted(text: str, at: int) -> int:
    """Where the quoted text that begins at `at` ends; 0 if none begins there, -1 if it never ends."""
    character = text[at]
    if character == '"':
        found = _NAME.match(text, at)
    elif character == "'":
        escaped = at > 0 and text[at - 1] in "eE" and not (at > 1 and (text[at - 2].isalnum() or text[at - 2] in "_$"))
        found = (_ESCAPED if escaped else _QUOTED).match(text, at)
    elif character == "$" and (tag := _DOLLAR.match(text, at)) and not _in_name(text, at):
        end = text.find(tag[0], tag.end())
        return -1 if end < 0 else end + len(tag[0])
    else:
        return 0
    return found.end() if found else -1


def _in_name(text: str, at: int) -> bool:
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_$")
