"""The SQL of the store, by name: `queries/NOUN.sql` holds statements under `-- name:` lines."""

from collections.abc import Mapping

from jamaint.host import sql_files as sql


def statements(noun: str) -> Mapping[str, str]:
    """The statements of `queries/NOUN.sql` by name, without their comments."""
    return sql.statements("jamaint.store", noun)
