"""Executors, one folder each; `core.executor_table` lists them. A worker loads the one that it is to be."""

from importlib import import_module

from jamaint.core.executor_table import EXECUTORS
from jamaint.executors.shared.executor import Executor


def executor_of(name: str) -> type[Executor]:
    """Return the class of the executor of that name. Raises KeyError when this version has none."""
    row = EXECUTORS[name]
    if not row.folder:
        raise KeyError(name)
    module, _, kind = row.executor_class.rpartition(":")
    found: type[Executor] = getattr(import_module(f"{__name__}.{row.folder}.{module or 'executor'}"), kind)
    return found
