"""What the store keeps as jsonb: PostgreSQL takes it, and people can read it, whatever a file or a command says."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.store.jsonb import columns, from_jsonb, jsonb, optional_jsonb


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        ((), "[]"),
        (None, "null"),
        (0, "0"),
        (False, "false"),
        ("", '""'),
        ({"a": [1, 2.5, None, True], "b": "été"}, '{"a":[1,2.5,null,true],"b":"été"}'),
        (("a", ("b",)), '["a",["b"]]'),
    ],
)
def test_a_value_and_its_text(value: Any, text: str) -> None:
    assert jsonb(value) == text


def test_null_stays_null_and_is_not_the_json_value_of_that_name() -> None:
    assert optional_jsonb(None) is None
    assert optional_jsonb({}) == "{}"
    assert optional_jsonb({"a": None}) == '{"a":null}'
    assert from_jsonb(None) is None


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("caf\udce9.log", "caf\\xe9.log"),
        ("nul \0 in it", "nul \\x00 in it"),
        ("\udcff\udcfe", "\\xff\\xfe"),
        ("\N{GRINNING FACE}\udc80", "\N{GRINNING FACE}\\x80"),
        ({"a\udcff": "b\0"}, {"a\\xff": "b\\x00"}),
        ("bell \a and \x1b[31m", "bell \a and \x1b[31m"),
        ("\\u0000", "\\u0000"),
        ("\\\\u0000", "\\\\u0000"),
        ("\\udcff", "\\udcff"),
        ("\\\0", "\\\\x00"),
        ("\\\\\udcff", "\\\\\\xff"),
        ("C:\\udcff00\\u0000\0", "C:\\udcff00\\u0000\\x00"),
    ],
)
def test_what_jsonb_cannot_hold_becomes_readable_and_the_rest_stays_as_it_is(value: Any, kept: Any) -> None:
    assert json.loads(jsonb(value)) == kept


PARTS = st.sampled_from(["\\", "u0000", "udcff", "ud83d", "\0", "\udcff", "\ud83d", '"', "\n", "é"])
TEXTS = st.lists(PARTS | st.characters(exclude_categories=()), max_size=8).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_whatever_it_is_postgresql_takes_the_text(value: Any) -> None:
    """jsonb takes JSON in UTF-8 without a NUL and without half a surrogate pair."""
    text = jsonb(value)
    text.encode("utf-8")
    shown = json.dumps(json.loads(text), ensure_ascii=False)
    shown.encode("utf-8")
    assert "\\u0000" not in shown.replace("\\\\", "")


@given(VALUES)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_what_can_be_kept_comes_back_as_it_was(value: Any) -> None:
    text = jsonb(value)
    back = from_jsonb(text)
    if value == []:
        assert back == ()
    elif json.loads(text) == value:
        assert back == value


@pytest.mark.parametrize(
    ("text", "value"), [("{}", {}), ("[]", ()), ('{"a": [1]}', {"a": [1]}), ("7", 7), ("null", None)]
)
def test_the_text_of_a_column_and_its_value(text: str, value: Any) -> None:
    assert from_jsonb(text) == value


def test_rows_as_columns() -> None:
    assert columns([(1, "a"), (2, "b"), (3, "c")]) == [(1, 2, 3), ("a", "b", "c")]
    assert columns([]) == []
    with pytest.raises(ValueError, match="shorter"):
        columns([(1, 2), (3,)])
