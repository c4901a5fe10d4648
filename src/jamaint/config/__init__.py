"""Configuration: YAML to one frozen Config, or every mistake that is in it, each with file, line, column and key."""

from jamaint.config.api_objects import Known, parse_policy, parse_task, parse_window
from jamaint.config.load import load
from jamaint.config.values import (
    Address,
    Config,
    Database,
    Grants,
    LogRules,
    Principal,
    Roles,
    RollbackRules,
    SchedulerRules,
    Socket,
    shown_config,
)
from jamaint.schema.errors import ConfigError, Mistake, mistakes_text

__all__ = [
    "Address",
    "Config",
    "ConfigError",
    "Database",
    "Grants",
    "Known",
    "LogRules",
    "Mistake",
    "Principal",
    "Roles",
    "RollbackRules",
    "SchedulerRules",
    "Socket",
    "load",
    "mistakes_text",
    "parse_policy",
    "parse_task",
    "parse_window",
    "shown_config",
]
