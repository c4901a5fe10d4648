"""command: the administrator's program, run to its end or until its time is up."""

from collections.abc import Mapping
from typing import Any

from jamaint.core.conditions.command import Ended
from jamaint.host.accounts import find_account
from jamaint.host.facts.fact import LookError, Outside
from jamaint.host.facts.program import last_line, run


async def look(params: Mapping[str, Any], outside: Outside) -> Ended:
    account = None
    if params["user"] is not None:
        try:  # a directory service may keep it waiting
            account = await outside.apart(f"user {params['user']}", find_account, params["user"])
        except LookupError as error:
            raise LookError(str(error)) from None
    code, text = await run(params["command"], account)
    return Ended(code, last_line(text))
