"""What the daemon lacks on its machine, looked at now and then: told in the journal, in `status` and to systemd."""

from collections.abc import Callable
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.host.own_resources import lack_of_descriptors, lack_of_directory

LOOK_SECONDS = 10.0
"""While something is lacking, so that it is soon told when it no longer is."""
IDLE_LOOK_SECONDS = 60.0
"""While nothing is: what fails for want of it, and who asks, has it looked at at once."""
ADVICE = {
    "state_directory": "no plan or kept key can be written until there is room; everything else works",
    "descriptors": "new clients are turned away; LimitNOFILE= of the unit, or see who holds so many connections",
}


class SelfCheck:
    """By kind, each with what it is in words; empty while nothing is lacking."""

    def __init__(self, state_dir: str, log: FilteringBoundLogger, on_change: Callable[[], None]) -> None:
        self._looks: dict[str, Callable[[], str | None]] = {
            "state_directory": partial(lack_of_directory, state_dir),
            "descriptors": lack_of_descriptors,
        }
        self._log = log
        self._on_change = on_change
        self._again = trio.Event()
        self.found: dict[str, str] = {}

    def look_again(self) -> None:
        """Something has failed, or somebody wants to know: looks at once."""
        self._again.set()

    async def serve(self) -> None:
        """Looks until it is cancelled."""
        while True:
            # Beside the loop: a disk that hangs must not hang the daemon.
            for kind, lack in (await trio.to_thread.run_sync(self._look, abandon_on_cancel=True)).items():
                self._take(kind, lack)
            with trio.move_on_after(LOOK_SECONDS if self.found else IDLE_LOOK_SECONDS):
                await self._again.wait()
            self._again = trio.Event()

    def _look(self) -> dict[str, str | None]:
        return {kind: look() for kind, look in self._looks.items()}

    def _take(self, kind: str, lack: str | None) -> None:
        before = self.found.get(kind)
        if lack is None and before is not None:
            del self.found[kind]
            self._log.info(f"no longer: {before}", kind=kind)
        elif lack is not None:
            self.found[kind] = lack
            if before is None:
                self._log.error(f"{lack}: {ADVICE[kind]}", kind=kind, message_id=MESSAGE_IDS["shortage"])
        if (lack is None) != (before is None):
            self._on_change()
