"""Many clients, slow ones, deaf ones, of one user: bounded in memory, and others are answered meanwhile."""

import contextlib
import json
import resource
import socket
import struct
from collections.abc import Iterator

import pytest

from daemon_harness import client
from jamaint.daemon.control.client_limits import CONNECTIONS_OF_ONE_USER, HELD_BY_ONE_USER
from jamaint.errors import UNAVAILABLE
from jamaint.protocol.control import LINE_LIMIT
from jamaint.store.postgres import POOL_SIZE
from load_harness import Siege, line, settle, siege, strict
from socket_peers import CAN_BE_OTHERS

COMERS = 5_000
RUSH = 400
MEMORY_BYTES = HELD_BY_ONE_USER + (64 << 20)
"""What one user may hold, and as much again as the fuzz test allows for what an allocator does not give back."""
TASKS = {
    f"task-{number:03}": {"type": "custom", "category": "system", "executor": "noop", "description": "x" * 400}
    for number in range(600)
}
needs_root = pytest.mark.skipif(not CAN_BE_OTHERS, reason="only root can connect as somebody else")


@pytest.fixture(scope="module")
def place(postgres_dsn: str, _template: str) -> Iterator[Siege]:
    with siege(postgres_dsn, _template, tasks=TASKS) as found:
        yield found


@pytest.fixture
def report(place: Siege, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """The figures of a test, on its output."""
    place.rest()
    place.waits.clear()
    yield
    with capsys.disabled():
        print(f"\n{request.node.name}: {place.told()}")


@needs_root
def test_five_thousand_connections_of_one_user(place: Siege, report: None) -> None:
    """Those beyond his share are told so and hung up on; root comes in at each moment, and so does he when some go."""
    told = 0
    with contextlib.ExitStack() as stack:
        inside = [stack.enter_context(place.other()) for _ in range(CONNECTIONS_OF_ONE_USER)]
        for number in range(COMERS - CONNECTIONS_OF_ONE_USER):
            with place.other() as late:
                late.settimeout(60)
                refusal = strict(late.recv(65536))
                told += (refusal["error"]["code"], refusal["id"], late.recv(1)) == (UNAVAILABLE, None, b"")
            if number % 100 == 0:
                with client(place.socket) as root:
                    assert place.ask(root)["protocol"] == 1
        assert told == COMERS - CONNECTIONS_OF_ONE_USER
        inside.pop().close()
        with client(place.socket) as root:
            settle(root, lambda: _comes_in(place))
    assert place.grown() <= MEMORY_BYTES


def _comes_in(place: Siege) -> bool:
    with place.other() as one:
        one.settimeout(60)
        one.sendall(line(id=1, method="daemon.version"))
        return "result" in strict(one.makefile("rb").readline())


@needs_root
def test_the_first_moment_of_a_rush(place: Siege, report: None) -> None:
    """None of them waits for its answer before the next one comes; root is among them."""
    with _descriptors(RUSH + 200), contextlib.ExitStack() as stack, client(place.socket) as root:
        for number in range(RUSH):
            comer = stack.enter_context(place.other())
            with contextlib.suppress(BrokenPipeError):  # one too many may be told so before he has asked
                comer.sendall(line(id=1, method="task.list", params={"limit": 1000}))
            if number % 20 == 0:
                assert place.ask(root)["protocol"] == 1
    assert place.grown() <= MEMORY_BYTES


def test_a_byte_now_and_then(place: Siege, report: None) -> None:
    """As many as may come in, none of which ever ends its line."""
    with contextlib.ExitStack() as stack, client(place.socket) as good:
        slow = [stack.enter_context(place.other()) for _ in range(CONNECTIONS_OF_ONE_USER - (not CAN_BE_OTHERS) * 2)]
        for byte in line(id=1, method="status")[:40]:
            for one in slow:
                one.sendall(bytes([byte]))
            assert place.ask(good, "status")["scheduler"]
        for one in slow[:10]:
            one.sendall(line(id=1, method="status")[40:])
            assert "result" in strict(one.makefile("rb").readline())


def test_those_that_read_no_answer(place: Siege, report: None) -> None:
    """Each asks 64 times for what is half a megabyte long; nothing is read."""
    asked = b"".join(line(id=number, method="task.list", params={"limit": 1000}) for number in range(64))
    with contextlib.ExitStack() as stack, client(place.socket) as good:
        for _ in range(60):
            one = stack.enter_context(place.other())
            one.sendall(asked)
            assert place.ask(good)["protocol"] == 1
        for _ in range(200):
            assert place.ask(good)["protocol"] == 1
        assert place.grown() <= MEMORY_BYTES, place.told()
    with _another_reader(place) as reader:
        assert "result" in strict(reader.makefile("rb").readline())


@contextlib.contextmanager
def _another_reader(place: Siege) -> Iterator[socket.socket]:
    """Of the same user; he is not kept out for what his others have done."""
    with client(place.socket) as root:
        settle(root, lambda: _comes_in(place))
    with place.other() as one:
        one.settimeout(60)
        one.sendall(line(id=1, method="task.list", params={"limit": 1000}))
        yield one


@pytest.mark.parametrize("what", ["a line that has not ended", "a call that goes on"])
def test_those_that_leave_much_with_us(place: Siege, report: None, what: str) -> None:
    """A megabyte on each of a hundred connections, and more than one on each; the heaviest are cut off."""
    if what == "a line that has not ended":
        data = b"x" * LINE_LIMIT
    else:
        with client(place.socket) as root:
            execution = root.call("execution.start", task="task-000")["execution_id"]
            root.call("execution.wait", execution=execution)
        call = line(id="x" * (LINE_LIMIT - 200), method="event.subscribe")
        data = call * 16
    cut = 0
    with contextlib.ExitStack() as stack, client(place.socket) as good:
        for _ in range(100):
            one = stack.enter_context(place.other())
            one.settimeout(60)
            try:
                one.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                cut += 1
            assert place.ask(good)["protocol"] == 1
        assert place.grown() <= MEMORY_BYTES, place.told()
        entries = [json.loads(text) for text in place.log.read_text().splitlines()]
    assert any("hold too much of the daemon's memory" in entry["message"] for entry in entries)


def test_descriptors_that_are_passed_are_closed_by_whomever(place: Siege) -> None:
    with client(place.socket) as root:
        before = place.descriptors()
        with place.other() as one:
            passed = struct.pack("8i", *[one.fileno()] * 8)
            for number in range(20):
                data = line(id=number, method="daemon.version")
                one.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
                one.recv(65536)
            settle(root, lambda: place.descriptors() <= before + 1 + POOL_SIZE)
        settle(root, lambda: place.descriptors() <= before + POOL_SIZE)


@contextlib.contextmanager
def _descriptors(count: int) -> Iterator[None]:
    """So many may be open in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
