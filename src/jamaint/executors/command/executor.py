"""command: a program of the administrator's, and another that puts back what it did."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work
from jamaint.host.accounts import Account, find_account
from jamaint.host.processes.executables import check_runnable
from jamaint.host.processes.run import GRACE_SECONDS, Call, Ended, run
from jamaint.host.processes.suspend import Pausing

_LAST_LINE = 200


class Command:
    """One step, `command`: an argument list that no shell reads, run to its end with its output in the log.

    What a command leaves in the background is ended with it: one that is to leave something running starts a service.

    Its effect cannot be looked at. So `undo` runs the rollback command whenever it is called: the daemon calls it for a
    step whose begin stands in the journal and no other, and not again once it has answered, problems or not.
    Steps come back from the store, where they are data: the command in one is run only if the task names that very one.
    """

    def __init__(self, work: Work, host: Host) -> None:
        config = work.config
        self._work = work
        self._host = host
        self._command = tuple(config["command"])
        self._rollback_command = tuple(config.get("rollback_command") or ())
        self._user = config.get("user")
        self._environment: Mapping[str, str] = config.get("environment") or {}
        self._working_directory = config.get("working_directory") or "/"
        self._success = frozenset(config.get("success_exit_codes") or (0,))
        self._undone = False

    def plan(self) -> Plan:
        """Raises StepError when the program, or the one of the way back, could not be run."""
        self._check(self._command)
        undo = None
        if self._rollback_command and self._work.keeps_way_back:
            self._check(self._rollback_command)
            undo = {"command": list(self._rollback_command), "once": True}
        step = Step(name="command", says=self._says(undo is not None), args={"command": list(self._command)}, undo=undo)
        return Plan((step,))

    def run(self, step: Step) -> dict[str, Any]:
        """Raises StepError with kind exit or timeout, and StopRequestedError with the details so far."""
        if tuple(step.args["command"]) != self._command:
            raise StepError("the task's command is not the one that was planned: nothing was run", "refused")
        ended = self._call(self._command)
        details = _details(ended)
        if ended.cut_short == "stopped":
            raise StopRequestedError(details)
        failure = self._failure(ended)
        if failure is not None:
            raise StepError(failure, "timeout" if ended.cut_short else "exit", details)
        return details

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """Runs the rollback command, as `run` runs the command; that it fails is a problem in the answer."""
        command = tuple((step.undo or {}).get("command", ()))
        if not command or self._undone:
            return _undone(0)
        if command != self._rollback_command:
            return _undone(0, command, "the task's rollback_command is not the one that was planned: it was not run")
        if dry_run:
            self._host.log("info", f"would run{self._as_user()}: {shlex.join(command)}")
            return _undone(1)
        self._undone = True
        try:
            ended = self._call(command)
        except StepError as failed:
            return _undone(0, command, failed.message)
        if ended.cut_short == "stopped":
            raise StopRequestedError(_details(ended))
        failure = self._failure(ended)
        return _undone(1) if failure is None else _undone(0, command, failure)

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """There is nothing to let go: the way back of a command takes no space of ours."""
        return {"freed_space": 0, "items": 0}

    def _says(self, has_way_back: bool) -> str:
        does = f"run{self._as_user()}: {shlex.join(self._command)}"
        if has_way_back:
            return f"{does}; to go back: {shlex.join(self._rollback_command)}"
        why = "the task keeps no undo data" if self._rollback_command else "no rollback_command is set"
        return f"{does}; cannot be undone: {why}"

    def _as_user(self) -> str:
        return f" as {self._user}" if self._user else ""

    def _account(self) -> Account | None:
        if self._user is None:
            return None
        try:
            return find_account(self._user)
        except LookupError as error:
            raise StepError(str(error), "refused") from None

    def _check(self, command: Sequence[str]) -> None:
        try:
            check_runnable(command[0], self._working_directory, self._account())
        except OSError as error:
            raise StepError(f"{self._work.task_name} cannot be run: {error}") from None

    def _call(self, command: tuple[str, ...]) -> Ended:
        call = Call(
            execution=self._work.execution,
            argv=command,
            account=self._account(),
            environment=self._environment,
            working_directory=self._working_directory,
            timeout_seconds=self._work.timeout_seconds,
            grace_seconds=GRACE_SECONDS,
        )
        try:
            self._host.checkpoint()
            pausing = Pausing(self._pause_wanted, self._stood_still)
            ended = run(call, lambda line: self._host.log("info", line), self._stopping, pausing)
        except (OSError, ValueError) as error:
            raise StepError(f"{self._work.task_name} could not be started: {error}") from None
        if ended.left_behind:
            self._host.log("warning", f"ended {ended.left_behind} background processes it had left")
        if ended.unended:
            self._host.log("error", f"{ended.unended} processes could not be ended: another user's, or stuck")
        return ended

    def _stopping(self) -> bool:
        try:
            self._host.paused()
        except StopRequestedError:
            return True
        return False

    def _pause_wanted(self) -> int:
        try:
            return self._host.paused()
        except StopRequestedError:
            return 0

    def _stood_still(self, number: int, stopped: int, missed: int) -> None:
        self._host.log("info", f"stopped {stopped} processes (SIGSTOP)")
        if missed:
            self._host.log("warning", f"{missed} processes could not be stopped and go on: another user's")
        else:
            self._host.held(number)

    def _failure(self, ended: Ended) -> str | None:
        """Why that end is a failure, in words; None for a success."""
        name = self._work.task_name
        last = f"; last line: {ended.last_line[:_LAST_LINE]}" if ended.last_line else ""
        if ended.cut_short == "timeout":
            return f"{name} was ended: it had not finished within {self._work.timeout_seconds:g} s{last}"
        if ended.signal is not None:
            return f"{name} was killed by {ended.signal}{last}"
        if ended.exit_code not in self._success:
            return f"{name} exited with {ended.exit_code}{last}"
        return None


def _details(ended: Ended) -> dict[str, Any]:
    return {
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "output_lines": ended.output_lines,
        "output_bytes": ended.output_bytes,
        "omitted_bytes": ended.omitted_bytes,
        "max_rss_bytes": ended.max_rss_bytes,
        "cpu_seconds": ended.cpu_seconds,
    }


def _undone(restored: int, command: Sequence[str] = (), why: str | None = None) -> dict[str, Any]:
    problems = [] if why is None else [{"path": command[0], "why": why}]
    return {"restored": restored, "removed": 0, "kept": [], "problems": problems, "unit": "command"}
