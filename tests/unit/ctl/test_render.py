"""Values as text: nothing a terminal obeys gets through, columns stay aligned, sizes are what they say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.ctl.output.text import (
    Look,
    bar,
    blocks,
    columns,
    count,
    cut,
    escaped,
    escaped_json,
    fields,
    outline,
    paragraph,
    percent,
    size,
    wide,
    wrapped,
)

PLAIN = Look(0.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, ünïcode 文件 █", "plain, ünïcode 文件 █"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\r\tc\x00", "a\\nb\\r\\tc\\x00"),
        ("\x7f\x9b31m", "\\x7f\\x9b31m"),
        ("gpj\u202etxt", "gpj\\u202etxt"),
        ("\u2028\U000e0041", "\\u2028\\U000e0041"),
        ("not utf-8: \udcff", "not utf-8: \\xff"),
    ],
)
def test_control_and_format_characters_become_visible(text: str, expected: str) -> None:
    assert escaped(text) == expected
    assert escaped({text: [{"k": text}], "n": 1}) == {expected: [{"k": expected}], "n": 1}


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_comes_in_only_printable_text_is_left(value: object) -> None:
    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [*value, *(text for item in value.values() for text in texts(item))]
        if isinstance(value, list):
            return [text for item in value for text in texts(item)]
        return [value] if isinstance(value, str) else []

    assert all(text.isprintable() for text in texts(escaped(value)))


@given(st.text())
def test_escaped_json_is_the_same_value(text: str) -> None:
    line = json.dumps({"key": text}, ensure_ascii=False)
    for only_ascii in (False, True):
        made = escaped_json(line, only_ascii)
        assert made.isprintable()
        assert made.isascii() or not only_ascii
        assert json.loads(made) == {"key": text}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1258291, "1.2 MiB"),
        (1048575, "1.0 MiB"),
        (-2048, "-2.0 KiB"),
        (2**63 - 1, "8.0 EiB"),
        (2**80, "1048576.0 EiB"),
        (None, "-"),
    ],
)
def test_sizes(number: int | None, expected: str) -> None:
    assert size(number) == expected


def test_counts_percentages_and_bars() -> None:
    assert [count(1, "file"), count(1204, "file"), count(None, "file")] == ["1 file", "1,204 files", "0 files"]
    assert [percent(0.999), percent(1), percent(None), percent(7)] == ["99%", "100%", "", "100%"]
    assert bar(0.5, 4, unicode=True) == "██░░"
    assert bar(-1, 4, unicode=False) == "...."
    assert bar(2, 4, unicode=False) == "####"


def test_columns_align_whatever_the_width_of_a_letter() -> None:
    lines = columns([("文件", "1", "x"), ("ab", "22", "y")], PLAIN, "  ", right=(1,))
    assert lines == ["  文件   1  x", "  ab    22  y"]


def test_an_empty_column_takes_no_room_and_nothing_trails() -> None:
    assert columns([("a", "", "b"), ("c", "", "")], PLAIN) == ["a  b", "c"]


CELLS = st.text(st.characters(min_codepoint=32, max_codepoint=0x9FFF), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.integers(1, 80))
def test_no_line_is_wider_than_the_screen(rows: list[tuple[str, str, str]], width: int) -> None:
    assert all(wide(line) <= width for line in columns(rows, Look(0.0, width)))


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.integers(24, 80))
def test_nothing_is_lost_on_a_narrow_screen(rows: list[tuple[str, str, str]], width: int) -> None:
    shown = blocks(rows, Look(0.0, width), "  ")
    for row, lines in zip(rows, shown, strict=True):
        assert sorted("".join(lines).replace(" ", "")) == sorted("".join(row).replace(" ", ""))


def test_what_does_not_fit_goes_on_in_its_column_or_below() -> None:
    reason = "3 of 3 executions run in window nightly at this time"
    assert columns([("ok", "window", reason)], Look(0.0, 44)) == [
        "ok  window  3 of 3 executions run in window",
        "            nightly at this time",
    ]
    rows = [("/srv/uploads/tmp", "12.0 GiB", "not known yet"), ("/var", "1 B", "")]
    assert columns(rows, Look(0.0, 32)) == ["/srv/uploads/tmp  12.0 GiB", "    not known yet", "/var              1 B"]


def test_a_paragraph_ends_between_words_and_breaks_only_a_longer_one() -> None:
    assert paragraph("remove all in /tmp", Look(0.0, 14), "  ") == ["  remove all", "  in /tmp"]
    assert wrapped("a /srv/uploads/x b", 8) == ["a", "/srv/upl", "oads/x b"]
    assert paragraph("as it is", Look(0.0, 0)) == ["as it is"]


def test_colours_do_not_disturb_the_columns() -> None:
    look = Look(0.0, colours=True)
    assert columns([(("red", "a"), "b"), (("", "long"), "c")], look) == ["\x1b[38;5;160ma\x1b[0m     b", "long  c"]


def test_cut_says_that_something_is_missing() -> None:
    assert [cut("abcdef", 6), cut("abcdef", 4), cut("文件文件", 5), cut("abc", 0)] == ["abcdef", "abc…", "文件…", ""]


def test_fields_without_a_value_are_left_out() -> None:
    assert fields([("task", "a"), ("none", ""), ("window", "b")], PLAIN) == ["task    a", "window  b"]


def test_outline_is_near_yaml() -> None:
    value = {"a": {"b": [1, {"c": None, "d": True}], "e": {}}, "f": [], "g": "x"}
    assert outline(value) == ["a:", "  b:", "    - 1", "    - c: null", "      d: true", "  e: {}", "f: []", "g: x"]


def test_a_row_that_had_many_bands_goes_on_one_after_the_other() -> None:
    rows = [("NAME OF A TASK", "SCHEDULE " * 2, "NEXT IN TIME", "LAST"), ("a", "cron 0 2 * * *", "-", "completed")]
    assert columns(rows, Look(0.0, 30)) == [
        "NAME OF A TASK",
        "    SCHEDULE SCHEDULE   NEXT",
        "    IN TIME  LAST",
        "a",
        "    cron 0 2 * * *  -",
        "    completed",
    ]
