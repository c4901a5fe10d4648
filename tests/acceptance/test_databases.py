"""Old rows of a database, as an administrator sees them go and come back; and nobody sees a password."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from command_line import Scene, scene
from daemon_harness import client
from database_runs import held_row, look, run_script, value

TABLE = """
CREATE TABLE sessions (id bigint PRIMARY KEY, seen_at timestamptz, body text);
INSERT INTO sessions SELECT i, now() - i * interval '1 hour', md5(i::text) FROM generate_series(1, 5000) i;
ANALYZE sessions
"""
OLD = {"table": "sessions", "age_column": "seen_at", "older_than": "190d"}


@pytest.fixture
def place(database: str, empty_database: str) -> Iterator[tuple[Scene, str]]:
    for statement in TABLE.split(";"):
        run_script(empty_database, statement)
    with scene(database) as found:
        yield found, empty_database


def task(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "cleanup", "category": "database", "config": {"cleanup_old_data": [OLD], **config}, **more}


def test_old_rows_go_and_come_back_and_no_password_is_seen(place: tuple[Scene, str]) -> None:
    there, dsn = place
    before = look(dsn, "sessions")
    there.configure(tasks={"tidy": task({"dsn": dsn.replace("jamaint@", "jamaint:secret@")})})
    with there.serving():
        planned = there.ctl("execute", "tidy", "--dry-run").stdout
        assert "rows of public.sessions whose seen_at is before" in planned
        assert "can be undone" in planned
        ended = there.ctl("execute", "tidy")
        assert ended.returncode == 0, ended
        left = len(look(dsn, "sessions"))
        assert left < len(before)
        assert f"{len(before) - left} rows" in ended.stdout
        for words in (("task", "show", "tidy"), ("config", "show"), ("execution", "show", "last"), ("audit",)):
            shown = there.ctl(*words)
            assert shown.returncode == 0, shown
            assert "secret" not in shown.stdout
        assert "secret" not in str(value(there.dsn or "", "SELECT json_agg(p)::text FROM rollback_points p"))
        undone = there.ctl("rollback", "last")
        assert undone.returncode == 0, undone
        assert f"{len(before) - left} rows put back" in undone.stdout
    assert look(dsn, "sessions") == before
    assert "secret" not in there.config.with_suffix(".log").read_text()


@pytest.mark.parametrize("category", ["cleanup", "optimization"])
def test_the_first_cleanup_takes_most_rows_by_a_plan_that_is_approved(place: tuple[Scene, str], category: str) -> None:
    """What has gathered for years is more than a quarter of the table: nobody has to open the guard for it."""
    there, dsn = place
    before = look(dsn, "sessions")
    rules = {"dsn": dsn, "cleanup_old_data": [{**OLD, "older_than": "46d"}]}
    there.configure(tasks={"tidy": {**task(rules), "type": category}})
    with there.serving():
        refused = there.ctl("execute", "tidy")
        assert refused.returncode == 5, refused
        assert "of 5,000 rows would be deleted (78%)" in refused.stderr + refused.stdout
        made = there.json("plan", "tidy")
        early = there.ctl("execute", "tidy", "--plan", made["hash"])
        assert (early.returncode, "has to be approved before" in early.stderr) == (5, True), early
        assert look(dsn, "sessions") == before
        assert there.ctl("plan", "approve", made["hash"][:12]).returncode == 0
        assert there.json("execute", "tidy", "--plan", made["hash"])["status"] == "completed"
        assert len(before) - len(look(dsn, "sessions")) == made["plan"]["steps"][-1]["items"]
        assert there.ctl("rollback", "last").returncode == 0
    assert look(dsn, "sessions") == before


def test_rows_count_in_a_system_cleanup(place: tuple[Scene, str]) -> None:
    there, dsn = place
    before = look(dsn, "sessions")
    there.configure(cleanup={"database": {"dsn": dsn, "cleanup_old_data": [OLD]}})
    with there.serving():
        done = there.ctl("cleanup", "run", "database")
        assert done.returncode == 0, done
        rows = len(before) - len(look(dsn, "sessions"))
        assert f"{rows} rows" in done.stdout
        (kept,) = there.json("cleanup", "history")["items"]
        assert kept["total_processed_items"] == rows > 0
        assert f"{rows} rows put back" in there.ctl("rollback", "last").stdout
    assert look(dsn, "sessions") == before


@pytest.mark.parametrize("composite", [False, True])
def test_rows_that_came_back_are_held_until_they_are_released(place: tuple[Scene, str], composite: bool) -> None:
    there, dsn = place
    before = look(dsn, "sessions")
    sections = {"cleanup": {"database": {"dsn": dsn, "cleanup_old_data": [OLD]}}}
    there.configure(**sections if composite else {"tasks": {"tidy": task({"dsn": dsn})}})
    typed = ("cleanup", "run", "database") if composite else ("execute", "tidy")
    with there.serving():
        assert there.ctl(*typed).returncode == 0
        rows = len(before) - len(look(dsn, "sessions"))
        told = there.ctl("rollback", "last").stdout
        assert f": {rows} rows in public.sessions\n" in told
        ident = there.json("execution", "show", "last")["id"]
        assert there.ctl(*typed).returncode == 0
        assert look(dsn, "sessions") == before
        (one,) = there.json("held", "list")["items"]
        assert (one["execution_id"], one["path"], one["items"], one["unit"]) == (
            ident,
            "public.sessions",
            rows,
            "row",
        )
        done = there.ctl("held", "release", ident, "public.sessions")
        assert (done.returncode, f"{rows} rows in public.sessions released" in done.stdout) == (0, True), done
        assert value(dsn, "SELECT count(*) FROM jamaint.held_rows") == 0
        assert there.ctl(*typed).returncode == 0
        assert len(look(dsn, "sessions")) == len(before) - rows


def test_rows_stay_held_where_their_database_cannot_be_reached(place: tuple[Scene, str]) -> None:
    there, dsn = place
    there.configure(tasks={"tidy": task({"dsn": dsn})})
    with there.serving():
        assert there.ctl("execute", "tidy").returncode == 0
        assert there.ctl("rollback", "last").returncode == 0
        rows = value(dsn, "SELECT count(*) FROM jamaint.held_rows")
        name = value(dsn, "SELECT current_database()")
        run_script(there.dsn or "", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            done = there.ctl("held", "release", "last")
            assert (done.returncode, "nothing is released" in done.stderr) == (5, True), done
            assert len(there.json("held", "list")["items"]) == 1
        finally:
            run_script(there.dsn or "", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert value(dsn, "SELECT count(*) FROM jamaint.held_rows") == rows
        assert there.ctl("held", "release", "last").returncode == 0


def test_a_database_is_named_as_the_grants_have_it(place: tuple[Scene, str]) -> None:
    there, dsn = place
    there.configure(grants={"databases": {"cms": dsn}}, tasks={"tidy": task({"database": "cms"})})
    with there.serving():
        assert there.json("execute", "tidy")["status"] == "completed"
        made = {"name": "other", **task({"database": "cms"})}
        assert there.ctl("task", "create", "-f", "-", stdin=json.dumps(made)).returncode == 0
        unknown = there.ctl("task", "create", "-f", "-", stdin=json.dumps({"name": "x", **task({"database": "csm"})}))
        assert (unknown.returncode, "did you mean cms?" in unknown.stderr) == (7, True)


def test_a_pause_and_a_cancel_in_the_middle(place: tuple[Scene, str]) -> None:
    there, dsn = place
    before = look(dsn, "sessions")
    slow = {**OLD, "batch_size": 1, "older_than": "100d"}
    rule = {"dsn": dsn, "cleanup_old_data": [slow]}
    there.configure(tasks={"tidy": task(rule, mass_deletion={"share": "100%", "items": 1})})
    with there.serving() as caller, client(there.socket) as other:
        caller.call("event.subscribe")
        ident = other.call("execution.start", task="tidy")["execution_id"]
        while not (progress(caller, ident) or {}).get("done"):
            pass
        other.call("execution.pause", execution=ident)
        while other.call("execution.get", execution=ident).get("paused") is None:
            pass
        other.call("execution.resume", execution=ident)
        other.call("execution.cancel", execution=ident)
        ended = other.call("execution.wait", execution=ident)
        assert ended["status"] == "cancelled"
        rows = ended["steps"][0]["details"]["rows"]
        assert rows == len(before) - len(look(dsn, "sessions")) > 0
        assert value(dsn, "SELECT count(*) FROM jamaint.cursors") == 1
        assert there.ctl("rollback", ident).returncode == 0
    assert look(dsn, "sessions") == before


def test_for_whom_it_waits_is_shown_until_it_goes_on(place: tuple[Scene, str]) -> None:
    there, dsn = place
    there.configure(tasks={"tidy": task({"dsn": dsn})})
    with there.serving() as caller, client(there.socket) as other:
        caller.call("event.subscribe")
        with held_row(dsn, "sessions", 4900):
            ident = other.call("execution.start", task="tidy")["execution_id"]
            while not (progress(caller, ident) or {}).get("waiting"):
                pass
            assert "waits: " in there.ctl("status").stdout
            assert "waits  " in there.ctl("execution", "show", ident).stdout
        ended = other.call("execution.wait", execution=ident)
        assert ended["status"] == "completed"
        assert "waits" not in there.ctl("execution", "show", ident).stdout


def progress(caller: Any, ident: str) -> Any:
    """What the next event says of it."""
    pushed = caller.receive().event or {}
    execution = pushed.get("execution") or {}
    return execution.get("progress") if execution.get("id") == ident else None


def test_what_is_left_is_removed_when_nobody_needs_it(place: tuple[Scene, str]) -> None:
    there, dsn = place
    schema = "SELECT to_regnamespace('jamaint') IS NOT NULL"
    there.configure(tasks={"tidy": task({"dsn": dsn})})
    with there.serving():
        assert "nothing of jamaint exists in it" in there.ctl("database", "forget", "tidy").stdout
        assert there.ctl("execute", "tidy").returncode == 0
        refused = there.ctl("database", "forget", "tidy")
        assert refused.returncode == 5, refused
        assert "can be rolled back there" in refused.stderr
        assert there.ctl("purge", "last").returncode == 0  # the remedy
        would = there.json("database", "forget", "tidy", "--dry-run")
        assert [one["name"] for one in would["tables"]] == ["jamaint.cursors"]
        assert value(dsn, schema)
        run_script(dsn, "CREATE TABLE jamaint.kept_lost_1 (LIKE sessions)")  # of a daemon whose state is lost
        refused = there.ctl("database", "forget", "tidy")
        assert refused.returncode == 5, refused
        assert "--with-kept" in refused.stderr
        run_script(dsn, "CREATE VIEW public.seen AS SELECT * FROM jamaint.cursors")
        refused = there.ctl("database", "forget", "tidy", "--with-kept")
        assert "something of others depends on the schema jamaint" in refused.stderr
        assert value(dsn, "SELECT to_regclass('jamaint.kept_lost_1') IS NOT NULL")
        run_script(dsn, "DROP VIEW public.seen")
        done = there.ctl("database", "forget", "tidy", "--with-kept")
        assert done.returncode == 0, done
        assert "2 tables removed" in done.stdout
        assert not value(dsn, schema)
        assert there.ctl("execute", "tidy").returncode == 0


def test_what_is_left_is_removed_by_the_name_in_grants_where_no_task_is_left(place: tuple[Scene, str]) -> None:
    there, dsn = place
    granted = {"databases": {"cms": dsn.replace("jamaint@", "jamaint:secret@")}}
    there.configure(grants=granted, tasks={"tidy": task({"database": "cms"})})
    with there.serving():
        assert there.ctl("execute", "tidy").returncode == 0
        refused = there.ctl("database", "forget", "cms")
        assert (refused.returncode, "tidy" in refused.stderr) == (5, True), refused
        assert there.ctl("purge", "last").returncode == 0  # the remedy
        there.configure(grants=granted)
        assert there.ctl("reload").returncode == 0
        unknown = there.ctl("database", "forget", "tidy")
        assert (unknown.returncode, "cms" in unknown.stderr) == (4, True), unknown
        done = there.ctl("database", "forget", "cms")
        assert done.returncode == 0, done
        assert "1 table removed" in done.stdout
        assert "secret" not in done.stdout
        assert not value(dsn, "SELECT to_regnamespace('jamaint') IS NOT NULL")
        assert "nothing of jamaint exists in it" in there.ctl("database", "forget", "cms").stdout
