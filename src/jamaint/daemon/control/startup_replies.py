"""What is answered before the daemon is up: how it stands, and to all else why it cannot be done yet."""

import platform
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jamaint import VERSION
from jamaint.config import Config
from jamaint.daemon.control.commands.service import PROTOCOL
from jamaint.daemon.state import json_views
from jamaint.errors import UNAVAILABLE, JamaintError

RETRY_SECONDS = 5


class Waiting:
    """Stands in for the daemon's parts while its database was not reached."""

    def __init__(
        self, started_at: datetime, why: Callable[[], str], configuration: Callable[[], dict[str, Any]], config: Config
    ) -> None:
        self._started_at = started_at
        self._why = why
        self._configuration = configuration
        self._config = config

    def answer(self, method: str) -> dict[str, Any]:
        """The result of `method`. Raises JamaintError(UNAVAILABLE) for all that needs the database."""
        if method == "status":
            return self._status()
        if method == "daemon.version":
            return {
                "version": VERSION,
                "protocol": PROTOCOL,
                "python": platform.python_version(),
                "postgresql": None,
            }
        raise JamaintError(
            UNAVAILABLE,
            f"the daemon is not up yet: {self._why()}",
            {"retry_after": RETRY_SECONDS, "coming_up": True},
        )

    def _status(self) -> dict[str, Any]:
        return {
            "overall": "issues",
            "daemon": self._configuration() | {"started_at": json_views.time(self._started_at)},
            "scheduler": {
                "state": "not up yet",
                "wake_at": None,
                "next_due": None,
                "tasks": len(self._config.tasks),
                "windows": len(self._config.windows),
                "max_concurrent_tasks": self._config.scheduler.max_concurrent_tasks,
            },
            "active_tasks": [],
            "queued_tasks": [],
            "queued": 0,
            "current_window": None,
            "current_windows": [],
            "next_window": None,
            "recent_executions": [],
            "metrics": {"last_24h": {}},
            "alerts": [{"kind": "not_up", "severity": "critical", "message": self._why()}],
        }
