"""Who is connected, by user: how many, how much of our memory they hold, and whose turn it is."""

from collections import deque

import trio

from jamaint.daemon.control.connection import CHUNK, Connection
from jamaint.errors import unavailable
from jamaint.host.peer_credentials import Peer

CONNECTIONS = 512
CONNECTIONS_OF_ONE_USER = 128
HELD_BY_ONE_USER = 16 << 20
"""Bytes of lines that have not ended, of calls under way, and of answers not read, of all connections of a user."""
PASS_SECONDS = 0.01
"""How long the calls that begin in one pass of the loop may take, about."""
CALLS_A_PASS = 16
OTHERS_PART = 8
"""After a pass that took long, others have this part of its time: what they want can take several passes."""


class ConnectionLimits:
    """The connections that there are."""

    def __init__(self) -> None:
        self._of: dict[int, set[Connection]] = {}

    def check_room(self, peer: Peer) -> None:
        """Raises JamaintError(UNAVAILABLE) for one too many; root comes in where only the total is reached."""
        mine = len(self._of.get(peer.uid, ()))
        if mine >= CONNECTIONS_OF_ONE_USER or (peer.uid != 0 and sum(map(len, self._of.values())) >= CONNECTIONS):
            raise unavailable(f"too many connections ({mine} of uid {peer.uid}): close some", 1)

    def add(self, connection: Connection) -> None:
        """One has come."""
        self._of.setdefault(connection.peer.uid, set()).add(connection)

    def remove(self, connection: Connection) -> None:
        """One has gone."""
        mine = self._of[connection.peer.uid]
        mine.remove(connection)
        if not mine:
            del self._of[connection.peer.uid]

    def heaviest(self, connection: Connection) -> Connection | None:
        """The one to be cut off, where this connection's user holds too much; what is light is not even counted."""
        if connection.held() <= CHUNK:
            return None
        mine = [one for one in self._of.get(connection.peer.uid, ()) if not one.scope.cancel_called]
        if sum(one.held() for one in mine) <= HELD_BY_ONE_USER:
            return None
        return max(mine, key=Connection.held)


class FairQueue:
    """Users begin calls in turn, so that a thousand calls of one hold up another's by a few and not by a thousand.

    All that can run does so in one pass of the loop, and nobody else is heard before its end. So only some calls of
    each user begin in a pass: one, and more only while passes are short. After a long one others have a moment.
    """

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}
        self._waiting: dict[int, deque[trio.Event]] = {}
        self._share = 1
        self._work = trio.Event()

    async def take(self, uid: int) -> None:
        """Returns when a call of this user may begin: at once, where none waits and he has begun few in this pass."""
        begun = self._begun.get(uid, 0)
        self._work.set()
        if begun < self._share and uid not in self._waiting:
            self._begun[uid] = begun + 1
            return
        mine = trio.Event()
        self._waiting.setdefault(uid, deque()).append(mine)
        await mine.wait()

    async def serve(self) -> None:
        """Lets the next begin, pass by pass, until it is cancelled."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            began = trio.current_time()
            self._begun.clear()
            for uid in list(self._waiting):
                self._let_go(uid)
            if not self._waiting:
                self._share = 1
                continue
            await trio.lowlevel.checkpoint()  # those that were let go run in the next pass
            await trio.lowlevel.checkpoint()
            took = trio.current_time() - began
            if took > PASS_SECONDS:
                self._share = 1
                await trio.sleep(took / OTHERS_PART)
            else:
                self._share = min(2 * self._share, CALLS_A_PASS)
            self._work.set()

    def _let_go(self, uid: int) -> None:
        queue = self._waiting[uid]
        self._begun[uid] = min(self._share, len(queue))
        for _ in range(self._begun[uid]):
            queue.popleft().set()
        if not queue:
            del self._waiting[uid]
