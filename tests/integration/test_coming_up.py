"""Before the daemon is up, and between two of them: clients are answered, or wait, and are never turned away."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_harness import Client, Daemon, client, refusal
from jamaint.errors import CONFLICT, UNAVAILABLE, JamaintError
from jamaint.host.listen_socket import listening

CTL = Path(sys.executable).parent / "jamaintctl"
DAEMONS = 4
CLIENTS = 4

CONFIG = """
database: {{ dsn: "{dsn}" }}
socket: {{ path: {directory}/sock, mode: "{mode}" }}
state_dir: {directory}/state
log: {{ format: text }}
tasks:
  nothing: {{ type: custom, executor: noop }}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for a configuration and a socket."""
    with tempfile.TemporaryDirectory(prefix="ja-") as directory:
        yield Path(directory)


def _configured(place: Path, dsn: str, mode: str = "0600") -> Path:
    config = place / "jamaintd.yaml"
    config.write_text(CONFIG.format(dsn=dsn, directory=place, mode=mode))
    return config


@pytest.fixture
def absent(place: Path) -> Iterator[tuple[Daemon, Path]]:
    """A daemon whose database cannot be reached: its socket lies in a directory that is not there yet."""
    running = Daemon(_configured(place, f"postgresql://root@/jamaint?host={place}/postgres"))
    try:
        assert running.wait_ready()
        yield running, place / "sock"
    finally:
        if running.process.poll() is None:
            running.stop()


def test_seal_key_damaged_is_an_alert_until_it_is_restored(place: Path, database: str) -> None:
    config, key = _configured(place, database), place / "state" / "seal.key"
    first = Daemon(config)
    assert first.wait_ready()
    assert first.stop() == 0
    whole = key.read_bytes()
    key.write_bytes(whole[:16])
    running = Daemon(config)
    try:
        assert running.wait_ready()
        with client(place / "sock") as caller:
            (alert,) = caller.call("status")["alerts"]
            assert (alert["kind"], alert["severity"]) == ("not_up", "critical")
            assert f"cp -p {key}.copy {key}" in alert["message"]
            assert refusal(caller, "execution.start", task="nothing").code == UNAVAILABLE
            assert key.read_bytes() == whole[:16]
            subprocess.run(alert["message"].split("`")[1], shell=True, check=True)
            running.wait_told("STATUS=1 task")
            assert caller.run("nothing")["status"] == "completed"
        assert config.with_suffix(".log").read_text().count("cp -p") == 1
    finally:
        if running.process.poll() is None:
            running.stop()


class TestAnAddressThatCanNeverBeUsed:
    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("port=abc", "port that is no number"),
            ("service=maint", "names a service, and"),
            ("sslmode=verify-full", "sslrootcert=FILE"),
            ("channel_binding=require", "leave it out"),
        ],
    )
    def test_ends_it_with_a_sentence(self, place: Path, query: str, words: str) -> None:
        config = _configured(place, f"postgresql://app@127.0.0.1/jamaint?{query}")
        ended = subprocess.run(
            [sys.executable, "-m", "jamaint.daemon.main", "--config", str(config)],
            env={**os.environ, "HOME": str(place), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = ended.stderr + ended.stdout
        assert (ended.returncode, words in said, "Traceback" in said) == (7, True, False), said


class TestWithoutItsDatabase:
    def test_status_says_what_it_waits_for(self, absent: tuple[Daemon, Path]) -> None:
        _, path = absent
        with client(path) as call:
            status = call.call("status")
            assert status["overall"] == "issues"
            assert status["daemon"]["database"]["state"] == "degraded"
            assert status["daemon"]["database"]["detail"].startswith("waiting for the database: ")
            assert status["scheduler"]["tasks"] == 1
            assert call.call("daemon.version")["postgresql"] is None

    def test_what_needs_it_is_refused_for_now(self, absent: tuple[Daemon, Path]) -> None:
        _, path = absent
        with client(path) as call:
            for method, params in (("execution.start", {"task": "nothing"}), ("task.list", {}), ("daemon.reload", {})):
                problem = refusal(call, method, **params)
                assert problem.code == UNAVAILABLE
                assert "not up yet: waiting for the database" in problem.message
                assert problem.data["retry_after"] == 5

    def test_what_a_person_sees(self, absent: tuple[Daemon, Path]) -> None:
        _, path = absent
        shown = _typed(path, "status")
        assert shown.returncode == 0
        assert "waiting for the database" in shown.stdout
        refused = _typed(path, "--timeout", "1", "execute", "nothing")
        assert refused.returncode == 3
        assert "waiting for the database" in refused.stderr
        assert _typed(path, "--json", "status").returncode == 0

    def test_it_can_be_stopped(self, absent: tuple[Daemon, Path]) -> None:
        running, path = absent
        assert running.stop() == 0
        assert not path.exists()

    def test_it_is_up_when_the_database_is(self, place: Path, database: str) -> None:
        name, _, where = database.partition("?host=")
        running = Daemon(_configured(place, f"{name}?host={place}/postgres"))
        try:
            assert running.wait_ready()
            with client(place / "sock") as call:
                assert refusal(call, "execution.start", task="nothing").code == UNAVAILABLE
                os.symlink(where.split("&")[0], place / "postgres")
                assert running.wait_ready()  # it says so a second time
                assert call.run("nothing")["status"] == "completed"
                assert call.call("status")["daemon"]["database"] == {"state": "ok", "detail": None}
                entries = call.call("audit.list")["items"]
                assert [(entry["method"], entry["outcome"]) for entry in entries] == [
                    ("execution.start", "done"),
                    ("execution.start", "refused"),
                ]
        finally:
            running.stop()

    def test_execute_waits_for_a_daemon_that_is_coming_up(self, place: Path, database: str) -> None:
        name, _, where = database.partition("?host=")
        running = Daemon(_configured(place, f"{name}?host={place}/postgres"))
        try:
            assert running.wait_ready()
            command = [sys.executable, "-m", "jamaint.ctl", "--socket", str(place / "sock"), "--timeout", "60"]
            with subprocess.Popen([*command, "execute", "nothing"], stderr=subprocess.PIPE, text=True) as typed:
                assert typed.stderr is not None
                assert "waiting up to 60 s for it" in typed.stderr.readline()
                os.symlink(where.split("&")[0], place / "postgres")
                assert typed.wait(60) == 0, typed.stderr.read()
        finally:
            running.stop()


class TestASocketOfSystemds:
    def test_the_file_and_the_clients_outlive_the_daemon(self, place: Path, database: str) -> None:
        config = _configured(place, database)
        with _listener(place / "sock") as ours:
            early = Client(place / "sock")
            early.begin("daemon.version")
            with _serving(config, ours):
                assert early.receive().error is None
                early.close()
            late = Client(place / "sock")
            late.begin("daemon.version")
            with _serving(config, ours):
                assert late.receive().error is None
                late.close()
            assert (place / "sock").exists()

    def test_no_client_is_turned_away_by_a_restart(self, place: Path, database: str) -> None:
        config = _configured(place, database)
        ended = threading.Event()
        answered, failed = [0] * CLIENTS, list[BaseException]()

        def ask(number: int) -> None:
            while not ended.is_set():
                try:
                    with client(place / "sock") as call:
                        call.call("daemon.version")
                    answered[number] += 1
                except (OSError, EOFError, JamaintError) as error:
                    failed.append(error)

        with _listener(place / "sock") as ours:
            askers = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
            for asker in askers:
                asker.start()
            for number in range(DAEMONS):
                with _serving(config, ours):
                    if number == DAEMONS - 1:
                        ended.set()
                        for asker in askers:
                            asker.join()
        assert failed == []
        assert sum(answered) >= DAEMONS

    def test_it_gets_the_mode_of_the_configuration(self, place: Path, database: str) -> None:
        with _listener(place / "sock") as ours, _serving(_configured(place, database, mode="0666"), ours):
            assert (place / "sock").stat().st_mode & 0o777 == 0o666

    def test_one_at_another_path_is_served_too(self, place: Path, database: str) -> None:
        with _listener(place / "other") as ours, _serving(_configured(place, database), ours):
            for path in (place / "other", place / "sock"):
                with client(path) as call:
                    assert call.call("daemon.version")

    def test_a_daemon_started_by_hand_leaves_it_alone(self, place: Path) -> None:
        with (
            _listener(place / "sock"),
            pytest.raises(JamaintError, match=r"systemctl stop jamaintd\.socket") as refused,
            listening(str(place / "sock"), 0o600, None),
        ):
            pass
        assert refused.value.code == CONFLICT


def _listener(path: Path) -> socket.socket:
    """As systemd makes one."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen(4096)
    return made


class _serving:  # noqa: N801 - used as a block
    """A daemon that got the socket, for the block."""

    def __init__(self, config: Path, listener: socket.socket) -> None:
        self._running = Daemon(config, passed=listener)

    def __enter__(self) -> Daemon:
        assert self._running.wait_ready(), self._running.config.with_suffix(".log").read_text()
        return self._running

    def __exit__(self, *_: object) -> None:
        assert self._running.stop() == 0


def _typed(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CTL), "--socket", str(path), *words], capture_output=True, text=True, check=False, timeout=60
    )
