"""A condition is one condition: nothing in it can end it, follow it, or swallow what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.databases.rules.where_clause import wrong_condition


@pytest.mark.parametrize(
    "text",
    [
        "created_at < now() - interval '90 days'",
        "kind IN ('a', 'b;c', '--') AND (n > 1 OR n IS NULL)",
        "body LIKE '%''); DROP TABLE x; --%'",
        'tags && ARRAY[1, 2] AND "od;d""name" = 1',
        "body = E'it\\'s ) here' AND body <> $tag$ ; ) -- $tag$",
        "price$x = 1",
        "a = '\\' AND b = ')'",
        "body = e'\\\\' AND n = 1",
    ],
)
def test_what_may_be_a_condition(text: str) -> None:
    assert wrong_condition(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("a = 1) OR (true", "closed that was not opened"),
        ("(a = 1", "not closed"),
        ("a = 1 -- and then", "comment"),
        ("a = 1 /* and */", "comment"),
        ("a = 1; DROP TABLE x", "semicolon"),
        ("a = 'it", "quote"),
        ('"a = 1', "quote"),
        ("a = $x$ b", "quote"),
        ("a = E'\\'", "quote"),
        ("a = $1", "parameter"),
        ("a = '\\'); DELETE FROM x; --'", "parenthesis"),
        ("a = 1\0", "NUL"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    assert why in (wrong_condition(text) or "")


@given(st.text(alphabet="ab'\"$E\\()-;/* x1"))
def test_what_passes_stays_within_its_parentheses(text: str) -> None:
    if wrong_condition(text) is not None:
        return
    # What is put around it still stands around it: the whole is balanced, and a mark after it is not inside a quote.
    assert wrong_condition(f"(\n{text}\n)") is None
    assert wrong_condition(f"(\n{text}\n) ;") == "a semicolon has no place in a condition"
