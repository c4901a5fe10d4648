"""Owner rights: the tasks that may work in each directory with the rights of the user whom it belongs to.

A module of its own: each worker needs it at its start.
"""

from jamaint.core.executor_table import ROWS

OWNER = "owner"
"""For `user` in the config of BY_OWNER: in each directory the rights of its owner."""
BY_OWNER = frozenset(row.key for row in ROWS if row.by_owner)
"""Executors that can do so."""
