"""The list: every guard, in the order in which they are told to an operator."""

from collections.abc import Callable

from jamaint.core.guards import (
    catch_up,
    concurrency,
    condition,
    dependency,
    fit,
    freeze,
    policy,
    previous_running,
    retry,
    scheduler,
    task,
    touches,
    window,
    window_concurrency,
)
from jamaint.core.guards.guard import Verdict, View, Waiting
from jamaint.core.policies import overrides

GUARDS: tuple[Callable[[Waiting, View], Verdict], ...] = (
    scheduler.judge,
    task.judge,
    window.judge,
    freeze.judge,
    fit.judge,
    retry.judge,
    dependency.judge,
    condition.judge,
    policy.judge,
    catch_up.judge,
    previous_running.judge,
    touches.judge,
    window_concurrency.judge,
    concurrency.judge,
)


def verdicts(waiting: Waiting, view: View) -> tuple[Verdict, ...]:
    """What every guard says, but for what an emergency override lifts."""
    found = (guard(waiting, view) for guard in GUARDS)
    return tuple(found) if not waiting.execution.options else tuple(_lifted(one, waiting, view) for one in found)


def _lifted(verdict: Verdict, waiting: Waiting, view: View) -> Verdict:
    if verdict.verdict == "pass" or not overrides.lifts(waiting.execution, verdict.guard, view.now):
        return verdict
    return Verdict(verdict.guard, "pass", f"{verdict.detail}; {overrides.told(waiting.execution)}")
