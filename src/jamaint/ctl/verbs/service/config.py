"""`jamaintctl config check [FILE]`: by the daemon for its own configuration, by `jamaintd --check` for any file.

The client imports nothing of the daemon, so the program that knows what is right is run.
"""

from __future__ import annotations

import os
import subprocess
import sys

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.text import columns
from jamaint.errors import INTERNAL, INVALID_PARAMS, NOT_AUTHORISED, JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look

INVALID = 7
WARNING = "warning: "


def check(call: Call) -> int:
    """The verb."""
    file = call.values.get("file")
    if file is None:
        call.show(call.ask("config.check", {}), draw)
        return DONE
    if call.json:
        return _as_json(call, file)
    return _run(_command(file)).returncode


def apply(call: Call) -> int:
    """`jamaintctl config apply`: by root's own hand, on this machine; the daemon has no part in it."""
    if os.geteuid() != 0:
        raise JamaintError(NOT_AUTHORISED, "only root can apply the configuration to the workers' units: sudo it")
    words = ["--apply", *(["--dry-run"] if call.values.get("dry_run") else [])]
    return _run([_program(), *words]).returncode


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `config.check` as lines."""
    warnings = [(("yellow", "warning"), _text(warning)) for warning in found.get("warnings") or []]
    return [f"{found['path']} {look.paint('green', 'is valid')}", *columns(warnings, look, "  ")]


def _as_json(call: Call, file: str) -> int:
    done = _run(_command(file), capture=True)
    said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if done.returncode == 0:
        warnings = [line.removeprefix(WARNING) for line in said if line.startswith(WARNING)]
        call.screen.document({"path": file, "ok": True, "warnings": warnings})
        return DONE
    code = INVALID_PARAMS if done.returncode == INVALID else INTERNAL
    raise JamaintError(code, f"{file} is not valid", {"path": file, "mistakes": [_mistake(line) for line in said]})


def _mistake(line: str) -> dict[str, Any]:
    """The parts of `FILE:LINE:COLUMN: KEY: PROBLEM`, as far as the line has them."""
    place, _, rest = line.partition(": ")
    name, *numbers = place.rsplit(":", 2)
    if len(numbers) < 2 or not all(number.isdigit() for number in numbers):
        return {"problem": line}
    key, colon, problem = rest.partition(": ")
    found = {"file": name, "line": int(numbers[0]), "column": int(numbers[1])}
    return {**found, "key": key, "problem": problem} if colon else {**found, "problem": rest}


def _command(file: str) -> list[str]:
    return [_program(), "--check", "--config", file]


def _run(command: list[str], capture: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run jamaintd to its end. Raises JamaintError where the kernel does not start it."""
    try:
        return subprocess.run(command, check=False, capture_output=capture)  # noqa: S603 - a list, found by us
    except OSError as error:
        raise JamaintError(
            INTERNAL, f"{command[0]} cannot be started: {error.strerror}; run it as another user"
        ) from None


def _program() -> str:
    """jamaintd as it stands beside this client, else on the PATH."""
    beside = os.path.dirname(sys.executable)
    for directory in [beside, *os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin"]:  # not on everybody's PATH
        program = os.path.join(directory, "jamaintd")
        if directory and os.access(program, os.X_OK) and os.path.isfile(program):
            return program
    raise JamaintError(
        INTERNAL, f"there is no jamaintd in {beside} or on the PATH, and only it knows the configuration"
    )


def _text(warning: Any) -> str:
    if not isinstance(warning, dict):
        return str(warning)
    place = ":".join(str(warning[key]) for key in ("file", "line", "column") if warning.get(key) is not None)
    return ": ".join(str(part) for part in (place, warning.get("key"), warning.get("problem")) if part)
