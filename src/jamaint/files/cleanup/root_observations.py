"""Root observations: what a survey saw of each root, for the deletion guard now and at the next run."""

from collections.abc import Callable, Sequence
from datetime import datetime

from jamaint.core.safety.deletion_guard import RootObservation
from jamaint.files.access.filesystem_id import filesystem_of
from jamaint.files.access.root import RootRefusedError
from jamaint.files.cleanup.survey import Found, Survey


def observations(survey: Survey, count: Callable[[Found], tuple[int, int]], at: datetime) -> Sequence[RootObservation]:
    """Each root that was looked through or is missing; `count` says how many files are meant, and would go."""
    moment = at.isoformat(timespec="seconds")
    seen = [
        RootObservation(refusal.path, 0, None, at=moment) for refusal in survey.refused if refusal.kind == "missing"
    ]
    for found in survey.found:
        try:
            with found.reopen() as root:
                filesystem = filesystem_of(root.path, root.fd)
        except RootRefusedError:
            continue  # it is refused again, and told, when the step comes to it
        files, doomed = count(found)
        seen.append(RootObservation(found.path, files, filesystem, doomed, moment))
    return seen
