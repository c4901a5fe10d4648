"""Programs before they are run: whether they are there, and whether that user may run them; nothing is changed."""

import os
import subprocess

from jamaint.host.accounts import SAFE_PATH, Account, check_reachable, environment_of, own_account

_TEST = "/usr/bin/test"
_TEST_SECONDS = 10.0


def check_runnable(program: str, working_directory: str, account: Account | None) -> None:
    """Raises OSError with the reason why that user (None: the one this process is) cannot run it from there.

    A name without a slash is looked for in the fixed path that commands are given.
    """
    if account is not None:
        check_reachable(account)
    user = (account or own_account()).name
    if not os.path.isdir(working_directory):
        raise NotADirectoryError(f"the working directory {working_directory} is not there")
    if not _may_execute(working_directory, account):
        raise PermissionError(f"{user} may not enter the working directory {working_directory}")
    found = [path for path in _places(program) if os.path.isfile(path)]
    if not found:
        raise FileNotFoundError(f"there is no program {program}")
    if not any(_may_execute(path, account) for path in found):
        raise PermissionError(f"{user} may not execute {found[0]}")


def _places(program: str) -> list[str]:
    if program.startswith("/"):
        return [program]
    if "/" in program:
        raise FileNotFoundError(f"{program} is neither an absolute path nor a name alone")
    return [f"{directory}/{program}" for directory in SAFE_PATH.split(":")]


def _may_execute(path: str, account: Account | None) -> bool:
    if account is None or account.is_own:
        return os.access(path, os.X_OK)
    try:
        asked = subprocess.run(  # noqa: S603 - the only way to learn what another user may is to ask as that user
            [_TEST, "-x", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment_of(account),
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
            timeout=_TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{path} could not be looked at within {_TEST_SECONDS:g} s") from None
    return asked.returncode == 0
