"""Names of users, looked up beside the loop: a directory service that hangs stalls nobody."""

from collections.abc import Callable

import trio

from jamaint.host.peer_credentials import name_of

FRESH_SECONDS = 300.0
PATIENCE_SECONDS = 1.0


class Names:
    """Asks for a name once in a while; who cannot be named in time is `uid N` until the next try."""

    def __init__(self, name_of: Callable[[int], str] = name_of) -> None:
        self._name_of = name_of
        self._known: dict[int, tuple[str, float]] = {}
        self._asking = trio.CapacityLimiter(4)  # look-ups that hang keep only each other from being tried

    async def of(self, uid: int) -> str:
        """The user's name."""
        name, until = self._known.get(uid, ("", float("-inf")))
        if trio.current_time() < until:
            return name
        found = f"uid {uid}"
        with trio.move_on_after(PATIENCE_SECONDS):
            found = await trio.to_thread.run_sync(self._name_of, uid, abandon_on_cancel=True, limiter=self._asking)
        self._known[uid] = found, trio.current_time() + FRESH_SECONDS
        return found
