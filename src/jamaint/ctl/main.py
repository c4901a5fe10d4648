"""jamaintctl: the table of verbs, and the one place where a verb is run and its failure becomes an exit code.

What runs for `status` is what its user waits for, so a verb's module is loaded when it is that verb's turn, by its name
in the table; see docs/explanation/performance.md.
"""

from __future__ import annotations

import sys
import time

from jamaint.ctl.cli.arguments import Flag, Verb, parse
from jamaint.ctl.cli.context import INTERRUPTED, Call
from jamaint.ctl.output.terminal import Screen
from jamaint.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

DRY_RUN = Flag("--dry-run", "say what would be done, and do nothing")
DETACH = Flag("--detach", "do not wait; print the execution's id")
FILE = Flag("--file", "the object as YAML or JSON; - is standard input", "FILE", short="-f", needed=True)
LIMIT = Flag("--limit", "at most so many (20)", "N", kind="count")
SINCE = Flag("--since", "only what is newer: -7d, 2026-11-23 02:00, RFC 3339", "TIME", kind="time")
TASK_NAMES = "TASK is a name or an id."
EXECUTION_NAMES = "EXECUTION is an id, the first 8 characters or more of one, or `last`."
PLAN_NAMES = "PLAN is a plan's hash, or the first 8 characters or more of one."
TIMES = "Times: now, -7d, +3h, `2026-11-23 02:00` (local), or RFC 3339."

SCHEDULE_FLAGS = (
    Flag("--cron", "five fields, or @daily and the like", "EXPRESSION"),
    Flag("--calendar", "as systemd's OnCalendar", "EXPRESSION"),
    Flag("--rrule", "as RFC 5545", "RULE"),
    Flag("--every", "this long after it was due last", "LENGTH"),
    Flag("--since", "start, or end: count --every from its last end", "WHICH"),
    Flag("--at", "once", "TIME"),
    Flag("--after", "when that task has ended", "TASK"),
    Flag("--state", "ended so (completed)", "STATE"),
    Flag("--window", "at each opening", "WINDOW"),
    Flag("--timezone", "whose clocks are meant", "ZONE"),
    Flag("--from", "from that day or moment on", "DATE"),
    Flag("--until", "until that day or moment", "DATE"),
    Flag("--jitter", "later by up to so much", "LENGTH"),
    Flag("--stable", "by the same each time"),
    Flag("--catch-up", "none, one or all of what was missed", "WHICH"),
    Flag("--misfire-grace", "how late it may start", "LENGTH"),
    Flag("--dst-gap", "shift or skip what the clocks leap over", "WHICH"),
)

VERBS = (
    Verb("status", (), (), "service.status:status", "what runs, what waits, windows, recent executions, alerts"),
    Verb(
        "execute",
        ("TASK",),
        (
            Flag("--window", "run it in this window", "WINDOW"),
            DRY_RUN,
            Flag("--plan", "do exactly the plan that has this hash", "HASH"),
            Flag("--emergency", "pass windows, freezes and conditions, where that is allowed; needs --reason"),
            Flag("--reason", "why, for the audit log", "TEXT"),
            Flag("--set", "an option, this once; VALUE is JSON or text", "KEY=VALUE", kind="setting", many=True),
            DETACH,
        ),
        "executions.execute:execute",
        "run a task now and show how it gets on",
        says=f"{TASK_NAMES} Ctrl-C detaches: the task goes on, and what to type is shown.",
    ),
    Verb(
        "plan",
        ("TASK",),
        (),
        "executions.plans:make",
        "store and show exactly what a task would do",
        says=f"{TASK_NAMES} Changes nothing. `execute --plan` leaves alone what has changed since, and says so.",
    ),
    Verb(
        "plan show",
        ("PLAN",),
        (Flag("--limit", "at most so many items (20)", "N", kind="count"),),
        "executions.plans:show",
        "a stored plan, item by item",
        says=PLAN_NAMES,
    ),
    Verb("plan list", (), (LIMIT,), "executions.plans:show_list", "stored plans, the newest first"),
    Verb(
        "plan approve",
        ("PLAN",),
        (),
        "executions.plans:approve",
        "let a plan be done that would delete more than is usual",
        says=f"{PLAN_NAMES} The approval is for that very plan, and no other.",
    ),
    Verb(
        "rollback",
        ("EXECUTION",),
        (DRY_RUN, DETACH),
        "executions.rollback:rollback",
        "undo an execution",
        says=f"{EXECUTION_NAMES} What has appeared in the place of a removed file since is kept, and said.",
    ),
    Verb(
        "held list",
        ("[EXECUTION]",),
        (Flag("--limit", "at most so many (100)", "N", kind="count"),),
        "executions.held:show_list",
        "what rollbacks have put back, which the next runs leave alone, and until when",
        says=EXECUTION_NAMES,
    ),
    Verb(
        "held release",
        ("EXECUTION", "[PATH]"),
        (),
        "executions.held:release",
        "let the next runs take what a rollback has put back",
        says=f"{EXECUTION_NAMES} PATH is one of the places that `held list` shows; without it, all of them.",
    ),
    Verb("task list", (), (), "schedule.tasks:show_list", "all tasks, their schedule, and how they ended last"),
    Verb("task show", ("TASK",), (), "schedule.tasks:show", "one task", says=TASK_NAMES),
    Verb("task create", (), (FILE,), "schedule.tasks:create", "make a task from a file", configures=True),
    Verb(
        "task update",
        ("TASK",),
        (FILE,),
        "schedule.tasks:update",
        "change the keys that a file has",
        configures=True,
    ),
    Verb("task delete", ("TASK",), (), "schedule.tasks:delete", "delete a task; its executions stay on record"),
    Verb("task enable", ("TASK",), (), "schedule.tasks:enable", "let a task run again"),
    Verb("task disable", ("TASK",), (), "schedule.tasks:disable", "let a task not run until it is enabled"),
    Verb(
        "task pause",
        ("TASK",),
        (Flag("--until", "when it may run again", "TIME", kind="time", needed=True),),
        "schedule.tasks:pause",
        "let a task not run until a time",
        says=TIMES,
    ),
    Verb("window list", (), (), "schedule.windows:show_list", "all windows, and when they open"),
    Verb("window show", ("WINDOW",), (), "schedule.windows:show", "one window"),
    Verb("window create", (), (FILE,), "schedule.windows:create", "make a window from a file", configures=True),
    Verb(
        "window update",
        ("WINDOW",),
        (FILE,),
        "schedule.windows:update",
        "change the keys that a file has",
        configures=True,
    ),
    Verb("window delete", ("WINDOW",), (), "schedule.windows:delete", "delete a window"),
    Verb(
        "window skip",
        ("WINDOW",),
        (
            Flag("--next", "so many of its coming openings (1)", "N", kind="count"),
            Flag("--at", "the one that begins at that time", "TIME", kind="time"),
            Flag("--undo", "let happen again what was skipped and is still to come"),
        ),
        "schedule.windows:skip",
        "let the next openings of a window not happen",
        says="An opening that has begun goes on. `jamaintctl next` shows what is skipped, and by whom.",
    ),
    Verb(
        "window execute",
        ("WINDOW",),
        (Flag("--at", "the opening that begins at that time (the next one)", "TIME", kind="time"),),
        "schedule.windows:execute",
        "run the tasks of a coming opening now, and skip that opening",
        says=f"Each task goes through its guards; those that are refused are told. {TIMES}",
    ),
    Verb(
        "task approve",
        ("TASK",),
        (
            Flag("--times", "so many of its executions (1)", "N", kind="count"),
            Flag("--until", "until then (7 days)", "TIME", kind="time"),
            Flag("--plan", "only what does the plan that has this hash", "HASH"),
            Flag("--reason", "why, for the record", "TEXT"),
        ),
        "executions.approvals:approve_task",
        "say ahead of time that a task may start, where a policy asks for it",
        says=TIMES,
    ),
    Verb("freeze list", (), (), "schedule.freezes:show_list", "all freezes, those that hold now first"),
    Verb("policy list", (), (), "schedule.policies:show_list", "all policies, the first to count first"),
    Verb("policy show", ("POLICY",), (), "schedule.policies:show", "one policy"),
    Verb("policy create", (), (FILE,), "schedule.policies:create", "make a policy from a file", configures=True),
    Verb(
        "policy update",
        ("POLICY",),
        (FILE,),
        "schedule.policies:update",
        "change the keys that a file has",
        configures=True,
    ),
    Verb("policy delete", ("POLICY",), (), "schedule.policies:delete", "delete a policy"),
    Verb(
        "override list",
        (),
        (SINCE, Flag("--limit", "at most so many (100)", "N", kind="count")),
        "executions.overrides:show_list",
        "emergency overrides: who lifted which guards, and why",
    ),
    Verb(
        "execution list",
        (),
        (
            Flag("--task", "of this task", "TASK"),
            Flag("--status", "scheduled running completed failed cancelled rolled_back", "STATUS"),
            SINCE,
            Flag("--limit", "at most so many (20)", "N", kind="count"),
        ),
        "executions.executions:show_list",
        "executions, the newest first",
    ),
    Verb(
        "execution show",
        ("EXECUTION",),
        (),
        "executions.executions:show",
        "one execution, step by step",
        says=EXECUTION_NAMES,
    ),
    Verb(
        "execution log",
        ("EXECUTION",),
        (Flag("--follow", "go on until it has ended"),),
        "executions.execution_log:log",
        "what an execution said",
        says=f"{EXECUTION_NAMES} With --follow, --json prints one document a line.",
    ),
    Verb(
        "execution approve",
        ("EXECUTION",),
        (
            Flag("--times", "so many executions of its task, this one included (1)", "N", kind="count"),
            Flag("--until", "until then (7 days)", "TIME", kind="time"),
            Flag("--reason", "why, for the record", "TEXT"),
        ),
        "executions.approvals:approve",
        "let an execution start that waits for approval",
        says=EXECUTION_NAMES,
    ),
    Verb(
        "execution reject",
        ("EXECUTION",),
        (Flag("--reason", "why, for the record", "TEXT"),),
        "executions.approvals:reject",
        "cancel an execution that waits for approval",
        says=EXECUTION_NAMES,
    ),
    Verb(
        "execution cancel",
        ("EXECUTION",),
        (),
        "executions.executions:cancel",
        "stop it at a safe point",
        says=EXECUTION_NAMES,
    ),
    Verb(
        "execution pause",
        ("EXECUTION",),
        (Flag("--reason", "why, for whoever looks at it", "TEXT"),),
        "executions.steering:pause",
        "let what runs stand still at a safe point",
        says=f"{EXECUTION_NAMES} Its timeout does not run meanwhile; its window does.",
    ),
    Verb("execution resume", ("EXECUTION",), (), "executions.steering:resume", "let it go on", says=EXECUTION_NAMES),
    Verb(
        "execution throttle",
        ("EXECUTION", "RATIO"),
        (),
        "executions.steering:throttle",
        "slow it down: RATIO seconds of rest for each of work",
        says=f"{EXECUTION_NAMES} RATIO is a number such as 0.5 or 2; 0 lifts it.",
    ),
    Verb(
        "purge",
        ("[EXECUTION]…",),
        (
            Flag("--until-free", "the oldest, until so much is free, such as 10%: of PATH's disk, or each", "SHARE"),
            Flag("--all", "everything that is kept"),
            Flag("--incomplete", "also what a rollback could not put back"),
            DRY_RUN,
        ),
        "executions.purge:purge",
        "empty trash and kept rows before their time, the oldest first",
        says=f"{EXECUTION_NAMES}\n"
        "After --until-free SHARE, a word that begins with / is the PATH. What is purged cannot be rolled back.",
    ),
    Verb(
        "cleanup run",
        ("[KIND]…",),
        (DRY_RUN, DETACH),
        "executions.cleanup:run",
        "clean up what the section `cleanup` names: all of it, or some kinds",
        says="KIND is one of temp, logs, database, cache and filesystem.",
    ),
    Verb(
        "database forget",
        ("TASK",),
        (Flag("--with-kept", "also rows that are kept and nobody can put back from here"), DRY_RUN),
        "service.databases:forget",
        "remove the schema jamaint from a task's database",
        says="TASK may be a name in grants.databases, where no task is left. Refused while an execution can be rolled "
        "back there: purge it first.",
    ),
    Verb(
        "cleanup analysis",
        (),
        (),
        "service.usage:show_analysis",
        "what is used, what could be freed now, and what to do",
    ),
    Verb("usage", (), (), "service.usage:show", "how large things are, how they grow, and when a disk is full"),
    Verb(
        "cleanup history",
        (),
        (SINCE, Flag("--limit", "at most so many (100)", "N", kind="count")),
        "executions.cleanup:show_history",
        "what cleanups have done",
    ),
    Verb(
        "schedule show",
        (),
        (
            Flag("--from", "from then on (now)", "TIME", kind="time"),
            Flag("--to", "until then (a day after --from)", "TIME", kind="time"),
            Flag("--limit", "at most so many occurrences (200)", "N", kind="count"),
        ),
        "schedule.schedule:show",
        "what is due when, and which windows open",
        says=TIMES,
    ),
    Verb(
        "schedule set",
        ("TASK",),
        SCHEDULE_FLAGS,
        "schedule.schedule:put",
        "give a task another schedule; without a flag, none: it runs on request",
        says="The whole schedule is replaced. A task from a file is changed there.",
        configures=True,
    ),
    Verb(
        "schedule apply",
        (),
        (FILE,),
        "schedule.schedule:apply",
        "change the schedules of several tasks: all of them, or none",
        says="The file has `changes`, a list of {task, schedule}. A task from a file of the daemon is changed there.",
        configures=True,
    ),
    Verb(
        "schedule calendar",
        (),
        (Flag("--month", "this month (the current one)", "YYYY-MM"),),
        "schedule.schedule_calendar:show",
        "a month: windows, what runs in them, how full they are",
    ),
    Verb(
        "schedule simulate",
        (),
        (
            Flag("--days", "so many (30)", "N", kind="count"),
            Flag("--seed", "draw other durations of the past", "N", kind="count"),
        ),
        "schedule.schedule:simulate",
        "what would run when, what never would, and which windows are too full",
    ),
    Verb(
        "next",
        ("[WINDOW]",),
        (
            Flag("--limit", "so many openings of each (3)", "N", kind="count", short="-n"),
            Flag("--ics", "as an iCalendar file, for other calendars"),
        ),
        "schedule.next:show_next",
        "open and coming windows: local time, the window's zone, UTC",
    ),
    Verb(
        "why",
        ("TASK",),
        (Flag("--at", "at this moment instead of now", "TIME", kind="time"),),
        "schedule.why:why",
        "why a task did not run, or will not: every guard and what it says",
        says=TIMES,
    ),
    Verb(
        "events",
        (),
        (Flag("--follow", "what happens from now on, until Ctrl-C"),),
        "service.events:events",
        "what has happened; with --follow, what happens",
        says="Without --follow: how the latest executions started and ended.\n"
        "With --follow, --json prints one document a line.",
    ),
    Verb(
        "audit",
        (),
        (SINCE, Flag("--limit", "at most so many (100)", "N", kind="count")),
        "service.audit:audit",
        "who changed what, and who was refused",
    ),
    *(
        Verb(
            f"import {program}",
            ("[FILE]…",),
            (Flag("--output", "write to this new file instead", "FILE", short="-o"),),
            f"service.imports:import_{program}",
            f"print configuration made from the files of {program}",
            says="Without FILE, the machine's own are read. Each task stands below the line that it comes from; what\n"
            "cannot be carried over is said. Of a broken file, line and column are told and the rest is imported.",
            configures=True,
        )
        for program in ("logrotate", "tmpfiles", "cron")
    ),
    Verb(
        "config check",
        ("[FILE]",),
        (),
        "service.config:check",
        "check FILE, or what a reload would read",
        configures=True,
    ),
    Verb(
        "config apply",
        (),
        (DRY_RUN,),
        "service.config:apply",
        "as root: let the workers reach what the configuration names",
        says="Writes units and drop-ins of systemd for the directories, users and secrets of tasks and grants,\n"
        "and the file by which workers check what they are given. `jamaintctl reload` comes after it.",
    ),
    Verb("config show", (), (), "service.service:config", "the configuration as the daemon has it"),
    Verb(
        "drain",
        (),
        (Flag("--off", "start tasks again"),),
        "service.service:drain",
        "start nothing new; what runs goes on to its end",
        says="For work on the machine, or before jamaintd is stopped: due tasks wait, and requests are refused.\n"
        "It lasts until `jamaintctl drain --off` or a restart of jamaintd, and is an alert in `status`.",
    ),
    Verb("reload", (), (), "service.service:reload", "read the configuration again", configures=True),
    Verb("version", (), (), "service.service:version", "the client's and the daemon's version"),
    Verb(
        "completion",
        ("SHELL", "[WORDS]"),
        (),
        "service.completion:completion",
        "a script that lets the shell complete commands, flags and names",
        says="SHELL is bash, zsh or fish: `. <(jamaintctl completion bash)`. The scripts themselves ask for `words`.",
    ),
)


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line (sys.argv's by default) and gives the exit code."""
    words = sys.argv[1:] if words is None else words
    screen = Screen(sys.stdout, sys.stderr)
    code = _guarded(words, screen)
    screen.flush()
    if screen.fault:
        screen.note(f"jamaintctl: {screen.fault}")
        return code or 1
    return code


def _guarded(words: Sequence[str], screen: Screen) -> int:
    """The exit code, whatever happens: a Problem in words, an answer that makes no sense in words too."""
    verb: Verb | None = None
    try:
        now = time.time()
        arguments = parse(words, VERBS, now)
        if arguments.help or arguments.version:
            return int(load("cli.help:show")(arguments, VERBS, screen))
        verb = arguments.verb
        assert verb is not None
        return int(load(f"verbs.{verb.run}")(Call(arguments.values, screen, now)))
    except Problem as problem:
        return _failed(problem, verb, screen, words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        return _failed(load("cli.failures:nonsense")(error), verb, screen, words)


def _failed(problem: Problem, verb: Verb | None, screen: Screen, words: Sequence[str]) -> int:
    return int(load("cli.failures:report")(problem, verb, screen, "--json" in words))


def load(name: str) -> Callable[..., Any]:
    """The function behind a "module:function" of the table."""
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(__import__(f"jamaint.ctl.{module}", fromlist=[function]), function)
    return found
