"""YAML as it is read here: the scalars that readers disagree about, the places of things, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.schema.yaml_document import DEPTH_LIMIT, Document, read_document


def read(text: str | bytes) -> Document:
    return read_document("f", text.encode() if isinstance(text, str) else text)


def only_mistake(text: str | bytes) -> str:
    (mistake,) = read(text).mistakes
    return str(mistake)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2:30", "2:30"), ("02:30", "02:30"), ("22:30:10", "22:30:10"), ("on", "on"), ("off", "off"), ("yes", "yes"),
        ("No", "No"), ("y", "y"), ("true", True), ("TRUE", True), ("False", False), ("tRue", "tRue"), ("010", "010"),
        ("0o10", "0o10"), ("0x1F", "0x1F"), ("0b11", "0b11"), ("1_000", "1_000"), ("2026-12-24", "2026-12-24"),
        ("2026-12-24T01:00", "2026-12-24T01:00"), ("0", 0), ("10", 10), ("-5", -5), ("+5", "+5"), ("-0", "-0"),
        ("1.5", 1.5), ("-0.5", -0.5), ("1e3", 1000.0), ("1e999", "1e999"), (".5", ".5"), ("5.", "5."), (".inf", ".inf"),
        (".nan", ".nan"), ("9" * 18, 10**18 - 1), ("9" * 5000, "9" * 5000), ("25%", "25%"), ("1d", "1d"), ("~", None),
        ("null", None), ("", None), ("'5'", "5"), ('"true"', "true"), ("'~'", "~"), ("=", "="), ("!!str 5", "5"),
        ("1.2.3", "1.2.3"), ("--", "--"),
    ],
)  # fmt: skip
def test_a_scalar(written, value):
    found = read(f"a: {written}\n")
    assert found.mistakes == ()
    assert found.value == {"a": value}
    assert type(found.value["a"]) is type(value)


def test_keys_are_text():
    assert read("on: 1\nno: 2\n5: 3\n1.5: 4\n2:30: 5\n").value == {"on": 1, "no": 2, "5": 3, "1.5": 4, "2:30": 5}


def test_comments_alone_are_an_empty_configuration():
    found = read("# nothing yet\n")
    assert (found.value, found.mistakes, found.broken) == ({}, (), False)


PLACES = """\
a: 1
'b':
  c: [x, { d: é, e: 2 }]
  f: |
    text
  g:
    - h
    -   i: 1
"""


@pytest.mark.parametrize(
    ("path", "spot"),
    [
        (("a",), (1, 4)),
        (("b",), (2, 1)),
        (("b", "c"), (3, 3)),
        (("b", "c", 0), (3, 7)),
        (("b", "c", 1), (3, 10)),
        (("b", "c", 1, "d"), (3, 15)),
        (("b", "c", 1, "e"), (3, 21)),
        (("b", "f"), (4, 6)),
        (("b", "g"), (6, 3)),
        (("b", "g", 0), (7, 7)),
        (("b", "g", 1), (8, 9)),
        (("b", "g", 1, "i"), (8, 12)),
        (("b", "missing"), (2, 1)),
        (("b", "c", 1, "missing", "deeper"), (3, 10)),
        (("missing",), (1, 1)),
    ],
)
def test_the_place_of_a_value(path, spot):
    assert read(PLACES).spot(path) == spot


def test_the_place_of_a_key():
    assert read(PLACES).spot(("b", "c", 1, "e"), at_key=True) == (3, 18)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "f:1:1: the file is empty, as if it were half written: write at least a comment into it, or remove it"),
        ("a: 1\nb: [1, 2\n", "f:3:1: not YAML: did not find expected ',' or ']' "
         "(while parsing a flow sequence, which begins in line 2)"),
        ("a: 1\nretention_d\n", "f:3:1: not YAML: could not find expected ':' "
         "(while scanning a simple key, which begins in line 2)"),
        ("a:\n\tb: 1\n", "f:2:1: a tab cannot indent in YAML: use spaces"),
        ("a: b: c\n", "f:1:5: not YAML: mapping values are not allowed in this context"),
        ("a: 'x\n", "f:2:1: not YAML: found unexpected end of stream "
         "(while scanning a quoted scalar, which begins in line 1)"),
        ("a: \x07\n", "f:1:4: character U+0007 is not allowed in YAML"),
        ("a: 1\nb: é\x1b\n", "f:2:5: character U+001B is not allowed in YAML"),
        (b"a: 1\nb: \xc3\xa9\xff\n", "f:2:5: byte 0xff is not UTF-8: save the file as UTF-8"),
        ("a: x\n".encode("utf-16"), "f:1:1: byte 0xff is not UTF-8: save the file as UTF-8"),
        ("- a\n", "f:1:1: the file must be a mapping of sections, such as `tasks:`"),
        ("text\n", "f:1:1: the file must be a mapping of sections, such as `tasks:`"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here (---): a file holds one"),
        ("a: &x 1\nb: 2\n", "f:1:4: anchors and aliases are not read: write it out, or quote what begins with &"),
        ("a: &x [1]\n", "f:1:4: anchors and aliases are not read: write it out, or quote what begins with &"),
        ("a: *x\n", "f:1:4: anchors and aliases are not read: write it out, or quote what begins with *"),
        ("? [a]\n: 1\n", "f:1:3: a key must be text, not a mapping or a list"),
        ("{ {a: 1}: 2 }\n", "f:1:3: a key must be text, not a mapping or a list"),
    ],
)  # fmt: skip
def test_no_yaml(text, mistake):
    found = read(text)
    assert [str(one) for one in found.mistakes] == [mistake]
    assert (found.broken, found.value) == (True, {})


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: stands here a second time, first in line 1: remove one of the two"),
        ("a:\n  - b: 1\n    'b': 2\n",
         "f:3:5: a[0].b: stands here a second time, first in line 2: remove one of the two"),
        ("a: { b: 1, b: { c: 1 } }\n",
         "f:1:12: a.b: stands here a second time, first in line 1: remove one of the two"),
        ("a: !x 1\n", "f:1:4: a: tags are not read here: remove it, or quote what begins with !"),
        ("a: !!int '1'\n", "f:1:4: a: tags are not read here: remove it, or quote what begins with !"),
        ("a: !!python/none x\n", "f:1:4: a: tags are not read here: remove it, or quote what begins with !"),
        ("a: [1, !x {}]\n", "f:1:8: a[1]: tags are not read here: remove it, or quote what begins with !"),
        ("a: { <<: { b: 1 } }\n", "f:1:6: a.<<: merge keys (<<) are not read here: write the keys out"),
        ('a: "x\\0"\n', "f:1:4: a: a NUL character is not allowed"),
    ],
)  # fmt: skip
def test_a_mistake_beside_which_the_rest_is_read(text, mistake):
    found = read(text + "z: 26\n")
    assert [str(one) for one in found.mistakes] == [mistake]
    assert found.value["z"] == 26
    assert not found.broken


def test_the_first_of_two_values_is_kept():
    assert read("a: 1\na: 2\n").value == {"a": 1}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_has_an_end(opening):
    assert "nested deeper" in only_mistake("a: " + "[" * DEPTH_LIMIT)
    # A parser that recursed would end the process here.
    (mistake,) = read(opening * 200_000).mistakes
    assert mistake.line == 1


def test_a_file_that_may_be_half_written():
    assert read("a: 1\nb: 3").cut_short
    assert not read("a: 1\nb: 3\n").cut_short
    assert not read('{"a": 1}').cut_short


@given(st.binary(max_size=200) | st.text("abé:-[]{}'\"#&*!|>?,% \n\t01.~", max_size=60).map(str.encode))
def test_any_bytes_give_a_document(content):
    found = read(content)
    assert isinstance(found.value, dict)
    assert all(mistake.line >= 1 and mistake.column >= 1 for mistake in found.mistakes)
