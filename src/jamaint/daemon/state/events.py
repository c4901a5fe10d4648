"""Events out: what happens is published once, and goes to whoever has subscribed."""

from collections.abc import Callable
from typing import Any

import trio

BUFFER = 1000
"""Events that one slow subscriber may be behind before it is cut off."""

Event = dict[str, Any]


class Subscription:
    """The events of one execution, or all; `events` ends when its reader has fallen behind."""

    def __init__(self, observer: "Observer", execution_id: str | None, sees_logs: bool = True) -> None:
        self._observer = observer
        self.sees_logs = sees_logs
        self.execution_id = execution_id
        self.send, self.events = trio.open_memory_channel[Event](BUFFER)

    def close(self) -> None:
        """Ends it."""
        self._observer.drop(self)


class Observer:
    """Subscribers, each with a bounded buffer: one that does not read costs nobody else anything."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def subscribe(self, execution_id: str | None, sees_logs: bool = True) -> Subscription:
        """Events from now on; whoever asked closes it. What executions say is for those who may read their logs."""
        subscription = Subscription(self, execution_id, sees_logs)
        self._subscriptions.append(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Ends a subscription; one that has ended is no mistake."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        subscription.send.close()

    def publish(self, execution_id: str | None, make: Callable[[], Event], is_log: bool = False) -> None:
        """Hands the event to those who want it; `make` is only called if there is anybody."""
        event: Event | None = None
        for subscription in tuple(self._subscriptions):
            if subscription.execution_id not in (None, execution_id) or (is_log and not subscription.sees_logs):
                continue
            event = event or make()
            try:
                subscription.send.send_nowait(event)
            except trio.WouldBlock:
                self.drop(subscription)
