"""A JamaintError -> words and an exit code. One line each; an object's mistakes are a line each."""

from __future__ import annotations

from jamaint.ctl.cli.arguments import UsageError
from jamaint.ctl.cli.context import FAILED, REFUSED
from jamaint.ctl.cli.help import meant
from jamaint.ctl.output.text import escaped, escaped_json
from jamaint.errors import (
    CONFLICT,
    INTERNAL,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NOT_AUTHORISED,
    NOT_FOUND,
    UNAVAILABLE,
    JamaintError,
)
from jamaint.errors import REFUSED as REFUSAL
from jamaint.protocol.control import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.arguments import Verb
    from jamaint.ctl.output.terminal import Screen

USAGE = 2
CODES = {UNAVAILABLE: 3, NOT_FOUND: 4, REFUSAL: REFUSED, CONFLICT: REFUSED, NOT_AUTHORISED: 6}
INVALID = 7


def report(problem: JamaintError, verb: Verb | None, screen: Screen, json: bool) -> int:
    """Says on standard error what is wrong, and gives the exit code."""
    if json:
        error = {"code": problem.code, "message": problem.message, "data": problem.data}
        screen.note(escaped_json(dumps({"error": error}), True))
    else:
        for line in lines(problem):
            screen.note(f"jamaintctl: {line}")
    return exit_code(problem, verb)


def nonsense(error: Exception) -> JamaintError:
    """An answer without what it must have, which no daemon of ours gives."""
    why = f"{type(error).__name__}: {error}"
    return JamaintError(INTERNAL, f"the daemon's answer cannot be shown ({why}); --json shows it as it is")


def exit_code(problem: JamaintError, verb: Verb | None) -> int:
    """The contract's exit code for a problem of that verb."""
    if isinstance(problem, UsageError):
        return USAGE
    if problem.code == INVALID_PARAMS:
        return INVALID if verb is not None and verb.configures else USAGE
    return CODES.get(problem.code, FAILED)


def lines(problem: JamaintError) -> list[str]:
    """What is wrong, escaped: one line, or one for each mistake of an object or a configuration."""
    mistakes = problem.data.get("mistakes")
    if isinstance(mistakes, list) and any(isinstance(mistake, dict) for mistake in mistakes):
        found = [_mistake(mistake) for mistake in mistakes if isinstance(mistake, dict)]
    elif isinstance(problem, UsageError):
        found = [problem.message + _advice(problem)]
    else:
        found = [problem.message + _more(problem)]
    return [str(escaped(line)) for line in found]


def _more(problem: JamaintError) -> str:
    """What the message has not said yet: reasons of a refusal, when to ask again, what the daemon does not know."""
    if problem.code == METHOD_NOT_FOUND:
        return "; the daemon is older than this client (jamaintctl version)"
    retry = problem.data.get("retry_after")
    if isinstance(retry, (int, float)) and problem.code == UNAVAILABLE:
        return f"; ask again in {retry:g} s"
    reasons = problem.data.get("reasons")
    told = [_reason(reason) for reason in reasons if isinstance(reason, dict)] if isinstance(reasons, list) else []
    fresh = [text for text in told if text not in problem.message]
    return f"; {'; '.join(fresh)}" if fresh else ""


def _reason(reason: Mapping[str, Any]) -> str:
    return str(reason.get("detail") or reason.get("guard") or "")


def _mistake(mistake: Mapping[str, Any]) -> str:
    """`FILE:LINE:COLUMN: KEY: what would be right`, as far as each is known."""
    place = ":".join(str(mistake[key]) for key in ("file", "line", "column") if mistake.get(key) is not None)
    key = mistake.get("key") or mistake.get("path")
    return ": ".join(str(part) for part in (place, key, mistake.get("problem", "is wrong")) if part)


def _advice(mistake: UsageError) -> str:
    near = meant(mistake)
    help_of = f"jamaintctl {mistake.about} --help" if mistake.about else "jamaintctl --help"
    return (f"; did you mean {near}?" if near else "") + f" (see `{help_of}`)"
