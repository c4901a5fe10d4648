"""Takes from a daemon what its machine has for it, as long as a file is there: for tests only."""

import errno
import os
from collections.abc import Callable
from typing import Any

import trio


def begin(what: str) -> None:
    """`what` is `fork:ERRNO:FILE` or `fsync:ERRNO:FILE`: while FILE exists, each such call fails with that error."""
    call, name, flag = what.split(":", 2)
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
