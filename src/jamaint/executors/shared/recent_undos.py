"""What undos have put back, as a test for one directory of an execution: see files.trash.recently_restored."""

from jamaint.executors.shared.executor import Work
from jamaint.files.rules.ages import limit, nanoseconds
from jamaint.files.trash import recently_restored
from jamaint.files.trash.recently_restored import Hold


def hold_at(work: Work, path: str, age_seconds: float) -> Hold | None:
    """A test for what undos have put back at a path; None where nothing is held. `age_seconds`: the rule's age."""
    return recently_restored.test(work.held, path, limit(work.now, age_seconds), nanoseconds(work.now))
