"""looks: what conditions ask about where the daemon itself may not look. The daemon asks it; no task can name it.

Looks at servers run beside each other, each in a thread of its own. Commands run one after the other: to end one with
all that it has started, nothing else may be started meanwhile.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

from jamaint.core.conditions.condition import span
from jamaint.core.plans import Plan, Step
from jamaint.executors.shared.executor import Host, StopRequestedError, Work
from jamaint.host import secrets
from jamaint.host.accounts import check_reachable, find_account, own_account
from jamaint.host.processes.run import Call, run
from jamaint.probes.deadline import LookError, reason
from jamaint.probes.remote import LOOKS

TICK_SECONDS = 0.2
SPARE_SECONDS = 1.0
"""How much longer than its time a look may take, as one that waits for a name server can, before it is left behind."""
GRACE_SECONDS = 0.5
LINE_LIMIT = 200

Answer = dict[str, Any]


class Teller(Host, Protocol):
    """A host that takes what was found, one by one."""

    def found(self, number: int, answer: Answer) -> None:
        """Tells the fact of the condition of that number, or why it cannot be learnt."""


class Looks:
    """One operation, `look`; see probes.worker_pool for the other end."""

    def __init__(self, work: Work, host: Teller) -> None:
        self._work, self._host = work, host

    def plan(self) -> Plan:
        """See Executor. There is nothing to plan."""
        return Plan(())

    def run(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {}

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"restored": 0, "removed": 0, "kept": [], "problems": []}

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"freed_space": 0, "items": 0}

    def look(self, conditions: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> dict[str, Any]:
        """Looks at each, and tells each fact as soon as it is known: `fact`, or `unknown` with why.

        `environment`: the variables that they refer to. Returns {left}: how many looks hang still. Raises
        StopRequestedError.
        """
        answers: SimpleQueue[tuple[int, Answer]] = SimpleQueue()
        waiting: dict[int, tuple[float, float]] = {}
        for number, condition in enumerate(conditions):
            if condition.get("refused"):
                self._tell(number, {"unknown": condition["refused"]})
            elif condition["kind"] != "command":
                seconds = float(condition["params"]["timeout_seconds"])
                waiting[number] = (time.monotonic() + seconds + SPARE_SECONDS, seconds)
                Thread(target=_look, args=(number, condition, environment, answers), daemon=True).start()
        for number, condition in enumerate(conditions):
            if condition["kind"] == "command" and not condition.get("refused"):
                self._tell(number, self._command(condition["params"]))
                self._tell_all(answers, waiting, 0.0)
        left = 0
        while waiting:
            self._host.checkpoint()
            self._tell_all(answers, waiting, TICK_SECONDS)
            for number, (until, seconds) in list(waiting.items()):
                if time.monotonic() > until:
                    del waiting[number]
                    left += 1
                    self._tell(number, _late(seconds))
        return {"left": left}

    def _tell_all(
        self, answers: "SimpleQueue[tuple[int, Answer]]", waiting: dict[int, tuple[float, float]], seconds: float
    ) -> None:
        """What has come, and what comes within so many seconds."""
        try:
            while waiting:
                number, answer = answers.get(timeout=seconds) if seconds else answers.get_nowait()
                if waiting.pop(number, None) is not None:
                    self._tell(number, answer)
                seconds = 0.0
        except Empty:
            return

    def _tell(self, number: int, answer: Answer) -> None:
        self._host.found(number, answer)

    def _command(self, params: Mapping[str, Any]) -> Answer:
        seconds = float(params["timeout_seconds"])
        try:
            account = own_account() if params["user"] is None else find_account(params["user"])
            check_reachable(account)
            call = Call(
                execution=self._work.execution,
                argv=tuple(params["command"]),
                account=account,
                timeout_seconds=seconds,
                grace_seconds=GRACE_SECONDS,
            )
            ended = run(call, lambda _line: None, self._stopping)
        except (OSError, ValueError) as error:
            return {"unknown": reason(error) if isinstance(error, OSError) else str(error)}
        except LookupError as error:
            return {"unknown": str(error)}
        if ended.cut_short == "stopped":
            raise StopRequestedError
        if ended.cut_short is not None:
            return _late(seconds)
        code = ended.exit_code if ended.signal is None else -_number(ended.signal)
        return {"fact": [code, ended.last_line.strip()[:LINE_LIMIT]]}

    def _stopping(self) -> bool:
        try:
            self._host.paused()
        except StopRequestedError:
            return True
        return False


def _look(
    number: int,
    condition: Mapping[str, Any],
    environment: Mapping[str, str],
    answers: "SimpleQueue[tuple[int, Answer]]",
) -> None:
    params = condition["params"]
    seconds = float(params["timeout_seconds"])
    try:
        answer: Answer = {"fact": LOOKS[condition["kind"]](secrets.resolved(params, environment), seconds)}
    except TimeoutError:
        answer = _late(seconds)
    except OSError as error:
        answer = {"unknown": reason(error)}
    except (LookError, secrets.SecretError) as error:
        answer = {"unknown": str(error)}
    except (ValueError, LookupError) as error:
        answer = {"unknown": f"what was found makes no sense ({type(error).__name__})"}
    except Exception as error:
        answer = {"unknown": f"the look failed ({type(error).__name__}: {error})"}
    answers.put((number, answer))


def _late(seconds: float) -> Answer:
    return {"unknown": f"no answer within {span(seconds)}"}


def _number(name: str) -> int:
    """Of a signal's name as processes.signal_name tells it."""
    return int(name.split()[1]) if name.startswith("signal ") else int(signal.Signals[name])
