"""The list: every guard, in the order in which they are told to an operator."""

from collections.abc import Callable

from jamaint.core.guards import (
    catch_up,
    concurrency,
    condition,
    dependency,
    fit,
    freeze,
    previous_running,
    retry,
    scheduler,
    task,
    touches,
    window,
    window_concurrency,
)
from jamaint.core.guards.guard import Verdict, View, Waiting

GUARDS: tuple[Callable[[Waiting, View], Verdict], ...] = (
    scheduler.judge,
    task.judge,
    window.judge,
    freeze.judge,
    fit.judge,
    retry.judge,
    dependency.judge,
    condition.judge,
    catch_up.judge,
    previous_running.judge,
    touches.judge,
    window_concurrency.judge,
    concurrency.judge,
)


def verdicts(waiting: Waiting, view: View) -> tuple[Verdict, ...]:
    """What every guard says."""
    return tuple(guard(waiting, view) for guard in GUARDS)
