"""Takes from a daemon what its machine has for it, as long as a file is there: for tests only."""

import errno
import functools
import os
from collections.abc import Callable
from typing import Any

import trio

from jamaint.store import postgres


def begin(what: str) -> None:
    """`what` is `fork:ERRNO:FILE` or `fsync:ERRNO:FILE`: while FILE exists, each such call fails with that error.

    `store:MODULE.FUNCTION:FILE`: while FILE exists, that function of the store gets no answer; each try is noted in it.
    Where FILE says `once`, the first try takes it away.
    """
    call, name, flag = what.split(":", 2)
    if call == "store":
        _silence_store(name, flag)
        return
    code = getattr(errno, name)

    def failing(original: Callable[..., Any]) -> Callable[..., Any]:
        def with_shortage(*args: Any, **kw: Any) -> Any:
            if os.path.exists(flag):
                raise OSError(code, os.strerror(code))
            return original(*args, **kw)

        return with_shortage

    if call == "fork":
        trio.lowlevel.open_process = failing(trio.lowlevel.open_process)
    else:
        os.fsync = failing(os.fsync)


def _silence_store(name: str, flag: str) -> None:
    module, function = name.split(".")

    def silenced(run: Callable[..., Any]) -> Callable[..., Any]:
        async def with_shortage(self: Any, work: Callable[..., Any], *args: Any, **kw: Any) -> Any:
            found = work.func if isinstance(work, functools.partial) else work
            if (found.__module__.rpartition(".")[2], found.__name__) == (module, function) and _is_silent(flag):
                raise postgres.DatabaseAwayError("a test holds its answer back")
            return await run(self, work, *args, **kw)

        return with_shortage

    postgres.Postgres.run = silenced(postgres.Postgres.run)  # type: ignore[method-assign]
    postgres.Session.run = silenced(postgres.Session.run)  # type: ignore[method-assign]


def _is_silent(flag: str) -> bool:
    if not os.path.exists(flag):
        return False
    with open(flag, "r+", encoding="utf-8") as file:
        only_once = file.read() == "once"
        file.write("asked\n")
    if only_once:
        os.unlink(flag)
    return True
