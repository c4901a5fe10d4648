"""Tables as the catalogue describes them: what tells rows apart, who refers to them, and what fires when they go."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from jamaint.databases.connection import OUR_SCHEMA, Connection, Row, Target, TargetError
from jamaint.host.sql_files import statements

SQL = statements("jamaint.databases", "tables")
AGE_TYPES = {
    "timestamp with time zone": "{cutoff}::timestamptz",
    "timestamp without time zone": "({cutoff}::timestamptz AT TIME ZONE {zone})",
    "date": "({cutoff}::timestamptz AT TIME ZONE {zone})::date",
}
"""What a cutoff is compared with, by the column's type: without a zone, that of the rule is meant."""
UNINDEXED_BYTES = 8 << 20
"""A referring table up to this size may be read whole for each batch."""
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_TAKES_ALONG = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Column:
    """`quoted` as SQL; `base` its type, or that under its domain, without length."""

    name: str
    quoted: str
    type: str
    base: str
    is_generated: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of another table (or the same) that points at this one."""

    name: str
    quoted: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    on_delete: str
    is_own: bool = False
    """It is of the table itself."""

    @property
    def says(self) -> str:
        """What it does when a row goes, for a person."""
        return f"{self.name} of {self.quoted}" + (f", {_TAKES_ALONG[self.on_delete]}" if self.takes_along else "")

    @property
    def takes_along(self) -> bool:
        """Whether a delete here changes rows there."""
        return self.on_delete in _TAKES_ALONG


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows may be deleted. `rows` is the server's estimate, None if it has none."""

    oid: int
    schema: str
    name: str
    quoted: str
    rows: int | None
    table_bytes: int
    index_bytes: int
    may_insert: bool
    may_lock: bool
    may_vacuum: bool
    owner: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    references: tuple[Reference, ...]
    delete_triggers: tuple[str, ...]
    insert_triggers: tuple[str, ...]
    shape: str

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)


async def find_table(target: Target, given: str) -> Table:
    """The table that a person named, `users` or `app.users`. Raises TargetError if there is none, or none to touch."""
    row = await _find(target, given)
    _check(row, given, target.identity.role)
    connection, oid = target.watch, row["oid"]
    columns = tuple(_column(each) for each in await connection.fetch(SQL["columns"], oid))
    triggers = await connection.fetch(SQL["triggers"], oid)
    return Table(
        oid=oid,
        schema=row["schema"],
        name=row["name"],
        quoted=row["quoted"],
        rows=None if row["tuples"] < 0 or (row["tuples"] == 0 and row["table_bytes"] > 0) else round(row["tuples"]),
        table_bytes=row["table_bytes"],
        index_bytes=row["index_bytes"],
        may_insert=row["may_insert"],
        may_lock=row["may_lock"],
        may_vacuum=row["may_vacuum"],
        owner=row["owner"],
        columns=columns,
        key=await _key(connection, oid, given, columns),
        references=await _references(connection, oid, given),
        delete_triggers=tuple(each["name"] for each in triggers if each["on_delete"]),
        insert_triggers=tuple(each["name"] for each in triggers if each["on_insert"]),
        shape=await shape_of(connection, oid),
    )


async def shape_of(connection: Connection, oid: int) -> str:
    """What the table's columns are, as a mark to compare; empty when the table is gone."""
    return await connection.fetchval(SQL["shape"], oid) or ""


async def leads_an_index(connection: Connection, oid: int, column: str) -> bool:
    """Whether rows can be gone through in the order of that column."""
    return bool(await connection.fetchval(SQL["leads_an_index"], oid, column))


async def sizes(connection: Connection, oid: int) -> tuple[int, int]:
    """Bytes on disk of the table (with its toast) and of its indexes."""
    row = await connection.fetchrow(SQL["sizes"], oid)
    return (0, 0) if row is None or row["table_bytes"] is None else (row["table_bytes"], row["index_bytes"])


async def name_of(connection: Connection, oid: int) -> str | None:
    """The table's quoted name now; None when it is gone."""
    name: str | None = await connection.fetchval(SQL["by_oid"], oid)
    return name


async def oid_of(connection: Connection, quoted: str) -> int | None:
    """The oid of what has that quoted name now; None if nothing has."""
    oid: int | None = await connection.fetchval(SQL["oid_of"], quoted)
    return oid


async def has_deferrable(connection: Connection, oid: int) -> bool:
    """Whether one of its unique or exclusion constraints may be checked late."""
    return bool(await connection.fetchval(SQL["has_deferrable"], oid))


async def _find(target: Target, given: str) -> Row:
    try:
        parts: Sequence[str] = await target.watch.fetchval(SQL["parts"], given)
    except asyncpg.InvalidParameterValueError as error:
        raise TargetError(f"{given} is not a table name: {error}") from error
    if len(parts) > 2:
        raise TargetError(f"{given} is not a table name: write TABLE or SCHEMA.TABLE")
    schemas = [parts[0]] if len(parts) == 2 else list(target.identity.schemas)
    row = await target.watch.fetchrow(SQL["find"], schemas, parts[-1])
    if row is None:
        where = ", ".join(schemas) or "no schema at all"
        raise TargetError(f"there is no table {given} in database {target.identity.database} (looked in {where})")
    return row


def _check(row: Row, given: str, role: str) -> None:
    """What is not to be touched, and why."""
    why = None
    if row["kind"] in _KINDS:
        why = f"it is {_KINDS[row['kind']]}"
    elif row["schema"] == OUR_SCHEMA:
        why = "it belongs to jamaint"
    elif row["is_system"]:
        why = "it is a system table"
    elif row["persistence"] == "t":
        why = "it is a temporary table of another session"
    elif row["extension"] is not None:
        why = f"it belongs to the extension {row['extension']}"
    elif row["has_rules"]:
        why = "it has rules, which turn a delete into something else"
    elif row["has_children"]:
        why = "other tables inherit from it: name each of them"
    if why is not None:
        raise TargetError(f"rows of {given} are not deleted: {why}", "refused")
    if not row["may_delete"]:
        raise TargetError(f"role {role} may not read and delete rows of {given}: grant it SELECT and DELETE", "refused")


async def _key(connection: Connection, oid: int, given: str, columns: Sequence[Column]) -> tuple[Column, ...]:
    names = await connection.fetchval(SQL["key"], oid)
    if not names:
        raise TargetError(
            f"{given} has no key: without a primary key, or a unique index over columns that are NOT NULL (neither "
            "DEFERRABLE nor WITHOUT OVERLAPS), there is no order to go through it by, and no telling which rows were "
            "put back",
            "refused",
        )
    by_name = {column.name: column for column in columns}
    return tuple(by_name[name] for name in names)


async def _references(connection: Connection, oid: int, given: str) -> tuple[Reference, ...]:
    found = []
    for row in await connection.fetch(SQL["referring"], oid):
        if not row["may_look"]:
            raise TargetError(
                f"whether rows of {row['quoted']} refer to {given} ({row['name']}) cannot be seen: grant SELECT on it",
                "refused",
            )
        if not row["is_indexed"] and row["bytes"] > UNINDEXED_BYTES:
            columns = ", ".join(row["columns"])
            raise TargetError(
                f"each row that goes from {given} would have all of {row['quoted']} read, because its foreign key "
                f"{row['name']} has no index: CREATE INDEX CONCURRENTLY ON {row['quoted']} ({columns})",
                "refused",
            )
        found.append(
            Reference(
                row["name"],
                row["quoted"],
                tuple(row["columns"]),
                tuple(row["referred"]),
                row["on_delete"],
                row["is_own"],
            )
        )
    return tuple(found)


def _column(row: Row) -> Column:
    return Column(row["name"], row["quoted"], row["type"], row["base"], row["is_generated"])
