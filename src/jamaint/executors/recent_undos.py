"""What undos have put back, as a test for one directory of an execution: see host.held."""

from jamaint.core.ages import limit, nanoseconds
from jamaint.executors.executor import Work
from jamaint.host import held
from jamaint.host.held import Hold


def hold_at(work: Work, path: str, age_seconds: float) -> Hold | None:
    """A test for what undos have put back at a path; None where nothing is held. `age_seconds`: the rule's age."""
    return held.test(work.held, path, limit(work.now, age_seconds), nanoseconds(work.now))
