"""What `systemd-analyze calendar` says of expressions, many in one call: the other opinion in a property test."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

PROGRAM = shutil.which("systemd-analyze")
_ELAPSE = re.compile(r"(?:Next elapse|Iter\. #\d+): \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (\S+)")


def accepts(expression: str) -> bool:
    """Whether systemd takes it."""
    return _run(["--iterations=1", expression]).returncode == 0


def elapses(expressions: Sequence[str], after: datetime, count: int) -> list[list[datetime]]:
    """For each expression (all valid) its next `count` instants after that moment, in UTC."""
    moment = after.strftime("%Y-%m-%d %H:%M:%S UTC")
    done = _run([f"--iterations={count}", f"--base-time={moment}", *expressions])
    assert done.returncode == 0, done.stderr
    # Each expression begins with its normalized form, or its original one where that differs.
    parts = re.split(r"^\s*Normalized form:", done.stdout, flags=re.MULTILINE)[1:]
    assert len(parts) == len(expressions), done.stdout
    return [[_moment(text) for text, _ in _ELAPSE.findall(part)] for part in parts]


def _run(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ.get("PATH", ""), "TZ": "UTC", "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    assert PROGRAM is not None
    command = [PROGRAM, "calendar", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
