"""Runs executors of databases as a worker does, in this process, on a database of the test's own."""

import asyncio
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from jamaint.core.plans import Item, MassDeletion, Step, step_from_json, step_to_json
from jamaint.core.rate_limits import WindowEnd
from jamaint.executors.database_cleanup.executor import DatabaseCleanup
from jamaint.executors.database_optimize.executor import DatabaseOptimize
from jamaint.executors.shared.executor import StopRequestedError, Work
from jamaint.host.plan_file import Packing, unpack
from postgres_server import on_connection

EXECUTION = "0f0e0d0c-0b0a-4908-8706-050403020100"
DAY = 86400.0


class Talk:
    """A host that remembers what it was told, asks to stop after so many looks, and pauses at those in `pauses`."""

    def __init__(self, stop_after: int | None = None, pauses: tuple[int, ...] = ()) -> None:
        self.progressed: list[tuple[int, int | None, str]] = []
        self.logged: list[str] = []
        self.held_in: list[int] = []
        self.waited_for: list[str] = []
        self.looks = 0
        self._stop_after = stop_after
        self._pauses = pauses
        self._pausing = False

    def stop_after(self, count: int) -> None:
        """Asks to stop, but for so many looks from now."""
        self._stop_after = self.looks + count

    def pause(self) -> None:
        """Pauses once, at the next look."""
        self._pausing = True

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """See Host."""
        self.progressed.append((done, total, unit))

    def log(self, level: str, message: str) -> None:
        """See Host."""
        self.logged.append(message)

    def checkpoint(self) -> None:
        """See Host."""
        self.looks += 1
        if self._stop_after is not None and self.looks > self._stop_after:
            raise StopRequestedError

    def paused(self) -> int:
        """See Host."""
        self.checkpoint()
        pausing, self._pausing = self._pausing or self.looks in self._pauses, False
        return 1 if pausing else 0

    def waiting(self, why: str) -> None:
        """See Host."""
        self.waited_for.append(why)

    def alone(self) -> bool:
        """See Host."""
        return False

    def taken(self, block: bytes) -> None:
        """See Host."""

    def portion(self, most: int) -> int:
        """See Host."""
        return most

    def held(self, number: int) -> None:
        """See Host."""
        self.held_in.append(number)


def work(dsn: str, **changes: Any) -> Work:
    """Work on that database; fields of Work by name, and all else is config."""
    fields: dict[str, Any] = {
        "execution": EXECUTION,
        "task_name": "tidy",
        "keeps_way_back": True,
        "mass_deletion": MassDeletion(share=1.0, items=0),
        "timeout_seconds": None,
        "now": datetime.now(UTC),
        "low_space": 0.0,
        "planned": None,
    }
    fields["window_end"] = WindowEnd(changes.pop("ends_at", None))
    fields |= {key: changes.pop(key) for key in list(changes) if key in fields}
    config = {"dsn": dsn, "lock_timeout_seconds": 0.2, "user": None, **changes}
    return Work(config=config, **fields)


def rule(table: str, **changes: Any) -> dict[str, Any]:
    """A rule of cleanup_old_data, normalised: rows whose `created_at` is over thirty days old."""
    aged = {"age_column": "created_at", "older_than_seconds": 30 * DAY, "where": None}
    return {"table": table, "batch_size": 1000, **({} if "where" in changes else aged), **changes}


def cleanup(dsn: str, *rules: dict[str, Any], host: Talk | None = None, **changes: Any) -> DatabaseCleanup:
    """The executor for these rules."""
    return DatabaseCleanup(work(dsn, cleanup_old_data=list(rules), **changes), host or Talk())


def optimize(dsn: str, host: Talk | None = None, **changes: Any) -> DatabaseOptimize:
    """The executor with these keys of its config; all others are off."""
    config = {
        "optimize_indexes": False,
        "fragmentation": 0.3,
        "expression_indexes": False,
        "remove_unused_indexes": False,
        "update_statistics": False,
        "cleanup_old_data": [],
    }
    return DatabaseOptimize(work(dsn, **{**config, **changes}), host or Talk())


class Stored:
    """The items of an executor's plan as they come from the file of a stored one."""

    def __init__(self, executor: Any) -> None:
        self._items: list[tuple[str, Item]] = []
        for step in executor.plan().steps:
            packing = Packing(step.name, self._take)
            executor.items(step_from_json(step_to_json(step)), packing.tell)
            packing.finish()

    def _take(self, _count: int, block: bytes) -> None:
        name, found = unpack(block)
        self._items += [(name, item) for item in found]

    def items(self) -> Iterable[tuple[str, Item]]:
        """See Planned."""
        return self._items


def planned(executor: Any) -> Step:
    """The only step of its plan, as it comes over the pipe."""
    (step,) = executor.plan().steps
    return step_from_json(step_to_json(step))


def run_script(dsn: str, sql: str) -> None:
    """Several statements at once."""
    on_connection(dsn, lambda connection: connection.execute(sql))


def look(dsn: str, table: str) -> list[str]:
    """All rows as texts, in order."""
    rows = on_connection(dsn, lambda connection: connection.fetch(f"SELECT t::text AS row FROM {table} t ORDER BY 1"))
    return [row["row"] for row in rows]


def value(dsn: str, sql: str) -> Any:
    """The first value of the answer."""
    return on_connection(dsn, lambda connection: connection.fetchval(sql))


class held_row:  # noqa: N801 - it reads like a function
    """Somebody else holds a row while the block lasts."""

    def __init__(self, dsn: str, table: str, key: int) -> None:
        self._dsn, self._sql = dsn, f"SELECT FROM {table} WHERE id = {key} FOR UPDATE"
        self._held, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def __enter__(self) -> None:
        self._thread.start()
        self._held.wait()

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join()

    def _hold(self) -> None:
        async def hold(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute(self._sql)
                busy = asyncio.ensure_future(connection.execute("SELECT pg_sleep(3600)"))  # never seen idle
                self._held.set()
                await asyncio.to_thread(self._go.wait)
                busy.cancel()
                await asyncio.wait({busy})

        on_connection(self._dsn, hold)
