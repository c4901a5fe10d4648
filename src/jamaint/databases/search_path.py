"""Where names are looked up while code of a table's own runs: its triggers, constraints, indexes, types' operators.

With nothing but pg_catalog in the search_path, that code fails in our sessions although it works in its application's
(as it did for pg_repack and pg_dump after CVE-2018-1058). So the schemas are searched that a session of the role begins
with, the table's own, and those of its columns' types; but none in which a stranger may create a function or an
operator, which would then run with our rights. The server's own names come first in any case.
"""

from dataclasses import dataclass

import asyncpg

from jamaint.databases.connection import Target, failures_named
from jamaint.databases.tables import SQL

_NOT_FOUND = (
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidSchemaNameError,
)


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The schemas that are searched, quoted, and those that are not because anybody may create in them."""

    schemas: tuple[str, ...]
    open_schemas: tuple[str, ...] = ()

    def cure(self, error: BaseException) -> str:
        """What to do where a name was not found; empty where that is not what is wrong."""
        if not isinstance(error, _NOT_FOUND):
            return ""
        if self.open_schemas:
            which = ", ".join(self.open_schemas)
            return (
                f"; {which} is not searched, because others may create functions there that would run with this role's "
                f"rights: REVOKE CREATE ON SCHEMA {which} FROM PUBLIC"
            )
        return "; give the function a search_path of its own: ALTER FUNCTION … SET search_path = …"


NOTHING = SearchPath(())


async def search_for(target: Target, oid: int) -> SearchPath:
    """Has `work` look names up for the code of that table."""
    with failures_named(target.identity.database):
        rows = await target.watch.fetch(SQL["search_path"], oid, list(target.identity.schemas))
        found = SearchPath(
            tuple(row["quoted"] for row in rows if not row["is_open"]),
            tuple(row["quoted"] for row in rows if row["is_open"]),
        )
        await target.work.fetch(SQL["search"], ", ".join(("pg_catalog", *found.schemas, "pg_temp")))
    return found
