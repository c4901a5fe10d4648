"""A socket file is left alone while any process has it, under whatever name and in whatever network namespace."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jamaint.errors import JamaintError
from jamaint.host import listen_socket
from jamaint.host.unix_sockets import LISTENING, why_socket_stays

LISTEN = """
import os, socket, sys
os.chdir(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[2])
listening.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def why(path: Path) -> str:
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return why_socket_stays(path.name, fd)
    finally:
        os.close(fd)


@contextmanager
def listening(directory: Path, name: str, *enter: str) -> Iterator[None]:
    command = [*enter, sys.executable, "-c", LISTEN, str(directory), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("renamed", [False, True])
def test_socket_stays_while_it_is_bound(tmp_path: Path, kind: socket.SocketKind, renamed: bool) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, kind) as bound:
        bound.bind(str(path))
        path = path.rename(tmp_path / "renamed") if renamed else path
        assert why(path) == LISTENING
        if kind != socket.SOCK_DGRAM:
            bound.listen()
            assert why(path) == LISTENING
            bound.setblocking(False)
            with pytest.raises(BlockingIOError):  # its owner has not noticed
                bound.accept()
    assert why(path) == ""


def test_socket_that_takes_only_its_peer_stays(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        one.bind(str(tmp_path / "one"))
        other.bind(str(tmp_path / "other"))
        one.connect(str(tmp_path / "other"))
        assert why(tmp_path / "one") == LISTENING


def test_socket_bound_by_a_relative_name_stays(tmp_path: Path) -> None:
    with listening(tmp_path, "relative"):
        assert why(tmp_path / "relative") == LISTENING
    assert why(tmp_path / "relative") == ""


def test_socket_of_another_network_namespace_stays(tmp_path: Path) -> None:
    enter = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--net")
    if shutil.which("unshare") is None or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    with listening(tmp_path, "elsewhere", *enter):
        assert why(tmp_path / "elsewhere") == LISTENING
    assert why(tmp_path / "elsewhere") == ""


def test_name_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    (tmp_path / "link").symlink_to("dead")
    assert why(tmp_path / "link") == "it has become something else meanwhile"
    assert "cannot be known: No such file" in why(tmp_path / "gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a socket that another user may not use")
def test_socket_that_we_may_not_use_stays(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    (tmp_path / "s").chmod(0o600)
    os.chmod(tmp_path, 0o755)
    child = os.fork()
    if child == 0:
        fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        os.setresuid(65534, 65534, 65534)
        os._exit("cannot be known: Permission denied" not in why_socket_stays("s", fd))
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("how", ["renamed", "relative", "namespace"])
def test_daemon_takes_no_socket_that_another_process_has(tmp_path: Path, how: str) -> None:
    enter: tuple[str, ...] = ()
    if how == "namespace":
        enter = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--user", "--net")
        if not shutil.which("unshare") or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no network namespace can be made here")
    path = tmp_path / "jamaintd.sock"
    with listening(tmp_path, "made" if how == "renamed" else path.name, *enter):
        if how == "renamed":
            (tmp_path / "made").rename(path)
        with pytest.raises(JamaintError, match="another program does"), listen_socket.listening(str(path), 0o600, None):
            pass
        assert path.is_socket()
    with listen_socket.listening(str(path), 0o600, None) as taken:
        assert len(taken) == 1
