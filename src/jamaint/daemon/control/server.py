"""The control socket: connections in, who each is, and one place where a JamaintError becomes a reply."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.roles import NOBODY, ROLES, allows, how_to_get
from jamaint.daemon.control.background import Pending
from jamaint.daemon.control.client_limits import ConnectionLimits, FairQueue
from jamaint.daemon.control.commands import COMMANDS
from jamaint.daemon.control.commands.command import Call, Command, Daemon, Stream
from jamaint.daemon.control.connection import Connection
from jamaint.daemon.control.startup_replies import Waiting
from jamaint.daemon.state.audit_writer import Auditor
from jamaint.daemon.state.events import Subscription
from jamaint.errors import CONFLICT, INTERNAL, METHOD_NOT_FOUND, NOT_AUTHORISED, TOO_LARGE, JamaintError, unavailable
from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.host.peer_credentials import Peer, peer_of
from jamaint.host.secrets import cleaned, cleaned_deep
from jamaint.host.user_names import Names
from jamaint.protocol import control
from jamaint.store.audit_log import Entry
from jamaint.store.postgres import DatabaseAwayError

IN_FLIGHT = 64
"""Calls of one connection that are carried out and answered at the same time; the next is read when one has been."""
SUBSCRIPTIONS = 16
"""Streams of events of one connection."""
AUDIT_SECONDS = 2.0
"""How long an administrator's answer waits for the audit log: while the database is away, that can be long."""

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_SECONDS = 0.1
"""How long nobody is accepted after one has been turned away for want of descriptors or memory."""

RoleOf = Callable[[Peer], str]


class Server:
    """Serves the listening sockets."""

    def __init__(
        self,
        *,
        waiting: Waiting,
        background: Callable[..., Pending],
        now: Callable[[], datetime],
        role_of: RoleOf,
        auditor: Auditor,
        log: FilteringBoundLogger,
        on_shortage: Callable[[], None] = lambda: None,
    ) -> None:
        self._waiting = waiting
        self._on_shortage = on_shortage
        self._daemon: Daemon | None = None
        self._background = background
        self._now = now
        self._role_of = role_of
        self._auditor = auditor
        self._log = log
        self._crowd = ConnectionLimits()
        self._turns = FairQueue()
        self._names = Names()
        self._calls = 0
        self._silent: set[trio.SocketStream] = set()
        """Those that have not said anything yet."""
        self._answered = trio.Event()
        self._accepting = trio.CancelScope()
        self._conversing = trio.CancelScope()

    def take_over(self, daemon: Daemon) -> None:
        """From now on the daemon's parts answer."""
        self._daemon = daemon

    async def serve(self, listeners: Sequence[socket.socket]) -> None:
        """Accepts and answers until it is cancelled."""
        with self._conversing:
            async with trio.open_nursery() as nursery, trio.open_nursery() as conversations:
                nursery.start_soon(self._turns.serve)
                with self._accepting:
                    async with trio.open_nursery() as accepting:
                        for one in listeners:
                            listener = trio.SocketListener(trio.socket.from_stdlib_socket(one))
                            accepting.start_soon(self._accept, listener, conversations)

    def accept_no_more(self) -> None:
        """Who comes from now on is left to the next daemon, where systemd keeps the socket."""
        self._accepting.cancel()

    def close(self) -> None:
        """Hangs up on everybody."""
        self._conversing.cancel()

    async def answered(self) -> None:
        """Returns when every call has had its answer, every stream of one execution has ended, and whoever had just
        come has said what he wants."""
        while self._calls or self._silent:
            self._answered = trio.Event()
            await self._answered.wait()

    async def _accept(self, listener: trio.SocketListener, conversations: trio.Nursery) -> None:
        """Everybody who comes. One descriptor is spare: whoever comes when there are no more is told so with it."""
        spare = _Spare()
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in NO_ROOM:
                        raise
                    self._on_shortage()
                    with spare.given_up():
                        await _turn_away(listener, os.strerror(error.errno))
                    await trio.sleep(NO_ROOM_SECONDS)
                else:
                    conversations.start_soon(self._handle, stream)

    async def _handle(self, stream: trio.SocketStream) -> None:
        try:
            await self._serve_one(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        try:
            peer = peer_of(stream.socket.getsockopt)
        except OSError:
            return  # without credentials there is nothing to answer
        connection = Connection(stream, peer, f"uid {peer.uid}", self._weigh)
        try:
            self._crowd.check_room(peer)
        except JamaintError as problem:
            with connection.scope:
                await connection.send(control.refusal(None, problem))
            return
        self._crowd.add(connection)
        self._silent.add(stream)
        try:
            with connection.scope:
                connection.user = await self._names.of(peer.uid)
                await self._converse(connection)
        except Exception as error:  # one client's trouble is never another's
            self._log.error("internal error with a client", uid=peer.uid, exc_info=error)
        finally:
            self._silent.discard(stream)
            self._tell_if_answered()
            self._crowd.remove(connection)

    def _weigh(self, connection: Connection) -> None:
        """Cuts off the client that holds the most, where its user's hold too much."""
        heaviest = self._crowd.heaviest(connection)
        if heaviest is not None:
            self._log.warning(
                f"cut off a client of {heaviest.user}, whose connections hold too much of the daemon's memory",
                uid=heaviest.peer.uid,
                pid=heaviest.peer.pid,
                bytes=heaviest.held(),
            )
            heaviest.scope.cancel()

    async def _converse(self, connection: Connection) -> None:
        room = trio.Semaphore(IN_FLIGHT)
        async with trio.open_nursery() as nursery:
            try:
                async with aclosing(connection.lines(is_idle=lambda: room.value == IN_FLIGHT)) as lines:
                    async for line in lines:
                        if room.value:
                            room.acquire_nowait()  # acquire() would let a turn of the loop go by for each line
                        else:
                            await room.acquire()
                        connection.asked += len(line)
                        nursery.start_soon(self._take, connection, line, room)
            except JamaintError as problem:  # too long: what follows cannot be told from its rest
                await connection.send(control.refusal(None, problem))
                await connection.drain()
            # Half closed, or nothing came for too long: what is under way is still answered; a stream has no end.
            await _all_answered(room)
            if connection.subscriptions:
                nursery.cancel_scope.cancel()

    async def _take(self, connection: Connection, line: bytes, room: trio.Semaphore) -> None:
        """One call. Its place is free when the answer is sent, or a client that reads none could ask for ever."""
        self._calls += 1
        self._silent.discard(connection.stream)
        stream = None
        try:
            await self._turns.take(connection.peer.uid)
            await connection.room()
            stream = await self._take_one(connection, line)
        finally:
            connection.asked -= len(line)
            room.release()
            if stream is None:
                self._end_call()
        if stream is not None:
            await self._stream(connection, stream)

    def _end_call(self) -> None:
        self._calls -= 1
        self._tell_if_answered()

    def _tell_if_answered(self) -> None:
        if not self._calls and not self._silent:
            self._answered.set()

    async def _take_one(self, connection: Connection, line: bytes) -> Subscription | None:
        try:
            request = control.parse_request(line)
        except JamaintError as problem:
            await connection.send(control.refusal(problem.data.pop("id", None), problem))
            return None
        answer, stream = await self._answer(connection, request)
        try:
            if request.answered:  # a notification is carried out and not answered
                await connection.send(answer)
        except BaseException:
            if stream is not None:
                self._close(connection, stream)
            raise
        return stream

    async def _stream(self, connection: Connection, stream: Subscription) -> None:
        """Sends events until the client goes, its one execution has ended, or it has fallen too far behind."""
        has_end = stream.execution_id is not None
        if not has_end:
            self._end_call()
        try:
            async for event in stream.events:
                await connection.send(control.event(event))
                if has_end and event["event"] == "execution.ended":
                    return
            await connection.send(control.event({"event": "daemon.cut_off", "message": "too far behind"}))
        finally:
            self._close(connection, stream)
            if has_end:
                self._end_call()

    def _close(self, connection: Connection, stream: Subscription) -> None:
        connection.subscriptions -= 1
        stream.close()

    async def _answer(self, connection: Connection, request: control.Request) -> tuple[bytes, Subscription | None]:
        command = COMMANDS.get(request.method)
        if command is None or not command.changes:
            return await self._carry_out(connection, command, request)
        # It goes on when the client hangs up: nobody has wished for half a change, or one that is not in the audit log.
        answer: tuple[bytes, Subscription | None]
        answer = await self._background(self._carry_out, connection, command, request).wait()
        return answer

    async def _carry_out(
        self, connection: Connection, command: Command | None, request: control.Request
    ) -> tuple[bytes, Subscription | None]:
        role = self._role_of(connection.peer)
        try:
            result = await self._call(connection, role, command, request)
            stream = result.subscription if isinstance(result, Stream) else None
            reply = _reply(connection, request, result)
        except JamaintError as found:
            problem = _without_secrets(found)
            self._audit(connection, role, command, request, problem=problem)
            return control.refusal(request.id, problem), None
        except trio.Cancelled:
            self._audit(connection, role, command, request, outcome="interrupted")
            raise
        except Exception:
            ident = uuid4().hex[:8]
            self._log.exception("internal error in a call", error_id=ident, method=request.method)
            ours = JamaintError(INTERNAL, f"internal error {ident}: see the journal", {"id": ident})
            self._audit(connection, role, command, request, outcome="failed", problem=ours)
            return control.refusal(request.id, ours), None
        self._audit(connection, role, command, request, outcome="done")
        if command is not None and command.changes and command.role == "admin":
            await self._audited()
        return reply, stream

    async def _audited(self) -> None:
        with trio.move_on_after(AUDIT_SECONDS):
            await self._auditor.written()

    async def _call(self, connection: Connection, role: str, command: Command | None, request: control.Request) -> Any:
        if command is None:
            raise JamaintError(METHOD_NOT_FOUND, f"no such method: {request.method[:100]}")
        if not allows(role, command.role):
            has = "no role" if role == NOBODY else f"the role {role}"
            raise JamaintError(
                NOT_AUTHORISED,
                f"{request.method} needs the role {command.role}, and {connection.user} has {has}"
                f"{self._remedy(command.role, connection.user)}",
                {"needs": command.role, "role": role},
            )
        if command.role == "admin" and not command.changes:  # who looks into the log finds all that was before
            await self._audited()
        if self._daemon is None:
            return self._waiting.answer(request.method)
        try:
            return await command.carry_out(self._daemon, Call(request.params, connection.peer, role, connection.user))
        except DatabaseAwayError as error:
            raise unavailable(f"the database is away: {error}", 5) from error

    def _remedy(self, role: str, user: str) -> str:
        """How `user` gets the role; nothing while the daemon comes up."""
        if self._daemon is None:
            return ""
        roles = self._daemon.definitions.config.roles
        return f" ({how_to_get(role, user, {one: [str(who) for who in getattr(roles, one)] for one in ROLES})})"

    def _audit(
        self,
        connection: Connection,
        role: str,
        command: Command | None,
        request: control.Request,
        *,
        outcome: str = "refused",
        problem: JamaintError | None = None,
    ) -> None:
        """Every changing call and every refused one; a mere look that succeeds is not written down."""
        denied = problem is not None and problem.code == NOT_AUTHORISED
        if not denied and (command is None or not command.changes):
            return
        written = self._auditor.note(
            Entry(
                at=self._now(),
                uid=connection.peer.uid,
                pid=connection.peer.pid,
                user=connection.user,
                role=role,
                method=request.method[:100],
                object=_object_of(request.params),
                outcome=outcome,
                detail=_detail(request, problem),
            )
        )
        if denied and written:
            self._log.warning(
                str(problem), method=request.method, uid=connection.peer.uid, message_id=MESSAGE_IDS["refused_call"]
            )


class _Spare:
    """A descriptor that is open for nothing but to be given up when there are no more."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._open()

    @contextlib.contextmanager
    def given_up(self) -> Iterator[None]:
        """In the block there is one to be had, unless another part of the daemon was quicker."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        try:
            yield
        finally:
            self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            self._fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


async def _turn_away(listener: trio.SocketListener, why: str) -> None:
    with contextlib.suppress(OSError), trio.move_on_after(NO_ROOM_SECONDS):
        stream = await listener.accept()
        try:
            await stream.send_all(control.refusal(None, unavailable(f"the daemon takes no more clients now: {why}", 5)))
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)


async def _all_answered(room: trio.Semaphore) -> None:
    for _ in range(IN_FLIGHT):
        if room.value:
            room.acquire_nowait()
        else:
            await room.acquire()


def _reply(connection: Connection, request: control.Request, result: Any) -> bytes:
    """The line that answers; a stream is closed again when it cannot be begun."""
    subscription = result.subscription if isinstance(result, Stream) else None
    try:
        if subscription is not None and connection.subscriptions >= SUBSCRIPTIONS:
            raise JamaintError(CONFLICT, f"a connection may have {SUBSCRIPTIONS} subscriptions: open another one")
        reply = control.reply(request.id, result if subscription is None else result.reply)
        if len(reply) > control.LINE_LIMIT:
            raise JamaintError(TOO_LARGE, "the answer is too large for one line: ask for less with `limit`")
    except BaseException:
        if subscription is not None:
            subscription.close()
        raise
    if subscription is not None:
        connection.subscriptions += 1
    return reply


def _without_secrets(problem: JamaintError) -> JamaintError:
    """Whoever wrote it: a driver's error may repeat an address, and a mistake what stands beside it."""
    return JamaintError(problem.code, cleaned(problem.message), cleaned_deep(problem.data))


def _detail(request: control.Request, problem: JamaintError | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"dry_run": True} if request.params.get("dry_run") is True else {}
    if request.params.get("emergency") is True:
        detail |= {"emergency": True, "reason": cleaned(str(request.params.get("reason") or "")[:500])}
    if problem is not None:
        detail |= {"code": problem.code, "message": problem.message[:500]}
    return detail


def _object_of(params: dict[str, Any]) -> str | None:
    for key in ("task", "window", "policy", "execution"):
        value = params.get(key)
        if isinstance(value, str):
            return cleaned(value[:200])
        if isinstance(value, dict):
            return cleaned(str(value.get("name"))[:200])
    return None
