"""catch_up: after an outage, what was missed does not start all at once."""

from datetime import datetime, timedelta

from jamaint.core.guards.guard import Verdict, View, Waiting

SPREAD = timedelta(seconds=60)


def judge(waiting: Waiting, view: View) -> Verdict:
    if not waiting.catches_up:
        return Verdict("catch_up", "pass", "on time")
    busy, room = view.caught_up, view.snapshot.catch_ups_per_minute
    if busy >= room:
        return Verdict("catch_up", "wait", f"{busy} of {room} missed ones started within the last minute")
    return Verdict("catch_up", "pass", f"{busy} of {room} missed ones started within the last minute")


def recent(starts: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """Those of `starts` that lie within the minute before `now`; one of the future is a clock that was set back."""
    return tuple(start for start in starts if timedelta(0) <= now - start < SPREAD)
