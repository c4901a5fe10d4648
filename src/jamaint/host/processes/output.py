"""What a command says, line by line: never held up by the reader, bounded, and safe to show on a terminal."""

import os
import select
from collections.abc import Callable, Iterator
from threading import Condition, Thread

HEAD_BYTES = 1 << 20
TAIL_BYTES = 64 << 10
LINE_BYTES = 8 << 10
_CHUNK_BYTES = 64 << 10
_LATE_BYTES = 1 << 20

_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    # Marks that turn the reading direction or break a line: with them a name can look like another.
    **{
        code: f"\\u{code:04x}"
        for code in (0x061C, *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    },
    ord("\t"): "\t",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
}


def printable(text: str) -> str:
    """The text as one line that cannot command a terminal: control characters and undecodable bytes as escapes.

    For people: a backslash stays what it is, so it cannot be turned back.
    """
    if text.isprintable():
        return text
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode("utf-8")


class Lines:
    """Cuts a stream of bytes into printable lines of at most LINE_BYTES; what is longer goes on in the next line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yields every line that is whole, and the pieces of one that is too long."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            yield from self._cut(line)
        *pieces, self._rest = _pieces(rest)
        for piece in pieces:
            yield _text(piece)

    def flush(self) -> Iterator[str]:
        """Yields the last line, which had no newline."""
        if self._rest:
            yield from self._cut(self._rest)
        self._rest = b""

    def _cut(self, line: bytes) -> Iterator[str]:
        for piece in _pieces(line.removesuffix(b"\r")):
            yield _text(piece)


class Output:
    """Reads a pipe in a thread, and hands its lines on in another, so that a slow `on_line` never blocks the writer.

    `target` is the end to write to: for a child, which keeps its own copy; then `let_go`, and `finish` at last. The
    first HEAD_BYTES come as they are written; of what follows the last TAIL_BYTES come at the end, after a line
    that tells how much was left out. Memory stays below HEAD_BYTES + 3 * TAIL_BYTES.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.bytes = 0
        self.lines = 0
        self.omitted_bytes = 0
        self.last_line = ""
        self.failure: Exception | None = None
        """What `on_line` raised; nothing is handed on after that."""
        self._on_line = on_line
        self._changed = Condition()
        self._head = bytearray()
        self._tail = bytearray()
        self._ended = False
        self._last_byte = b"\n"
        self._no_more = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            self._source, self.target = os.pipe()
        except OSError:
            os.close(self._no_more)
            raise
        os.set_blocking(self._source, False)
        self._threads = (Thread(target=self._read, daemon=True), Thread(target=self._hand_on, daemon=True))
        for thread in self._threads:
            thread.start()

    def let_go(self) -> None:
        """Closes `target` here, so that the end of the last writer is the end of the pipe."""
        target, self.target = self.target, -1
        if target >= 0:
            os.close(target)

    def finish(self) -> None:
        """To be called once when every writer has ended: waits until all that was written has been handed on."""
        self.let_go()
        os.eventfd_write(self._no_more, 1)
        for thread in self._threads:
            thread.join()
        os.close(self._no_more)
        os.close(self._source)

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._no_more, select.POLLIN)
        late = 0
        try:
            while late < _LATE_BYTES:
                finished = any(fd == self._no_more for fd, _ in poll.poll())
                try:
                    chunk = os.read(self._source, _CHUNK_BYTES)
                except BlockingIOError:
                    if finished:
                        return  # somebody else holds the pipe, and has nothing to say
                    continue
                if not chunk:
                    return
                late += len(chunk) if finished else 0
                self._take(chunk)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _take(self, chunk: bytes) -> None:
        with self._changed:
            room = max(0, HEAD_BYTES - self.bytes)
            self._head += chunk[:room]
            self._tail += chunk[room:]
            if len(self._tail) > 2 * TAIL_BYTES:
                del self._tail[:-TAIL_BYTES]
            self.bytes += len(chunk)
            self.lines += chunk.count(b"\n")
            self._last_byte = chunk[-1:]
            self._changed.notify()

    def _hand_on(self) -> None:
        lines = Lines()
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._head or self._ended)
                chunk, ended = bytes(self._head), self._ended
                self._head.clear()
            self._say(lines.feed(chunk))
        if self._last_byte != b"\n":
            self.lines += 1
        self._say(self._last_part(lines))

    def _last_part(self, lines: Lines) -> Iterator[str]:
        tail = bytes(self._tail[-TAIL_BYTES:])
        self.omitted_bytes = self.bytes - HEAD_BYTES - len(tail) if self.bytes > HEAD_BYTES else 0
        if self.omitted_bytes:
            yield from lines.flush()
            start = tail.find(b"\n", 0, LINE_BYTES) + 1  # half a line says less than none
            self.omitted_bytes += start
            tail = tail[start:]
            yield f"[{self.omitted_bytes} bytes of output are left out here]"
        yield from lines.feed(tail)
        yield from lines.flush()

    def _say(self, lines: Iterator[str]) -> None:
        for line in lines:
            if line.strip():
                self.last_line = line
            if self.failure is None:
                try:
                    self._on_line(line)
                except Exception as failure:  # it is raised again where the command was started
                    self.failure = failure


def _pieces(line: bytes) -> Iterator[bytes]:
    """At most LINE_BYTES each, not in the midst of a character; at least one, the last may be empty."""
    while len(line) > LINE_BYTES:
        end = LINE_BYTES
        while end > LINE_BYTES - 3 and line[end] & 0xC0 == 0x80:
            end -= 1
        yield line[:end]
        line = line[end:]
    yield line


def _text(line: bytes) -> str:
    return printable(line.decode("utf-8", "backslashreplace"))
