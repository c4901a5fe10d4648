"""The list: what a task's `executor` may name."""

from jamaint.executors.command import Command
from jamaint.executors.executor import Executor
from jamaint.executors.logs import LogsCleanup
from jamaint.executors.noop import Noop

EXECUTORS: dict[str, type[Executor]] = {
    "command": Command,
    "logs.cleanup": LogsCleanup,
    "noop": Noop,
}
