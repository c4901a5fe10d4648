"""Old rows go in batches, and come back exactly as they were."""

import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from database_runs import EXECUTION, Stored, Talk, cleanup, held_row, look, planned, rule, run_script, value
from jamaint.core.plans import MassDeletion
from jamaint.core.rate_limits import WindowEnd
from jamaint.databases import connection
from jamaint.databases.rows import delete, restore
from jamaint.databases.rows.selection import SQL
from jamaint.executors.shared.executor import StepError, StopRequestedError

KEPT = f"jamaint.kept_{EXECUTION.replace('-', '')}_1"
SIMPLE = """
CREATE TABLE events (id bigint PRIMARY KEY, created_at timestamptz, body text);
INSERT INTO events SELECT i, now() - i * interval '1 day', 'row ' || i FROM generate_series(1, 400) i;
ANALYZE events;
"""


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not wait for others that are not there."""
    monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", lambda *_: 0.0)
    monkeypatch.setattr(delete, "PAUSES", (0.0, 0.0))


@pytest.fixture
def events(empty_database: str) -> str:
    run_script(empty_database, SIMPLE)
    return empty_database


class TestWhatGoesAndComesBack:
    def test_old_rows_go_and_come_back(self, events: str) -> None:
        before = look(events, "events")
        executor = cleanup(events, rule("events", batch_size=50))
        step = planned(executor)
        old = "SELECT count(*) FROM events WHERE created_at < now() - interval '30 days'"
        assert step.items == value(events, old)
        assert f"Delete {step.items} rows of public.events whose created_at is before" in step.says
        details = executor.run(step)
        assert details["rows"] == step.items
        assert details["batches"] > 5
        assert details["freed_on_purge"] > 0
        assert look(events, "events") == before_young(before, step.items)
        assert executor.undo(step, dry_run=True)["restored"] == step.items
        undone = executor.undo(step, dry_run=False)
        (held,) = undone.pop("held")
        assert [(place["path"], place["items"]) for place in held["places"]] == [("public.events", step.items)]
        assert undone == {"restored": step.items, "removed": 0, "kept": [], "problems": [], "unit": "row"}
        assert look(events, "events") == before
        assert executor.undo(step, dry_run=False)["restored"] == 0
        assert value(events, f"SELECT to_regclass('{KEPT}')") is None

    def test_a_stored_plan_is_kept_to(self, events: str) -> None:
        """Its cutoff is that of the plan, however much later it is carried out, and no row more goes than it says."""
        now = datetime.now(UTC)
        rules = rule("events", where="id > 300"), rule("events")
        stored = Stored(cleanup(events, *rules, now=now - timedelta(seconds=200)))
        run_script(events, "INSERT INTO events VALUES (500, now() - interval '30 days' - interval '100 s', 'since')")
        later = cleanup(events, *rules, planned=stored, now=now)
        with pytest.raises(StepError, match=r"public.events: 101 rows are meant now, and 100 in the plan: make a new"):
            later.plan()
        run_script(events, "UPDATE events SET id = -1 WHERE id = 500; DELETE FROM events WHERE id = 350")
        details = later.run(planned(later))
        assert [one["rows"] for one in details["tables"]] == [99, 270]
        assert value(events, "SELECT body FROM events WHERE id = -1") == "since"

    def test_what_was_put_back_does_not_go_again_at_once(self, events: str) -> None:
        """It is as old as it was; the night after a rollback would take it again."""
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        executor.undo(step, dry_run=False)
        run_script(events, "INSERT INTO events VALUES (401, now() - interval '1 year', 'another')")
        again = cleanup(events, rule("events"), execution="e2")
        plan = again.plan()
        assert plan.steps[0].items == 1
        assert f"{step.items} rows that a rollback has put back are left until" in plan.warnings[0]
        assert again.run(plan.steps[0])["rows"] == 1
        run_script(events, "UPDATE jamaint.held_rows SET until = now()")
        later = cleanup(events, rule("events"), execution="e3")
        later_step = planned(later)
        assert later_step.items == step.items
        assert later.run(later_step)["rows"] == step.items
        assert value(events, "SELECT count(*) FROM jamaint.held_rows") == 0

    def test_released_rows_go_again_and_those_of_another_rollback_stay(self, events: str) -> None:
        first = cleanup(events, rule("events"), execution="e1")
        step = planned(first)
        first.run(step)
        (told,) = first.undo(step, dry_run=False)["held"]
        assert [(one["path"], one["items"], one["unit"]) for one in told["places"]] == [
            ("public.events", step.items, "row")
        ]
        one = "(SELECT min(key) FROM jamaint.held_rows)"
        run_script(events, f"UPDATE jamaint.held_rows SET source = 'jamaint.kept_other_1' WHERE key = {one}")
        for _ in range(2):  # harmless twice
            first.release(step, "public.events")
        first.release(step, "public.other")
        assert value(events, "SELECT count(*) FROM jamaint.held_rows") == 1
        assert planned(cleanup(events, rule("events"), execution="e2")).items == step.items - 1

    def test_held_rows_of_an_older_version_get_the_column(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        executor.undo(step, dry_run=False)
        run_script(events, "ALTER TABLE jamaint.held_rows DROP COLUMN source; DELETE FROM jamaint.held_rows")
        executor.release(step, None)
        again = cleanup(events, rule("events"), execution="e2")
        again_step = planned(again)
        again.run(again_step)
        assert again.undo(again_step, dry_run=False)["restored"] == step.items
        again.release(again_step, None)
        assert value(events, "SELECT count(*) FROM jamaint.held_rows") == 0

    def test_held_rows_are_looked_up_and_not_read_as_a_whole(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        executor.undo(step, dry_run=False)
        oid = value(events, "SELECT 'events'::regclass::oid")
        run_script(
            events,
            f"INSERT INTO jamaint.held_rows SELECT {oid}, ARRAY[i::text], now() + interval '1 day' FROM "
            "generate_series(1000, 30000) i; ANALYZE jamaint.held_rows",
        )
        condition = SQL["not_held"].format(oid=oid, key="events.id::text")
        plan = value(events, f"EXPLAIN (FORMAT JSON) SELECT FROM events WHERE {condition}")
        assert '"Index Name": "held_rows_pkey"' in plan
        assert "Hash" not in plan

    def test_a_purge_frees_what_was_kept(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        details = executor.run(step)
        assert executor.purge(step) == {"freed_space": details["freed_on_purge"], "items": 1}
        assert executor.purge(step) == {"freed_space": 0, "items": 0}
        assert executor.undo(step, dry_run=False)["restored"] == 0

    def test_without_a_way_back_nothing_is_kept(self, events: str) -> None:
        executor = cleanup(events, rule("events"), keeps_way_back=False)
        step = planned(executor)
        assert step.undo is None
        assert "cannot be restored" in step.says
        assert executor.run(step)["freed_on_purge"] == 0
        assert value(events, f"SELECT to_regclass('{KEPT}')") is None

    def test_a_plan_changes_nothing(self, events: str) -> None:
        before = look(events, "events")
        step = planned(cleanup(events, rule("events")))
        assert look(events, "events") == before
        assert value(events, "SELECT to_regnamespace('jamaint')") is None
        assert step.sample[0]["path"].startswith("public.events id=")

    def test_every_kind_of_value_comes_back(self, empty_database: str) -> None:
        try:
            value(empty_database, "SELECT '<a/>'::xml IS NULL")
            xml = "xml"
        except asyncpg.FeatureNotSupportedError:  # a server that was built without
            xml = "text"
        run_script(
            empty_database,
            """
            CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN short AS varchar(5);
            CREATE TYPE pair AS (a int, b text);
            CREATE TABLE odd (a int, gone int, b text COLLATE "C", at timestamp, f float8, r real, n numeric, j json,
                jb jsonb, x xml, p point, m mood, d short, c pair, arr int[], by bytea,
                iv interval, u uuid, ch char(5),
                i inet, ts tsvector, rng int4range, big text, len int GENERATED ALWAYS AS (length(b)) STORED,
                nr int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (a, b));
            ALTER TABLE odd DROP COLUMN gone;
            INSERT INTO odd (a, b, at, f, r, n, j, jb, x, p, m, d, c, arr, by, iv, u, ch, i, ts, rng, big) VALUES
            (1, 'é "quoted", {odd}\\', '2020-01-01 00:00:00.123456', 'NaN', '-0', 'NaN', '{"b":1,  "a":1, "b":2}',
             '{"b":1}', '<a  b="1"/>', '(1,-0)', 'happy', 'abc', (1, 'x,"y'), '[2:3]={1,NULL}', '\\x00ff',
             '1 mon -1 day', '0f0e0d0c-0b0a-4908-8706-050403020100',
             'ab', '10.0.0.1/8', 'a:1 b:2', '[1,5)', repeat('long', 100000)),
            (2, '', '2020-01-01', '-Infinity', 'Infinity', 1.500, NULL, 'null', NULL, NULL, NULL, NULL, NULL, NULL, '',
             '00:00:00.000001', NULL, NULL, NULL, '', 'empty', NULL),
            (3, 'young', now() + interval '1 day', 0.1, 1e-45, -0.0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
            ANALYZE odd
            """.replace("x xml", f"x {xml}"),
        )
        before = look(empty_database, "odd")
        executor = cleanup(empty_database, rule("odd", age_column="at"))
        step = planned(executor)
        assert executor.run(step)["rows"] == 2
        assert executor.undo(step, dry_run=False)["problems"] == []
        assert look(empty_database, "odd") == before

    @pytest.mark.parametrize("name", ['"select"', '"a""b"', '"; drop table x; --"', '"Büro %s {0}"', f'"{"n" * 63}"'])
    def test_names_of_all_kinds(self, empty_database: str, name: str) -> None:
        run_script(
            empty_database,
            f"CREATE SCHEMA {name}; CREATE TABLE {name}.{name} ({name} int PRIMARY KEY, created_at date);"
            f"INSERT INTO {name}.{name} SELECT i, '2020-01-01' FROM generate_series(1, 30) i; ANALYZE {name}.{name}",
        )
        before = look(empty_database, f"{name}.{name}")
        executor = cleanup(empty_database, rule(f"{name}.{name}", batch_size=10))
        step = planned(executor)
        assert executor.run(step)["rows"] == 30
        assert executor.undo(step, dry_run=False)["restored"] == 30
        assert look(empty_database, f"{name}.{name}") == before

    def test_it_walks_by_age_where_an_index_allows_it(self, events: str) -> None:
        run_script(events, "CREATE INDEX ON events (created_at)")
        executor = cleanup(events, rule("events", batch_size=30))
        step = planned(executor)
        assert executor.run(step)["rows"] == step.items

    def test_rows_without_a_date_or_before_all_time_stay(self, empty_database: str) -> None:
        run_script(
            empty_database,
            "CREATE TABLE t (id int PRIMARY KEY, created_at timestamptz);"
            "INSERT INTO t VALUES (1, NULL), (2, '-infinity'), (3, 'infinity'), (4, '2020-01-01'); ANALYZE t",
        )
        executor = cleanup(empty_database, rule("t"))
        assert executor.run(planned(executor))["rows"] == 1

    def test_several_rules_and_a_partitioned_table(self, empty_database: str) -> None:
        run_script(
            empty_database,
            """
            CREATE TABLE p (id int, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
            CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
            CREATE TABLE p2 PARTITION OF p DEFAULT;
            INSERT INTO p SELECT i, '2020-06-01'::timestamptz + i * interval '10 days' FROM generate_series(1, 60) i;
            CREATE TABLE q (id int PRIMARY KEY, kind text);
            INSERT INTO q SELECT i, CASE WHEN i % 3 = 0 THEN 'x;y' ELSE 'z' END FROM generate_series(1, 60) i;
            ANALYZE p; ANALYZE q
            """,
        )
        before = look(empty_database, "p") + look(empty_database, "q")
        rules = rule("p", age_column="at"), rule("q", where="kind = 'x;y'")
        executor = cleanup(empty_database, *rules)
        step = planned(executor)
        details = executor.run(step)
        assert [one["rows"] for one in details["tables"]] == [60, 20]
        executor.undo(step, dry_run=False)
        assert look(empty_database, "p") + look(empty_database, "q") == before


def before_young(before: list[str], gone: int) -> list[str]:
    """Rows are (1,…) the youngest to (400,…) the oldest."""
    return sorted(row for row in before if int(row[1:].split(",")[0]) <= 400 - gone)


class TestWhoRefersToThem:
    @pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"])
    def test_rows_that_others_refer_to_are_left(self, events: str, action: str) -> None:
        run_script(
            events,
            f"CREATE TABLE child (event bigint REFERENCES events ON DELETE {action}); CREATE INDEX ON child (event);"
            "INSERT INTO child VALUES (200), (201), (5)",
        )
        before = look(events, "child")
        executor = cleanup(events, rule("events"))
        plan = executor.plan()
        assert any("rows that others refer to are left" in warning for warning in plan.warnings)
        assert "but for 2 of them as long as others refer to them" in plan.steps[0].says
        details = executor.run(planned(executor))
        assert details["tables"][0]["left_because_referred_to"] == 2
        assert look(events, "child") == before
        assert value(events, "SELECT count(*) FROM events WHERE id IN (200, 201)") == 2

    def test_a_referring_side_that_cannot_be_looked_up_is_refused(
        self, events: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jamaint.databases.tables.UNINDEXED_BYTES", 0)
        run_script(events, "CREATE TABLE child (event bigint REFERENCES events); INSERT INTO child VALUES (5)")
        assert "CREATE INDEX CONCURRENTLY ON public.child (event)" in refusal(events, rule("events"))

    def test_triggers_are_named(self, events: str) -> None:
        run_script(
            events,
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
            "CREATE TRIGGER note_it BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION note()",
        )
        assert any("note_it" in warning for warning in cleanup(events, rule("events")).plan().warnings)

    def test_a_trigger_that_changes_what_is_put_back_is_told(self, events: str) -> None:
        run_script(
            events,
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.body := 'new'; RETURN NEW; END$$;"
            "CREATE TRIGGER touch BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION touch()",
        )
        host = Talk()
        executor = cleanup(events, rule("events"), host=host)
        step = planned(executor)
        executor.run(step)
        executor.undo(step, dry_run=False)
        assert any("triggers (touch) changed" in line for line in host.logged)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (rule("nowhere"), "there is no table nowhere in database"),
            (rule("a.b.c"), "is not a table name"),
            (rule("a b"), "is not a table name"),
            (rule("keyless"), "keyless has no key"),
            (rule("half_unique"), "half_unique has no key"),
            (rule("seen"), "it is a view"),
            (rule("pg_catalog.pg_class"), "a system table"),
            (rule("ruled"), "it has rules"),
            (rule("jamaint.cursors"), "it belongs to jamaint"),
            (rule("parent"), "other tables inherit from it"),
            (rule("events", age_column="made_at"), "no column made_at (of dates and times it has: created_at)"),
            (rule("events", age_column="body"), "no date or time"),
            (rule("events", where="nothing = 1"), 'column "nothing" does not exist'),
            (rule("events", where="id = 1) OR (true"), "closed that was not opened"),
            (rule("events", where="id LIKE"), "syntax error"),
            (rule("events", where="id"), "must be type boolean"),
            (rule("events", where="id = 'x'"), "invalid input syntax"),
            (rule("events", where="count(*) > 1"), "aggregate functions are not allowed"),
        ],
    )
    def test_by_its_name(self, events: str, given: dict[str, Any], words: str) -> None:
        run_script(
            events,
            "CREATE TABLE keyless (created_at date); CREATE TABLE half_unique (id int UNIQUE, created_at date);"
            "CREATE VIEW seen AS SELECT * FROM events; CREATE TABLE ruled (id int PRIMARY KEY, created_at date);"
            "CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING;"
            "CREATE TABLE parent (id int PRIMARY KEY, created_at date); CREATE TABLE heir () INHERITS (parent);"
            "CREATE SCHEMA jamaint; CREATE TABLE jamaint.cursors (id int PRIMARY KEY, created_at date)",
        )
        assert words in refusal(events, given)

    def test_a_mass_deletion(self, events: str) -> None:
        """It is planned all the same: an admin can look at that very plan, and approve it."""
        plan = cleanup(events, rule("events"), mass_deletion=MassDeletion(0.25, 50)).plan()
        (refused,) = plan.refusals
        assert "371 of 400 rows would be deleted (93%)" in refused["detail"]
        assert (refused["guard"], refused["verdict"], refused["items"], refused["files"]) == (
            "mass_deletion",
            "refuse",
            plan.steps[0].items,
            400,
        )
        assert cleanup(events, rule("events"), mass_deletion=MassDeletion(0.25, 400)).plan().refusals == ()

    def test_a_condition_that_means_more_than_when_it_was_planned(self, events: str) -> None:
        run_script(events, "CREATE TABLE which (n int); INSERT INTO which VALUES (10)")
        executor = cleanup(
            events,
            rule("events", where="id <= (SELECT max(n) FROM public.which)", batch_size=20),
            mass_deletion=MassDeletion(0.1, 5),
        )
        step = planned(executor)
        run_script(events, "INSERT INTO which VALUES (400)")
        with pytest.raises(StepError, match="more rows now than when it was planned") as failed:
            executor.run(step)
        assert failed.value.details["rows"] == 40

    def test_a_clock_that_is_far_from_the_servers(self, events: str) -> None:
        assert "clock" in refusal(events, rule("events"), now=datetime.now(UTC) + timedelta(days=40))

    def test_a_server_that_is_too_old(self, events: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "OLDEST_VERSION", 990000)
        assert "14 or later is needed" in refusal(events, rule("events"))

    def test_no_such_database(self, events: str) -> None:
        wrong = events.replace("@/", "@/no_")
        assert 'there is no such database: database "no_' in refusal(wrong, rule("events"))

    def test_a_server_that_is_not_there_and_no_password_in_what_is_said(self) -> None:
        why = refusal("postgresql://u:secret@127.0.0.1:1/x", rule("events"))
        assert "cannot be reached" in why
        assert "secret" not in why
        assert "secret" not in refusal("postgresql://u:secret@[bad/x", rule("events"))

    def test_a_role_without_rights(self, events: str) -> None:
        run_script(
            events,
            "DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN; GRANT CREATE ON DATABASE "
            f"{value(events, 'SELECT current_database()')} TO poor",
        )
        try:
            poor = events.replace("jamaint@", "poor@")
            why = refusal(poor, rule("events"))
            if "refused the connection" not in why:
                assert "may not read and delete" in why
            run_script(events, "GRANT SELECT, DELETE ON events TO poor")
            run_script(events, f"REVOKE CREATE ON DATABASE {value(events, 'SELECT current_database()')} FROM poor")
            why = refusal(poor, rule("events"))
            assert "refused the connection" in why or "may not make the schema jamaint" in why
        finally:
            run_script(events, "DROP OWNED BY poor; DROP ROLE poor")

    def test_a_role_with_no_more_than_the_rights_it_needs(self, events: str) -> None:
        """The schema is made for it by somebody who may; it has no right on the database."""
        run_script(
            events,
            "DROP ROLE IF EXISTS poor; CREATE ROLE poor; CREATE SCHEMA jamaint AUTHORIZATION poor;"
            "GRANT SELECT, DELETE ON events TO poor",
        )
        try:
            before = look(events, "events")
            poor = f"{events}&role=poor"
            why = refusal(poor, rule("events"))
            assert why.startswith("role poor may not insert into public.events, so deleted rows could not be restored")
            assert planned(cleanup(poor, rule("events"), keeps_way_back=False)).items
            run_script(events, "GRANT INSERT ON events TO poor")
            host = Talk()
            executor = cleanup(poor, rule("events", batch_size=200), host=host)
            step = planned(executor)
            with held_row(events, "events", 1):  # somebody of whom it may not see whether he is at work
                assert executor.run(step)["rows"] == step.items
            assert ["grant pg_monitor" in line for line in host.logged].count(True) == 1
            assert executor.undo(step, dry_run=False)["restored"] == step.items
            assert look(events, "events") == before
        finally:
            run_script(events, "DROP OWNED BY poor; DROP ROLE poor")

    def test_a_schema_that_is_somebody_elses(self, events: str) -> None:
        run_script(
            events, "DROP ROLE IF EXISTS mallory; CREATE ROLE mallory; CREATE SCHEMA jamaint AUTHORIZATION mallory"
        )
        try:
            run_script(events, "CREATE TABLE jamaint.held_rows (); ALTER TABLE jamaint.held_rows OWNER TO mallory")
            for what in ("SCHEMA jamaint", "TABLE jamaint.held_rows"):
                why = refusal(events, rule("events"))
                assert "belongs to mallory" in why
                assert f"ALTER {what} OWNER TO jamaint" in why
                run_script(events, f"ALTER {what} OWNER TO jamaint")
            run_script(events, "DROP TABLE jamaint.held_rows")
            assert cleanup(events, rule("events")).plan()
        finally:
            run_script(events, "DROP OWNED BY mallory; DROP ROLE mallory")

    def test_columns_that_change_in_the_middle(self, events: str) -> None:
        host = Talk()
        executor = cleanup(events, rule("events", batch_size=50), host=host)
        step = planned(executor)
        changed: list[threading.Thread] = []

        def change(*_: Any) -> None:
            if not changed:
                changed.append(threading.Thread(target=run_script, args=(events, "ALTER TABLE events ADD more int")))
                changed[0].start()
                changed[0].join()

        host.progress = change  # type: ignore[method-assign]
        with pytest.raises(StepError, match=r"columns of public.events were changed"):
            executor.run(step)
        assert executor.undo(step, dry_run=False)["restored"] == 21  # the old ones of the first fifty


class TestOthers:
    def test_a_row_that_somebody_holds_is_tried_again_and_nobody_is_cancelled(self, events: str) -> None:
        host = Talk()
        executor = cleanup(events, rule("events"), host=host)
        step = planned(executor)
        with held_row(events, "events", 200), pytest.raises(StepError, match="gave up after 3 tries"):
            executor.run(step)
        assert any("tries again" in line for line in host.logged)
        executor.run(step)
        assert value(events, "SELECT count(*) FROM events") == 400 - step.items

    def test_it_waits_for_a_vacuum_and_leaves_the_rest_in_time(
        self, events: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jamaint.databases.pacing.why_wait", lambda *_: "autovacuum (process 9) is at work")
        monkeypatch.setattr("jamaint.databases.pacing.VITALS_SECONDS", 0.01)
        monkeypatch.setattr("jamaint.databases.pacing.PATIENCE_SECONDS", 0.05)
        host = Talk()
        executor = cleanup(events, rule("events"), host=host)
        details = executor.run(planned(executor))
        assert details["rows"] == 0
        assert "autovacuum" in details["tables"][0]["left"]
        assert sum(line.startswith("waiting: autovacuum") for line in host.logged) == 1
        assert host.waited_for == ["autovacuum (process 9) is at work", ""]

    def test_where_others_alone_fill_the_log_it_goes_on_slowly(
        self, events: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jamaint.databases.pacing.writes_much", lambda *_: "the server writes 90 MiB of log")
        monkeypatch.setattr("jamaint.databases.pacing.VITALS_SECONDS", 0.01)
        monkeypatch.setattr("jamaint.databases.pacing.OTHERS_SECONDS", 0.05)
        host = Talk()
        executor = cleanup(events, rule("events", batch_size=50), host=host)
        details = executor.run(planned(executor))
        assert details["rows"] == value(events, "SELECT 400 - count(*) FROM events") > 0
        assert details["waited_seconds"] > 0
        assert [line for line in host.logged if "90 MiB" in line] == [
            "waiting: the server writes 90 MiB of log",
            "the server writes 90 MiB of log, also without us: goes on at a slow pace meanwhile",
        ]

    @pytest.mark.parametrize("kept", ["public.events", "jamaint.cursors", "jamaint.kept_x_1; DROP TABLE events"])
    def test_nothing_but_what_rows_are_kept_in_is_dropped(self, events: str, kept: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        assert step.undo is not None
        tables = [{**one, "kept": kept} for one in step.undo["tables"]]
        forged = replace(step, undo={**step.undo, "tables": tables})
        for act in (executor.purge, lambda it: executor.undo(it, dry_run=False)):
            with pytest.raises(StepError, match="not a table of kept rows"):
                act(forged)
        assert value(events, "SELECT count(*) FROM events") == 400

    def test_a_file_that_was_not_shortened_in_between_is_at_the_end(
        self, events: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_script(
            events, "INSERT INTO events SELECT i, now() - interval '1 year', 'x' FROM generate_series(500, 9000) i"
        )
        monkeypatch.setattr(delete, "VACUUM_AT_END_SHARE", 1.0)
        details = cleanup(events, rule("events", batch_size=400)).run(planned(cleanup(events, rule("events"))))
        assert details["tables"][0]["returned_bytes"] > 0

    def test_it_knows_how_many_others_are_at_work(self, events: str, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[float] = []

        def rest(_worked: float, others: float, _slowly: bool) -> float:
            told.append(others)
            return 0.0

        monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", rest)
        executor = cleanup(events, rule("events", batch_size=200))
        step = planned(executor)
        executor.run(step)
        assert set(told) == {0.0}
        assert executor.undo(step, dry_run=False)["restored"]
        run_script(events, "DELETE FROM jamaint.held_rows")
        told.clear()
        with held_row(events, "events", 1):  # too young to go
            executor.run(planned(executor))
        assert set(told) == {1.0}

    def test_the_end_of_the_window_leaves_the_rest(self, events: str) -> None:
        executor = cleanup(events, rule("events"), ends_at=datetime.now(UTC) - timedelta(seconds=1))
        details = executor.run(planned(executor))
        assert (details["rows"], "window has ended" in details["tables"][0]["left"]) == (0, True)
        assert details["left_rows"] == planned(executor).items > 0
        assert f"{details['left_rows']} of {details['left_rows']} rows are left" in details["skipped"][0]["why"]

    def test_a_task_that_pauses_at_the_end_goes_on_in_the_next_opening_until_that_ends(self, events: str) -> None:
        """It neither ends by itself nor in the first second of the opening in which it goes on."""
        end = WindowEnd(datetime.now(UTC) - timedelta(seconds=1), pauses=True)

        class Opens(Talk):
            def checkpoint(self) -> None:
                super().checkpoint()
                if self.held_in or self.looks > 3:  # the daemon has paused it, and resumes it in the next opening
                    end.at = datetime.now(UTC) + timedelta(hours=1)

        executor = cleanup(events, rule("events"), host=Opens(pauses=(2,)), window_end=end)
        step = planned(executor)
        details = executor.run(step)
        assert (details["rows"], details["left_rows"], details["skipped"]) == (step.items, 0, [])
        assert details["rows"] > 0


class TestStopping:
    def test_it_goes_on_where_it_was_stopped(self, events: str) -> None:
        before = look(events, "events")
        first = cleanup(events, rule("events", batch_size=40), host=Talk(stop_after=8))
        step = planned(first)
        with pytest.raises(StopRequestedError) as stopped:
            first.run(step)
        done = stopped.value.args[0]["rows"]
        assert 0 < done < step.items
        position = value(events, "SELECT position FROM jamaint.cursors")
        second = cleanup(events, rule("events", batch_size=40), execution="e2")
        rest = planned(second)
        assert second.run(rest)["rows"] == rest.items == step.items - done
        assert int(position[0]) >= 40
        assert value(events, "SELECT count(*) FROM jamaint.cursors") == 0
        second.undo(rest, dry_run=False)
        cleanup(events, rule("events")).undo(step, dry_run=False)
        assert look(events, "events") == before

    def test_a_pause_is_kept_between_batches(self, events: str) -> None:
        host = Talk(pauses=(4, 9))
        executor = cleanup(events, rule("events", batch_size=40), host=host)
        step = planned(executor)
        assert executor.run(step)["rows"] == step.items
        assert executor.undo(step, dry_run=False)["restored"] == step.items


class TestConflicts:
    def test_a_row_in_the_place_is_not_overwritten(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        run_script(events, "INSERT INTO events VALUES (300, now(), 'new')")
        tried = executor.undo(step, dry_run=True)
        undone = executor.undo(step, dry_run=False)
        assert tried["restored"] == undone["restored"] == step.items - 1
        assert tried["kept"] == undone["kept"]
        assert undone["kept"][0]["path"] == "public.events id=300"
        assert value(events, "SELECT body FROM events WHERE id = 300") == "new"
        run_script(events, "DELETE FROM events WHERE id = 300")
        assert executor.undo(step, dry_run=False)["restored"] == 1

    def test_what_the_table_does_not_take_any_more_is_told(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        run_script(events, "ALTER TABLE events ADD CHECK (id <> 300)")
        undone = executor.undo(step, dry_run=False)
        assert undone["restored"] == step.items - 1
        assert "rejects it" in undone["problems"][0]["why"]

    def test_rows_that_refer_to_one_another(self, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(restore, "PAGES", 1)
        run_script(
            empty_database,
            "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, created_at date, body text);"
            "CREATE INDEX ON tree (up);"
            "INSERT INTO tree SELECT i, nullif(i - 1, 0), '2020-01-01', repeat('x', 500) FROM generate_series(1, 60) i;"
            "ANALYZE tree",
        )
        before = look(empty_database, "tree")
        executor = cleanup(empty_database, rule("tree"))
        step = planned(executor)
        assert executor.run(step)["rows"] == 60  # in rounds: first the one that nobody refers to
        undone = executor.undo(step, dry_run=False)
        assert [place["items"] for place in undone.pop("held")[0]["places"]] == [60]
        assert undone == {"restored": 60, "removed": 0, "kept": [], "problems": [], "unit": "row"}
        assert look(empty_database, "tree") == before

    def test_a_column_that_is_gone(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        run_script(events, "ALTER TABLE events DROP COLUMN body")
        assert "its column body is gone since" in executor.undo(step, dry_run=False)["problems"][0]["why"]

    def test_a_table_that_is_gone(self, events: str) -> None:
        executor = cleanup(events, rule("events"))
        step = planned(executor)
        executor.run(step)
        run_script(events, "DROP TABLE events")
        assert "the table is gone" in executor.undo(step, dry_run=False)["problems"][0]["why"]


@pytest.mark.parametrize("ended", ["ORDER BY pid LIMIT 1", "ORDER BY pid"])
def test_what_is_kept_is_told_where_a_connection_was_lost(events: str, ended: str) -> None:
    """Of what an operator could roll back, or purge to free space: the figure is not known, and no 0 either."""
    host = Talk()
    executor = cleanup(events, rule("events", batch_size=100), host=host)
    step = planned(executor)  # of the first hundred, 29 are young

    def end(*_: object) -> None:
        host.progress = Talk().progress  # type: ignore[method-assign]
        ours = f"(SELECT pid FROM pg_stat_activity WHERE application_name = 'jamaint: tidy' {ended}) AS ours"
        query = f"SELECT count(pg_terminate_backend(pid, 10000)) FROM {ours}"
        thread = threading.Thread(target=value, args=(events, query))
        thread.start()
        thread.join()

    host.progress = end  # type: ignore[method-assign]
    with pytest.raises(StepError, match="was lost in the middle") as failed:
        executor.run(step)
    assert failed.value.kind == "lost"
    assert (failed.value.details["rows"], failed.value.details["freed_on_purge"] > 0) == (71, True)
    assert executor.undo(step, dry_run=False)["restored"] == 71


def test_killed_at_every_call(events: str) -> None:
    """A worker that dies at any call leaves what an undo puts right, and what the next run goes on with."""
    before = look(events, "events")
    number, killed = 1, True
    while killed:
        executor = cleanup(events, rule("events", batch_size=100))
        step = planned(executor)
        assert step.items
        killed = _run_killed(executor, step, number)
        undone = cleanup(events, rule("events", batch_size=100)).undo(step, dry_run=False)
        assert (undone["kept"], undone["problems"]) == ([], []), number
        assert look(events, "events") == before, number
        run_script(events, "DROP TABLE IF EXISTS jamaint.held_rows")
        number += 3
    assert number > 30


def _run_killed(executor: Any, step: Any, at: int) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            count = 0

            def knife(name: str) -> None:
                plain = getattr(asyncpg.Connection, name)

                async def call(self: Any, *args: Any, **kw: Any) -> Any:
                    nonlocal count
                    count += 1
                    if count == at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return await plain(self, *args, **kw)

                setattr(asyncpg.Connection, name, call)

            for name in ("execute", "fetch", "fetchval", "fetchrow"):
                knife(name)
            executor.run(step)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def refusal(dsn: str, *rules: dict[str, Any], **changes: Any) -> str:
    """What a plan is refused with."""
    with pytest.raises(StepError) as failed:
        cleanup(dsn, *rules, **changes).plan()
    return failed.value.message
