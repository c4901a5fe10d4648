"""Scripts: runs what a rotation's `prerotate` and `postrotate` name, and says in words how that failed."""

from collections.abc import Mapping
from typing import Any

from jamaint.core.owner_rights import OWNER
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work
from jamaint.files.rights.borrowed import own_rights
from jamaint.host.accounts import Account, find_account
from jamaint.host.processes.run import Call, Ended, run

_STOPPING_SECONDS = 60.0
"""How long one may take that is run although the execution is to stop: the logs have been rotated, and it tells so."""


def run_script(key: str, work: Work, host: Host, details: Mapping[str, Any], log: str = "") -> bool:
    """Runs the script of that key, if there is one. Raises StepError, and StopRequestedError when it is to stop in
    the midst.

    `log` is the path of the log that it is run for, its last argument; empty where it is run for all of them.
    """
    argv = work.config[key]
    if not argv:
        return False
    argv = [*argv, log] if log else argv

    def stopping() -> bool:
        try:
            host.paused()
        except StopRequestedError:
            return True
        return False

    seconds, heeds = work.timeout_seconds, not stopping()
    if not heeds:
        seconds = min(seconds or _STOPPING_SECONDS, _STOPPING_SECONDS)
    try:
        call = Call(work.execution, tuple(argv), script_account(work.config), timeout_seconds=seconds)
        with own_rights():  # a child that had borrowed ones could take ours again
            ended = run(call, lambda line: host.log("info", line), stopping if heeds else lambda: False)
    except (OSError, ValueError, LookupError) as error:
        raise StepError(f"{key} could not be started: {error}", "exit", details) from None
    if ended.exit_code == 0 and ended.cut_short is None:
        return True
    if key == "prerotate":
        what = f": {log} was not rotated" if log else ": nothing was rotated"
    else:
        what = f", and {log} is rotated" if log else ", and the logs are rotated"
    if ended.cut_short == "stopped":
        host.log("warning", f"{key} was stopped before it had finished{what}")
        raise StopRequestedError(details)
    last = f"; last line: {ended.last_line[:200]}" if ended.last_line else ""
    raise StepError(f"{key} {_how(ended, seconds)}{what}{last}", "exit", details)


def script_account(config: Mapping[str, Any]) -> Account | None:
    """The user that scripts and signals are given the rights of: None for those that this process was started with.

    Raises LookupError when this machine has no such user.
    """
    user = (config.get("scripts") or {}).get("user") or config.get("user")
    return None if user in (None, OWNER) else find_account(user)


def _how(ended: Ended, seconds: float | None) -> str:
    if ended.cut_short == "timeout":
        return f"was ended: it had not finished within {seconds:g} s"
    return f"was killed by {ended.signal}" if ended.signal else f"exited with {ended.exit_code}"
