"""Some kept rows go back into their table in one transaction, or, if it refuses one, each by itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from jamaint.databases.connection import Row, Target, said
from jamaint.databases.rows.selection import SQL
from jamaint.databases.rules.batch_size import FIRST_ROWS, next_size
from jamaint.databases.tables import Column, Table

LEAST_ROWS = 1
MOST_REASONS = 1000
"""So many rows are remembered with why they were refused."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a rule of an execution has kept: `table` is its oid, `name` what it was called. What is put back is held for
    so long."""

    table: int
    name: str
    kept: str
    hold_seconds: float


@dataclass(slots=True)
class Portion:
    """What became of some rows. `refused` tells by their places why the table did not take them."""

    put: int = 0
    changed: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Portion") -> None:
        """Adds those of another, of which the newest reasons count."""
        self.put, self.changed = self.put + other.put, self.changed + other.changed
        room = MOST_REASONS - len(self.refused)
        self.refused.update(list(other.refused.items())[: max(0, room)])


class OtherKeyError(Exception):
    """A trigger gave a row another key."""


@dataclass(slots=True)
class Sizes:
    """How many rows the next portion takes."""

    rows: int = FIRST_ROWS

    def after(self, seconds: float) -> None:
        """After a portion that took so long."""
        self.rows = max(LEAST_ROWS, next_size(self.rows, seconds, least=LEAST_ROWS))

    def halve(self) -> None:
        """After one that took too long, or met somebody's lock."""
        self.rows = max(LEAST_ROWS, self.rows // 4)


async def in_one(target: Target, parts: Mapping[str, str], places: Sequence[tuple[int, int]]) -> Portion:
    """All of these rows, which lie side by side, in one transaction; if the table refuses one, each by itself."""
    try:
        async with target.work.transaction():
            return await _put_span(target, parts, places[-1], places[0])
    except (*REFUSED, OtherKeyError):
        return await _one_by_one(target, parts, places)


async def _put_span(target: Target, parts: Mapping[str, str], first: tuple[int, int], last: tuple[int, int]) -> Portion:
    """From the first place to the last one. Raises OtherKeyError, and what the table refuses it with."""
    row = await target.work.fetchrow(SQL["put_back"].format(**parts), text_of(first), text_of((last[0], last[1] + 1)))
    assert row is not None  # it counts
    await target.work.execute(SQL["check_now"])
    if row["inserted"] != len(row["places"]):
        raise OtherKeyError
    if not row["places"]:
        return Portion()
    changed: int = await target.work.fetchval(SQL["settle"].format(**parts), row["places"])
    return Portion(row["inserted"], changed)


async def _one_by_one(target: Target, parts: Mapping[str, str], places: Sequence[tuple[int, int]]) -> Portion:
    found = Portion()
    async with target.work.transaction():
        for place in places:
            try:
                async with target.work.transaction():
                    found.add(await _put_span(target, parts, place, place))
            except OtherKeyError:
                found.refused[text_of(place)] = "a trigger gives it another key"
            except REFUSED as error:
                found.refused[text_of(place)] = said(error)
    return found


def parts_of(
    table: Table, entry: Kept, kept: Mapping[str, str], deferrable: bool, published: str | None = None
) -> dict[str, str]:
    """What is put into the statements; `kept` are the types of the columns that were kept, by name.

    `published`: what went back is not removed from what is kept, which would be sent to subscribers; the table is
    dropped at the end.
    """
    there = [column for column in table.columns if column.name in kept]
    columns = [column.quoted for column in there if not column.is_generated]
    key, cast = [column.quoted for column in table.key], any(kept[one.name] != one.type for one in there)
    same_there = " AND ".join(f"there.{name} = batch.{name}" for name in key)
    parts = {
        "table": table.quoted,
        "kept": entry.kept,
        "oid": str(table.oid),
        "hold_seconds": str(float(entry.hold_seconds)),
        "columns": ", ".join(columns),
        "values": ", ".join(_value(column, kept[column.name]) for column in there),
        "changed": "false",
        "gone": SQL["keep_no_more"].format(kept=entry.kept) if published is None else "",
        "is_same": "false",
        "same": " AND ".join(f"put.{name} = batch.{name}" for name in key),
        "same_there": same_there,
        "is_held": SQL["is_held"].format(oid=table.oid),
        "key": ", ".join(f"batch.{name}::text" for name in key),
        "key_columns": ", ".join(key),
        "arbiter": "ON CONFLICT DO NOTHING",
    }
    if deferrable:  # no constraint can be named to ON CONFLICT that is checked late
        parts["arbiter"] = f"WHERE NOT EXISTS (SELECT FROM {table.quoted} AS there WHERE {same_there})"
    if table.insert_triggers or cast or published is not None:  # as texts: not every type can be compared
        parts["changed"] = SQL["row_there"].format(
            there=", ".join(f"there.{column.quoted}" for column in there),
            batch=", ".join(f"batch.{column.quoted}" for column in there),
            **{"table": table.quoted, "same_there": same_there},
        )
    if published is not None:
        parts["is_same"] = f"NOT ({parts['changed']})"
    return parts


def _value(column: Column, type_: str) -> str:
    """A kept column as the table wants it now: by its text where the type has changed."""
    return column.quoted if type_ == column.type else f"{column.quoted}::text::{column.type} AS {column.quoted}"


def _place(text: str) -> tuple[int, int]:
    page, _, row = text[1:-1].partition(",")
    return int(page), int(row)


def text_of(place: tuple[int, int]) -> str:
    """A place as the server writes it."""
    return f"({place[0]},{place[1]})"


def places_of(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """The places that a statement has answered with, the last first."""
    yield from sorted((_place(row["place"]) for row in rows), reverse=True)


REFUSED = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.RaiseError)
"""What a table says to a row that it does not take."""
