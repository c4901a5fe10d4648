"""The daemon's log: structlog's records to the journal in its native protocol, or to stderr as text or JSON lines.

A record that the journal does not take at once goes to stderr as text and is counted; the count is logged when the
journal takes records again. Nothing here waits, except for a second at the end of the process.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Literal, Protocol

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from jamaint.host.logging import journald
from jamaint.host.logging.format import Record, escaped, json_line, plain, text_line
from jamaint.host.logging.stderr import Lines
from jamaint.host.secrets import cleaned

MESSAGE_IDS: Final[Mapping[str, str]] = {
    "daemon_started": "4592c38aef024594ae0bc68af30f38f0",
    "daemon_stopping": "becd509548e44d7a8a9eb66bab65bacc",
    "execution_started": "f10dcd20fc5a4ecb8b78b6f52adca484",
    "execution_ended": "e77bd6a472624cbd8fa19baf4c92e8f3",
    "execution_failed": "2582420a17d640e697daeff018a2e4da",
    "execution_skipped": "def6f79a4943490b8ee2789f07264732",
    "rollback_done": "9ac91f32795d41cdbaaeba33476711c6",
    "rollback_incomplete": "0401c71e2a23485f8a64f472fdb603a9",
    "configuration_applied": "faec4cbfc9004dddb819dc195c9bd050",
    "configuration_refused": "b1933619eaf34ea68d4366b056cb5f3e",
    "database_lost": "f0ff4d6b963a4e979085cb3e966f4dce",
    "database_back": "c7223c2ba6d444ed877d8183fe9808e3",
    "purge_held": "3617ef16225f40879e735cd96e5fed09",
    "shortage": "0a0d35bd3e364dd29e9d2d4be1bb9ae8",
    "seal_key_damaged": "69b4b40c16ed499ba57cb2fbbc54deff",
    "refused_call": "97bad6273e2e4339a7d347b01afd6d87",
}
"""What an administrator may search for. Fixed for ever; systemd/jamaint.catalog has a text for each."""

IDENTIFIER = "jamaintd"
Format = Literal["text", "json", "journal"]
Level = Literal["debug", "info", "warning", "error"]

_SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_PRIORITY = {"debug": "7", "info": "6", "warning": "4", "error": "3", "critical": "2"}
_DRAIN_SECONDS = 1.0


class Sink(Protocol):
    """Where records go. `write` never waits and never raises."""

    def write(self, record: Record) -> None:
        """Takes one record."""

    def drain(self) -> None:
        """What is still kept gets a second to go."""

    def close(self) -> None:
        """Gives back what it has opened."""


class StderrSink:
    """Records as lines on stderr. `priority` puts `<6>` before each, which the journal reads off its stream."""

    def __init__(self, lines: Lines, as_json: bool = False, colour: bool = False, priority: bool = False) -> None:
        self._lines = lines
        self._as_json = as_json
        self._colour = colour
        self._priority = priority

    def write(self, record: Record) -> None:
        """One line, or several where a text has a traceback."""
        now = datetime.now(UTC)
        line = json_line(record, now) if self._as_json else text_line(record, now, self._colour)
        if self._priority:
            mark = f"<{_PRIORITY[record.level]}>"
            line = mark + line.replace("\n", f"\n{mark}")
        self._lines.write(line)

    def drain(self) -> None:
        """What is still kept gets a second to go."""
        self._lines.drain(_DRAIN_SECONDS)

    def close(self) -> None:
        """Gives back the descriptor of its own; stderr stays open."""
        self._lines.close()


class JournalSink:
    """Records to the journal with their fields; those it does not take go to `fallback`."""

    def __init__(self, journal: journald.Journal, fallback: Sink) -> None:
        self._journal = journal
        self._fallback = fallback
        self._missed = 0

    def write(self, record: Record) -> None:
        """One record, after the count of those that were missed meanwhile."""
        if self._missed and self._journal.send(journald.encode(_fields(self._about_missed()))):
            self._missed = 0
        if not self._journal.send(journald.encode(_fields(record))):
            self._missed += 1
            self._fallback.write(record)

    def drain(self) -> None:
        """The journal has taken a record or has not; only the fallback keeps any."""
        self._fallback.drain()

    def close(self) -> None:
        """Gives the socket back."""
        self._journal.close()
        self._fallback.close()

    def _about_missed(self) -> Record:
        text = f"{self._missed} records are not in the journal, which did not take them: they went to stderr"
        return Record("warning", text, {"missed": self._missed})


class _Log:
    """The one place that all records go through, so that a new configuration holds for every logger there is."""

    def __init__(self) -> None:
        self.severity = _SEVERITY["info"]
        self.sink: Sink | None = None

    def direct(self, sink: Sink) -> None:
        before, self.sink = self.sink, sink
        if before is not None:
            before.drain()
            before.close()

    def write(self, record: Record) -> None:
        if self.sink is not None:
            self.sink.write(_without_secrets(record))

    def drain(self) -> None:
        if self.sink is not None:
            self.sink.drain()

    debug = info = warning = error = critical = write


def _without_secrets(record: Record) -> Record:
    """Whatever was logged, and whoever raised what: a driver's error may repeat an address."""
    return record._replace(
        message=cleaned(record.message),
        fields={name: cleaned(value) if isinstance(value, str) else value for name, value in record.fields.items()},
        traceback=None if record.traceback is None else cleaned(record.traceback),
    )


_log = _Log()


def configure(format: Format | None = None, level: Level = "info") -> FilteringBoundLogger:
    """Directs all logging and returns the daemon's logger; may be called again, also for loggers that are in use.

    None: the journal where stderr is the journal's stream (systemd started us), else text. `journal` without a journal
    is text. What other libraries log comes along, from warnings on.
    """
    _log.direct(_sink(format))
    _log.severity = _SEVERITY[level]
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda: _log,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Others()], level=logging.WARNING, force=True)
    atexit.unregister(_log.drain)
    atexit.register(_log.drain)
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def is_journal_stream(fd: int = 2) -> bool:
    """Whether that descriptor is the stream to the journal that systemd has made for this service."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(fd)
        return (found.st_dev, found.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


def _sink(format_: Format | None) -> Sink:
    in_stream = is_journal_stream()
    colour = format_ != "json" and os.isatty(2) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    stderr = StderrSink(Lines(), as_json=format_ == "json", colour=colour, priority=in_stream and format_ != "json")
    if format_ == "journal" or (format_ is None and in_stream):
        return JournalSink(journald.Journal(), stderr)
    return stderr


def _gate(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _SEVERITY[method] < _log.severity:
        raise structlog.DropEvent
    return event


def _pack(_logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[Record], dict[str, Any]]:
    """The last processor: what structlog has gathered becomes one record."""
    message = plain(event.pop("event", ""))
    message_id = event.pop("message_id", None)
    error = _exception(event.pop("exc_info", None))
    fields: dict[str, Any] = dict(event)
    if error is None:
        return (Record(method, message, fields, message_id),), {}
    whole = "".join(traceback.format_exception(error))
    return (Record(method, f"{message}: {_first_line(error)}", fields, message_id, whole),), {}


_PROCESSORS: list[Processor] = [_gate, structlog.contextvars.merge_contextvars, _pack]


def _exception(exc_info: Any) -> BaseException | None:
    """structlog's and logging's exc_info: an exception, their triple, or true for the one that is being handled."""
    if isinstance(exc_info, BaseException):
        return exc_info
    found: BaseException | TracebackType | None = exc_info[1] if isinstance(exc_info, tuple) else None
    if exc_info and found is None:
        found = sys.exc_info()[1]
    return found if isinstance(found, BaseException) else None


def _first_line(error: BaseException) -> str:
    lines = plain(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _fields(record: Record) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", escaped(record.message)
    yield "PRIORITY", _PRIORITY[record.level]
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    if record.message_id is not None:
        yield "MESSAGE_ID", record.message_id
    for name, value in record.fields.items():
        if value is not None:
            yield _field_name(name), plain(value)
    if record.traceback is not None:
        yield "JAMAINT_TRACEBACK", record.traceback


@lru_cache(maxsize=1000)
def _field_name(key: str) -> str:
    """JAMAINT_EXECUTION of execution; journald takes A-Z, 0-9 and _, at most 64 of them."""
    letters = (letter if letter.isascii() and letter.isalnum() else "_" for letter in key.upper())
    return f"JAMAINT_{''.join(letters)}"[:64]


class _Others(logging.Handler):
    """What libraries log by the standard library, asyncio's lost exceptions above all, joins our records."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a record with wrong arguments is logged as it is."""
        try:
            message = record.getMessage()
        except Exception:
            message = plain(record.msg)
        error = _exception(record.exc_info)
        level = next(name for name, least in reversed(_SEVERITY.items()) if record.levelno >= least or least == 10)
        whole = None if error is None else "".join(traceback.format_exception(error))
        if _SEVERITY[level] >= _log.severity:
            _log.write(Record(level, message, {"logger": record.name}, None, whole))
