"""Lines to descriptors that stop taking them: nothing waits, nothing is torn, what is lost is counted."""

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.host.logging.stderr import Lines

LIMIT = 16 * 1024


@pytest.fixture(params=["pipe", "pipe of another user", "socket"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """(read end, write end); nobody reads unless the test does."""
    if request.param == "socket":
        left, right = socket.socketpair()
        with left, right:
            yield left.fileno(), right.fileno()
        return
    if request.param != "pipe":
        monkeypatch.setattr(os, "open", _refuse)
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        try:
            os.close(fd)
        except OSError:  # the test has closed it
            continue


def _refuse(*args: object) -> int:
    raise PermissionError(13, "Permission denied")


def _fill(lines: Lines) -> int:
    written = 0
    while not lines.dropped:
        lines.write(f"line {written} {'x' * 200}")
        written += 1
        assert written < 100_000, "it never filled"
    return written - 1


def _read_all(fd: int) -> bytes:
    os.set_blocking(fd, False)
    found = b""
    while True:
        try:
            chunk = os.read(fd, 1 << 20)
        except BlockingIOError:
            return found
        if not chunk:
            return found
        found += chunk


def test_a_reader_that_reads_nothing_holds_nobody_up(ends: tuple[int, int]) -> None:
    read, write = ends
    lines = Lines(write, LIMIT)
    kept = _fill(lines)
    got = b""
    while chunk := _read_all(read):
        got += chunk
        lines.drain(0)
    lines.write("after")
    got += _read_all(read)
    expected = [f"line {number} {'x' * 200}" for number in range(kept)]
    assert got.decode().splitlines() == [*expected, "jamaintd: 1 lines were lost here, nobody read them", "after"]
    lines.close()


def test_others_who_share_the_descriptor_notice_nothing(ends: tuple[int, int]) -> None:
    read, write = ends
    lines = Lines(write, LIMIT)
    _fill(lines)
    assert not fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK
    lines.close()
    assert not fcntl.fcntl(write, fcntl.F_GETFL) & os.O_NONBLOCK
    assert fcntl.fcntl(read, fcntl.F_GETFD) >= 0


def test_a_reader_that_has_gone_is_counted(ends: tuple[int, int]) -> None:
    read, write = ends
    lines = Lines(os.dup(write), LIMIT)
    if os.fstat(read).st_mode & 0o170000 == 0o140000:
        with socket.socket(fileno=os.dup(read)) as reader:
            reader.shutdown(socket.SHUT_RDWR)
    else:
        os.close(read)
    lines.write("to nobody")
    assert lines.dropped == 1
    lines.close()


def test_what_is_kept_goes_at_the_end_when_somebody_reads(ends: tuple[int, int]) -> None:
    read, write = ends
    lines = Lines(write, LIMIT)
    kept = _fill(lines)
    found: list[bytes] = []

    def read_until_the_last() -> None:
        while f"line {kept - 1} ".encode() not in b"".join(found)[-400:]:
            found.append(os.read(read, 65536))

    reader = threading.Thread(target=read_until_the_last)
    reader.start()
    assert lines.drain(30)
    reader.join()
    lines.close()


def test_the_end_is_not_put_off_for_ever(ends: tuple[int, int]) -> None:
    lines = Lines(ends[1], LIMIT)
    _fill(lines)
    assert not lines.drain(0.01)
    lines.close()


def test_a_line_longer_than_the_limit_is_lost_alone(ends: tuple[int, int]) -> None:
    read, write = ends
    lines = Lines(write, LIMIT)
    lines.write("x" * LIMIT)
    lines.write("short")
    assert _read_all(read) == b"jamaintd: 1 lines were lost here, nobody read them\nshort\n"
    lines.close()


def test_a_file_gets_lines_after_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("a") as file:
        file.write("before\n")
        file.flush()
        lines = Lines(file.fileno())
        lines.write("größe \udcff")
        lines.close()
    assert path.read_text() == "before\ngröße \\udcff\n"


def test_a_full_disk_and_a_closed_stderr_cost_the_line_only() -> None:
    with open("/dev/full", "w") as full:
        lines = Lines(full.fileno())
        lines.write("a")
        assert lines.dropped == 1
        lines.close()
    closed = os.dup(2)
    os.close(closed)
    lines = Lines(closed)
    lines.write("a")
    assert lines.dropped == 1
