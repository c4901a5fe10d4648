"""The models of `config:`, by executor; `core.executor_table` lists them."""

from collections.abc import Mapping
from importlib import import_module

from jamaint.core.executor_table import ROWS, ExecutorRow
from jamaint.schema.executor_config import Work


def _model(row: ExecutorRow) -> type[Work]:
    found: type[Work] = getattr(import_module(f"jamaint.executors.{row.folder}.config"), row.config_class)
    return found


CONFIG_OF: Mapping[str, type[Work]] = {row.key: _model(row) for row in ROWS if row.config_class}
