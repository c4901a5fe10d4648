"""Reasons to take nothing more; imported by each worker at its start, so it imports nothing itself."""


class DiskError(Exception):
    """The disk is full or read-only: nothing more can be done on it."""


class NotRecordedError(DiskError):
    """The record cannot be written, so that nothing more may be taken; says so, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"nothing more is taken, for what is taken cannot be recorded in the state directory: {why}; "
            "fix that and run it again, or set `rollback: {enabled: false}` on the task"
        )
