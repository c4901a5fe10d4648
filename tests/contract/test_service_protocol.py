"""Both ways to speak to systemd keep one contract, against a real datagram socket and real descriptors."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.host import service_manager

IMPLEMENTATIONS = ["own", "systemd-python"]


@pytest.fixture(params=IMPLEMENTATIONS)
def by(request: pytest.FixtureRequest) -> service_manager.Implementation:
    if request.param not in service_manager.IMPLEMENTATIONS:
        pytest.skip("systemd-python cannot be imported here")
    return service_manager.IMPLEMENTATIONS[request.param]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"\0jamaint-test-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name)
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        yield receiver


def test_lines_arrive_in_one_datagram(manager: socket.socket, by: service_manager.Implementation) -> None:
    assert service_manager.notify("READY=1", "STATUS=übt", by=by)
    assert manager.recv(4096).decode() == "READY=1\nSTATUS=übt"


def test_a_status_cannot_smuggle_in_another_assignment(
    manager: socket.socket, by: service_manager.Implementation
) -> None:
    assert service_manager.notify("STATUS=task a\nMAINPID=1\0", by=by)
    assert manager.recv(4096) == b"STATUS=task a MAINPID=1 "


def test_a_manager_that_does_not_read_is_not_waited_for(
    manager: socket.socket, by: service_manager.Implementation
) -> None:
    taken = 0
    while service_manager.notify("WATCHDOG=1", by=by):
        taken += 1
        assert taken < 100_000, "the queue never filled"
    assert taken > 0
    manager.recv(4096)
    assert service_manager.notify("WATCHDOG=1", by=by)


@pytest.mark.parametrize(
    "value", ["", "relative", "/no/such/socket", "@nobody-listens-here", "/" + "x" * 200, "vsock:2:1"]
)
def test_no_manager_is_no_error(
    by: service_manager.Implementation, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", value)
    assert not service_manager.notify("READY=1", by=by)


def test_without_the_variable_nothing_is_sent(
    by: service_manager.Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not service_manager.notify("READY=1", by=by)


def test_a_socket_that_nobody_reads_any_more(
    tmp_path: Path, by: service_manager.Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    assert path.exists()
    assert not service_manager.notify("READY=1", by=by)


_CHILD = """
import json, os, sys
for place, fd in enumerate(json.loads(sys.argv[2])):
    os.dup2(fd, 100 + place)
for place, _ in enumerate(json.loads(sys.argv[2])):
    os.dup2(100 + place, 3 + place)
os.environ.update({name: value.replace("SELF", str(os.getpid())) for name, value in json.loads(sys.argv[3]).items()})
from jamaint.host import service_manager as systemd
found = systemd.listen_fds(by=systemd.IMPLEMENTATIONS[sys.argv[1]])
print(json.dumps({
    "found": [[entry.name, entry.socket.fileno(), entry.socket.type, entry.socket.getsockname()] for entry in found],
    "inheritable": [entry.socket.get_inheritable() for entry in found],
    "again": len(systemd.listen_fds(by=systemd.IMPLEMENTATIONS[sys.argv[1]])),
    "left": [name for name in os.environ if name.startswith("LISTEN_")],
}))
"""


def _activated(by: service_manager.Implementation, fds: list[int], variables: dict[str, str]) -> dict[str, object]:
    name = next(name for name, value in service_manager.IMPLEMENTATIONS.items() if value is by)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, name, json.dumps(fds), json.dumps(variables)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        pass_fds=fds,
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_sockets_come_with_their_names_and_once(tmp_path: Path, by: service_manager.Implementation) -> None:
    with socket.socket(socket.AF_UNIX) as stream, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        stream.bind(str(tmp_path / "control"))
        stream.listen()
        datagram.bind(str(tmp_path / "other"))
        fds = [stream.fileno(), datagram.fileno()]
        answer = _activated(by, fds, {"LISTEN_FDS": "2", "LISTEN_PID": "SELF", "LISTEN_FDNAMES": "control:other"})
    assert answer["found"] == [
        ["control", 3, socket.SOCK_STREAM, str(tmp_path / "control")],
        ["other", 4, socket.SOCK_DGRAM, str(tmp_path / "other")],
    ]
    assert answer["inheritable"] == [False, False]
    assert (answer["again"], answer["left"]) == (0, [])


def test_a_socket_without_a_name_and_a_file(tmp_path: Path, by: service_manager.Implementation) -> None:
    with socket.socket(socket.AF_UNIX) as stream, (tmp_path / "file").open("w") as file:
        stream.bind(str(tmp_path / "control"))
        answer = _activated(by, [file.fileno(), stream.fileno()], {"LISTEN_FDS": "2", "LISTEN_PID": "SELF"})
    assert answer["found"] == [["unknown", 4, socket.SOCK_STREAM, str(tmp_path / "control")]]


@pytest.mark.parametrize(
    "variables",
    [
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "one", "LISTEN_PID": "SELF"},
        {"LISTEN_FDS": "-3", "LISTEN_PID": "SELF"},
        {"LISTEN_FDS": "1"},
        {},
    ],
)
def test_what_is_not_for_this_process_is_left_alone(
    by: service_manager.Implementation, variables: dict[str, str]
) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        answer = _activated(by, [stream.fileno()], variables)
    assert (answer["found"], answer["left"]) == ([], [])
