"""An operation on a database that is maintained: a loop of its own, connections, and failures as executors' are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jamaint.databases.connection import Address, LockTimeoutError, Target, TargetError, TooSlowError, open_target
from jamaint.databases.pacing import StatementControl
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work

T = TypeVar("T")


def on_target(
    work: Work, host: Host, do: Callable[[Target, StatementControl], Awaitable[T]], tally: dict[str, Any] | None = None
) -> T:
    """Awaits `do(target, reins)` on the task's database. Raises StepError and StopRequestedError, with what stands
    in `tally`."""

    async def perform() -> T:
        address = Address(work.config["dsn"], work.task_name, work.config["lock_timeout_seconds"])
        async with open_target(address) as target:
            return await do(target, StatementControl(host, target, work.window_end))

    try:
        return asyncio.run(perform())
    except TargetError as failure:
        raise StepError(failure.message, failure.kind, tally) from failure
    except (LockTimeoutError, TooSlowError) as error:
        raise StepError(f"the database did not come to it in time: {error}", "failed", tally) from error
    except StopRequestedError as stopped:
        raise StopRequestedError(tally or {}) from stopped
