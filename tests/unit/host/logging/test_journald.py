"""The native protocol, against a real datagram socket."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.host.logging.journald import Journal, encode


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "socket"))
        channel.setblocking(False)
        yield channel


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(str(tmp_path / "socket"))
    yield opened
    opened.close()


def test_a_record_is_lines_of_name_and_value() -> None:
    assert encode([("MESSAGE", "größe=3"), ("PRIORITY", "6"), ("JAMAINT_EMPTY", "")]) == (
        "MESSAGE=größe=3\nPRIORITY=6\nJAMAINT_EMPTY=\n".encode()
    )


def test_a_value_with_line_breaks_cannot_make_a_field() -> None:
    value = "one\nPRIORITY=0\n"
    assert (
        encode([("JAMAINT_TEXT", value)]) == b"JAMAINT_TEXT\n" + struct.pack("<Q", len(value)) + value.encode() + b"\n"
    )


def test_names_of_files_keep_their_bytes() -> None:
    assert encode([("JAMAINT_PATH", os.fsdecode(b"/a/\xff"))]) == b"JAMAINT_PATH=/a/\xff\n"
    assert encode([("JAMAINT_PATH", "\ud800")]) == b"JAMAINT_PATH=\\ud800\n"


def test_a_record_is_one_datagram(journal: Journal, receiver: socket.socket) -> None:
    assert journal.send(b"MESSAGE=a\n")
    assert receiver.recv(4096) == b"MESSAGE=a\n"


def test_a_large_record_goes_as_a_sealed_file(journal: Journal, receiver: socket.socket) -> None:
    record = encode([("JAMAINT_LONG", "x" * 3_000_000)])
    assert journal.send(record)
    data, fds, _flags, _address = socket.recv_fds(receiver, 4096, 4)
    assert data == b""
    [fd] = fds
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        assert seals == fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        assert os.pread(fd, 4_000_000, 0) == record
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_journal_that_stalls_takes_no_more_and_holds_nobody_up(
    journal: Journal, receiver: socket.socket, size: int
) -> None:
    record = encode([("MESSAGE", "x" * size)])
    taken = 0
    while journal.send(record):
        taken += 1
        assert taken < 100_000, "the queue never filled"
    assert taken > 0
    _data, fds, _flags, _address = socket.recv_fds(receiver, 4096, 4)
    for fd in fds:
        os.close(fd)
    assert journal.send(record)
    while True:  # descriptors in flight would stay open until the receiver goes
        try:
            _data, fds, _flags, _address = socket.recv_fds(receiver, 4096, 4)
        except BlockingIOError:
            break
        for fd in fds:
            os.close(fd)


def test_no_journal_is_no_error_and_one_that_comes_is_found(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "socket"))
    assert not journal.send(b"MESSAGE=a\n")
    assert not journal.send(b"x" * 3_000_000)
    for _start in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(tmp_path / "socket"))
            assert journal.send(b"MESSAGE=b\n")
            assert receiver.recv(100) == b"MESSAGE=b\n"
        assert not journal.send(b"MESSAGE=c\n")
        (tmp_path / "socket").unlink()
    journal.close()


def test_descriptors_are_given_back(journal: Journal, receiver: socket.socket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _turn in range(20):
        journal.send(b"x" * 3_000_000)
    assert len(os.listdir("/proc/self/fd")) == before
