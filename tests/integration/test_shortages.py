"""A daemon whose machine runs short: said in the journal, in `status` and to systemd, survived, and over without a
restart."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Scene, scene
from daemon_harness import Client, Daemon, client, refusal
from jamaint.errors import UNAVAILABLE
from tree_snapshot import differences, snapshot

_NEW_MOUNT_NAMESPACE = 0x20000
NOTHING = {"type": "custom", "category": "system", "executor": "noop"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")

Act = Callable[["Place"], None]


class Place:
    """A scene whose daemon sees a mount that nobody else does; `disk` is that mount, as seen from here."""

    def __init__(self, found: Scene, mounted: Path, *mounts: tuple[str, ...], knife: str | None = None) -> None:
        self.scene = found
        self.log = found.config.with_suffix(".log")
        self._mounted = mounted
        mounted.mkdir(parents=True, exist_ok=True)
        started: list[Daemon | str] = []

        def start() -> None:  # a thread can have a file system of its own, and what it starts has it too
            if ctypes.CDLL(None).unshare(_NEW_MOUNT_NAMESPACE) != 0:
                started.append("may not mount")
                return
            for words in (("--make-rprivate", "/"), *mounts):
                done = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
                if done.returncode != 0:
                    started.append(done.stderr)
                    return
            started.append(Daemon(found.config, knife=knife))

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        if isinstance(started[0], str):
            pytest.skip(f"may not mount here: {started[0]}")
        self.daemon = started[0]

    @property
    def disk(self) -> Path:
        return Path(f"/proc/{self.daemon.process.pid}/root{self._mounted}")

    def remount(self, how: str) -> None:
        """With other options, from the daemon's side."""
        words = ["mount", "-o", f"remount,{how}", str(self._mounted)]
        subprocess.run(["nsenter", f"--target={self.daemon.process.pid}", "--mount", *words], check=True)

    def looks(self) -> None:
        """It looks at once, and writes what it does."""
        self.daemon.process.send_signal(signal.SIGUSR1)


@contextlib.contextmanager
def served(place: Place) -> Iterator[Client]:
    """A connection to the daemon once it is up; its end is clean, and it has logged no traceback."""
    try:
        assert place.daemon.wait_ready(), place.log.read_text()
        with client(place.scene.socket) as caller:
            yield caller
        assert place.daemon.process.poll() is None
    finally:
        place.daemon.stop()
    assert "Traceback" not in place.log.read_text(), place.log.read_text()


@pytest.fixture
def plain(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        found.logs((0, 40, 50))
        found.configure(
            tasks={
                "nothing": NOTHING,
                "speaks": {"type": "custom", "category": "system", "config": {"command": ["echo", "hello"]}},
                "logs": {
                    "type": "cleanup",
                    "category": "logs",
                    "config": {"log_paths": [f"{found.directory}/logs/app/*.log"], "retention_days": 30},
                    "mass_deletion": {"share": "100%", "items": 1000},
                },
            }
        )
        yield found


def alerts(caller: Client) -> dict[str, str]:
    return {one["kind"]: one["message"] for one in caller.call("status")["alerts"]}


def until_alerts(caller: Client, wanted: dict[str, str]) -> None:
    """Returns when those are the alerts, each with such words."""
    for _ in range(20_000):
        found = alerts(caller)
        if found.keys() == wanted.keys() and all(wanted[kind] in message for kind, message in found.items()):
            return
    raise AssertionError(f"{alerts(caller)} are not {wanted}")


def fill(place: Place) -> None:
    with contextlib.suppress(OSError), open(place.disk / "filler", "wb", buffering=0) as file:
        while True:
            file.write(os.urandom(1 << 16))


def use_up_inodes(place: Place) -> None:
    with contextlib.suppress(OSError):
        for number in range(100_000):
            (place.disk / f"inode{number}").touch()


def empty(place: Place) -> None:
    for entry in place.disk.iterdir():
        if entry.name.startswith(("filler", "inode")):
            entry.unlink()


def make_read_only(place: Place) -> None:
    place.remount("ro")


def make_writable(place: Place) -> None:
    place.remount("rw")


@as_root
@pytest.mark.parametrize(
    ("hurt", "heal", "said", "errno"),
    [
        (fill, empty, "is full", "No space left on device"),
        (use_up_inodes, empty, "has no inodes left", "No space left on device"),
        (make_read_only, make_writable, "is mounted read-only", "Read-only file system"),
    ],
    ids=["full", "no inodes", "read-only"],
)
def test_a_state_directory_that_takes_nothing(plain: Scene, hurt: Act, heal: Act, said: str, errno: str) -> None:
    state = plain.directory / "state"
    place = Place(plain, state, ("-t", "tmpfs", "-o", "size=4m,nr_inodes=200,mode=711", "none", str(state)))
    before, logs = snapshot(plain.directory / "logs"), len(list((plain.directory / "logs").rglob("*.log")))
    with served(place) as caller:
        assert alerts(caller) == {}
        assert caller.call("task.plan", task="logs")["hash"]
        hurt(place)
        place.looks()
        until_alerts(caller, {"state_directory": said})
        assert said in place.daemon.wait_told(said)
        assert said in place.log.read_text()
        assert said in plain.ctl("status").stdout
        problem = refusal(caller, "task.plan", task="logs")
        assert errno in problem.message, problem
        # What needs nothing of it is done all the same.
        assert caller.run("nothing")["status"] == "completed"
        # What goes would not be on record: it stays, and the execution says why and what to do.
        ended = caller.run("logs")
        assert ended["status"] == "failed"
        told = json.dumps(ended)
        assert errno in told
        assert "rollback: {enabled: false}" in told
        assert len(list((plain.directory / "logs").rglob("*.log"))) == logs
        caller.call("execution.rollback", execution=ended["id"])
        assert differences(before, snapshot(plain.directory / "logs")) == []
        heal(place)
        place.looks()
        place.daemon.wait_told("STATUS=3 tasks")
        until_alerts(caller, {})
        assert caller.call("task.plan", task="logs")["hash"]
    assert f"no longer: {'the disk of ' if 'read-only' not in said else ''}{state}" in place.log.read_text()


@as_root
def test_a_start_with_a_state_directory_that_is_read_only(plain: Scene) -> None:
    state = plain.directory / "state"
    mounts = (("--bind", str(state), str(state)), ("-o", "remount,ro,bind", str(state)))
    first = Place(plain, state, *mounts)
    assert not first.daemon.wait_ready()
    assert first.daemon.wait() == 1
    (said,) = first.log.read_text().splitlines()
    assert f"cannot read or make {state}/seal.key" in said
    assert "Read-only file system; state_dir must be writable" in said
    with plain.serving():  # one that was served before is known
        pass
    with served(Place(plain, state, *mounts)) as caller:
        until_alerts(caller, {"state_directory": "is mounted read-only"})
        assert caller.run("speaks")["status"] == "completed"


@as_root
def test_the_disk_that_is_cleaned_is_full(plain: Scene) -> None:
    disk = plain.directory / "disk"
    sections: dict[str, Any] = json.loads(plain.config.read_text())
    sections["tasks"]["logs"]["config"]["log_paths"] = [f"{disk}/app/*.log"]
    plain.configure(tasks=sections["tasks"], rollback={"low_space": "0%"})
    place = Place(plain, disk, ("-t", "tmpfs", "-o", "size=4m,mode=755", "none", str(disk)))
    with served(place) as caller:
        (place.disk / "app").mkdir()
        for name in ("old", "older"):
            (place.disk / "app" / f"{name}.log").write_bytes(b"x" * 100_000)
            os.utime(place.disk / "app" / f"{name}.log", (1, 1))
        (place.disk / "app" / "new.log").write_text("of today\n")
        before = snapshot(place.disk / "app")
        fill(place)
        ended = caller.run("logs")
        assert (ended["status"], ended["metrics"]["processed_items"]) == ("completed", 2), ended
        assert sorted(one.name for one in (place.disk / "app").iterdir() if one.suffix == ".log") == ["new.log"]
        caller.call("execution.rollback", execution=ended["id"])
        assert differences(before, snapshot(place.disk / "app")) == []


def test_no_descriptors_left(plain: Scene) -> None:
    """Who comes is told so and hung up on; who is there is answered; systemd is told; nothing spins."""
    with plain.serving() as caller:
        for _ in range(20):
            caller.call("execution.list")
        pid = plain.daemon.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), hard))
        try:
            for _ in range(3):
                with client(plain.socket) as late:
                    told = late.receive().error
                    assert told is not None
                    assert (told.code, told.message) == (
                        UNAVAILABLE, "the daemon takes no more clients now: Too many open files",
                    )  # fmt: skip
            until_alerts(caller, {"descriptors": "file descriptors are open"})
            assert "file descriptors are open" in plain.daemon.wait_told("file descriptors are open")
            ended = caller.run("speaks")
            assert (ended["status"], "Too many open files" in ended["error"]["message"]) == ("failed", True), ended
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        plain.daemon.process.send_signal(signal.SIGUSR1)
        plain.daemon.wait_told("STATUS=3 tasks")
        with client(plain.socket) as late:
            assert late.run("speaks")["status"] == "completed"
            assert "descriptors" not in alerts(late)
    said = plain.config.with_suffix(".log").read_text()
    assert "Traceback" not in said
    assert said.count("file descriptors are open: new clients are turned away") == 1
    assert said.count("no longer: ") == 1


@pytest.mark.parametrize(
    ("name", "text"), [("ENOMEM", "Cannot allocate memory"), ("EAGAIN", "temporarily unavailable")]
)
def test_no_memory_and_no_process_for_a_worker(plain: Scene, name: str, text: str) -> None:
    flag = plain.directory / "short"
    with _wounded(plain, f"fork:{name}:{flag}") as caller:
        flag.touch()
        ended = caller.run("speaks")
        assert ended["status"] == "failed"
        assert text in ended["error"]["message"], ended["error"]
        assert "failed" in alerts(caller)["execution_failed"]
        assert text in plain.ctl("execution", "show", "last").stdout
        flag.unlink()
        assert caller.run("speaks")["status"] == "completed"
        assert alerts(caller) == {}


def test_a_plan_that_cannot_be_made_durable_is_none(plain: Scene) -> None:
    flag = plain.directory / "short"
    with _wounded(plain, f"fsync:EIO:{flag}") as caller:
        flag.touch()
        problem = refusal(caller, "task.plan", task="logs")
        assert "Input/output error" in problem.message, problem
        assert os.listdir(plain.directory / "state" / "plans") == []
        flag.unlink()
        assert caller.call("task.plan", task="logs")["hash"]


@contextlib.contextmanager
def _wounded(found: Scene, knife: str) -> Iterator[Client]:
    running = Daemon(found.config, knife=knife)
    try:
        assert running.wait_ready(), found.config.with_suffix(".log").read_text()
        with client(found.socket) as caller:
            yield caller
        assert running.process.poll() is None
    finally:
        running.stop()
    assert "Traceback" not in found.config.with_suffix(".log").read_text()
