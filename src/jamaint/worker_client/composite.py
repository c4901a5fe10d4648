"""Several workers as one: a system cleanup whose kinds need directories and the network, each in a fence of its own."""

from collections.abc import Mapping
from typing import Any, Protocol

from jamaint.core.cleanup_kinds import KINDS
from jamaint.worker_client.link import Message


class WorkerHandle(Protocol):
    """One of the workers."""

    async def ask(self, message: Message) -> Message: ...

    async def cancel(self) -> None: ...

    async def steer(self, message: Message) -> None: ...


class CompositeWorker:
    """Workers by the kinds of cleanup that each does; it is spoken to as one of them is."""

    pid = None

    def __init__(self, by_cleanup: Mapping[str, WorkerHandle]) -> None:
        self._by_cleanup = by_cleanup
        self._workers = tuple(dict.fromkeys(by_cleanup.values()))

    async def ask(self, message: Message) -> Message:
        """The plans of all as one; what is about a step goes to the one whose step it is."""
        if message.get("do") != "plan":
            return await self._by_cleanup[_cleanup_of(message["step"])].ask(message)
        answers = []
        for worker in self._workers:
            answers.append(await worker.ask(message))
            if answers[-1]["is"] != "plan":
                return answers[-1]
        order = list(KINDS)
        whole = {key: [one for answer in answers for one in answer[key]] for key in ("warnings", "refusals", "roots")}
        steps = sorted(
            (step for answer in answers for step in answer["steps"]), key=lambda step: order.index(_cleanup_of(step))
        )
        itemised = all(answer.get("itemised") for answer in answers)
        told = {"itemised": itemised} if message.get("items") else {}
        from_items = all(answer.get("from_items") for answer in answers)
        return {"is": "plan", "steps": steps, **whole, **told, "from_items": from_items}

    async def cancel(self) -> None:
        """Of whichever is at work."""
        for worker in self._workers:
            await worker.cancel()

    async def steer(self, message: Message) -> None:
        """All of them: the next one to work shall stand still too."""
        for worker in self._workers:
            await worker.steer(message)


def _cleanup_of(step: Mapping[str, Any]) -> str:
    return str(((step.get("args") or {}).get("kind")) or (step.get("undo") or {}).get("kind"))
