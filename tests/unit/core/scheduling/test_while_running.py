"""What becomes of an execution that runs, as its conditions go."""

from jamaint.core.conditions import Facts, Unknown
from jamaint.core.scheduling.while_running import Course, course, watched
from jamaint.core.tasks import Condition

ONCE = Condition("mains_power", {"connected": True})
PAUSES = Condition("processor", {"max": 0.5}, "pause")
ABORTS = Condition("tcp", {"host": "h", "port": 1}, "abort")
ALL = (ONCE, PAUSES, ABORTS)


def test_only_those_that_say_so_are_watched():
    assert watched(ALL) == (PAUSES, ABORTS)


def test_what_holds_lets_it_go_on():
    assert course(ALL, Facts({ONCE.question: False, PAUSES.question: 0.5, ABORTS.question: ""})) == Course("go on")


def test_what_does_not_hold_pauses_or_ends_it_and_the_graver_counts():
    busy = {ONCE.question: True, PAUSES.question: 0.9, ABORTS.question: ""}
    assert course(ALL, Facts(busy)) == Course("pause", "the processors are 90% busy, over 50%")
    gone = {**busy, ABORTS.question: "connection refused"}
    assert course(ALL, Facts(gone)) == Course("abort", "h port 1 takes no connection: connection refused")


def test_the_unknown_counts_as_not_met_and_what_is_being_looked_at_as_nothing():
    unknown = {PAUSES.question: Unknown("gone"), ABORTS.question: Unknown("being looked at", is_pending=True)}
    assert course(ALL, Facts(unknown)) == Course("pause", "how busy the processors are is unknown: gone")
    lenient = Condition("processor", {"max": 0.5}, "abort", unknown_is_met=True)
    assert course([lenient], Facts(unknown)) == Course("go on")
