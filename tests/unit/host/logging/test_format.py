"""Records as lines: one record cannot look like another, whatever it holds."""

import json
import os
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from jamaint.host.logging.format import Record, escaped, json_line, plain, text_line

NOW = datetime(2026, 11, 24, 2, 0, 0, 123456, UTC)


def test_a_line_for_people() -> None:
    record = Record(
        "warning", "3 files were skipped", {"task": "app-logs", "why": "no such file", "path": ""}, "0" * 32
    )
    assert text_line(record, NOW) == (
        '2026-11-24T02:00:00.123Z warning  3 files were skipped  task=app-logs  why="no such file"  path=""'
    )


def test_colours_are_around_not_in_between() -> None:
    line = text_line(Record("error", "broken", {"task": "a"}), NOW, colour=True)
    assert line == "2026-11-24T02:00:00.123Z \x1b[38;5;160merror   \x1b[0m broken  \x1b[38;5;243mtask=a\x1b[0m"


def test_the_lines_of_a_traceback_are_marked() -> None:
    line = text_line(Record("error", "broken", {}, None, "Traceback:\n  File\nValueError: \x1b[2J"), NOW)
    assert line.splitlines()[1:] == ["  | Traceback:", "  |   File", "  | ValueError: \\x1b[2J"]


def test_a_line_for_programs() -> None:
    fields = {
        "task": "a",
        "bytes": 12,
        "share": 0.5,
        "ok": True,
        "why": None,
        "at": "b",
        "paths": ["/a"],
        "moment": NOW,
    }
    assert json.loads(json_line(Record("info", "ended\n", fields, "0" * 32, "Traceback"), NOW)) == {
        "at": "2026-11-24T02:00:00.123Z",
        "level": "info",
        "message": "ended\n",
        "message_id": "0" * 32,
        "traceback": "Traceback",
        "task": "a",
        "bytes": 12,
        "share": 0.5,
        "ok": True,
        "why": None,
        "at_": "b",
        "paths": ["/a"],
        "moment": "2026-11-24T02:00:00.123Z",
    }


def test_what_json_has_no_word_for_is_told_in_text() -> None:
    knot: list[object] = []
    knot.append(knot)
    for value, text in ((float("nan"), "nan"), ({(1, 2): 3}, "<dict: TypeError>"), (knot, "<list: ValueError>")):
        found = json.loads(json_line(Record("info", "x", {"value": value, "count": 3}), NOW))
        assert (found["value"], found["count"]) == (text, "3")


def test_what_deceives_is_shown_as_what_it_is() -> None:
    assert escaped("größe – 3 × 4") == "größe – 3 × 4"
    assert escaped("a\nb\tc\x1b[2J\x7f") == "a\\nb\\tc\\x1b[2J\\x7f"
    assert escaped("gpj\u202eexe.\u2028") == "gpj\\u202eexe.\\u2028"
    assert escaped(os.fsdecode(b"/a/\xff")) == "/a/\\xff"


def test_values_of_every_kind() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError

    elsewhere = NOW.astimezone(timezone(timedelta(hours=7)))
    values = [True, None, 3, 0.5, b"a\xff", elsewhere, ("a", NOW), {"a": {1}}, Broken(), [Broken()], {(1, 2): 3}]
    assert [plain(value) for value in values] == [
        "true",
        "None",
        "3",
        "0.5",
        "a\udcff",
        "2026-11-24T02:00:00.123Z",
        '["a", "2026-11-24T02:00:00.123Z"]',
        '{"a": "{1}"}',
        "<Broken: ValueError>",
        '["<Broken: ValueError>"]',
        "<dict: TypeError>",
    ]


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_one_record_is_one_line_of_harmless_characters(message: str, fields: dict[str, str]) -> None:
    record = Record("info", message, fields)
    for line in (text_line(record, NOW), json_line(record, NOW)):
        assert len(line.splitlines()) == 1
        assert all(ord(letter) >= 32 for letter in line)
        line.encode()
