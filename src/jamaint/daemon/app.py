"""Wires the parts together, in the order in which they may rely on each other, and takes them down in the other."""

import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from jamaint import VERSION
from jamaint.config import Address, Config, ConfigError, Principal, shown_config
from jamaint.core.estimates import HISTORY
from jamaint.core.executions import Execution, State, advance
from jamaint.core.roles import ROLES, Members, role_of
from jamaint.daemon.control.background import Background
from jamaint.daemon.control.commands.command import Daemon
from jamaint.daemon.control.commands.status import firing
from jamaint.daemon.control.server import Server
from jamaint.daemon.control.startup_replies import Waiting
from jamaint.daemon.execution.crash_recovery import CrashRecovery
from jamaint.daemon.execution.rollbacks import Rollbacks
from jamaint.daemon.execution.rotations import Rotations
from jamaint.daemon.execution.runner import Runner
from jamaint.daemon.execution.stored_plans import Plans
from jamaint.daemon.monitoring.metrics import Metrics
from jamaint.daemon.monitoring.self_check import SelfCheck
from jamaint.daemon.monitoring.usage import Usage
from jamaint.daemon.sandbox.apply import left
from jamaint.daemon.scheduling.condition_facts import Looking
from jamaint.daemon.scheduling.scheduler import Scheduler
from jamaint.daemon.scheduling.while_running import Watching
from jamaint.daemon.state import json_views, password_references
from jamaint.daemon.state.audit_writer import Auditor
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.events import Observer
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.recent import History
from jamaint.daemon.state.recorder import RETRY_SECONDS, Recorder
from jamaint.daemon.state.retention import Retention
from jamaint.errors import INTERNAL, JamaintError
from jamaint.host import machine_id, secrets, service_manager
from jamaint.host.clock import Clock, WallClock
from jamaint.host.listen_socket import listening
from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.host.peer_credentials import Peer, gid_of, uid_of
from jamaint.host.signatures import SealKeyError, Seals
from jamaint.probes.local import ProbeContext
from jamaint.probes.worker_pool import ProbePool
from jamaint.store import executions, policies
from jamaint.store.embedded.server import Cluster
from jamaint.store.postgres import DatabaseAwayError, Postgres, open_postgres

STOP_SECONDS = 60.0
"""How long what runs may take to reach a safe point when the daemon is asked to stop; a second signal cuts it short."""
FLUSH_SECONDS = 10.0
ANSWER_SECONDS = 2.0
SEAL_RETRY_SECONDS = 2.0

Load = Callable[[], Config]
Clocks = Callable[[], Clock]


class App:
    """One daemon: what it was started with, and its parts once they are up."""

    def __init__(self, config: Config, load: Load, log: FilteringBoundLogger, clocks: Clocks = WallClock) -> None:
        self._config = self._started_with = config
        self._load = load
        self._log = log
        self._clocks = clocks
        self._config_problem: str | None = None
        self._members: dict[str, Members] = {}
        self._stop = trio.Event()
        self._cluster: Cluster | None = None
        self._comes_up = "starting its database"
        """What it waits for before it can do its work; empty when it is up."""
        self._reload_wanted = False
        self._reloading = trio.Lock()
        self._shortages = SelfCheck(config.state_dir, log, self._say_status)
        self._current: Current
        self._scheduler: Scheduler
        self._definitions: Definitions
        self._recorder: Recorder
        self._runner: Runner
        self._measured: Metrics

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until it is told to stop. Raises JamaintError when it cannot start, or another daemon takes its
        place."""
        passed = [activated.socket for activated in service_manager.listen_fds()]
        async with AsyncExitStack() as stack:
            clock = self._scheduler_clock = await stack.enter_async_context(self._clocks())
            purge_clock = await stack.enter_async_context(self._clocks())
            self._take(self._config, await trio.to_thread.run_sync(_members_of, self._config))
            settings = self._config.socket
            gid = None if settings.group is None else gid_of(settings.group)
            listeners = stack.enter_context(listening(settings.path, settings.mode, gid, passed))
            # From here to the end it answers, if only with what it waits for.
            front = await stack.enter_async_context(trio.open_nursery())
            self._hurry = front.cancel_scope.cancel
            auditor = Auditor(clock.now)
            waiting = Waiting(clock.now(), lambda: self._comes_up, self._describe, self._config)
            server = Server(
                waiting=waiting,
                background=Background(front).start,
                now=clock.now,
                role_of=self._role_of,
                auditor=auditor,
                log=self._log,
                on_shortage=self._shortages.look_again,
            )
            front.start_soon(server.serve, listeners)
            front.start_soon(self._heed_signals)
            front.start_soon(self._feed_watchdog)
            self._say_status()
            async with AsyncExitStack() as parts:
                dsn = await parts.enter_async_context(self._database())
                postgres = await parts.enter_async_context(open_postgres(dsn))
                recorder = self._recorder = Recorder(postgres, _holder(), clock.now, self._log)
                await self._connect(recorder)
                parts.push_async_callback(_close, recorder)
                await self._serve_parts(
                    postgres,
                    recorder,
                    clock,
                    purge_clock=purge_clock,
                    server=server,
                    auditor=auditor,
                    task_status=task_status,
                )
            front.cancel_scope.cancel()

    def stop(self) -> None:
        """Asks it to stop, as SIGTERM does; the second time, or while it comes up, it hurries."""
        if self._stop.is_set() or self._comes_up:
            self._hurry()
        self._stop.set()

    async def reload(self) -> dict[str, Any]:
        """Applies the files as they are now. Raises JamaintError(INVALID_PARAMS) with all mistakes; the old stays
        then."""
        async with self._reloading:  # of two at once, the one that reads later is the one in force
            return await self._reload()

    async def _reload(self) -> dict[str, Any]:
        service_manager.notify("RELOADING=1", f"MONOTONIC_USEC={service_manager.monotonic_usec()}")
        try:
            config = await self._read()
            warnings = [*config.warnings, *_left_for_a_restart(self._started_with, config), *left(config)]
            before = self._definitions.config
            changes = await self._definitions.apply(config, self._scheduler_clock.now())
            self._take(config, await trio.to_thread.run_sync(_members_of, config))
            await self._scheduler.take_policies()
            await self._measured.write_textfile()
        finally:
            service_manager.notify("READY=1")
        self._log.info("configuration applied", path=config.path, message_id=MESSAGE_IDS["configuration_applied"])
        self._say_status()
        return {
            "applied": True,
            "changes": {
                "tasks": changes.tasks,
                "windows": changes.windows,
                "policies": changes.policies,
                "freezes": _changed(before.freezes, config.freezes),
                "settings": {"changed": _changed_settings(before, config)},
            },
            "warnings": warnings,
        }

    async def check(self) -> dict[str, Any]:
        """Reads the files and tells what is wrong with them."""
        config = await self._read(note=False)
        return {"path": config.path, "ok": True, "warnings": [*config.warnings, *left(config)]}

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[str]:
        if self._config.database.dsn is not None:
            yield await trio.to_thread.run_sync(_address, self._config.database.dsn)
            return
        cluster = Cluster(
            state_dir=self._config.state_dir,
            runtime_dir=os.path.dirname(self._config.socket.path),
            binaries=self._config.database.binaries,
            log=self._log,
        )
        self._cluster = cluster
        async with trio.open_nursery() as nursery:
            yield await nursery.start(cluster.supervise)
            nursery.cancel_scope.cancel()

    async def _connect(self, recorder: Recorder) -> None:
        """Waits for the database and takes its lock."""
        attempt = 0
        while True:
            try:
                await recorder.connect()
            except DatabaseAwayError as error:
                self._comes_up = f"waiting for the database: {error}"
                if attempt == 0:
                    self._log.error("waiting for the database", why=str(error), message_id=MESSAGE_IDS["database_lost"])
                    service_manager.notify(
                        "READY=1"
                    )  # it answers, and whoever starts it need not wait for what may take hours
                self._say_status()
                await trio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
            else:
                return

    async def _serve_parts(
        self,
        postgres: Postgres,
        recorder: Recorder,
        clock: Clock,
        *,
        purge_clock: Clock,
        server: Server,
        auditor: Auditor,
        task_status: trio.TaskStatus[None],
    ) -> None:
        self._comes_up = "loading its tasks and windows"
        observer = Observer()
        current = self._current = Current(observer, clock.now)
        seals = await self._open_seals()
        definitions = self._definitions = Definitions(recorder, seals, self._log)
        plans = Plans(recorder, postgres, seals, clock, self._log, self._config.state_dir)
        runner = self._runner = Runner(
            recorder=recorder,
            current=current,
            now=clock.now,
            config=lambda: definitions.config,
            seals=seals,
            plans=plans,
            log=self._log,
            rotations=Rotations(recorder, definitions.effective),
        )
        rollbacks = Rollbacks(
            postgres=postgres,
            recorder=recorder,
            current=current,
            clock=purge_clock,
            seals=seals,
            addresses=definitions.addresses,
            executor_of=lambda name: definitions.tasks[name].executor if name in definitions.tasks else "",
            log=self._log,
        )
        looking = Looking(
            ProbeContext(ProbePool(lambda text: self._log.warning("a worker said", text=text))), clock.wake
        )
        scheduler = self._scheduler = Scheduler(
            definitions=definitions,
            recorder=recorder,
            current=current,
            runner=runner,
            looking=looking,
            watching=Watching(looking, runner, self._log),
            clock=clock,
            log=self._log,
            machine=machine_id.identity(),
            undoing=lambda: rollbacks.at_work,
        )
        recorder.on_change, recorder.more_to_come = self._take_database_change, scheduler.has_waiting
        runner.on_point, runner.steps_of = rollbacks.look_again, scheduler.experience.steps_of
        rollbacks.listen(on_undone=scheduler.note_undone, on_free=clock.wake, blocker=scheduler.at_work_on)
        usage, measured = self._open_monitoring(scheduler, postgres, recorder, clock)
        async with trio.open_nursery() as lasting:  # ends last: what ends is still written down
            lasting.start_soon(recorder.serve)
            lasting.start_soon(recorder.guard)
            lasting.start_soon(auditor.serve, postgres)
            lasting.start_soon(self._shortages.serve)
            await definitions.apply(self._config, clock.now())
            settled = await self._settle(rollbacks)
            await plans.load()
            await self._load_executions(recorder, definitions, scheduler)
            await scheduler.load_starts()
            async with trio.open_nursery() as serving:
                self._hurry = serving.cancel_scope.cancel
                daemon = Daemon(
                    definitions=definitions,
                    scheduler=scheduler,
                    runner=runner,
                    rollbacks=rollbacks,
                    plans=plans,
                    recorder=recorder,
                    postgres=postgres,
                    current=current,
                    observer=observer,
                    history=History(postgres, current),
                    usage=usage,
                    metrics=measured,
                    now=clock.now,
                    started_at=clock.now(),
                    reload=self.reload,
                    check=self.check,
                    configuration=self._describe,
                    background=Background(serving).start,
                )
                serving.start_soon(scheduler.serve)
                serving.start_soon(rollbacks.purge_expired)
                serving.start_soon(plans.serve)
                serving.start_soon(Retention(definitions, recorder, clock.now, self._log).serve)
                serving.start_soon(usage.serve)
                serving.start_soon(measured.serve, partial(firing, daemon))
                gc.freeze()  # what is there by now stays: no collection has to look through it again
                self._comes_up = ""
                server.take_over(daemon)
                self._say_started(settled, daemon)
                task_status.started()
                if self._reload_wanted:
                    serving.start_soon(self._reload_when_told)
                await self._stop.wait()
                await self._wind_down(scheduler, runner)
                server.accept_no_more()
                with trio.move_on_after(ANSWER_SECONDS):  # whoever waits for what has just ended is told
                    await server.answered()
                server.close()
                serving.cancel_scope.cancel()
            with trio.move_on_after(FLUSH_SECONDS):
                await auditor.finish()
            lasting.cancel_scope.cancel()

    def _open_monitoring(
        self, scheduler: Scheduler, postgres: Postgres, recorder: Recorder, clock: Clock
    ) -> tuple[Usage, Metrics]:
        """What measures: the sizes of things, and how the daemon does."""
        usage = Usage(
            definitions=self._definitions,
            recorder=recorder,
            postgres=postgres,
            runner=self._runner,
            now=clock.now,
            log=self._log,
        )
        measured = self._measured = Metrics(
            definitions=self._definitions,
            scheduler=scheduler,
            current=self._current,
            recorder=recorder,
            postgres=postgres,
            now=clock.now,
            log=self._log,
        )
        self._current.on_ended, self._current.on_freed = measured.counters.note, measured.counters.note_freed
        return usage, measured

    async def _open_seals(self) -> Seals:
        """Read the key of the seals; while it is damaged, serve with that as an alert, and do nothing."""
        told = ""
        while True:
            try:
                return await trio.to_thread.run_sync(Seals, self._config.state_dir)
            except SealKeyError as error:
                if error.message != told:
                    told = self._comes_up = error.message
                    self._log.error(told, message_id=MESSAGE_IDS["seal_key_damaged"])
                    service_manager.notify("READY=1")  # it answers, with what is to be done
                    self._say_status()
                await trio.sleep(SEAL_RETRY_SECONDS)

    async def _settle(self, rollbacks: Rollbacks) -> int:
        self._comes_up = "recovering what a crash interrupted"
        self._say_status()
        return await rollbacks.settle()

    async def _wind_down(self, scheduler: Scheduler, runner: Runner) -> None:
        service_manager.notify("STOPPING=1", "STATUS=stopping running executions at their next safe point")
        self._log.info("stopping", running=scheduler.stop(), message_id=MESSAGE_IDS["daemon_stopping"])
        runner.stop_all("interrupted", "the daemon was stopped")
        with trio.move_on_after(STOP_SECONDS):
            await scheduler.drained()
            await scheduler.write_held()

    async def _load_executions(self, recorder: Recorder, definitions: Definitions, scheduler: Scheduler) -> None:
        waiting = await recorder.run(executions.unfinished)
        now = self._scheduler_clock.now()
        orphans = [execution for execution in waiting if execution.task_name not in definitions.tasks]
        if orphans:
            await recorder.put(*(_orphaned(execution, now) for execution in orphans))
        scheduler.experience.load(await recorder.run(executions.durations, HISTORY))
        approvals = await recorder.run(policies.approvals, now)
        scheduler.approving.load(approval for approval, seal in approvals if definitions.is_given(approval, seal))
        ended = await recorder.run(executions.newest_ended_by_task)
        again = await CrashRecovery(recorder, definitions, self._log).settle(ended, now)
        scheduler.load(
            await recorder.run(executions.last_occurrences),
            ended,
            await recorder.run(executions.newest_skipped_by_task),
            [*again] + [execution for execution in waiting if execution.task_name in definitions.tasks],
        )

    async def _heed_signals(self) -> None:
        signals_heeded = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(*signals_heeded) as signals:
                await self._heed_each(signals, nursery)

    async def _heed_each(self, signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
        async for number in signals:
            if number == signal.SIGHUP and self._comes_up:
                self._reload_wanted = True
            elif number == signal.SIGHUP:
                # A task of its own: one that waits for the database must not keep SIGTERM from being heard.
                nursery.start_soon(self._reload_when_told)
            elif number == signal.SIGUSR1:
                self._shortages.look_again()
                self._say_what_it_does()
            else:
                self.stop()

    async def _reload_when_told(self) -> None:
        try:
            await self.reload()
        except JamaintError:
            pass  # it has been logged, and status tells it
        except Exception as error:
            self._log.error("the reload failed; the previous configuration stays in force", exc_info=error)

    def _take_database_change(self) -> None:
        self._say_status()
        self._scheduler_clock.wake()

    async def _read(self, note: bool = True) -> Config:
        try:
            return await trio.to_thread.run_sync(self._load)
        except ConfigError as error:
            count = "1 mistake" if len(error.mistakes) == 1 else f"{len(error.mistakes)} mistakes, the first"
            problem = f"{count}: {error.mistakes[0]}"
            if note:
                self._config_problem = problem
                self._log.error(
                    "configuration refused; the previous one stays in force",
                    problem=problem,
                    message_id=MESSAGE_IDS["configuration_refused"],
                )
                self._say_status()
            raise

    def _take(self, config: Config, members: dict[str, Members]) -> None:
        self._config = config
        self._config_problem = None
        self._members = members
        secrets.learn(password_references.all_passwords(config))
        for warning in (*config.warnings, *left(config)):
            self._log.warning(warning)

    async def _feed_watchdog(self) -> None:
        """Fed by the main loop, so that a loop that hangs is noticed; and a look whether the database's programs were
        replaced under it, by an upgrade."""
        seconds = service_manager.watchdog_seconds()
        while seconds is not None:
            service_manager.notify("WATCHDOG=1")
            if self._cluster is not None:
                self._cluster.restart_if_replaced()
            await trio.sleep(seconds / 2)

    def _role_of(self, peer: Peer) -> str:
        return role_of(peer.uid, peer.gids, self._members, os.geteuid())

    def _describe(self) -> dict[str, Any]:
        away = self._comes_up or self._recorder.away
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "database": {"state": "ok" if away is None else "degraded", "detail": away},
            "shortages": [{"kind": kind, "message": lack} for kind, lack in self._shortages.found.items()],
            "config": {
                "path": self._config.path,
                "loaded_at": json_views.time(self._config.loaded_at),
                "problem": self._config_problem,
            },
        }

    def _say_started(self, settled: int, daemon: Daemon) -> None:
        self._log.info(
            f"jamaintd {VERSION} serves at {self._config.socket.path}",
            tasks=len(daemon.definitions.tasks),
            windows=len(daemon.definitions.windows),
            settled=settled,
            message_id=MESSAGE_IDS["daemon_started"],
        )
        self._say_status()
        service_manager.notify("READY=1")

    def _say_status(self) -> None:
        if self._comes_up:
            service_manager.notify(f"STATUS={self._comes_up}")
            return
        defined = ((self._definitions.tasks, "task"), (self._definitions.windows, "window"))
        parts = [", ".join(f"{len(ones)} {name}{'' if len(ones) == 1 else 's'}" for ones, name in defined)]
        if self._recorder.away is not None:
            parts.insert(0, f"the database is away ({self._recorder.away})")
        parts[:0] = self._shortages.found.values()
        if self._config_problem is not None:
            parts.append("the new configuration was refused")
        service_manager.notify(f"STATUS={'; '.join(parts)}")

    def _say_what_it_does(self) -> None:
        if self._comes_up:
            self._log.info("what it does now", waits_for=self._comes_up)
            return
        going_on = self._current.all()
        running = [one for one in going_on if one.status is State.RUNNING]
        self._log.info(
            "what it does now",
            scheduler=self._scheduler.state,
            wake_at=json_views.time(self._scheduler.wake_at),
            open_windows=sorted(self._scheduler.openings),
            database=self._recorder.away or "ok",
            running=len(running),
            waiting=len(going_on) - len(running),
            lacking=sorted(self._shortages.found),
        )
        for execution in running:
            step = next((one.name for one in execution.steps if one.status == "running"), None)
            self._log.info(
                f"runs now: {execution.task_name}",
                execution=execution.id,
                task=execution.task_name,
                step=step,
                since=json_views.time(execution.started_at),
            )


def _address(dsn: Address) -> str:
    try:
        return str(secrets.resolved(dsn))
    except secrets.SecretError as error:
        raise JamaintError(INTERNAL, f"cannot reach the database that keeps the state: {error}") from None


async def _close(recorder: Recorder) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + FLUSH_SECONDS):
        await recorder.close()


def _members_of(config: Config) -> dict[str, Members]:
    """Who has which role; to be asked for beside the loop, because a directory service can take its time."""
    return {role: _members(getattr(config.roles, role)) for role in ROLES}


def _members(entries: tuple[Principal, ...]) -> Members:
    uids = {uid for kind, name in entries if kind == "user" and (uid := uid_of(name)) is not None}
    gids = {gid for kind, name in entries if kind == "group" and (gid := gid_of(name)) is not None}
    return Members(frozenset(uids), frozenset(gids))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    both = sorted(before.keys() & after.keys())
    return {
        "added": sorted(after.keys() - before.keys()),
        "changed": [name for name in both if before[name] != after[name]],
        "removed": sorted(before.keys() - after.keys()),
    }


def _changed_settings(before: Config, after: Config) -> list[str]:
    """The keys of the daemon's own part that differ, as they are written: `rollback.low_space`."""
    old, new = _settings(before), _settings(after)
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _settings(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, value in shown_config(config).items():
        if section in ("files", "tasks", "windows", "policies", "freezes"):
            continue
        keys = value if isinstance(value, dict) else {"": value}
        found |= {f"{section}.{key}".rstrip(".").removesuffix("_seconds"): one for key, one in keys.items()}
    return found


def _left_for_a_restart(old: Config, new: Config) -> list[str]:
    """What a reload cannot apply, in words: it would be believed to be in force."""
    sections = [name for name in ("database", "socket", "state_dir", "log") if getattr(old, name) != getattr(new, name)]
    return [f"{name}: a change takes effect at the next start of the daemon" for name in sections]


def _orphaned(execution: Execution, now: datetime) -> Execution:
    detail = f"task {execution.task_name} is not defined any more"
    reason = {"guard": "task", "verdict": "refuse", "detail": detail}
    return advance(execution, State.CANCELLED, completed_at=now, reasons=(reason,))


def _holder() -> str:
    return f"jamaintd, process {os.getpid()} on {socket.gethostname()}"
