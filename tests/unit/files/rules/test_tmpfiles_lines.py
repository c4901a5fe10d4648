"""Lines of tmpfiles.d: which path each is about, and what is told of one that cannot be understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.files.rules.tmpfiles_lines import Entry, concerns, read_line

SPECIFIERS = {"%": "%", "T": "/tmp", "b": "0123", "H": "host.example"}


@pytest.mark.parametrize(
    ("line", "kind", "path"),
    [
        ("d /var/tmp/abrt 0755 app app -", "d", "/var/tmp/abrt"),
        ("d- /var/tmp/abrt", "d", "/var/tmp/abrt"),
        ("q /var/tmp/q 1777 root root 10d", "q", "/var/tmp/q"),
        ("  x\t/tmp/a*b/?c  ", "x", "/tmp/a*b/?c"),
        ('x "/var/tmp/my dir"', "x", "/var/tmp/my dir"),
        ("X '/var/tmp/my dir' - - -", "X", "/var/tmp/my dir"),
        ('x /var/tmp/"my dir"/in', "x", "/var/tmp/my dir/in"),
        ("x /var//tmp/./a/", "x", "/var/tmp/a"),
        ("x /tmp/[^a-c]*", "x", "/tmp/[!a-c]*"),
        ("x /tmp/a\\\\*b", "x", "/tmp/a[*]b"),
        ("x /tmp/**/b", "x", "/tmp/*/b"),
        ("x /tmp/a[b", "x", "/tmp/a[[]b"),
        ("d /tmp/a*b[c", "d", "/tmp/a[*]b[[]c"),
        ("e /tmp/a* - - - 1d", "e", "/tmp/a*"),
        ("x %T/systemd-private-%b-*", "x", "/tmp/systemd-private-0123-*"),
        ("x /tmp/100%%", "x", "/tmp/100%"),
        ("x /tmp/%Q-%", "x", "/tmp/%Q-%"),
    ],
)
def test_line_is_about_its_path(line: str, kind: str, path: str) -> None:
    assert read_line(line, SPECIFIERS) == Entry(kind, (path,))


@pytest.mark.parametrize(
    ("path", "documented", "before_254"),
    [
        ("my\\x20dir", "my dir", "myx20dir"),
        ("my\\sdir\\040a\\tb", "my dir a\tb", "mysdir040atb"),
        ("\\u00e4\\xff", "\u00e4\udcff", "u00e4xff"),
        ("\\xc3\\xa4", "\u00e4", "xc3xa4"),
    ],
)
def test_escapes_are_read_in_both_ways(path: str, documented: str, before_254: str) -> None:
    assert read_line(f"x /tmp/{path}", {}) == Entry("x", (f"/tmp/{documented}", f"/tmp/{before_254}"))


@pytest.mark.parametrize("line", ["", "  \t", "# x /tmp", "  # x", "r! /tmp/.X[0-9]*-lock", "D! /tmp/.X11-unix 1777"])
def test_line_is_about_nothing(line: str) -> None:
    assert read_line(line, SPECIFIERS) is None


@pytest.mark.parametrize(
    ("line", "path", "why"),
    [
        ("x /var/tmp/%m-cache/a", "/var/tmp/*-cache/a", "%m is not known here"),
        ("x /var/tmp/a\\qb", "/var/tmp/a*b", r"\q is no escape"),
        ("x /var/tmp/a\\x00b", "/var/tmp/a*b", r"\x is no escape"),
        ("x /var/tmp/a\\", "/var/tmp/a*", "\\ is no escape"),
        ('x "/var/tmp/my dir', "/var/tmp/my*", "a quote is not closed"),
        ("x '/var/tmp/my dir 0755 - -", "/var/tmp/my*", "a quote is not closed"),
        ("Y /var/tmp/a", "/var/tmp/a", "'Y' is no type of line"),
        ("xx /var/tmp/a", "/var/tmp/a", "'xx' is no type of line"),
        ("x", None, "it has no path"),
        ("x var/tmp", None, "its path 'var/tmp' is not absolute"),
    ],
)
def test_line_that_is_not_understood_is_told_and_spared_as_far_as_it_is_known(
    line: str, path: str | None, why: str
) -> None:
    found = read_line(line, SPECIFIERS)
    assert found is not None
    assert (found.paths[:1], found.why) == (() if path is None else (path,), why)


def test_lines_for_a_root_or_above_it_are_not_about_what_is_below() -> None:
    assert concerns("/var/tmp/a", "/var/tmp")
    assert not concerns("/var/tmp", "/var/tmp")
    assert not concerns("/var/*", "/var/tmp")
    assert concerns("/tmp", "/")


@given(st.text(max_size=60))
def test_any_line_is_read(line: str) -> None:
    found = read_line(f"x /tmp/{line}", SPECIFIERS)
    assert found is None or all(path.startswith("/") for path in found.paths)
