"""Runs tests for bench/mutants.py: reads {tests, seconds} a line, forks, runs them, answers {outcome} a line.

What tests need of libraries is imported once, before the fork; nothing of jamaint is, so that a mutant is imported.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import asyncpg  # noqa: F401 - imported for those who are forked
import cronsim  # noqa: F401
import dateutil.rrule  # noqa: F401
import hypothesis
import psutil  # noqa: F401
import pydantic  # noqa: F401
import pytest
import pytest_trio  # noqa: F401
import structlog  # noqa: F401
import trio  # noqa: F401
import yaml  # noqa: F401

EVERY_SECONDS = 0.01
NONE_SELECTED = 5


def run(tests: list[str], seconds: float) -> str:
    """Run tests in a fork, in a group of its own that ends with it; return "pass", "fail" or "time"."""
    child = os.fork()
    if child == 0:
        _child(tests)
    until = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended or time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            break
        time.sleep(EVERY_SECONDS)
    if not ended:
        os.waitpid(child, 0)
        return "time"
    return "pass" if os.waitstatus_to_exitcode(status) in (0, NONE_SELECTED) else "fail"


def _child(tests: list[str]) -> None:
    try:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(quiet, number)
        code = int(pytest.main(["-x", "--assert=plain", *tests]))
    except BaseException:  # whatever it is, a fork does not come back
        code = 70
    os._exit(code)


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The same examples each time; a failing one need not be made small.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
    hypothesis.settings.load_profile("mutants")
    sys.path.insert(0, str(Path.cwd() / "src"))
    for line in sys.stdin:
        asked = json.loads(line)
        outcome = run(asked["tests"], asked["seconds"])
        print(json.dumps({"outcome": outcome}), flush=True)


if __name__ == "__main__":
    main()
