"""jamaint: its timetable, with a task for each expression."""

from expressions import EXPRESSIONS, NOW, STEPS, N, tell

from jamaint.core.recurrence import Schedule
from jamaint.core.scheduling.timetable import Timetable
from jamaint.core.tasks import Task


def load() -> Timetable:
    """All tasks, each with its first time."""
    table = Timetable({}, 3600)
    for number, expression in enumerate(EXPRESSIONS):
        schedule = Schedule(cron=expression)
        table.put(Task(f"id-{number}", f"t{number}", "custom", "system", "noop", schedule, {}), NOW)
    return table


def go_on(table: Timetable) -> int:
    """From one due moment to the next."""
    count = 0
    while count < STEPS * N:
        moment = table.wake_at()
        assert moment is not None
        count += len(list(table.take_due(moment)))
    return count


tell(load, go_on)
