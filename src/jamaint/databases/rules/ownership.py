"""What a role may not do to tables of others, and the statement that would let it."""

from collections.abc import Sequence
from dataclasses import dataclass

MAINTAIN_VERSION = 170000
"""From this version of the server on there is the privilege MAINTAIN."""
LISTED = 5


@dataclass(frozen=True, slots=True)
class NotOwned:
    """Something that waits for work, by its quoted name, with its table and the owner of that."""

    name: str
    table: str
    owner: str


def why_nothing(verb: str, blocked: Sequence[NotOwned], role: str, version: int = 0) -> str:
    """Say why nothing could be done, and the cure; `verb` is "vacuumed or analysed".

    `version` is the server's where MAINTAIN suffices for that, else 0. `blocked` must not be empty.
    """
    names = ", ".join(one.name for one in blocked[:LISTED])
    more = f" and {len(blocked) - LISTED} more" if len(blocked) > LISTED else ""
    owners = list(dict.fromkeys(one.owner for one in blocked))
    whose = ", ".join(owners)
    if version >= MAINTAIN_VERSION:
        tables = ", ".join(dict.fromkeys(one.table for one in blocked))
        cure = f"GRANT MAINTAIN ON {tables} TO {quoted(role)}"
    else:
        cure = "; ".join(f"GRANT {quoted(owner)} TO {quoted(role)}" for owner in owners)
    return (
        f"nothing could be {verb}: {names}{more} would be, and role {role} may not, because the tables belong to "
        f"{whose}. To let it: {cure}"
    )


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
