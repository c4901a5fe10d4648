"""Which process a pid file may have us signal: none that its owner could not signal himself."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.executors.logs_rotate.signal_writer import SignalError, signal_writer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
NOBODY = 65534


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def pid_file(directory: Path, content: object, mode: int = 0o644, uid: int | None = None) -> str:
    path = directory / "x.pid"
    path.write_text(f"{content}\n")
    path.chmod(mode)
    if uid is not None:
        os.chown(path, uid, -1)
    return str(path)


def refusal(path: str) -> str:
    with pytest.raises(SignalError) as refused:
        signal_writer(path, "USR1")
    return str(refused.value)


def test_our_own_file(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert signal_writer(pid_file(tmp_path, sleeper.pid), "USR1") == sleeper.pid
    assert sleeper.wait() == -signal.SIGUSR1


@pytest.mark.parametrize("content", ["", "0", "1", "-5", "x", "12 13", 1 << 40])
def test_what_is_no_number_of_a_process(content: object, tmp_path: Path) -> None:
    path = pid_file(tmp_path, content)
    assert refusal(path) == f"{path} holds no number of a process"


def test_a_process_that_has_ended(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert refusal(pid_file(tmp_path, process.pid)).endswith(": no such process")


def test_a_link_and_a_fifo(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pid_file(tmp_path, 5))
    assert "cannot be read" in refusal(str(tmp_path / "link"))
    os.mkfifo(tmp_path / "fifo")
    assert "holds no number" in refusal(str(tmp_path / "fifo"))


def test_a_file_that_others_may_write(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = pid_file(tmp_path, sleeper.pid, 0o666)
    assert refusal(path) == f"{path} may be written by others than its owner (mode 0666)"
    assert sleeper.poll() is None


@as_root
def test_another_users_file_reaches_only_that_users_processes(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = pid_file(tmp_path, sleeper.pid, uid=NOBODY)
    assert refusal(path) == f"{path} belongs to uid {NOBODY}, and process {sleeper.pid} in it to uid 0"
    assert sleeper.poll() is None
    with subprocess.Popen(["sleep", "600"], user=NOBODY) as theirs:
        signal_writer(pid_file(tmp_path, theirs.pid, uid=NOBODY), "USR1")
        assert theirs.wait() == -signal.SIGUSR1


@as_root
def test_a_file_of_roots_in_a_directory_of_another_user(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    path = pid_file(tmp_path / "theirs", sleeper.pid)
    os.chown(tmp_path / "theirs", NOBODY, -1)
    assert f"belongs to uid {NOBODY}" in refusal(path)
    assert sleeper.poll() is None


@as_root
def test_link_of_another_user_on_the_way_lends_no_file_of_roots(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "roots").mkdir()
    pid_file(tmp_path / "roots", sleeper.pid)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "run").symlink_to(tmp_path / "roots")
    os.chown(tmp_path / "theirs", NOBODY, -1)
    assert f"belongs to uid {NOBODY}" in refusal(str(tmp_path / "theirs" / "run" / "x.pid"))
    assert sleeper.poll() is None


def test_link_that_nobody_else_can_change_is_followed(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    pid_file(tmp_path / "run", sleeper.pid)
    assert signal_writer(str(tmp_path / "link" / "x.pid"), "USR1") == sleeper.pid
    assert sleeper.wait() == -signal.SIGUSR1


@as_root
def test_file_of_roots_in_a_directory_that_a_group_may_write_in(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    path = pid_file(tmp_path / "shared", sleeper.pid)
    (tmp_path / "shared").chmod(0o1777)
    assert "may be written by everyone" in refusal(path)
    assert sleeper.poll() is None
