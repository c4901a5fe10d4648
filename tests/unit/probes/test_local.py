"""Facts, asked of this very machine: its kernel, servers and programs of the tests' own, and looks that hang."""

import os
import pwd
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from jamaint.core.conditions import KINDS, Unknown
from jamaint.core.conditions.command import Ended
from jamaint.core.conditions.unit import Unit
from jamaint.core.tasks import Condition
from jamaint.host.processes.run import MARK
from jamaint.probes.local import LOOKS, ProbeContext, look, mains_power, pressure, processor, unit
from jamaint.probes.local.context import LookError
from jamaint.probes.worker_pool import FACTS, ProbePool

HAS_PSI, HAS_SYSTEMD = Path("/proc/pressure").exists(), Path("/run/systemd/system").exists()


async def found(kind: str, /, **params: Any) -> Any:
    async with trio.open_nursery() as nursery:
        outside = ProbeContext(ProbePool(lambda _text: None))
        await nursery.start(outside.lookers.serve)
        answer = await look(Condition(kind, params), outside)
        nursery.cancel_scope.cancel()
    return answer


def test_each_kind_that_is_judged_is_looked_at_by_the_daemon_or_by_a_worker():
    assert LOOKS.keys() | FACTS.keys() == KINDS.keys()
    assert LOOKS.keys() & FACTS.keys() == set()


class TestTheKernel:
    async def test_the_load(self):
        load = await found("load_average")
        assert load.averages.keys() == {1, 5, 15}
        assert load.processors == os.cpu_count()
        assert all(0 <= average < 100_000 for average in load.averages.values())

    async def test_how_busy_the_processors_are(self):
        assert 0 <= await found("processor") <= 1

    @pytest.mark.parametrize(
        ("before", "after", "share"),
        [
            ("cpu 100 0 100 800 0 0 0 0 0 0", "cpu 150 0 150 900 0 0 0 0 0 0", 0.5),
            ("cpu 100 0 100 800 0 0 0 0 0 0", "cpu 100 0 100 850 50 0 0 0 0 0", 0.0),
            ("cpu 0 0 0 0 0 0 0 0 50 0", "cpu 10 0 0 0 0 0 0 0 60 0", 1.0),
            ("cpu 5 0 0 5 0 0 0 0 0 0", "cpu 5 0 0 5 0 0 0 0 0 0", 0.0),
        ],
        ids=["half", "waiting for a disk is idle", "guests count once", "no time has passed"],
    )
    def test_busy_is_what_is_not_idle(self, before, after, share):
        assert processor.busy_share(before, after) == share

    async def test_the_memory(self):
        memory = await found("memory_available")
        assert 0 < memory.available_bytes <= memory.total_bytes

    async def test_the_disk(self, tmp_path: Path):
        disk = await found("disk_free", path=str(tmp_path))
        assert 0 <= disk.free_bytes <= disk.total_bytes
        assert await found("disk_free", path=str(tmp_path / "none")) == Unknown("no such file or directory")

    @pytest.mark.parametrize("resource", ["cpu", "memory", "io"])
    async def test_the_pressure(self, resource):
        share = await found("pressure", resource=resource, stall="some", seconds=300)
        if HAS_PSI:
            assert 0 <= share <= 1
        else:
            assert "this kernel does not measure it" in share.why

    def test_the_pressure_of_each_kind_and_time(self):
        text = "some avg10=12.50 avg60=1.00 avg300=0.00 total=9\nfull avg10=3.00 avg60=0.25 avg300=0.10 total=4\n"
        assert pressure.stalled_share(text, "some", 10) == 0.125
        assert pressure.stalled_share(text, "full", 60) == 0.0025
        with pytest.raises(LookError, match="does not measure `full`"):
            pressure.stalled_share(text.splitlines()[0], "full", 60)

    async def test_a_kernel_without_it(self, monkeypatch, tmp_path: Path):
        monkeypatch.setattr(pressure, "DIRECTORY", str(tmp_path))
        unknown = await found("pressure", resource="io", stall="some", seconds=60)
        assert unknown == Unknown("this kernel does not measure it (No such file or directory)")

    async def test_who_is_logged_in(self):
        assert isinstance(await found("logged_in_users"), frozenset)


class TestPower:
    async def test_of_this_machine(self):
        assert await found("mains_power") in (True, False)

    @pytest.mark.parametrize(
        ("supplies", "on_mains"),
        [
            ({}, True),
            ({"AC": {"type": "Mains", "online": "1"}, "B": {"type": "Battery", "status": "Charging"}}, True),
            ({"AC": {"type": "Mains", "online": "0"}, "B": {"type": "Battery", "status": "Discharging"}}, False),
            ({"AC": {"type": "Mains", "online": "0"}, "B": {"type": "Battery", "status": "Full"}}, False),
            ({"B": {"type": "Battery", "status": "Discharging"}}, False),
            ({"B": {"type": "Battery", "status": "Full"}}, True),
            ({"M": {"type": "Battery", "status": "Discharging", "scope": "Device"}}, True),
        ],
        ids=["a server", "plugged in", "unplugged", "just unplugged", "no plug", "full", "a mouse's battery"],
    )
    def test_as_the_kernel_tells_it(self, tmp_path: Path, supplies, on_mains):
        for name, keys in supplies.items():
            (tmp_path / name).mkdir()
            for key, value in keys.items():
                (tmp_path / name / key).write_text(f"{value}\n")
        assert mains_power.on_mains(str(tmp_path)) is on_mains

    def test_without_the_directory_it_is_a_server(self, tmp_path: Path):
        assert mains_power.on_mains(str(tmp_path / "none")) is True


class TestUnits:
    def test_as_systemctl_tells_it(self):
        text = "LoadState=loaded\nActiveState=active\nSubState=exited\n"
        assert unit.parse(text) == Unit("loaded", "active", "exited")

    async def test_without_a_systemd_it_is_unknown_and_with_one_it_is_told(self):
        state = await found("unit", name="no-such-unit-of-ours.service")
        if HAS_SYSTEMD:
            assert state == Unit("not-found", "inactive", "dead")
        else:
            assert "systemd does not tell: " in state.why or "no such file" in state.why


class TestFiles:
    async def test_its_age_since_its_content_was_changed(self, tmp_path: Path):
        file = tmp_path / "f"
        file.write_text("x")
        os.utime(file, (0, time.time() - 3600))
        assert 3600 <= (await found("file", path=str(file))).age_seconds < 3600 + 600

    async def test_none_is_there(self, tmp_path: Path):
        (tmp_path / "f").write_text("")
        assert (await found("file", path=str(tmp_path / "none"))).age_seconds is None
        assert (await found("file", path=str(tmp_path / "f" / "below"))).age_seconds is None

    async def test_what_leads_nowhere(self, tmp_path: Path):
        (tmp_path / "l").symlink_to("l")
        assert await found("file", path=str(tmp_path / "l")) == Unknown("too many levels of symbolic links")


async def ends(script: str, seconds: float = 60.0, user: str | None = None) -> Any:
    command = (sys.executable, "-c", script)
    return await found("command", command=command, exit_codes=(0,), timeout_seconds=seconds, user=user)


class TestCommands:
    async def test_its_exit_code_and_last_line(self):
        assert await ends("print('one'); print('two\\n\\n'); raise SystemExit(3)") == Ended(3, "two")

    async def test_what_it_says_is_made_harmless_and_cut_short(self):
        said = (await ends("import sys; sys.stderr.write('\\x1b[31mred' + 'x' * 10**6)")).last_line
        assert len(said) <= 200
        assert said.isprintable()

    async def test_a_signal(self):
        assert (await ends("import os; os.kill(os.getpid(), 9)")).exit_code == -9

    async def test_no_shell_and_no_environment_of_the_daemon_s(self, monkeypatch):
        monkeypatch.setenv("JAMAINT_SECRET", "x")
        code = "import os; print(sorted(name for name in os.environ if name.startswith('JAMAINT')))"
        assert await ends(code) == Ended(0, f"['{MARK}']")  # by which it is found when it has to be ended

    async def test_one_that_is_not_there(self):
        found_ = await found("command", command=("/no/such",), exit_codes=(0,), timeout_seconds=5.0, user=None)
        assert found_ == Unknown("no such file or directory")

    async def test_a_user_that_is_not_there(self):
        assert await ends("", user="nobody-of-ours") == Unknown("there is no user nobody-of-ours on this machine")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    async def test_as_another_user(self):
        command = {"command": ("id", "-u"), "exit_codes": (0,), "timeout_seconds": 60.0}
        assert await found("command", **command, user="nobody") == Ended(0, str(pwd.getpwnam("nobody").pw_uid))

    async def test_when_its_time_is_up_it_is_killed_with_what_it_has_started(self, tmp_path: Path):
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        script = (
            "import subprocess, time\n"
            f"with open({str(fifo)!r}, 'w') as fifo:\n"
            "    print('up', file=fifo, flush=True)\n"
            "    subprocess.Popen(['sleep', '1000'], stdout=fifo)\n"
            "time.sleep(1000)\n"
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends, script)
            await trio.lowlevel.wait_readable(held)
            assert os.read(held, 99) == b"up\n"
            nursery.cancel_scope.cancel()
        await trio.lowlevel.wait_readable(held)
        assert os.read(held, 1) == b""  # the last that had it open is gone
        os.close(held)

    async def test_what_stays_behind_does_not_keep_the_look(self):
        script = "import subprocess, sys; subprocess.Popen(['sleep', '1000']); print('done')"
        assert await ends(script) == Ended(0, "done")

    async def test_a_time_that_is_up_is_told(self):
        assert await ends("import time; time.sleep(1000)", seconds=0.05) == Unknown("no answer within 0.1 s")


@contextmanager
def server(*answers: bytes, hold: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Answers one connection after the other; the port, and what was asked."""
    asked: list[bytes] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)
                    if hold:
                        stop.wait(60)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            stop.set()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class TestServers:
    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (b"HTTP/1.1 200 OK\r\n\r\nbody", 200),
            (b"HTTP/1.0 503 Busy\r\n", 503),
            (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", 301),
            (b"HTTP/1.1 204\r\n\r\n", 204),
            (b"SSH-2.0-OpenSSH\r\n", Unknown("what answers does not speak HTTP")),
            (b"x" * 5000, Unknown("what answers does not speak HTTP")),
            (b"", Unknown("it hung up without an answer")),
        ],
    )
    async def test_the_status_is_the_first_line_s(self, answer, status):
        with server(answer) as (port, asked):
            url = f"http://127.0.0.1:{port}/health?q=1"
            assert await found("http", url=url, status=(200,), timeout_seconds=60.0) == status
        assert asked[0].startswith(b"GET /health?q=1 HTTP/1.1\r\nHost: 127.0.0.1:")

    async def test_headers_and_addresses_that_are_secrets(self, tmp_path):
        for name, text in (
            ("token", "Bearer planted-token"),
            ("broken", "a\r\nX: y"),
            ("no-address", "planted-nowhere"),
        ):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        usual = {"status": (200,), "timeout_seconds": 60.0}
        with server(b"HTTP/1.1 200 OK\r\n") as (port, asked):
            (tmp_path / "url").write_text(f"http://127.0.0.1:{port}/hook?key=planted\n")
            (tmp_path / "url").chmod(0o600)
            url = {"secret": {"file": str(tmp_path / "url")}}
            headers = {"Authorization": {"secret": {"file": str(tmp_path / "token")}}}
            assert await found("http", url=url, headers=headers, **usual) == 200
            assert b"GET /hook?key=planted " in asked[0]
            assert b"\r\nAuthorization: Bearer planted-token\r\n" in asked[0]
            for name in ("broken", "no-address", "nothing"):
                broken = {"url": url, "headers": {"X": {"secret": {"file": str(tmp_path / name)}}}}
                if name == "no-address":
                    broken = {"url": {"secret": {"file": str(tmp_path / name)}}}
                unknown = await found("http", **broken, **usual)
                assert isinstance(unknown, Unknown)
                assert "planted" not in unknown.why

    async def test_one_that_drips_has_its_time(self):
        with server(b"HTTP/1.1 2", hold=True) as (port, _asked):
            url = f"http://127.0.0.1:{port}"
            unknown = await found("http", url=url, status=(200,), timeout_seconds=0.05)
        assert unknown == Unknown("no answer within 0.1 s")

    async def test_a_certificate_must_be_good(self):
        with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _asked):
            unknown = await found("http", url=f"https://127.0.0.1:{port}/", status=(200,), timeout_seconds=60.0)
        assert isinstance(unknown, Unknown)

    async def test_nobody_listens(self):
        port = _free_port()
        unknown = await found("http", url=f"http://127.0.0.1:{port}/", status=(200,), timeout_seconds=60.0)
        assert unknown == Unknown("connection refused")
        assert await found("tcp", host="127.0.0.1", port=port, timeout_seconds=60.0) == "connection refused"

    async def test_somebody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            assert await found("tcp", host="127.0.0.1", port=port, timeout_seconds=60.0) == ""

    async def test_a_name_that_is_none(self):
        unknown = await found("tcp", host="no-such-host.invalid", port=1, timeout_seconds=60.0)
        assert unknown.why.startswith("the name cannot be resolved")


async def test_a_look_that_hangs_is_left_behind_and_not_begun_again(monkeypatch):
    """As at a network mount whose server is gone: statvfs does not come back."""
    back = threading.Event()
    began: list[str] = []

    def hang(path: str) -> Any:
        began.append(path)
        back.wait(60)
        return os.lstat("/")

    monkeypatch.setattr(os, "statvfs", hang)
    outside, condition = (
        ProbeContext(),
        Condition("disk_free", {"path": "/mnt", "min_bytes": 1, "timeout_seconds": 0.05}),
    )
    assert await look(condition, outside) == Unknown("no answer within 0.1 s")
    assert await look(condition, outside) == Unknown("an earlier look at it has not come back")
    other = await look(Condition("load_average", {}), outside)
    assert not isinstance(other, Unknown)
    assert began == ["/mnt"]
    back.set()
