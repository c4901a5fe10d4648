"""One client of the control socket: its lines in, replies and events out, and all its waits bounded."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import trio

from jamaint.host.peer_credentials import Peer
from jamaint.host.secrets import cleaned_line
from jamaint.protocol import control

LINE_SECONDS = 45.0
"""How long a line that has begun may take to end."""
IDLE_SECONDS = 900.0
SEND_SECONDS = 45.0
"""How long a client may leave its replies unread."""
DRAIN_SECONDS = 5.0
CHUNK = 65536


@dataclass(slots=True, eq=False)
class Connection:
    """Replies and events share its stream, one line at a time. `weigh` is called when it holds more than before."""

    stream: trio.SocketStream
    peer: Peer
    user: str
    weigh: Callable[["Connection"], None] = lambda _: None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    subscriptions: int = 0
    asked: int = 0
    """Bytes of the lines whose calls are under way."""
    _begun: int = 0
    _leaving: int = 0
    _sending: trio.Lock = field(default_factory=trio.Lock)
    _waiting: bytearray = field(default_factory=bytearray)
    _taken: trio.Event = field(default_factory=trio.Event)

    def held(self) -> int:
        """Bytes of ours that it takes: a line that has not ended, calls that are under way, answers it has not read."""
        return self._begun + self.asked + self._leaving + len(self._waiting)

    async def send(self, line: bytes) -> None:
        """Sends a line; lines that come while one is being sent go together. A client that never reads is cut off."""
        self._waiting += cleaned_line(line)
        self.weigh(self)
        if self._sending.locked() and len(self._waiting) < CHUNK:
            return
        async with self._sending:
            while self._waiting:
                data = bytes(self._waiting)
                self._waiting.clear()
                self._leaving = len(data)
                self._taken.set()
                self._taken = trio.Event()
                try:
                    with trio.fail_after(SEND_SECONDS):
                        await self.stream.send_all(data)
                except (trio.TooSlowError, trio.BrokenResourceError):
                    self.scope.cancel()  # it hung up, or never reads: what it had asked for goes on
                    return
                finally:
                    self._leaving = 0

    async def room(self) -> None:
        """Returns when there is room for an answer: nothing is carried out for a client that reads none."""
        while len(self._waiting) >= CHUNK:
            await self._taken.wait()

    async def lines(self, is_idle: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Each line, until the client has sent its last, has left one unfinished, or was silent while `is_idle`.

        Raises JamaintError(TOO_LARGE) for one that is too long.
        """
        lines = control.Lines()
        line_ends: float | None = None  # by when the line that has begun must have ended
        while (chunk := await self._receive(line_ends, is_idle)) is not None:
            for line in lines.feed(chunk):
                line_ends = None
                yield line
            self._begun = lines.begun
            self.weigh(self)
            if chunk.endswith(b"\n"):
                line_ends = None
            elif line_ends is None:
                line_ends = trio.current_time() + LINE_SECONDS

    async def drain(self) -> None:
        """Lets the client say the rest for a moment: of one that is hung up on while it talks, the kernel would throw
        away what it was told."""
        with trio.move_on_after(DRAIN_SECONDS):
            while await self._receive_some():
                pass

    async def _receive(self, line_ends: float | None, is_idle: Callable[[], bool]) -> bytes | None:
        while True:
            idle_ends = float("inf") if self.subscriptions else trio.current_time() + IDLE_SECONDS
            with trio.move_on_at(idle_ends if line_ends is None else line_ends):
                return await self._receive_some() or None
            if line_ends is not None or is_idle():
                return None

    async def _receive_some(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(CHUNK))
        except trio.BrokenResourceError:
            return b""
