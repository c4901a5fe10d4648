"""Each verb asks for what the contract says, and gives back the exit code that it says."""

import json
from typing import Any

import pytest

from jamaint.errors import (
    CONFLICT,
    INTERNAL,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NOT_AUTHORISED,
    NOT_FOUND,
    REFUSED,
    TOO_LARGE,
    UNAVAILABLE,
    JamaintError,
)

EXECUTION = {"id": "a1b2c3d4-1", "task_name": "app-logs", "status": "completed", "steps": [], "metrics": {}}
LISTED: dict[str, Any] = {"items": [], "next_cursor": None}
LOGGED = {"items": [{"seq": 1, "at": "2026-11-24T02:00:00Z", "level": "info", "message": "m"}], "next_cursor": None}

CALLS = [
    (["task", "list"], "task.list", {}, LISTED),
    (["task", "show", "a"], "task.get", {"task": "a"}, {"name": "a"}),
    (["task", "delete", "a"], "task.delete", {"task": "a"}, {"deleted": "a"}),
    (["task", "enable", "a"], "task.enable", {"task": "a"}, {"name": "a"}),
    (["task", "disable", "a"], "task.disable", {"task": "a"}, {"name": "a"}),
    (
        ["task", "pause", "a", "--until", "2026-11-25 02:00"],
        "task.pause",
        {"task": "a", "until": "2026-11-24T19:00:00.000Z"},
        {"name": "a"},
    ),
    (["window", "list"], "window.list", {}, LISTED),
    (["window", "show", "w"], "window.get", {"window": "w"}, {"name": "w", "duration": 120}),
    (["window", "delete", "w"], "window.delete", {"window": "w"}, {"deleted": "w"}),
    (
        ["window", "skip", "w", "--next", "2"],
        "window.skip",
        {"window": "w", "next": 2},
        {"window": "w", "skipped": ["2026-11-24T02:00:00Z"], "next": None},
    ),
    (
        ["window", "skip", "w", "--undo"],
        "window.skip",
        {"window": "w", "undo": True},
        {"window": "w", "taken_back": []},
    ),
    (
        ["execution", "approve", "a1b2c3d4", "--times", "2", "--reason", "r"],
        "execution.approve",
        {"execution": "a1b2c3d4", "occurrences": 2, "reason": "r"},
        {"task": "a", "execution": "a1b2c3d4-1", "occurrences": 2, "expires_at": "2026-11-24T02:00:00Z"},
    ),
    (
        ["task", "approve", "a", "--plan", "abc"],
        "task.approve",
        {"task": "a", "plan": "abc"},
        {"task": "a", "occurrences": 1, "expires_at": "2026-11-24T02:00:00Z", "plan": "abc"},
    ),
    (["execution", "reject", "a1b2c3d4"], "execution.reject", {"execution": "a1b2c3d4"}, EXECUTION),
    (["policy", "delete", "p"], "policy.delete", {"policy": "p"}, {"deleted": "p"}),
    (["policy", "list"], "policy.list", {}, LISTED),
    (["policy", "show", "p"], "policy.get", {"policy": "p"}, {"name": "p"}),
    (
        ["execution", "list", "--task", "a", "--status", "failed", "--since", "2026-11-23T00:00:00Z", "--limit", "5"],
        "execution.list",
        {"task": "a", "status": "failed", "since": "2026-11-23T00:00:00.000Z", "limit": 5},
        LISTED,
    ),
    (["execution", "show", "last"], "execution.get", {"execution": "last"}, EXECUTION),
    (["execution", "cancel", "a1b2c3d4"], "execution.cancel", {"execution": "a1b2c3d4"}, EXECUTION),
    (["execution", "log", "last"], "execution.logs", {"execution": "last", "after_seq": 0, "limit": 500}, LOGGED),
    (["next"], "window.next", {"limit": 3}, {"now": "", "items": []}),
    (["next", "w", "-n", "7"], "window.next", {"window": "w", "limit": 7}, {"now": "", "items": []}),
    (
        ["why", "a", "--at", "2026-11-23T00:00:00Z"],
        "task.explain",
        {"task": "a", "at": "2026-11-23T00:00:00.000Z"},
        {"task": "a", "at": "2026-11-23T00:00:00Z", "verdict": "would_run", "guards": []},
    ),
    (["events"], "execution.list", {"limit": 50}, LISTED),
    (["audit", "--since", "2026-11-23"], "audit.list", {"since": "2026-11-22T17:00:00.000Z", "limit": 100}, LISTED),
    (["config", "check"], "config.check", {}, {"path": "/c", "ok": True, "warnings": []}),
    (["config", "show"], "config.show", {}, {"path": "/c", "config": {}}),
    (["drain"], "daemon.drain", {}, {"state": "draining", "running": 0}),
    (["reload"], "daemon.reload", {}, {"applied": True, "changes": {}, "warnings": []}),
    (["version"], "daemon.version", {}, {"version": "0.1.0", "protocol": 1}),
    (
        ["execute", "a", "--dry-run", "--window", "w", "--reason", "r", "--set", "n=7", "--set", "t=x", "--plan", "h"],
        "execution.start",
        {"task": "a", "dry_run": True, "window": "w", "reason": "r", "options": {"n": 7, "t": "x"}, "plan": "h"},
        {"execution_id": None, "dry_run": True, "task": "a", "guards": [], "plan": {"steps": [], "warnings": []}},
    ),
    (
        ["execute", "a", "--detach", "--emergency", "--reason", "r"],
        "execution.start",
        {"task": "a", "emergency": True, "reason": "r"},
        {"execution_id": "a1b2c3d4-1"},
    ),
    (
        ["database", "forget", "tidy", "--dry-run", "--with-kept"],
        "database.forget",
        {"task": "tidy", "dry_run": True, "with_kept": True},
        {"database": "cms on localhost", "tables": [], "freed_space": 0, "dry_run": True},
    ),
    (
        ["purge", "--until-free", "10%", "/srv", "--dry-run"],
        "purge",
        {"until_free": "10%", "path": "/srv", "dry_run": True},
        {"items": [], "skipped": [], "freed_space": 0, "until_free": [], "dry_run": True},
    ),
    (
        ["purge", "last", "5e2f9c11", "--incomplete"],
        "purge",
        {"executions": ["last", "5e2f9c11"], "incomplete": True},
        {
            "items": [
                {
                    "execution_id": "5e2f9c11",
                    "task_name": "t",
                    "kept_since": "2026-11-23T00:00:00Z",
                    "freed_space": 4096,
                    "problems": [],
                }
            ],
            "skipped": [{"execution_id": "6e2f9c11", "task_name": "t", "why": "it still runs"}],
            "freed_space": 4096,
            "until_free": [],
            "dry_run": False,
        },
    ),
    (
        ["rollback", "last", "--dry-run"],
        "execution.rollback",
        {"execution": "last", "dry_run": True, "wait": True},
        {"execution": EXECUTION, "restored": 1, "removed": 0, "kept": [], "problems": [], "dry_run": True},
    ),
    (
        ["rollback", "last", "--detach"],
        "execution.rollback",
        {"execution": "last", "dry_run": False, "wait": False},
        {"execution": EXECUTION, "detached": True, "dry_run": False},
    ),
]


@pytest.mark.parametrize(("words", "method", "params", "result"), CALLS, ids=lambda value: str(value)[:40])
def test_a_verb_asks_its_method(daemon: Any, ctl: Any, words: list[str], method: str, params: Any, result: Any) -> None:
    daemon.answers[method] = result
    done = ctl(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert daemon.asked == [(method, params)]


@pytest.mark.parametrize(("words", "method", "params", "result"), CALLS, ids=lambda value: str(value)[:40])
def test_json_is_the_result_and_nothing_else(
    daemon: Any, ctl: Any, words: list[str], method: str, params: Any, result: Any
) -> None:
    daemon.answers[method] = result
    done = ctl("--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == result


@pytest.mark.parametrize(
    ("code", "words", "exit_code"),
    [
        (NOT_FOUND, ["task", "show", "a"], 4),
        (REFUSED, ["execute", "a"], 5),
        (CONFLICT, ["task", "delete", "a"], 5),
        (NOT_AUTHORISED, ["drain"], 6),
        (UNAVAILABLE, ["status"], 3),
        (INTERNAL, ["status"], 1),
        (METHOD_NOT_FOUND, ["status"], 1),
        (TOO_LARGE, ["execution", "list"], 1),
        (INVALID_PARAMS, ["execution", "show", "x"], 2),
        (INVALID_PARAMS, ["reload"], 7),
        (INVALID_PARAMS, ["config", "check"], 7),
    ],
)
def test_exit_codes(daemon: Any, ctl: Any, code: int, words: list[str], exit_code: int) -> None:
    methods = ("task.get", "execution.start", "task.delete", "daemon.drain", "status", "execution.list",
               "execution.get", "daemon.reload", "config.check")  # fmt: skip
    for method in methods:
        daemon.answers[method] = JamaintError(code, "it cannot be", {"k": "v"})
    done = ctl(*words)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("jamaintctl: it cannot be")
    assert done.stderr.count("\n") == 1
    done = ctl("--json", *words)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert json.loads(done.stderr) == {"error": {"code": code, "message": "it cannot be", "data": {"k": "v"}}}


def test_a_refusal_tells_its_reasons_once(daemon: Any, ctl: Any) -> None:
    reasons = [
        {"guard": "window", "verdict": "refuse", "detail": "window nightly is closed"},
        {"guard": "condition", "verdict": "refuse", "detail": "the load is 9.1"},
    ]
    daemon.answers["execution.start"] = JamaintError(
        REFUSED, "cannot run a: window nightly is closed", {"reasons": reasons}
    )
    assert ctl("execute", "a").stderr == "jamaintctl: cannot run a: window nightly is closed; the load is 9.1\n"


def test_mistakes_of_a_configuration_are_a_line_each(daemon: Any, ctl: Any) -> None:
    mistakes = [
        {"file": "/c.yaml", "line": 3, "column": 5, "key": "tasks.a.shedule", "problem": "did you mean schedule?"},
        {"file": "/c.yaml", "line": 9, "column": 1, "key": "x", "problem": "unknown key"},
    ]
    daemon.answers["daemon.reload"] = JamaintError(INVALID_PARAMS, "2 mistakes", {"mistakes": mistakes})
    done = ctl("reload")
    assert done.returncode == 7
    assert done.stderr.splitlines() == [
        "jamaintctl: /c.yaml:3:5: tasks.a.shedule: did you mean schedule?",
        "jamaintctl: /c.yaml:9:1: x: unknown key",
    ]


@pytest.mark.parametrize(
    "words", [["exeute"], ["execute"], ["--timeout", "x", "status"], ["task", "create"], ["task", "pause", "a"], []]
)
def test_a_bad_command_line_is_exit_2_and_asks_nothing(daemon: Any, ctl: Any, words: list[str]) -> None:
    done = ctl(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jamaintctl: ")
    assert daemon.asked == []
    assert json.loads(ctl("--json", *words).stderr)["error"]["code"] == INVALID_PARAMS


def test_an_emergency_needs_a_reason(daemon: Any, ctl: Any) -> None:
    assert ctl("execute", "a", "--emergency").returncode == 2
    assert daemon.asked == []


def test_a_list_is_fetched_page_after_page_up_to_its_limit(daemon: Any, ctl: Any) -> None:
    def page(params: dict[str, Any]) -> dict[str, Any]:
        first = int(params.get("cursor", "0"))
        items = [{**EXECUTION, "id": f"{number:08}"} for number in range(first, first + params["limit"])]
        return {"items": items, "next_cursor": str(first + params["limit"])}

    daemon.answers["execution.list"] = page
    found = json.loads(ctl("--json", "execution", "list", "--limit", "150").stdout)
    assert [item["id"] for item in found["items"]] == [f"{number:08}" for number in range(150)]
    assert [params["limit"] for _, params in daemon.asked] == [100, 50]
    assert "there are more" in ctl("execution", "list", "--limit", "3").stdout


@pytest.mark.parametrize("words", [["--help"], ["task", "--help"], ["execute", "--help"], ["--version"], ["help"]])
def test_help_needs_no_daemon(ctl: Any, words: list[str]) -> None:
    done = ctl("--socket", "/nowhere", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "jamaintctl" in done.stdout


def test_version_says_the_clients_own_when_there_is_no_daemon(ctl: Any) -> None:
    done = ctl("--socket", "/nowhere", "version")
    assert done.returncode == 3
    assert done.stdout.startswith("jamaintctl ")
