"""The daemon's log as others see it: what arrives where, for every way to ask for it."""

import json
import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.typing import FilteringBoundLogger

from jamaint.host.logging import journald, setup
from jamaint.host.logging.format import Record
from jamaint.host.logging.setup import MESSAGE_IDS, JournalSink, StderrSink, configure, is_journal_stream
from jamaint.host.logging.stderr import Lines

CATALOG = Path(__file__).parents[4] / "systemd" / "jamaint.catalog"


@pytest.fixture(autouse=True)
def left_as_found() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    if setup._log.sink is not None:
        setup._log.sink.close()
    setup._log.sink = None


class Inbox:
    """A journal that the test reads, and the log that goes there."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(directory / "socket"))
        self.socket.setblocking(False)
        self.log: FilteringBoundLogger = configure("journal", "info")
        self.errors = os.open(directory / "stderr", os.O_CREAT | os.O_RDWR | os.O_APPEND)
        fallback = StderrSink(Lines(self.errors))
        setup._log.direct(JournalSink(journald.Journal(str(directory / "socket")), fallback))

    def records(self) -> Iterator[dict[str, str]]:
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                return
            yield _decoded(data)

    def record(self) -> dict[str, str]:
        [found] = self.records()
        return found

    def errors_text(self) -> str:
        return os.pread(self.errors, 1 << 20, 0).decode()


def _decoded(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            [length] = struct.unpack("<Q", rest[:8])
            name, value, rest = line, rest[8 : 8 + length], rest[9 + length :]
        found[name.decode()] = value.decode()
        data = rest
    return found


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox(tmp_path)
    yield opened
    opened.socket.close()
    os.close(opened.errors)


def test_a_record_has_its_fields(inbox: Inbox) -> None:
    identity = MESSAGE_IDS["execution_started"]
    inbox.log.info("app-logs started", execution="e1", task="app-logs", message_id=identity, unused=None)
    assert inbox.record() == {
        "MESSAGE": "app-logs started",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "jamaintd",
        "MESSAGE_ID": identity,
        "JAMAINT_EXECUTION": "e1",
        "JAMAINT_TASK": "app-logs",
    }


def test_any_bound_key_becomes_a_name_that_journald_takes(inbox: Inbox) -> None:
    inbox.log.bind(requested_by="root").info("x", **{"freed-in.käse": 3, "k" * 100: 1})
    assert inbox.record() == {
        "MESSAGE": "x",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "jamaintd",
        "JAMAINT_REQUESTED_BY": "root",
        "JAMAINT_FREED_IN_K_SE": "3",
        "JAMAINT_" + "K" * 56: "1",
    }


def test_what_the_context_holds_comes_along(inbox: Inbox) -> None:
    with structlog.contextvars.bound_contextvars(execution="e2"):
        inbox.log.info("x")
    assert inbox.record()["JAMAINT_EXECUTION"] == "e2"


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_levels_are_priorities(inbox: Inbox, level: str, priority: str) -> None:
    setup._log.severity = 0
    getattr(inbox.log, level)("x")
    assert inbox.record()["PRIORITY"] == priority


def test_a_message_is_one_line_without_controls_and_a_field_is_what_it_is(inbox: Inbox) -> None:
    inbox.log.info("a\nPRIORITY=0\x1b[2J", text="one\ntwo\n")
    record = inbox.record()
    assert record["MESSAGE"] == "a\\nPRIORITY=0\\x1b[2J"
    assert record["PRIORITY"] == "6"
    assert record["JAMAINT_TEXT"] == "one\ntwo\n"


def test_an_exception_is_one_line_and_a_whole_traceback(inbox: Inbox) -> None:
    try:
        raise ValueError("no such column\nDETAIL: x")
    except ValueError as error:
        inbox.log.error("the step failed", exc_info=error)
        inbox.log.exception("the step failed")
    for record in inbox.records():
        assert record["MESSAGE"] == "the step failed: ValueError: no such column"
        assert record["PRIORITY"] == "3"
        assert record["JAMAINT_TRACEBACK"].startswith("Traceback (most recent call last):\n")
        assert record["JAMAINT_TRACEBACK"].endswith("ValueError: no such column\nDETAIL: x\n")


def test_exc_info_without_an_exception_is_an_ordinary_record(inbox: Inbox) -> None:
    inbox.log.error("nothing at hand", exc_info=True)
    assert inbox.record()["MESSAGE"] == "nothing at hand"


def test_what_the_journal_does_not_take_is_on_stderr_and_counted_later(inbox: Inbox) -> None:
    written = 0
    while not inbox.errors_text():
        inbox.log.info(f"record {written}")
        written += 1
        assert written < 100_000, "the journal's queue never filled"
    inbox.log.info("one more")
    taken = [record["MESSAGE"] for record in inbox.records()]
    assert taken == [f"record {number}" for number in range(written - 1)]
    lines = inbox.errors_text().splitlines()
    assert [line.partition("Z ")[2] for line in lines] == [f"info     record {written - 1}", "info     one more"]
    inbox.log.info("it goes on")
    counted, after = inbox.records()
    assert (counted["JAMAINT_MISSED"], counted["PRIORITY"]) == ("2", "4")
    assert after["MESSAGE"] == "it goes on"
    inbox.log.info("and is counted once")
    assert inbox.record()["MESSAGE"] == "and is counted once"


def test_a_level_that_is_set_anew_holds_for_loggers_in_use(capfd: pytest.CaptureFixture[str]) -> None:
    log = configure("json", "info").bind(task="a")
    log.debug("not yet")
    configure("json", "debug")
    log.debug("now")
    configure("text", "error")
    log.warning("no more")
    log.error("as text")
    first, second = capfd.readouterr().err.splitlines()
    assert json.loads(first)["message"] == "now"
    assert second.endswith("error    as text  task=a")


def test_text_where_stderr_is_not_the_journal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    configure(None).info("started", task="a")
    assert capfd.readouterr().err.endswith("Z info     started  task=a\n")


def test_records_that_no_journal_takes_are_on_stderr(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("journal")
    assert isinstance(setup._log.sink, JournalSink)
    monkeypatch.setattr(setup._log.sink._journal, "_path", "/no/such/socket")
    structlog.get_logger().info("started", task="a")
    assert capfd.readouterr().err.endswith("Z info     started  task=a\n")


def test_lines_for_the_journals_stream_say_their_priority(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w+") as file:
        sink = StderrSink(Lines(file.fileno()), priority=True)
        sink.write(Record("error", "broken", {}, None, "Traceback\nValueError"))
        lines = (tmp_path / "err").read_text().splitlines()
    assert [line[:3] for line in lines] == ["<3>", "<3>", "<3>"]


def test_the_journals_stream_is_known_by_its_inode(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = socket.socketpair()
    with left, right:
        found = os.fstat(left.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert is_journal_stream(left.fileno())
        assert not is_journal_stream(right.fileno())
        for value in ("", "x:y", "8", f"{found.st_dev}:"):
            monkeypatch.setenv("JOURNAL_STREAM", value)
            assert not is_journal_stream(left.fileno())


def test_what_libraries_log_comes_along(inbox: Inbox) -> None:
    logging.getLogger("asyncio").error("Task exception was never %s", "retrieved", exc_info=KeyError("a"))
    logging.getLogger("asyncio").info("not asked for")
    wrong = {"name": "asyncio", "levelno": 30, "msg": "wrong %d", "args": ("argument",)}
    setup._Others().emit(logging.makeLogRecord(wrong))
    first, second = inbox.records()
    assert (first["MESSAGE"], first["PRIORITY"]) == ("Task exception was never retrieved", "3")
    assert first["JAMAINT_LOGGER"] == "asyncio"
    assert "KeyError: 'a'" in first["JAMAINT_TRACEBACK"]
    assert (second["MESSAGE"], second["PRIORITY"]) == ("wrong %d", "4")


def test_every_message_id_has_its_text_in_the_catalog() -> None:
    entries: dict[str, tuple[dict[str, str], str]] = {}
    for entry in CATALOG.read_text().split("\n-- ")[1:]:
        identity, _, rest = entry.partition("\n")
        head, _, body = rest.partition("\n\n")
        entries[identity] = (dict(line.split(": ", 1) for line in head.splitlines()), body.strip())
    assert set(entries) == set(MESSAGE_IDS.values())
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)
    for identity, (header, body) in entries.items():
        assert len(identity) == 32, identity
        assert int(identity, 16), identity
        assert header["Subject"], identity
        assert header["Defined-By"] == "jamaintd", identity
        happened, _, advice = body.partition("\n\n")
        assert happened, identity
        assert advice, f"{identity} does not say what to do"
