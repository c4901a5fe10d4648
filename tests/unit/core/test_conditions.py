"""Conditions: what holds, and what each says, met or not, with the figures that were found."""

from typing import Any

import pytest

from jamaint.core.conditions import KINDS, Facts, Unknown, judge, unmet
from jamaint.core.conditions.command import Ended
from jamaint.core.conditions.condition import share, size, span
from jamaint.core.conditions.disk_free import DiskFree
from jamaint.core.conditions.file import File
from jamaint.core.conditions.load_average import Load
from jamaint.core.conditions.memory_available import Memory
from jamaint.core.conditions.postgresql import Server
from jamaint.core.conditions.unit import Unit
from jamaint.core.tasks import Condition

GIB = 1 << 30
LOAD = {"max": 2.5, "minutes": 1, "per_cpu": False}
PER_CPU = {"max": 0.5, "minutes": 15, "per_cpu": True}
PRESSURE = {"resource": "io", "stall": "full", "seconds": 60, "max": 0.1}
UNIT = {"name": "nginx.service", "states": ("active", "reloading")}
FILE = {"path": "/run/x", "exists": True, "min_age_seconds": None, "max_age_seconds": None}
COMMAND = {"command": ("/usr/bin/quiet", "--secret"), "exit_codes": (0, 3), "timeout_seconds": 10.0, "user": None}
HTTP = {"url": "http://h:80/health?token=secret", "status": (200, 204), "timeout_seconds": 5.0}
TCP = {"host": "cache", "port": 6379, "timeout_seconds": 5.0}
SERVER: dict[str, Any] = {
    "name": "cms", "dsn": "postgresql://u:secret@/cms", "primary": None, "max_replication_lag_seconds": None,
    "max_active_connections": None, "max_transaction_seconds": None, "unknown_lag_is_met": False,
    "timeout_seconds": 5.0,
}  # fmt: skip
PRIMARY, STANDBY = Server(True, 0.4, "", 3, 90.0), Server(False, 75.0, "", 12, 0.0)
ALONE = Server(True, None, "no standby is connected", 0, 0.0)

EXAMPLES: list[tuple[str, dict[str, Any], Any, bool, str]] = [
    ("load_average", LOAD, Load({1: 2.5}, 4), True, "the load average over 1 min is 2.50, at most 2.5 is allowed"),
    ("load_average", LOAD, Load({1: 2.51}, 4), False, "the load average over 1 min is 2.51, over 2.5"),
    ("load_average", PER_CPU, Load({15: 2.0}, 4), True,
     "the load average over 15 min is 0.50 for each of 4 processors, at most 0.5 is allowed"),
    ("load_average", PER_CPU, Load({15: 2.2}, 4), False,
     "the load average over 15 min is 0.55 for each of 4 processors, over 0.5"),
    ("load_average", PER_CPU, Load({15: 0.7}, 1), False,
     "the load average over 15 min is 0.70 for each of 1 processor, over 0.5"),
    ("processor", {"max": 0.8}, 0.8, True, "the processors are 80% busy, at most 80% is allowed"),
    ("processor", {"max": 0.8}, 0.934, False, "the processors are 93.4% busy, over 80%"),
    ("memory_available", {"min_bytes": 2 * GIB}, Memory(2 * GIB, 8 * GIB), True,
     "2.0 GiB of memory are available, 2.0 GiB are required"),
    ("memory_available", {"min_bytes": 2 * GIB}, Memory(int(1.2 * GIB), 8 * GIB), False,
     "1.2 GiB of memory are available, 2.0 GiB are required"),
    ("memory_available", {"min_share": 0.5}, Memory(GIB, 8 * GIB), False,
     "12.5% of memory (1.0 GiB) is available, 50% is required"),
    ("disk_free", {"path": "/var", "min_share": 0.1}, DiskFree(10 * GIB, 100 * GIB), True,
     "/var has 10% free (10.0 GiB), 10% is required"),
    ("disk_free", {"path": "/var", "min_share": 0.1}, DiskFree(0, 0), False,
     "/var has 0% free (0 B), 10% is required"),
    ("disk_free", {"path": "/var", "min_bytes": 5 * GIB}, DiskFree(GIB, 9 * GIB), False,
     "/var has 1.0 GiB free, 5.0 GiB are required"),
    ("pressure", PRESSURE, 0.1, True, "the io pressure (full, over 1 min) is 10%, at most 10% is allowed"),
    ("pressure", PRESSURE, 0.225, False, "the io pressure (full, over 1 min) is 22.5%, over 10%"),
    ("unit", UNIT, Unit("loaded", "active", "running"), True,
     "nginx.service is active (running), active or reloading is required"),
    ("unit", UNIT, Unit("loaded", "failed", "failed"), False,
     "nginx.service is failed (failed), active or reloading is required"),
    ("unit", UNIT, Unit("not-found", "inactive", "dead"), False,
     "there is no unit nginx.service, active or reloading is required"),
    ("unit", {**UNIT, "states": ("inactive",)}, Unit("not-found", "inactive", "dead"), False,
     "there is no unit nginx.service, inactive is required"),
    ("file", FILE, File(3.0), True, "there is a /run/x"),
    ("file", FILE, File(None), False, "there is no /run/x, it must exist"),
    ("file", {**FILE, "exists": False}, File(None), True, "there is no /run/x"),
    ("file", {**FILE, "exists": False}, File(0.0), False, "there is a /run/x, and it must not exist"),
    ("file", {**FILE, "max_age_seconds": 3600.0}, File(3600.0), True, "/run/x was written 1 h ago"),
    ("file", {**FILE, "max_age_seconds": 3600.0}, File(7500.0), False,
     "/run/x was written 2 h 5 min ago, at most 1 h is allowed"),
    ("file", {**FILE, "min_age_seconds": 60.0}, File(5.0), False,
     "/run/x was written 5 s ago, at least 1 min is required"),
    ("file", {**FILE, "min_age_seconds": 60.0}, File(-30.0), False,
     "/run/x has been modified in 30 s, at least 1 min is required"),
    ("command", COMMAND, Ended(3, ""), True, "/usr/bin/quiet exited with 3"),
    ("command", COMMAND, Ended(1, "busy"), False,
     "/usr/bin/quiet exited with 1, and said: busy; 0 or 3 is required"),
    ("command", COMMAND, Ended(-9, ""), False, "/usr/bin/quiet was killed by signal 9; 0 or 3 is required"),
    ("http", HTTP, 204, True, "http://h:80/health answers 204"),
    ("http", HTTP, 301, False, "http://h:80/health answers 301, 200 or 204 is required"),
    ("tcp", TCP, "", True, "cache port 6379 takes connections"),
    ("tcp", TCP, "connection refused", False, "cache port 6379 takes no connection: connection refused"),
    ("postgresql", {**SERVER, "primary": True}, PRIMARY, True, "database cms: it is the primary"),
    ("postgresql", {**SERVER, "primary": True}, STANDBY, False, "database cms: it is a standby, not the primary"),
    ("postgresql", {**SERVER, "primary": False}, PRIMARY, False, "database cms: it is the primary, not a standby"),
    ("postgresql", {**SERVER, "max_replication_lag_seconds": 30.0}, STANDBY, False,
     "database cms: its replication lag is 1 min 15 s, over 30 s"),
    ("postgresql", {**SERVER, "max_replication_lag_seconds": 30.0}, PRIMARY, True,
     "database cms: its replication lag is 0.4 s, at most 30 s"),
    ("postgresql", {**SERVER, "max_replication_lag_seconds": 30.0}, ALONE, False,
     "database cms: its replication lag is unknown: no standby is connected"),
    ("postgresql", {**SERVER, "max_replication_lag_seconds": 30.0, "unknown_lag_is_met": True}, ALONE, True,
     "database cms: its replication lag is unknown: no standby is connected"),
    ("postgresql", {**SERVER, "max_active_connections": 3, "max_transaction_seconds": 60.0}, PRIMARY, False,
     "database cms: its longest transaction lasts 1 min 30 s, over 1 min"),
    ("postgresql", {**SERVER, "max_active_connections": 3, "max_transaction_seconds": 60.0}, STANDBY, False,
     "database cms: 12 connections at work, over 3"),
    ("postgresql", {**SERVER, "max_active_connections": 3, "max_transaction_seconds": 120.0}, PRIMARY, True,
     "database cms: 3 connections at work, at most 3, its longest transaction lasts 1 min 30 s, at most 2 min"),
    ("logged_in_users", {"max": 0}, frozenset(), True, "0 users are logged in, at most 0 are allowed"),
    ("logged_in_users", {"max": 1}, frozenset({"bob", "al"}), False,
     "2 users are logged in (al, bob), at most 1 is allowed"),
    ("mains_power", {"connected": True}, True, True, "the machine is on mains power"),
    ("mains_power", {"connected": True}, False, False,
     "the machine runs on its battery, and is asked to be on mains"),
    ("mains_power", {"connected": False}, True, False, "the machine is on mains power, and is asked to be on battery"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "found", "holds", "says"), EXAMPLES)
def test_a_condition_holds_or_not_and_says_what_was_found(kind, params, found, holds, says):
    condition = Condition(kind, params)
    assert judge(condition, Facts({condition.question: found}))[:2] == (holds, says)
    assert unmet(condition, Facts({condition.question: found})) == (None if holds else says)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_tested_here_both_ways(kind):
    assert {holds for name, _, _, holds, _ in EXAMPLES if name == kind} == {True, False}


@pytest.mark.parametrize(("kind", "params"), {kind: params for kind, params, *_ in EXAMPLES}.items())
def test_what_is_unknown_does_not_hold_unless_the_condition_says_so(kind, params):
    strict, lenient = Condition(kind, params), Condition(kind, params, unknown_is_met=True)
    facts = Facts({strict.question: Unknown("no answer within 2 s")})
    assert (unmet(strict, facts) or "").endswith(" is unknown: no answer within 2 s")
    assert judge(lenient, facts).holds
    assert "(on_unknown: met)" in judge(lenient, facts).says
    assert unmet(strict, Facts()) is not None


@pytest.mark.parametrize(("kind", "params"), {kind: params for kind, params, *_ in EXAMPLES}.items())
def test_what_is_being_looked_at_does_not_hold_yet_whatever_is_said_of_the_unknown(kind, params):
    condition = Condition(kind, params, unknown_is_met=True)
    found = judge(condition, Facts({condition.question: Unknown("being looked at", is_pending=True)}))
    assert (found.holds, found.is_pending) == (False, True)
    assert found.says.endswith(" is being looked at")


def test_no_secret_is_in_what_is_said():
    for kind, params, found, *_ in EXAMPLES:
        condition = Condition(kind, params)
        assert "secret" not in judge(condition, Facts({condition.question: found})).says
        assert "secret" not in judge(condition, Facts()).says


def test_the_same_question_is_one_whatever_is_done_with_its_answer():
    one, other = Condition("tcp", TCP, "abort"), Condition("tcp", dict(reversed(TCP.items())), None, True)
    assert one.question == other.question != Condition("tcp", {**TCP, "port": 1}).question


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (size(0), "0 B"), (size(1023), "1023 B"), (size(1536), "1.5 KiB"), (size(1 << 70), "1024.0 EiB"),
        (span(0), "0 s"), (span(0.25), "0.2 s"), (span(59.6), "1 min"), (span(90061), "1 d 1 h"),
        (share(0), "0%"), (share(0.049), "4.9%"), (share(1), "100%"),
    ],
)  # fmt: skip
def test_figures_are_as_people_read_them(text, expected):
    assert text == expected
