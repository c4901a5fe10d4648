"""What is left in a database breaks nobody's dump: its owner reads it, and nobody else reads rows that he could not."""

import glob
import subprocess
from collections.abc import Iterator

import pytest

from database_runs import EXECUTION, cleanup, optimize, planned, rule, run_script, value
from jamaint.databases.rows import delete

KEPT = f"jamaint.kept_{EXECUTION.replace('-', '')}_1"
DUMPS = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_dump"))


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", lambda *_: 0.0)
    monkeypatch.setattr(delete, "PAUSES", (0.0, 0.0))


@pytest.fixture
def owned(empty_database: str) -> Iterator[str]:
    """A database and a table of the application's, and a role of its own for maintenance, as the reference says."""
    name = value(empty_database, "SELECT current_database()")
    run_script(
        empty_database,
        "DROP ROLE IF EXISTS app, jm; CREATE ROLE app; CREATE ROLE jm; CREATE ROLE owner_;"
        f"ALTER DATABASE {name} OWNER TO owner_; GRANT CREATE ON DATABASE {name} TO jm;"
        "CREATE TABLE ev (id bigint PRIMARY KEY, created_at timestamptz); ALTER TABLE ev OWNER TO app;"
        "GRANT SELECT, INSERT, DELETE ON ev TO jm;"
        "INSERT INTO ev SELECT i, now() - i * interval '1 day' FROM generate_series(1, 400) i; ANALYZE ev",
    )
    yield empty_database
    run_script(empty_database, f"ALTER DATABASE {name} OWNER TO jamaint; DROP OWNED BY app, jm, owner_ CASCADE")
    run_script(empty_database, "DROP ROLE app, jm, owner_")


def test_owners_can_lock_and_read_what_is_kept(owned: str) -> None:
    executor = cleanup(f"{owned}&role=jm", rule("ev"))
    step = planned(executor)
    executor.run(step)
    readable = "SELECT has_table_privilege('{}', '{}', 'SELECT') AND has_schema_privilege('{}', 'jamaint', 'USAGE')"
    assert value(owned, readable.format("app", KEPT, "app"))
    assert value(owned, readable.format("app", "jamaint.cursors", "app"))
    assert value(owned, readable.format("owner_", "jamaint.cursors", "owner_"))
    assert not value(owned, readable.format("owner_", KEPT, "owner_"))  # he may not read the table either
    executor.undo(step, dry_run=False)
    assert value(owned, readable.format("app", "jamaint.held_rows", "app"))


@pytest.mark.skipif(not DUMPS, reason="pg_dump is not installed")
def test_the_dump_of_the_owner_works(owned: str) -> None:
    if int(DUMPS[-1].split("/")[4]) < value(owned, "SELECT current_setting('server_version_num')::int") // 10000:
        pytest.skip("pg_dump is older than the server")
    name = value(owned, "SELECT current_database()")
    run_script(owned, f"ALTER DATABASE {name} OWNER TO app")
    executor = cleanup(f"{owned}&role=jm", rule("ev"))
    executor.run(planned(executor))
    upkeep = optimize(f"{owned}&role=jm", remove_unused_indexes=True)
    for step in upkeep.plan().steps:
        upkeep.run(step)
    dump = subprocess.run([DUMPS[-1], "--role=app", "-d", owned], capture_output=True, text=True, check=False)
    assert dump.returncode == 0, dump.stderr
    assert f"COPY {KEPT}" in dump.stdout
