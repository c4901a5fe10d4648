"""Brings a database to this version's tables: numbered SQL files, each once, in one transaction, under a lock."""

import hashlib
import time
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from jamaint.errors import CONFLICT, JamaintError
from jamaint.store.postgres import Connection, Row, tables_refused

LOCK_KEY = 0x6A616D61696E74  # "jamaint" in ASCII
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(), duration_ms integer NOT NULL)"""


class Migration(NamedTuple):
    """One file of migrations/: its number, its name, its text."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Of the text, so that an edited file is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known() -> tuple[Migration, ...]:
    """The migrations that this version has, in order."""
    files = resources.files("jamaint.store").joinpath("migrations").iterdir()
    found = [file for file in files if file.name.endswith(".sql")]
    return tuple(sorted(Migration(int(file.name[:4]), file.name, file.read_text("utf-8")) for file in found))


async def migrate(connection: Connection) -> tuple[str, ...]:
    """Applies what is missing and returns its names. Raises JamaintError(CONFLICT) for a newer or an edited schema."""
    with tables_refused():
        return await _migrate(connection)


async def _migrate(connection: Connection) -> tuple[str, ...]:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        await connection.execute(_TABLE)
        rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migrations ORDER BY version")
        applied = {row["version"]: row for row in rows}
        migrations = known()
        _check(applied, migrations)
        missing = [migration for migration in migrations if migration.version not in applied]
        for migration in missing:
            began = time.monotonic()
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, sha256, duration_ms) VALUES ($1, $2, $3, $4)",
                migration.version,
                migration.name,
                migration.sha256,
                round((time.monotonic() - began) * 1000),
            )
    return tuple(migration.name for migration in missing)


def _check(applied: Mapping[int, Row], migrations: tuple[Migration, ...]) -> None:
    newest = max(applied, default=0)
    if newest > migrations[-1].version:
        raise JamaintError(
            CONFLICT,
            f"the database has schema {newest}, this jamaintd knows up to {migrations[-1].version}: "
            "start the newer version, or restore a database of this one",
        )
    for migration in migrations:
        row = applied.get(migration.version)
        if row is not None and row["sha256"] != migration.sha256:
            raise JamaintError(CONFLICT, f"migration {migration.name} was changed after it had been applied here")
