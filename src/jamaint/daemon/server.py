"""The control socket: each connection with the kernel's word of who it is; one place where a Problem is a reply."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint import wire
from jamaint.core.roles import NOBODY, allows
from jamaint.daemon.auditor import Auditor
from jamaint.daemon.commands import COMMANDS
from jamaint.daemon.commands.command import Call, Command, Daemon, Stream
from jamaint.daemon.observer import Subscription
from jamaint.errors import INTERNAL, METHOD_NOT_FOUND, NOT_AUTHORISED, TOO_LARGE, Problem
from jamaint.host.journal import MESSAGE_IDS
from jamaint.host.peers import Peer, name_of, peer_of
from jamaint.store.audit import Entry

CONNECTIONS = 512
CONNECTIONS_OF_ONE_USER = 128
IN_FLIGHT = 64
"""Calls of one connection that are carried out at the same time; the next is read when one has ended."""
LINE_SECONDS = 45.0
"""How long a line that has begun may take to end."""
IDLE_SECONDS = 900.0
SEND_SECONDS = 45.0
"""How long a client may leave its replies unread."""
CHUNK = 65536

RoleOf = Callable[[Peer], str]


@dataclass(slots=True)
class _Connection:
    """One client: replies and events share its stream, one line at a time."""

    stream: trio.SocketStream
    peer: Peer
    role: str
    user: str
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    sending: trio.Lock = field(default_factory=trio.Lock)
    waiting: bytearray = field(default_factory=bytearray)
    subscriptions: int = 0

    async def send(self, line: bytes) -> None:
        """Sends a line; lines that come while one is being sent go together. A client that never reads is cut off."""
        self.waiting += line
        if self.sending.locked() and len(self.waiting) < CHUNK:
            return
        async with self.sending:
            while self.waiting:
                data = bytes(self.waiting)
                self.waiting.clear()
                try:
                    with trio.fail_after(SEND_SECONDS):
                        await self.stream.send_all(data)
                except (trio.TooSlowError, trio.BrokenResourceError):
                    self.scope.cancel()  # it hung up, or never reads: what it had asked for goes on
                    return


class Server:
    """Serves one listening socket."""

    def __init__(self, daemon: Daemon, role_of: RoleOf, auditor: Auditor, log: FilteringBoundLogger) -> None:
        self._daemon = daemon
        self.role_of = role_of
        self._auditor = auditor
        self._log = log
        self._by_uid: dict[int, int] = {}

    async def serve(self, listener: socket.socket) -> None:
        """Accepts until it is cancelled."""
        await trio.serve_listeners(self._serve_one, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))])

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        try:
            connection = await self._accept(stream)
        except OSError:
            return  # without credentials there is nothing to answer
        uid = connection.peer.uid
        mine = self._by_uid.get(uid, 0)
        if mine >= CONNECTIONS_OF_ONE_USER or (uid != 0 and sum(self._by_uid.values()) >= CONNECTIONS):
            return
        self._by_uid[uid] = mine + 1
        try:
            with connection.scope:
                await self._converse(connection)
        except Exception as error:  # one client's trouble is never another's
            self._log.error("internal error with a client", uid=uid, exc_info=error)
        finally:
            self._by_uid[uid] -= 1
            if not self._by_uid[uid]:
                del self._by_uid[uid]

    async def _accept(self, stream: trio.SocketStream) -> _Connection:
        peer = peer_of(stream.socket.getsockopt)
        return _Connection(stream, peer, self.role_of(peer), name_of(peer.uid))

    async def _converse(self, connection: _Connection) -> None:
        lines = wire.Lines()
        room = trio.Semaphore(IN_FLIGHT)
        unfinished = False
        async with trio.open_nursery() as nursery:
            while (chunk := await self._receive(connection, room, unfinished)) is not None:
                try:
                    for line in lines.feed(chunk):
                        await room.acquire()
                        nursery.start_soon(self._take, connection, line, room)
                except Problem as problem:  # too long: what follows cannot be told from its rest
                    await connection.send(wire.refusal(None, problem))
                    break
                unfinished = not chunk.endswith(b"\n")
            if connection.subscriptions:
                nursery.cancel_scope.cancel()
            # Half closed, or nothing came for too long: what is under way is still answered.

    async def _receive(self, connection: _Connection, room: trio.Semaphore, unfinished: bool) -> bytes | None:
        """The next bytes; None when the client has sent its last, or has been silent for too long."""
        while True:
            seconds = LINE_SECONDS if unfinished else IDLE_SECONDS
            with trio.move_on_after(float("inf") if connection.subscriptions else seconds):
                try:
                    return bytes(await connection.stream.receive_some(CHUNK)) or None
                except trio.BrokenResourceError:
                    return None
            if unfinished or room.value == IN_FLIGHT:
                return None

    async def _take(self, connection: _Connection, line: bytes, room: trio.Semaphore) -> None:
        try:
            request = wire.parse_request(line)
        except Problem as problem:
            room.release()
            await connection.send(wire.refusal(problem.data.pop("id", None), problem))
            return
        try:
            answer, stream = await self._answer(connection, request)
        finally:
            room.release()
        if request.id is not None:  # a notification is carried out and not answered
            await connection.send(answer)
        if stream is not None:
            await self._stream(connection, stream)

    async def _stream(self, connection: _Connection, stream: Subscription) -> None:
        """Sends events until the client goes, its one execution has ended, or it has fallen too far behind."""
        connection.subscriptions += 1
        try:
            async for event in stream.events:
                await connection.send(wire.event(event))
                if stream.execution_id is not None and event["event"] == "execution.ended":
                    return
            await connection.send(wire.event({"event": "daemon.cut_off", "message": "too far behind"}))
        finally:
            connection.subscriptions -= 1
            stream.close()

    async def _answer(self, connection: _Connection, request: wire.Request) -> tuple[bytes, Subscription | None]:
        command = COMMANDS.get(request.method)
        stream = None
        try:
            if command is None:
                raise Problem(METHOD_NOT_FOUND, f"no such method: {request.method[:100]}")
            result = await self._call(connection, command, request)
            if isinstance(result, Stream):
                stream = result.subscription
                result = result.reply
            reply = wire.reply(request.id, result)
            if len(reply) > wire.LINE_LIMIT:
                raise Problem(TOO_LARGE, "the answer is too large for one line: ask for less with `limit`")
        except Problem as problem:
            self._audit(connection, request, command, problem)
            return wire.refusal(request.id, problem), None
        except Exception:
            ident = uuid4().hex[:8]
            self._log.exception("internal error in a call", error_id=ident, method=request.method)
            ours = Problem(INTERNAL, f"internal error {ident}: see the journal", {"id": ident})
            return wire.refusal(request.id, ours), None
        self._audit(connection, request, command, None)
        if command.role == "admin":
            await self._auditor.written()
        return reply, stream

    async def _call(self, connection: _Connection, command: Command, request: wire.Request) -> Any:
        if not allows(connection.role, command.role):
            has = "no role" if connection.role == NOBODY else f"the role {connection.role}"
            raise Problem(
                NOT_AUTHORISED,
                f"{request.method} needs the role {command.role}, and {connection.user} has {has}",
                {"needs": command.role, "role": connection.role},
            )
        call = Call(request.params, connection.peer, connection.role, connection.user)
        return await command.carry_out(self._daemon, call)

    def _audit(
        self, connection: _Connection, request: wire.Request, command: Command | None, problem: Problem | None
    ) -> None:
        """Every changing call and every refused one; a mere look that succeeds is not written down."""
        denied = problem is not None and problem.code == NOT_AUTHORISED
        if not denied and (command is None or not command.changes):
            return
        if denied:
            self._log.warning(
                str(problem), method=request.method, uid=connection.peer.uid, message_id=MESSAGE_IDS["refused_call"]
            )
        self._auditor.note(
            Entry(
                at=self._daemon.now(),
                uid=connection.peer.uid,
                pid=connection.peer.pid,
                user=connection.user,
                role=connection.role,
                method=request.method[:100],
                object=_object_of(request.params),
                outcome="done" if problem is None else "refused",
                detail=_detail(request, problem),
            )
        )


def _detail(request: wire.Request, problem: Problem | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"dry_run": True} if request.params.get("dry_run") is True else {}
    if problem is not None:
        detail |= {"code": problem.code, "message": problem.message[:500]}
    return detail


def _object_of(params: dict[str, Any]) -> str | None:
    for key in ("task", "window", "policy", "execution"):
        value = params.get(key)
        if isinstance(value, str):
            return value[:200]
        if isinstance(value, dict):
            return str(value.get("name"))[:200]
    return None
