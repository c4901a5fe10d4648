"""jamaintctl: the one place where a verb is run and its failure becomes an exit code.

What runs for `status` is what its user waits for, so a verb's module is loaded when it is that verb's turn, by its name
in the table (ctl/verbs/table.py); see docs/explanation/performance.md.
"""

from __future__ import annotations

import sys
import time

from jamaint.ctl.cli.arguments import Verb, parse
from jamaint.ctl.cli.context import INTERRUPTED, Call
from jamaint.ctl.output.terminal import Screen
from jamaint.ctl.verbs.table import VERBS
from jamaint.errors import JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line (sys.argv's by default) and gives the exit code."""
    words = sys.argv[1:] if words is None else words
    screen = Screen(sys.stdout, sys.stderr)
    code = _guarded(words, screen)
    screen.flush()
    if screen.fault:
        screen.note(f"jamaintctl: {screen.fault}")
        return code or 1
    return code


def _guarded(words: Sequence[str], screen: Screen) -> int:
    """The exit code, whatever happens: a JamaintError in words, an answer that makes no sense in words too."""
    verb: Verb | None = None
    try:
        now = time.time()
        arguments = parse(words, VERBS, now)
        if arguments.help or arguments.version:
            return int(load("cli.help:show")(arguments, VERBS, screen))
        verb = arguments.verb
        assert verb is not None
        return int(load(f"verbs.{verb.run}")(Call(arguments.values, screen, now)))
    except JamaintError as problem:
        return _failed(problem, verb, screen, words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        return _failed(load("cli.failures:nonsense")(error), verb, screen, words)


def _failed(problem: JamaintError, verb: Verb | None, screen: Screen, words: Sequence[str]) -> int:
    return int(load("cli.failures:report")(problem, verb, screen, "--json" in words))


def load(name: str) -> Callable[..., Any]:
    """The function behind a "module:function" of the table."""
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(__import__(f"jamaint.ctl.{module}", fromlist=[function]), function)
    return found
