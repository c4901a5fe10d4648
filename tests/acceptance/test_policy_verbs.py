"""Policies, approvals and emergencies, as people meet them: with a daemon, its store, and jamaintctl."""

from collections.abc import Iterator
from typing import Any

import pytest

import postgres_server as server
from command_line import NOBODY, Scene, needs_nobody, scene, soon, until, window
from daemon_harness import Client, refusal
from socket_peers import ME

QUICK = {"type": "custom", "category": "system", "executor": "noop"}
FREEZE = {"freeze": {"from": "2020-01-01", "to": "2199-12-31"}}
ASKS = {"scope": {"tasks": ["t"]}, "rules": [{"approval": {}}]}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def guards(problem: Any) -> list[str]:
    return [reason["guard"] for reason in problem.data["reasons"]]


def asked(caller: Client) -> dict[str, Any]:
    """An execution of `t` that waits to be approved."""
    started: dict[str, Any] = caller.call("execution.start", task="t")
    assert [reason["guard"] for reason in started["waits"]] == ["policy"]
    return started


class TestPolicies:
    def test_one_from_a_file_denies_by_name_and_cannot_be_changed_here(self, place: Scene) -> None:
        place.configure(
            policies={"year-end": {"rules": [FREEZE], "actions": ["deny"], "priority": 10}}, tasks={"t": QUICK}
        )
        with place.serving() as caller:
            problem = refusal(caller, "execution.start", task="t")
            assert problem.message == "cannot run t: policy year-end: it freezes until 2200-01-01 00:00:00 UTC"
            assert place.ctl("execute", "t").returncode == 5
            assert "policy year-end" in place.ctl("why", "t").stdout
            (listed,) = place.json("policy", "list")["items"]
            assert (listed["name"], listed["priority"], listed["actions"]) == ("year-end", 10, ["deny"])
            assert place.json("policy", "show", "year-end")["rules"] == [FREEZE]
            assert "comes from a file" in refusal(caller, "policy.delete", policy="year-end").message

    def test_one_made_here_is_kept_changed_and_deleted(self, place: Scene) -> None:
        place.configure(tasks={"t": QUICK})
        file = place.directory / "p.yaml"
        file.write_text("name: stop\nrules: [{ freeze: { from: 2020-01-01, to: 2199-12-31 } }]\n")
        with place.serving():
            assert place.ctl("policy", "create", "-f", str(file)).stdout == "policy stop created\n"
            assert place.ctl("policy", "create", "-f", str(file)).returncode == 5
        with place.serving() as caller:
            assert guards(refusal(caller, "execution.start", task="t")) == ["policy"]
            place.json("policy", "update", "stop", "-f", "-", stdin="enabled: false\n")
            assert caller.run("t")["status"] == "completed"
            assert place.ctl("policy", "delete", "stop").stdout == "policy stop deleted\n"
            assert place.ctl("policy", "show", "stop").returncode == 4
            file.write_text("name: stop\nrules: [{ rate: { at_most: 1 } }]\n")
            refused = place.ctl("policy", "create", "-f", str(file))
            assert refused.returncode == 7
            assert f"{file}:2:" in refused.stderr
            assert "within: is missing beside `at_most`" in refused.stderr

    def test_a_rate_is_counted_over_restarts(self, place: Scene) -> None:
        rate = {"scope": {"tasks": ["t"]}, "rules": [{"rate": {"at_most": 2, "within": "1d"}}]}
        place.configure(policies={"seldom": rate}, tasks={"t": QUICK, "u": QUICK})
        with place.serving() as caller:
            assert caller.run("t")["status"] == "completed"
        with place.serving() as caller:
            assert caller.run("t")["status"] == "completed"
            assert "2 of 2 have started within 24 h" in refusal(caller, "execution.start", task="t").message
            assert caller.run("u")["status"] == "completed"

    def test_what_is_scheduled_and_denied_is_cancelled_with_the_policy_s_name(self, place: Scene) -> None:
        place.configure(policies={"p": {"rules": [FREEZE]}})
        with place.serving() as caller:
            caller.call("event.subscribe")
            caller.call("task.create", task={"name": "t", **QUICK, "schedule": {"at": soon(3)}})
            ended = until(caller, "execution.ended", task_name="t")
            assert ended["status"] == "cancelled"
            assert ended["reasons"][0]["detail"].startswith("policy p: it freezes")

    def test_a_default_timeout_ends_what_has_none_of_its_own(self, place: Scene) -> None:
        place.configure(policies={"p": {"rules": [{"timeout": "300ms"}]}}, tasks={"t": place.held("t")})
        with place.serving() as caller:
            ended = caller.run("t")
            assert (ended["status"], ended["error"]["kind"]) == ("failed", "timeout")

    def test_protected_files_stay_whatever_a_cleanup_says(self, place: Scene) -> None:
        logs = place.logs((1, 40, 50))
        keep = logs / "keep"
        keep.mkdir()
        old = next(iter(sorted(logs.glob("*.log"), reverse=True)))
        kept = old.rename(keep / old.name)
        cleanup = {"executor": "logs.cleanup", "config": {"log_paths": [f"{logs}/**/*.log"], "retention_days": 30}}
        place.configure(policies={"p": {"rules": [{"protected_paths": [str(keep)]}]}}, tasks={"t": cleanup})
        with place.serving() as caller:
            assert caller.run("t")["status"] == "completed"
            assert kept.exists()
            assert len(list(logs.glob("*.log"))) == 1


class TestApproval:
    @pytest.mark.skipif(ME != "root", reason="only root may approve what it asked for itself")
    def test_it_waits_for_somebody_and_starts_when_approved(self, place: Scene) -> None:
        place.configure(policies={"p": ASKS}, tasks={"t": QUICK})
        with place.serving() as caller:
            done = place.ctl("execute", "t")
            assert done.returncode == 5
            assert "policy p: it waits for approval by an admin" in done.stdout
            ident = place.json("execution", "list")["items"][0]["id"]
            approved = place.ctl("execution", "approve", ident[:8], "--reason", "looked at it")
            assert approved.stdout.startswith(f"t: {ident[:8]} approved until ")
            assert caller.call("execution.wait", execution=ident)["status"] == "completed"
            assert place.ctl("execution", "approve", ident).returncode == 5  # it has ended
            asked(caller)  # one occurrence was approved, and no more
            calls = {(one["method"], one["user"], one["outcome"]) for one in place.json("audit")["items"]}
            assert ("execution.approve", "root", "done") in calls

    def test_rejected_it_is_cancelled_with_the_reason(self, place: Scene) -> None:
        place.configure(policies={"p": ASKS}, tasks={"t": QUICK})
        with place.serving() as caller:
            ident = asked(caller)["execution_id"]
            assert "rejected" in place.ctl("execution", "reject", ident, "--reason", "not today").stdout
            ended = caller.call("execution.get", execution=ident)
            assert ended["status"] == "cancelled"
            (reason,) = ended["reasons"]
            assert (reason["guard"], reason["verdict"]) == ("policy", "refuse")
            assert reason["detail"] == f"rejected by {ME}: not today"

    def test_ahead_of_time_it_holds_for_so_many_also_over_a_restart(self, place: Scene) -> None:
        place.configure(policies={"p": ASKS}, tasks={"t": QUICK, "free": QUICK})
        with place.serving() as caller:
            place.json("task", "approve", "t", "--times", "2", "--until", "+1h")
            assert caller.run("t")["status"] == "completed"
            assert "no policy asks for free" in refusal(caller, "task.approve", task="free").message
        with place.serving() as caller:
            assert caller.run("t")["status"] == "completed"
            asked(caller)

    def test_a_row_of_the_database_approves_nothing(self, place: Scene, database: str) -> None:
        place.configure(policies={"p": ASKS}, tasks={"t": QUICK})
        with place.serving():
            place.json("task", "approve", "t")
        forged = "UPDATE approvals SET occurrences = 9, expires_at = expires_at + interval '1 year'"
        server.on_connection(database, lambda one: one.execute(forged))
        with place.serving() as caller:
            asked(caller)

    @needs_nobody
    def test_whom_the_policy_does_not_name_may_not_decide(self, place: Scene) -> None:
        asks = {**ASKS, "rules": [{"approval": {"by": ["user:daemon"]}}]}
        place.configure(policies={"p": asks}, tasks={"t": QUICK}, roles={"operator": ["user:nobody"]})
        with place.serving() as caller:
            ident = asked(caller)["execution_id"]
            for verb in ("approve", "reject"):
                done = place.ctl("execution", verb, ident, before=NOBODY)
                assert (done.returncode, "its policies ask for user:daemon" in done.stderr) == (6, True)


class TestEmergency:
    CLOSED = window(86400)

    def test_it_passes_a_closed_window_that_allows_it_and_is_written_down(self, place: Scene) -> None:
        place.configure(
            windows={"w": {**self.CLOSED, "emergency_override": True}, "strict": self.CLOSED},
            freezes={"f": FREEZE["freeze"]},
            tasks={"t": {**QUICK, "conditions": [{"disk_free": {"path": "/", "min": "900TiB"}}]}},
        )
        with place.serving() as caller:
            assert guards(refusal(caller, "execution.start", task="t", window="w")) == ["window", "freeze", "condition"]
            lacks = refusal(caller, "execution.start", task="t", window="w", emergency=True)
            assert lacks.data["path"] == "reason"
            strict = refusal(caller, "execution.start", task="t", window="strict", emergency=True, reason="fire")
            assert "window strict has no emergency_override" in strict.message
            ended = caller.run("t", window="w", emergency=True, reason="fire")
            assert ended["status"] == "completed"
            assert (ended["emergency"]["by"], ended["emergency"]["reason"]) == (ME, "fire")
            assert f"overridden by {ME}: fire" in place.ctl("execution", "show", "last").stdout
            override = caller.call("override.list")["items"]
            assert [one["guard"] for one in override[0]["lifted"]] == ["window", "freeze", "condition"]
            assert (override[0]["execution"], override[0]["by"], len(override)) == (ended["id"], ME, 1)

    def test_it_lifts_no_guard_against_mass_deletion(self, place: Scene) -> None:
        logs = place.logs(tuple(float(age) for age in range(40, 100)))
        cleanup = {"executor": "logs.cleanup", "config": {"log_paths": [f"{logs}/*.log"], "retention_days": 30}}
        place.configure(policies={"p": {"rules": [{"emergency": {}}]}}, tasks={"t": cleanup})
        with place.serving() as caller:
            ended = caller.run("t", emergency=True, reason="the disk is full")
            assert (ended["status"], ended["error"]["kind"]) == ("failed", "refused")
            assert len(list(logs.glob("*.log"))) == 60
