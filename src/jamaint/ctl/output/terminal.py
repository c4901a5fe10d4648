"""Standard output and standard error: where the client's words leave it, whatever is on the other side."""

from __future__ import annotations

import os
import sys

from jamaint.ctl.output.text import escaped_json
from jamaint.protocol.control import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO


USUAL_COLUMNS = 80
"""Of a terminal that does not say, as a serial console."""


class Screen:
    """Two streams that may be closed, full, or not of UTF-8. `gone` is true once nobody reads the output any more."""

    __slots__ = ("_err", "_out", "fault", "gone")

    def __init__(self, out: TextIO | None, err: TextIO | None) -> None:
        self._out = out
        self._err = err
        self.gone = False
        self.fault = ""
        """Why the output could not be written, when somebody would have read it."""

    def lines(self, lines: Iterable[str]) -> None:
        """Lines on standard output."""
        self._write("".join(line + "\n" for line in lines))

    def document(self, value: Any) -> None:
        """One JSON document, on one line of standard output."""
        self._write(escaped_json(dumps(value), not speaks_unicode(self._out)) + "\n")

    def note(self, text: str) -> None:
        """A line on standard error."""
        self.draw(text + "\n")

    def draw(self, text: str) -> None:
        """Text on standard error as it is, at once; a standard error that is closed is nobody's loss."""
        if self._err is None:
            return
        try:
            self._err.write(_encodable(text, self._err))
            self._err.flush()
        except (OSError, ValueError):
            self._err = None

    def flush(self) -> None:
        """What was written goes out. `| head` is silent: that is not a failure of ours."""
        if self._out is None:
            return
        try:
            self._out.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _write(self, text: str) -> None:
        if self._out is None:
            self.gone = True
            return
        try:
            self._out.write(_encodable(text, self._out))
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.gone = True
        if not isinstance(error, BrokenPipeError):
            self.fault = f"cannot write the output: {getattr(error, 'strerror', None) or error}"
        if self._out is sys.stdout:
            _discard_standard_output()
        self._out = None


def columns_of(stream: TextIO | None) -> int:
    """How many columns the terminal has that `stream` is; 0 when it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS if stream is not None else 0
    except (OSError, ValueError):
        return 0


def speaks_unicode(stream: TextIO | None) -> bool:
    """Whether a bar of blocks can be drawn there."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


def _discard_standard_output() -> None:
    """The interpreter flushes it once more at its end, and would complain."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    except OSError:  # there is none to discard
        return


def _encodable(text: str, stream: TextIO) -> str:
    if text.isascii():
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
