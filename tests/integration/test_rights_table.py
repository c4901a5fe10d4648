"""Who may do what to whose object: the table of commands (method, role, whose object, from where), tried."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from command_line import Scene, scene
from daemon_harness import Client, refusal
from jamaint.daemon.control.commands import COMMANDS
from jamaint.errors import CONFLICT, NOT_AUTHORISED, JamaintError
from socket_peers import CAN_BE_OTHERS, Who, connecting_as, users

ROLES = ("nobody", "viewer", "operator", "admin", "root")
OBJECTS = tuple(method for method, one in COMMANDS.items() if one.four_eyes or not one.of_files or not one.of_root)
"""Methods for which it matters whose object it is."""
NOOP = {"type": "custom", "category": "system", "executor": "noop"}
FREEZE = [{"freeze": {"from": "2020-01-01", "to": "2020-01-02"}}]
WINDOW = {"schedule": {"cron": "0 2 * * *"}, "duration": 60, "timezone": "UTC", "allowed_tasks": ["custom"]}

pytestmark = pytest.mark.skipif(not CAN_BE_OTHERS, reason="only root can be somebody else")


class People(NamedTuple):
    """Connections as each role, and as one more of the same role."""

    own: Mapping[str, Client]
    others: Mapping[str, Client]


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


@contextlib.contextmanager
def people(place: Scene) -> Iterator[tuple[People, Client]]:
    """A daemon with two of each role, and root."""
    named = users(8)
    roles = {role: [f"user:{named[2 * at + one].pw_name}" for one in (0, 1)] for at, role in enumerate(ROLES[1:4])}
    logs = place.logs((100, 1))
    cleanup = {"type": "cleanup", "category": "logs", "config": {"log_paths": [f"{logs}/*.log"], "retention_days": 30}}
    asks = {
        "scope": {"tasks": ["filed", "made", "opened", "cleanup"]},
        "rules": [{"approval": {"by": [*roles["operator"], *roles["admin"]]}}],
    }
    place.configure(
        roles=roles,
        tasks={"filed": NOOP, "logs": cleanup, "free": NOOP},
        cleanup={"logs": cleanup["config"]},
        windows={"filed": WINDOW},
        policies={"filed": {"rules": FREEZE}, "asks": asks},
    )

    def connect(index: int) -> Client:
        who = Who(named[index].pw_uid, named[index].pw_gid)
        return closing.enter_context(contextlib.closing(Client(place.socket, connecting_as(who))))

    with place.serving() as root, contextlib.ExitStack() as closing:
        places = dict(zip(ROLES[1:4], itertools.count(0, 2), strict=False)) | {"nobody": 6}
        own = {role: connect(at) for role, at in places.items()} | {"root": root}
        others = {role: connect(at + 1) for role, at in places.items()} | {"root": root}
        yield People(own, others), root


class Objects:
    """Makes an object for each try, so that no try stands in the way of the next."""

    def __init__(self, root: Client) -> None:
        self._root = root
        self._numbers = itertools.count()

    def made(self, kind: str, by: Client) -> str:
        """The name of a task, window or policy that somebody has made."""
        name = f"made-{next(self._numbers)}"
        value = {"task": NOOP, "window": WINDOW, "policy": {"rules": FREEZE}}[kind]
        by.call(f"{kind}.create", **{kind: {"name": name, **value}})
        return name

    def request(self, by: Client) -> str:
        """An execution that somebody has asked for, and that waits for approval."""
        ident: str = by.call("execution.start", task="filed")["execution_id"]
        return ident


def call_of(method: str, name: str) -> dict[str, Any]:
    """The parameters with which it does something to that object."""
    kind, _, verb = method.partition(".")
    if method == "schedule.update":
        return {"task": name, "schedule": {"every": "1h"}}
    return {kind: name, **({"changes": {"description": "else"}} if verb == "update" else {})}


def outcome(caller: Client, method: str, **params: Any) -> int:
    """0, or the code of the refusal."""
    try:
        caller.call(method, **params)
    except JamaintError as problem:
        return problem.code
    return 0


def test_every_role_whose_object_and_where_it_comes_from(place: Scene) -> None:
    tried = 0
    with people(place) as (found, root):
        objects = Objects(root)
        for method, role in itertools.product(OBJECTS, ROLES):
            command = COMMANDS[method]
            allowed = ROLES.index(role) >= ROLES.index(command.role)
            for whose, maker in (("own", found.own[role]), ("another's", found.others["admin"]), ("root's", root)):
                if command.four_eyes or (whose == "own" and role in ROLES[:3]):
                    continue
                kind = "task" if method == "schedule.update" else method.partition(".")[0]
                name = objects.made(kind, maker)
                closed = whose == "root's" and not command.of_root and role != "root"
                expected = 0 if allowed and not closed else NOT_AUTHORISED
                assert outcome(found.own[role], method, **call_of(method, name)) == expected, (method, role, whose)
                tried += 1
            if not command.four_eyes:
                expected = CONFLICT if allowed else NOT_AUTHORISED
                assert outcome(found.own[role], method, **call_of(method, "filed")) == expected, (method, role, "file")
                tried += 1
    print(f"{tried} combinations of method, role, whose and origin")
    assert tried > 100


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("whose", ["own", "another's"])
def test_four_eyes_on_each_verb_that_approves(place: Scene, role: str, whose: str) -> None:
    with people(place) as (found, root):
        caller, other = found.own[role], found.others["admin"]
        mine = whose == "own" and role in ("operator", "admin", "root")
        asker = caller if mine else other
        allowed = role in ("operator", "admin", "root") and (not mine or role == "root")

        ident = asker.call("execution.start", task="filed")["execution_id"]
        assert outcome(caller, "task.approve", task="filed") == (0 if allowed else NOT_AUTHORISED)
        if allowed:
            assert root.call("execution.wait", execution=ident)["status"] == "completed"
            ident = asker.call("execution.start", task="filed")["execution_id"]
        assert outcome(caller, "execution.approve", execution=ident) == (0 if allowed else NOT_AUTHORISED)
        if allowed:
            assert root.call("execution.wait", execution=ident)["status"] == "completed"
        else:
            assert root.call("execution.get", execution=ident)["status"] == "scheduled"

        plan = asker.call("task.plan", task="logs")["hash"]
        may_approve_plans = role == "root" or (role == "admin" and not mine)
        assert outcome(caller, "plan.approve", plan=plan) == (0 if may_approve_plans else NOT_AUTHORISED)


def test_approval_given_before_ones_own_request_does_not_count(place: Scene) -> None:
    with people(place) as (found, root):
        mine = found.own["operator"]
        mine.call("task.approve", task="filed")
        ident = mine.call("execution.start", task="filed")["execution_id"]
        assert root.call("execution.get", execution=ident)["status"] == "scheduled"
        other = found.others["operator"].call("execution.start", task="filed")["execution_id"]
        assert root.call("execution.wait", execution=other)["status"] == "completed"
        assert root.call("execution.get", execution=ident)["status"] == "scheduled"


def test_approval_ends_with_an_edit_of_its_task(place: Scene) -> None:
    with people(place) as (found, root):
        author = found.own["admin"]
        author.call("task.create", task={"name": "made", **NOOP})
        assert refusal(author, "task.approve", task="made").code == NOT_AUTHORISED
        found.others["admin"].call("task.approve", task="made")
        author.call("task.update", task="made", changes={"timeout": "5m"})
        ident = author.call("execution.start", task="made")["execution_id"]
        assert root.call("execution.get", execution=ident)["status"] == "scheduled"
        found.others["admin"].call("task.approve", task="made")
        assert root.call("execution.wait", execution=ident)["status"] == "completed"


@pytest.mark.parametrize("edit", ["task.update", "schedule.update", "schedules"])
def test_approval_is_refused_to_each_author_since_root_defined_the_task(place: Scene, edit: str) -> None:
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "task.update": ("task.update", {"task": "made", "changes": {"timeout": "5m"}}),
        "schedule.update": ("schedule.update", {"task": "made", "schedule": {"every": "1h"}}),
        "schedules": ("schedule.update", {"changes": [{"task": "made", "schedule": {"every": "1h"}}]}),
    }
    method, params = calls[edit]
    with people(place) as (found, _root):
        mine, other = found.own["admin"], found.others["admin"]
        mine.call("task.create", task={"name": "made", **NOOP})
        other.call(method, **params)
        for author in (mine, other):
            assert refusal(author, "task.approve", task="made").code == NOT_AUTHORISED
        assert outcome(found.own["operator"], "task.approve", task="made") == 0
    with people(place) as (found, root):
        for author in (found.own["admin"], found.others["admin"]):
            assert refusal(author, "task.approve", task="made").code == NOT_AUTHORISED
        root.call(method, **params)
        assert outcome(found.own["admin"], "task.approve", task="made") == 0
        found.others["admin"].call("task.delete", task="made")
        found.others["admin"].call("task.create", task={"name": "made", **NOOP})
        assert outcome(found.own["admin"], "task.approve", task="made") == 0


def test_emergency_override_is_no_approval_of_ones_own(place: Scene) -> None:
    with people(place) as (found, root):
        root.call("policy.create", policy={"name": "fire", "rules": [{"emergency": {}}]})
        mine = found.own["operator"]
        started = mine.call("execution.start", task="filed", emergency=True, reason="fire")
        assert [one["guard"] for one in started["waits"]] == ["policy"]
        assert refusal(mine, "task.approve", task="filed").code == NOT_AUTHORISED


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_approval_is_asked_for_by_each_verb_that_starts(place: Scene, role: str) -> None:
    with people(place) as (found, root):
        objects = Objects(root)
        window = objects.made("window", root)
        root.call("task.create", task={"name": "opened", **NOOP, "schedule": {"window": window}})
        caller = found.own[role]
        started = [
            caller.call("execution.start", task="filed")["execution_id"],
            caller.call("cleanup.run")["execution_id"],
        ]
        if role == "admin":
            (item,) = caller.call("window.execute", window=window)["items"]
            started.append(item["execution_id"])
        for ident in started:
            shown = root.call("execution.get", execution=ident)
            assert shown["status"] == "scheduled", shown["task_name"]
            assert outcome(caller, "execution.approve", execution=ident) == NOT_AUTHORISED
            assert outcome(caller, "task.approve", task=shown["task_name"]) == NOT_AUTHORISED
            assert root.call("execution.get", execution=ident)["status"] == "scheduled"
            root.call("execution.approve", execution=ident)
            assert root.call("execution.wait", execution=ident)["status"] == "completed"


def test_schedules_changed_together_are_edits_of_each_task(place: Scene) -> None:
    with people(place) as (found, root):
        mine, other = found.own["admin"], found.others["admin"]
        root.call("task.create", task={"name": "made", **NOOP})
        mine.call("task.approve", task="made")
        mine.call("schedule.update", changes=[{"task": "made", "schedule": {"every": "1h"}}])
        assert refusal(mine, "task.approve", task="made").code == NOT_AUTHORISED
        ident = root.call("execution.start", task="made")["execution_id"]
        assert root.call("execution.get", execution=ident)["status"] == "scheduled"
        other.call("execution.approve", execution=ident)
        assert root.call("execution.wait", execution=ident)["status"] == "completed"


@pytest.mark.parametrize("role", ROLES)
def test_schedules_changed_together_need_the_right_to_each(place: Scene, role: str) -> None:
    with people(place) as (found, root):
        root.call("task.create", task={"name": "made", **NOOP, "schedule": {"every": "2h"}})
        changes = [{"task": name, "schedule": {"every": "1h"}} for name in ("made", "filed")]
        expected = CONFLICT if role in ("admin", "root") else NOT_AUTHORISED
        assert outcome(found.own[role], "schedule.update", changes=changes) == expected
        assert root.call("task.get", task="made")["schedule"]["every"] == "2h"
