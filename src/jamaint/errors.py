"""JamaintError: the one root of refusals, raised where it is found and turned into a reply in one place."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # the client starts in milliseconds, and typing costs nine of them
    from collections.abc import Mapping, Sequence
    from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL = -32603
NOT_FOUND = -32001
REFUSED = -32002
CONFLICT = -32003
NOT_AUTHORISED = -32004
UNAVAILABLE = -32005
TOO_LARGE = -32006


class JamaintError(Exception):
    """What cannot be done, why, and what to do, in one sentence; `code` and `data` are for programs."""

    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = dict(data or {})


def invalid(path: str, problem: str) -> JamaintError:
    """A parameter or key that cannot be taken: `path` names it, `problem` says what would be right."""
    return JamaintError(INVALID_PARAMS, f"{path}: {problem}", {"path": path, "problem": problem})


def not_found(kind: str, name: str, meant: str | None = None) -> JamaintError:
    """There is no such object; `kind` is the glossary's word for it (task, window, execution …), `meant` the name of
    the one that was probably meant."""
    if meant is None:
        return JamaintError(NOT_FOUND, f"no such {kind}: {name}", {"kind": kind, "name": name})
    message = f"no such {kind}: {name}; did you mean {meant}?"
    return JamaintError(NOT_FOUND, message, {"kind": kind, "name": name, "meant": meant})


def refused(message: str, reasons: Sequence[Mapping[str, Any]]) -> JamaintError:
    """A guard says no; `reasons` is a list of {guard, verdict, detail}."""
    return JamaintError(REFUSED, message, {"reasons": list(reasons)})


def unavailable(message: str, retry_after_seconds: float) -> JamaintError:
    """Not now: something the daemon needs is away, and it is worth asking again after that time."""
    return JamaintError(UNAVAILABLE, message, {"retry_after": retry_after_seconds})
