"""noop: nothing is done; a meeting point for dependencies and a drill for schedules."""

from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.shared.executor import Host, Work


class Noop:
    """A plan without steps, so that an execution of it has only a beginning and an end."""

    def __init__(self, work: Work, host: Host) -> None: ...

    def plan(self) -> Plan:
        return Plan(())

    def run(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        return {}

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        return {"restored": 0, "removed": 0, "kept": [], "problems": []}

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        return {"freed_space": 0, "items": 0}
