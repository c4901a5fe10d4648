"""What a command says: cut, escaped, bounded, and never held up."""

import os
import threading
import tracemalloc
from collections.abc import Callable

import pytest

from jamaint.host.processes.output import HEAD_BYTES, LINE_BYTES, TAIL_BYTES, Lines, Output, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, été, 漢字, \\ stays", "plain text, été, 漢字, \\ stays"),
        ("a\tb", "a\tb"),
        ("red \x1b[31m bell \a nul \0", "red \\x1b[31m bell \\x07 nul \\x00"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("c1 \x9b del \x7f", "c1 \\x9b del \\x7f"),
        ("txt.\u202eexe \u2066 \u200f \u2028", "txt.\\u202eexe \\u2066 \\u200f \\u2028"),
        ("not UTF-8: \udcff", "not UTF-8: \\udcff"),
    ],
)
def test_printable_shows_what_could_command_a_terminal_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_come_the_same_however_the_bytes_arrive() -> None:
    data = "un\ndeux été\n\ntrois\r\nx\0\xff quatre".encode()
    wanted = ["un", "deux été", "", "trois", "x\\x00ÿ quatre"]
    for size in range(1, len(data) + 1):
        lines = Lines()
        got = [text for start in range(0, len(data), size) for text in lines.feed(data[start : start + size])]
        assert [*got, *lines.flush()] == wanted, size


def test_bytes_that_are_no_text_come_as_escapes() -> None:
    assert list(Lines().feed(b"\xff\xfe caf\xc3\n")) == ["\\xff\\xfe caf\\xc3"]


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_a_long_line_goes_on_in_the_next_without_tearing_a_character(size: int) -> None:
    text = "é" * (3 * LINE_BYTES)
    data = b"x" + text.encode() + b"\n"
    lines = Lines()
    got = [line for start in range(0, len(data), size) for line in lines.feed(data[start : start + size])]
    assert "".join(got) == "x" + text
    assert all(len(line.encode()) <= LINE_BYTES for line in got)


class Pipe:
    """A pipe with an Output at its reading end."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self.lines: list[str] = []
        self.output = Output(on_line or self.lines.append)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.output.target, view) :]

    def finish(self) -> Output:
        self.output.finish()
        return self.output


def test_output_up_to_the_limits_comes_whole() -> None:
    pipe = Pipe()
    wanted = [f"{number:07}" for number in range((HEAD_BYTES + TAIL_BYTES) // 8)]
    pipe.write("".join(f"{line}\n" for line in wanted).encode())
    output = pipe.finish()
    assert pipe.lines == wanted
    assert (output.bytes, output.lines, output.omitted_bytes) == (HEAD_BYTES + TAIL_BYTES, len(wanted), 0)


def test_of_more_the_first_and_the_last_part_come_with_what_is_left_out_between() -> None:
    pipe = Pipe()
    written = b"".join(b"%09d\n" % number for number in range(500_000))
    pipe.write(written)
    output = pipe.finish()
    notice = next(line for line in pipe.lines if line.startswith("["))
    at = pipe.lines.index(notice)
    head, tail = pipe.lines[:at], pipe.lines[at + 1 :]
    assert head[0] == "000000000"
    assert tail[-1] == "000499999"
    assert notice == f"[{output.omitted_bytes} bytes of output are left out here]"
    assert HEAD_BYTES - 10 < sum(len(line) + 1 for line in head) <= HEAD_BYTES + 1
    assert TAIL_BYTES - 10 < 10 * len(tail) <= TAIL_BYTES
    assert output.bytes == len(written) == HEAD_BYTES + output.omitted_bytes + 10 * len(tail)
    assert output.lines == 500_000


def test_memory_does_not_grow_with_what_is_written() -> None:
    pipe = Pipe(lambda line: None)
    tracemalloc.start()
    try:
        for _ in range(64):
            pipe.write(b"x" * (1 << 20))
        pipe.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * HEAD_BYTES


def test_the_last_line_needs_no_newline() -> None:
    pipe = Pipe()
    pipe.write(b"first\n\nlast")
    output = pipe.finish()
    assert pipe.lines == ["first", "", "last"]
    assert (output.lines, output.last_line) == (3, "last")


def test_a_reader_that_takes_nothing_does_not_hold_up_the_writer() -> None:
    released = threading.Event()
    lines: list[str] = []

    def slow(line: str) -> None:
        assert released.wait(30)
        lines.append(line)

    pipe = Pipe(slow)
    pipe.write(b"0123456789abcde\n" * (HEAD_BYTES // 16))  # would block at the 64 KiB that a pipe holds
    released.set()
    assert pipe.finish().lines == len(lines) == HEAD_BYTES // 16


def test_it_finishes_though_somebody_else_still_holds_the_pipe() -> None:
    pipe = Pipe()
    other = os.dup(pipe.output.target)
    pipe.write(b"said\n")
    pipe.finish()
    os.close(other)
    assert pipe.lines == ["said"]


def test_what_on_line_raises_is_kept_and_nothing_more_is_handed_on() -> None:
    seen: list[str] = []

    def failing(line: str) -> None:
        seen.append(line)
        raise ConnectionError("gone")

    pipe = Pipe(failing)
    pipe.write(b"one\ntwo\n")
    output = pipe.finish()
    assert isinstance(output.failure, ConnectionError)
    assert seen == ["one"]
    assert output.lines == 2
