"""What a table does to its own rows is tried before one goes; what could not come back is said, and stays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from database_runs import EXECUTION, Talk, cleanup, look, planned, rule, run_script, value
from jamaint.databases.rows import delete, restore
from jamaint.executors.shared.executor import StepError

KEPT = f"jamaint.kept_{EXECUTION.replace('-', '')}_1"
FILL = (
    "INSERT INTO ev SELECT i, now() - i * interval '1 day', 'Title ' || i FROM generate_series(1, 400) i; ANALYZE ev;"
)
PLAIN = "CREATE TABLE ev (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, title text);" + FILL


def function(name: str, body: str, more: str = "") -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {more} AS $f$BEGIN {body} END$f$;"


def trigger(name: str, when: str) -> str:
    return f"CREATE TRIGGER {name} {when} ON ev FOR EACH ROW EXECUTE FUNCTION {name}();"


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", lambda *_: 0.0)
    monkeypatch.setattr(delete, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(restore, "PAUSES", (0.0, 0.0))


@dataclass
class There:
    """A table whose old rows have gone."""

    executor: Any
    step: Any
    before: list[str]
    dsn: str

    def back(self) -> Any:
        return self.executor.undo(self.step, dry_run=False)


Taken = Callable[..., There]


@pytest.fixture
def taken(empty_database: str) -> Taken:
    def take(sql: str, host: Talk | None = None, **changes: Any) -> There:
        run_script(empty_database, sql)
        before = look(empty_database, "ev")
        executor = cleanup(empty_database, rule("ev", **changes), host=host)
        step = planned(executor)
        assert executor.run(step)["rows"] == step.items > 0
        return There(executor, step, before, empty_database)

    return take


def later(dsn: str, sql: str) -> None:
    """The tests' role is called as our schema is, where it would make what it makes."""
    run_script(dsn, f"SET search_path = public; {sql}")


def refusal(dsn: str, sql: str, **changes: Any) -> str:
    run_script(dsn, sql)
    before = look(dsn, "ev")
    with pytest.raises(StepError) as failed:
        cleanup(dsn, rule("ev"), **changes).plan()
    assert failed.value.kind == "refused"
    assert look(dsn, "ev") == before
    assert value(dsn, "SELECT to_regnamespace('jamaint')") is None
    return failed.value.message


class TestWhatComesBack:
    @pytest.mark.parametrize(
        "sql",
        [
            "ALTER TABLE ev ADD UNIQUE (title) DEFERRABLE INITIALLY DEFERRED",
            "CREATE EXTENSION btree_gist; ALTER TABLE ev ADD EXCLUDE USING gist (id WITH =) DEFERRABLE",
            "CREATE EXTENSION unaccent;"
            + function("slug", "NEW.title := initcap(unaccent(NEW.title)); RETURN NEW;")
            + trigger("slug", "BEFORE INSERT OR UPDATE"),
            "CREATE TABLE audit_log (id bigint);"
            + function("note", "INSERT INTO audit_log VALUES (OLD.id); RETURN NULL;")
            + trigger("note", "AFTER DELETE"),
            "CREATE EXTENSION unaccent; CREATE FUNCTION plain(t text) RETURNS text LANGUAGE sql IMMUTABLE"
            " AS $$SELECT unaccent('unaccent', t)$$; CREATE INDEX ON ev (plain(title))",
            "CREATE FUNCTION short(t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT length(t) < 99$$;"
            "CREATE FUNCTION ok(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN short(t); END$$;"
            "ALTER TABLE ev ADD CHECK (ok(title))",
            function("later", "IF NEW.id IS NULL THEN RAISE 'no'; END IF; RETURN NULL;")
            + "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON ev DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
            " EXECUTE FUNCTION later()",
        ],
        ids=["unique", "exclusion", "trigger", "audit", "expression index", "check", "constraint trigger"],
    )
    def test_it_is_byte_for_byte(self, taken: Taken, empty_database: str, sql: str) -> None:
        if (
            "CREATE INDEX" in sql
            and value(empty_database, "SELECT current_setting('server_version_num')::int") >= 170000
        ):
            pytest.skip("from PostgreSQL 17 on no such index can be made: its function finds nothing unqualified")
        there = taken(PLAIN + sql)
        assert there.back()["problems"] == []
        assert look(there.dsn, "ev") == there.before

    @pytest.mark.parametrize("schema", ["public", "elsewhere"])
    def test_keys_of_an_extensions_type(self, taken: Taken, schema: str) -> None:
        there = taken(
            f"CREATE SCHEMA elsewhere; CREATE EXTENSION ltree SCHEMA {schema};"
            f"CREATE TABLE ev (path {schema}.ltree PRIMARY KEY, created_at timestamptz);"
            f"INSERT INTO ev SELECT ('a.b' || i)::{schema}.ltree, now() - i * interval '1 day'"
            "FROM generate_series(1, 400) i; ANALYZE ev",
            batch_size=50,
        )
        assert there.back()["problems"] == []
        assert look(there.dsn, "ev") == there.before

    def test_rows_whose_author_is_gone_cost_no_others(self, taken: Taken) -> None:
        """A foreign key that is checked at COMMIT, as Django makes them."""
        there = taken(
            "CREATE TABLE author (id int PRIMARY KEY); INSERT INTO author SELECT generate_series(1, 50);"
            "CREATE TABLE ev (id bigint PRIMARY KEY, created_at timestamptz, author int REFERENCES author"
            " DEFERRABLE INITIALLY DEFERRED);"
            "INSERT INTO ev SELECT i, now() - i * interval '1 day', 1 + i % 50 FROM generate_series(1, 400) i;"
            "ANALYZE ev"
        )
        later(there.dsn, "DELETE FROM ev WHERE author = 7; DELETE FROM author WHERE id = 7")
        lost = value(there.dsn, f"SELECT count(*) FROM {KEPT} WHERE author = 7")
        undone = there.back()
        assert (undone["restored"], len(undone["problems"])) == (there.step.items - lost, lost)
        assert "violates foreign key constraint" in undone["problems"][0]["why"]

    def test_costly_rows_go_in_smaller_portions(self, taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
        """All of them together take longer than a statement may."""
        there = taken(PLAIN)
        later(
            there.dsn,
            function("slow", "PERFORM pg_sleep(0.005); RETURN NEW;") + trigger("slow", "BEFORE INSERT"),
        )
        monkeypatch.setattr(restore, "BATCH_SECONDS", 0.5)
        assert there.back()["restored"] == there.step.items
        assert look(there.dsn, "ev") == there.before

    def test_a_column_whose_type_has_changed(self, taken: Taken) -> None:
        there = taken(
            "CREATE TABLE ev (id int PRIMARY KEY, created_at timestamptz, st text);"
            "INSERT INTO ev SELECT i, now() - i * interval '1 day', 'new' FROM generate_series(1, 400) i; ANALYZE ev"
        )
        later(
            there.dsn,
            "CREATE TYPE state AS ENUM ('old', 'new'); ALTER TABLE ev ALTER st TYPE state USING st::state,"
            "ALTER id TYPE bigint",
        )
        assert there.back()["problems"] == []
        assert look(there.dsn, "ev") == there.before

    def test_threads_go_in_one_execution(self, taken: Taken) -> None:
        there = taken(
            "CREATE TABLE ev (id int PRIMARY KEY, parent int REFERENCES ev ON DELETE CASCADE, created_at timestamptz);"
            "CREATE INDEX ON ev (parent);"
            "INSERT INTO ev SELECT i, CASE WHEN i % 50 = 1 THEN NULL ELSE i - 1 END, now() - interval '1 year'"
            "FROM generate_series(1, 500) i; INSERT INTO ev VALUES (501, 501, now() - interval '1 year'); ANALYZE ev"
        )
        assert there.step.items == 501  # 501 refers to itself
        assert there.back()["problems"] == []
        assert look(there.dsn, "ev") == there.before


class TestWhatCouldNotComeBack:
    def test_a_trigger_that_gives_new_keys(self, empty_database: str) -> None:
        sql = (
            PLAIN
            + "CREATE SEQUENCE s START 5000;"
            + function("draw", "NEW.id := nextval('s'); RETURN NEW;")
            + trigger("draw", "BEFORE INSERT")
        )
        why = refusal(empty_database, sql)
        assert (
            "deleted rows could not be restored (it was tried, and taken back): a trigger gives it another key" in why
        )
        assert "rollback: {enabled: false}" in why
        assert cleanup(empty_database, rule("ev"), keeps_way_back=False).plan()

    def test_and_if_it_came_later_no_row_is_doubled(self, taken: Taken) -> None:
        there = taken(PLAIN)
        later(
            there.dsn,
            "CREATE SEQUENCE s START 5000;"
            + function("draw", "IF NEW.id % 2 = 0 THEN NEW.id := nextval('s'); END IF; RETURN NEW;")
            + trigger("draw", "BEFORE INSERT"),
        )
        even = value(there.dsn, f"SELECT count(*) FROM {KEPT} WHERE id % 2 = 0")
        for restored in (there.step.items - even, 0):
            undone = there.back()
            assert undone["restored"] == restored
            assert "a trigger gives it another key" in undone["problems"][0]["why"]
            assert value(there.dsn, "SELECT count(*) FROM ev") == 400 - even

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ("RETURN NULL;", "one of its triggers, gate, rejects them"),
            ("RAISE 'only by the application';", "only by the application (in the function gate())"),
            ("PERFORM nowhere(); RETURN NEW;", "ALTER FUNCTION … SET search_path"),
        ],
    )
    def test_a_trigger_that_keeps_rows_out(self, empty_database: str, body: str, words: str) -> None:
        why = refusal(empty_database, PLAIN + function("gate", body) + trigger("gate", "BEFORE INSERT"))
        assert words in why

    def test_a_constraint_that_the_old_rows_never_met(self, empty_database: str) -> None:
        why = refusal(empty_database, PLAIN + "ALTER TABLE ev ADD CHECK (id < 100) NOT VALID")
        assert 'violates check constraint "ev_id_check"' in why

    def test_a_trigger_that_forbids_deleting(self, empty_database: str) -> None:
        sql = PLAIN + function("never", "RAISE 'rows stay here';") + trigger("never", "BEFORE DELETE")
        why = refusal(empty_database, sql, keeps_way_back=False)
        assert "its rows cannot be deleted (it was tried, and taken back): rows stay here (in the function" in why

    def test_what_others_may_put_into_a_schema_does_not_run(self, empty_database: str) -> None:
        sql = (
            PLAIN
            + "CREATE SCHEMA shared; GRANT CREATE ON SCHEMA shared TO PUBLIC;"
            + "CREATE FUNCTION shared.help() RETURNS int LANGUAGE sql AS 'SELECT 1';"
            + function("use", "PERFORM help(); RETURN NEW;")
            + trigger("use", "BEFORE INSERT")
        )
        name = value(empty_database, "SELECT current_database()")
        run_script(empty_database, f"ALTER DATABASE {name} SET search_path = public, shared")
        why = refusal(empty_database, sql)
        assert "REVOKE CREATE ON SCHEMA shared FROM PUBLIC" in why
        run_script(empty_database, "REVOKE CREATE ON SCHEMA shared FROM PUBLIC")
        assert cleanup(empty_database, rule("ev")).plan()


class TestWhatIsTold:
    def test_what_triggers_set_anew(self, taken: Taken) -> None:
        there = taken(
            PLAIN + function("touch", "NEW.title := 'new'; RETURN NEW;") + trigger("touch", "BEFORE INSERT OR UPDATE")
        )
        warnings = there.executor.plan().warnings  # of nothing any more
        assert not any("comes back changed" in one for one in warnings)
        undone = there.back()
        assert undone["restored"] == there.step.items
        assert undone["problems"] == [
            {
                "path": "public.ev",
                "why": f"{there.step.items} rows came back changed, because triggers (touch) set values anew: as they "
                f"were they stay in {KEPT}",
            }
        ]
        assert value(there.dsn, f"SELECT count(*) FROM {KEPT} WHERE title LIKE 'Title %'") == there.step.items
        again = there.back()
        assert (again["restored"], again["problems"]) == (0, undone["problems"])

    def test_the_plan_says_which_columns_come_back_changed(self, empty_database: str) -> None:
        run_script(
            empty_database,
            PLAIN + function("touch", "NEW.title := 'new'; RETURN NEW;") + trigger("touch", "BEFORE INSERT OR UPDATE"),
        )
        before = look(empty_database, "ev")
        warnings = cleanup(empty_database, rule("ev")).plan().warnings
        assert any("comes back changed in title, which triggers (touch) set anew" in one for one in warnings)
        assert look(empty_database, "ev") == before

    def test_a_table_that_was_swapped(self, taken: Taken) -> None:
        there = taken(PLAIN)
        later(
            there.dsn,
            "ALTER TABLE ev RENAME TO ev_old; CREATE TABLE public.ev (LIKE ev_old INCLUDING ALL);"
            "INSERT INTO ev SELECT * FROM ev_old",
        )
        for dry_run in (True, False):
            undone = there.executor.undo(there.step, dry_run)
            assert undone["restored"] == 0
            assert "is called public.ev_old now, and another is called public.ev" in undone["problems"][0]["why"]
        later(there.dsn, "DROP TABLE ev; ALTER TABLE ev_old RENAME TO ev")
        assert there.back()["restored"] == there.step.items
        assert look(there.dsn, "ev") == there.before

    def test_a_table_that_was_only_renamed(self, taken: Taken) -> None:
        host = Talk()
        there = taken(PLAIN, host=host)
        later(there.dsn, "ALTER TABLE ev RENAME TO ev_old")
        assert there.back()["restored"] == there.step.items
        assert look(there.dsn, "ev_old") == there.before
        assert any("public.ev is called public.ev_old now" in line for line in host.logged)

    def test_a_table_that_was_swapped_between_plan_and_run(self, empty_database: str) -> None:
        run_script(empty_database, PLAIN)
        executor = cleanup(empty_database, rule("ev"))
        step = planned(executor)
        run_script(
            empty_database,
            "ALTER TABLE ev RENAME TO ev_old; CREATE TABLE public.ev (LIKE ev_old INCLUDING ALL);"
            "INSERT INTO ev SELECT * FROM ev_old",
        )
        with pytest.raises(StepError, match="is another table than the one that the plan was made for"):
            executor.run(step)
        assert value(empty_database, "SELECT count(*) FROM ev") == 400

    def test_one_table_that_does_not_take_its_rows_costs_no_other(self, empty_database: str) -> None:
        run_script(
            empty_database, PLAIN + "CREATE TABLE fine (LIKE ev INCLUDING ALL); INSERT INTO fine SELECT * FROM ev"
        )
        executor = cleanup(empty_database, rule("fine"), rule("ev"))
        step = planned(executor)
        executor.run(step)
        later(empty_database, function("broken", "PERFORM nowhere(); RETURN NEW;") + trigger("broken", "BEFORE INSERT"))
        undone = executor.undo(step, dry_run=False)
        assert undone["restored"] == step.items / 2
        assert value(empty_database, "SELECT count(*) FROM fine") == 400
        assert "nowhere() does not exist" in undone["problems"][0]["why"]
