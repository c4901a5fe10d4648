"""What is a secret, and that no text or value tells one: pure."""

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.secrets import (
    HIDDEN,
    as_given,
    cleaned,
    is_reference,
    passwords,
    references,
    resolved,
    secret,
    texts_with_passwords,
    told,
    with_password,
    with_passwords,
    without_password,
    without_passwords,
    written,
)

ELSEWHERE = {"address": "postgresql://me@db/cms", "password": secret("file", "/etc/pw")}
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=6, max_size=30)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"credential": "x"}, True),
        ({"file": "/x"}, True),
        ({"environment": "X"}, True),
        ({"file": {"path": "/x"}}, False),
        ({"credential": "x", "file": "/x"}, False),
        ({"nothing": "x"}, False),
        ({}, False),
        ("credential", False),
    ],
)
def test_what_a_reference_is(value: Any, is_one: bool) -> None:
    assert is_reference(value) is is_one


def test_references_are_found_and_resolved_however_deep() -> None:
    config = {"a": [{"dsn": secret("credential", "c")}, 1], "b": ELSEWHERE, "path": "/x"}
    assert list(references(config)) == [("credential", "c"), ("file", "/etc/pw")]
    read = {("credential", "c"): "postgresql://a:b@c/d", ("file", "/etc/pw"): "p@ss/word"}
    found = resolved(config, lambda kind, name: read[kind, name])
    assert found == {
        "a": [{"dsn": "postgresql://a:b@c/d"}, 1],
        "b": "postgresql://me:p%40ss%2Fword@db/cms",
        "path": "/x",
    }


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        ("postgresql://me@db/cms", "postgresql://me:a%3Ab@db/cms"),
        ("postgresql:///cms?host=/run", "postgresql://:a%3Ab@/cms?host=/run"),
        ("postgresql://db", "postgresql://:a%3Ab@db"),
        ("redis://db:6379/0", "redis://:a%3Ab@db:6379/0"),
        ("unix:///run/redis.sock?db=1", "unix://:a%3Ab@/run/redis.sock?db=1"),
    ],
)
def test_an_address_gets_its_password(address: str, whole: str) -> None:
    assert with_password(address, "a:b") == whole
    assert unquote(urlsplit(whole).password or "") == "a:b"


@given(PASSWORDS)
def test_what_was_put_in_is_what_a_driver_reads_and_nobody_is_told(password: str) -> None:
    whole = with_password("postgresql://me@db:5432/cms", password)
    assert unquote(urlsplit(whole).password or "") == password
    assert without_password(whole) == f"postgresql://me:{HIDDEN}@db:5432/cms"
    assert cleaned(f"cannot reach {whole} now") == f"cannot reach postgresql://me:{HIDDEN}@db:5432/cms now"
    assert password in passwords({"dsn": whole})


@given(PASSWORDS, PASSWORDS)
def test_what_is_known_is_in_no_text(one: str, two: str) -> None:
    text = cleaned(f"FATAL: {one}, {two}{one}!", {one, two})
    assert one not in text
    assert two not in text or two in f"FATAL: {HIDDEN}, {HIDDEN}!"


def test_values_are_shown_without_and_get_it_back() -> None:
    value = {
        "dsn": "postgresql://u:pw-one@h/x",
        "kinds": [{"config": {"redis": {"url": "redis://:pw-two@h"}}}],
        "headers": {"authorization": "Bearer pw-three", "x": {"credential": "c"}},
        "command": ["pg_dump", "postgresql://u:pw-four@h/x?sslpassword=pw-five"],
        "password": {"file": "/etc/pw"},
        "environment": {"password": "not-a-reference", "url": "http://h/"},
    }
    shown = without_passwords(value)
    assert "pw-" not in str(shown)
    assert shown["headers"] == {"authorization": HIDDEN, "x": {"credential": "c"}}
    assert shown["password"] == {"file": "/etc/pw"}
    assert shown["environment"] == value["environment"]
    known = {hidden: whole for hidden, whole in texts_with_passwords(value) if hidden != HIDDEN}
    back = with_passwords(shown, known)
    assert {**back, "headers": value["headers"]} == value
    assert {"pw-one", "pw-two", "Bearer pw-three"} <= passwords(value)


def test_an_address_is_told_and_shown_as_it_was_given() -> None:
    assert told(secret("credential", "cms")) == "credential cms"
    assert told(ELSEWHERE) == "postgresql://me@db/cms"
    assert told("postgresql://me:pw@db/cms") == "postgresql://me:***@db/cms"
    assert as_given(ELSEWHERE) == {"dsn": "postgresql://me@db/cms", "password": {"file": "/etc/pw"}}
    assert as_given(secret("environment", "X")) == {"environment": "X"}
    assert as_given(None) is None
    assert written(ELSEWHERE) != written(secret("file", "/etc/pw"))


@pytest.mark.parametrize(
    "text", ["see https://example.org/a for more", "host:5432", "a@b.example", "postgresql://me@db/cms", ""]
)
def test_texts_without_a_password_stay(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:PLANTED@h/x",
        "postgresql://u:PLANTED/with/slashes@h/x",
        "postgresql://u:PLANTED@PLANTED@h/x",
        "redis://:PLANTED@h:6379/0",
        "postgresql://u@h/x?password=PLANTED&a=b",
        'invalid dsn "postgresql://u:PLANTED@h/x": no',
        '{"dsn": "postgresql://u:a\\"PLANTED@h/x", "b": 1}',
        "https://u:PLANTED@h/hook",
    ],
)
def test_texts_with_one_are_cleaned(text: str) -> None:
    assert "PLANTED" not in cleaned(text)
