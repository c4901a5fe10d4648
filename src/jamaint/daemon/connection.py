"""One client of the control socket: its lines in, replies and events out, and all its waits bounded."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import trio

from jamaint import wire
from jamaint.host.peers import Peer
from jamaint.host.secrets import cleaned_line

LINE_SECONDS = 45.0
"""How long a line that has begun may take to end."""
IDLE_SECONDS = 900.0
SEND_SECONDS = 45.0
"""How long a client may leave its replies unread."""
DRAIN_SECONDS = 5.0
CHUNK = 65536


@dataclass(slots=True)
class Connection:
    """Replies and events share its stream, one line at a time."""

    stream: trio.SocketStream
    peer: Peer
    user: str
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    subscriptions: int = 0
    _sending: trio.Lock = field(default_factory=trio.Lock)
    _waiting: bytearray = field(default_factory=bytearray)

    async def send(self, line: bytes) -> None:
        """Sends a line; lines that come while one is being sent go together. A client that never reads is cut off."""
        self._waiting += cleaned_line(line)
        if self._sending.locked() and len(self._waiting) < CHUNK:
            return
        async with self._sending:
            while self._waiting:
                data = bytes(self._waiting)
                self._waiting.clear()
                try:
                    with trio.fail_after(SEND_SECONDS):
                        await self.stream.send_all(data)
                except (trio.TooSlowError, trio.BrokenResourceError):
                    self.scope.cancel()  # it hung up, or never reads: what it had asked for goes on
                    return

    async def lines(self, is_idle: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Each line, until the client has sent its last, has left one unfinished, or was silent while `is_idle`.

        Raises Problem(TOO_LARGE) for one that is too long.
        """
        lines = wire.Lines()
        line_ends: float | None = None  # by when the line that has begun must have ended
        while (chunk := await self._receive(line_ends, is_idle)) is not None:
            for line in lines.feed(chunk):
                line_ends = None
                yield line
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
