"""A daemon that clients mean no good to, one of them as somebody else, and how long a good one waits meanwhile."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import postgres_server as server
from daemon_harness import Client, Daemon, client, connected, daemon
from jamaint.store.postgres import POOL_SIZE
from socket_peers import CAN_BE_OTHERS, Who, connecting_as, users


class Siege:
    """One daemon; `good` is a connection of ours, `others` are of a viewer who is somebody else where we are root."""

    def __init__(self, running: Daemon, directory: Path) -> None:
        self.running = running
        self.socket = directory / "sock"
        self.log = running.config.with_suffix(".log")
        self.waits: list[float] = []
        self._first_bytes = self.bytes_of_memory()
        self._first_descriptors = self.descriptors()

    def other(self) -> socket.socket:
        """A connection of the other user's."""
        if CAN_BE_OTHERS:
            return connecting_as(_viewer())(self.socket)
        return connected(self.socket)

    def ask(self, good: Client, method: str = "daemon.version") -> Any:
        """A good client's call, whose time is noted."""
        asked = time.perf_counter()
        answer = good.call(method)
        self.waits.append(time.perf_counter() - asked)
        return answer

    def bytes_of_memory(self) -> int:
        """What the daemon's process has."""
        pages = Path(f"/proc/{self.running.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def grown(self) -> int:
        """Bytes it has more than when it had just come up."""
        return self.bytes_of_memory() - self._first_bytes

    def rest(self) -> None:
        """Until it has let go of all that came and went."""
        with client(self.socket) as one:
            settle(one, lambda: self.descriptors() <= self._first_descriptors + 1 + POOL_SIZE)

    def descriptors(self) -> int:
        """How many the daemon has open."""
        return len(os.listdir(f"/proc/{self.running.process.pid}/fd"))

    def told(self) -> str:
        """The figures, for whoever reads the test's output; load of others makes the times worse, so none is tested."""
        waits = sorted(self.waits)
        return (
            f"memory {self.grown() / (1 << 20):+.1f} MiB; {len(waits)} good calls meanwhile:"
            f" median {waits[len(waits) // 2] * 1000:.1f} ms, worst {waits[-1] * 1000:.1f} ms"
        )


@contextlib.contextmanager
def siege(dsn: str, template: str, **sections: Any) -> Iterator[Siege]:
    """A daemon with a database of its own; it must live, and log no traceback, to the end."""
    with server.fresh_database(dsn, template) as database, server.short_directory() as directory:
        config = Path(directory, "jamaintd.yaml")
        viewer = [f"user:{users(1)[0].pw_name}"] if CAN_BE_OTHERS else []
        usual: dict[str, Any] = {
            "database": {"dsn": database},
            "socket": {"path": f"{directory}/sock", "mode": "0666"},
            "state_dir": f"{directory}/state",
            "log": {"format": "json", "level": "warning"},
            "roles": {"viewer": viewer, "operator": [], "admin": []},
        }
        config.write_text(json.dumps({**usual, **sections}))
        with daemon(config) as running:
            with client(Path(directory, "sock")) as one:  # all connections to the database that it will ever have
                for _ in range(300):
                    one.begin("execution.list")
                for _ in range(300):
                    one.receive()
            yield Siege(running, Path(directory))
            assert running.process.poll() is None
            assert "Traceback" not in config.with_suffix(".log").read_text()


def line(**fields: Any) -> bytes:
    """A call."""
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


def strict(reply: bytes) -> dict[str, Any]:
    """A reply, which is JSON as it is written, and a reply of known form."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON: {reply!r}")

    value: dict[str, Any] = json.loads(reply.decode("utf-8"), parse_constant=refuse)
    assert value["jsonrpc"] == "2.0"
    assert ("result" in value) != ("error" in value)
    return value


def settle(good: Client, is_so: Callable[[], bool]) -> None:
    """Until it is so; each call is a turn of the daemon's, which it also has for those that hung up."""
    for _ in range(10_000):
        if is_so():
            return
        good.call("daemon.version")
    raise AssertionError("it has not come to rest")


def _viewer() -> Who:
    user = users(1)[0]
    return Who(user.pw_uid, user.pw_gid)
