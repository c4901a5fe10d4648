"""Which names globs mean, and where their fixed directory ends."""

import re
import time
from pathlib import Path

import pytest

from jamaint.files.access.globs import Globs, exclusion, split_root


def means(patterns: list[str], path: str, hidden: bool = False) -> bool:
    globs = Globs(patterns, hidden)
    *directories, name = path.split("/")
    states = globs.start
    for directory in directories:
        states = globs.into(states, directory)
    return bool(globs.files(states)(name))


@pytest.mark.parametrize(
    ("pattern", "root", "rest"),
    [
        ("/var/log/ja/*.log*", "/var/log/ja", "*.log*"),
        ("/var/log/*/app/*.log", "/var/log", "*/app/*.log"),
        ("/var/log/**/x.log", "/var/log", "**/x.log"),
        ("/var/log/syslog.1", "/var/log", "syslog.1"),
        ("/var/log/[ab]/x", "/var/log", "[ab]/x"),
        ("/*.log", "/", "*.log"),
    ],
)
def test_the_root_is_what_stands_before_the_first_wildcard(pattern: str, root: str, rest: str) -> None:
    assert split_root(pattern) == (root, rest)


@pytest.mark.parametrize(
    ("pattern", "path", "meant"),
    [
        ("*.log*", "a.log", True),
        ("*.log*", "a.log.1.gz", True),
        ("*.log*", "sub/a.log", False),
        ("*.log*", ".a.log", False),
        (".*.log", ".a.log", True),
        ("*/a.log", "sub/a.log", True),
        ("*/a.log", ".sub/a.log", False),
        ("**/*.log", "a.log", True),
        ("**/*.log", "x/y/z/a.log", True),
        ("**/*.log", "x/.y/a.log", False),
        ("x/**/y/*.log", "x/y/a.log", True),
        ("x/**/y/*.log", "x/1/2/y/a.log", True),
        ("x/**/y/*.log", "x/1/2/a.log", False),
        ("**", "x/y/a", True),
        ("**/**/a", "a", True),
        ("[a-c]?.log", "b1.log", True),
        ("[!a-c]?.log", "b1.log", False),
        ("a.log", "a.log", True),
        ("a.log", "aXlog", False),
        ("*", "line\nbreak", True),
        ("*.log", "\udcff\udcfe.log", True),
        ("?.log", "\udcff.log", True),
    ],
)
def test_what_a_glob_means(pattern: str, path: str, meant: bool) -> None:
    assert means([pattern], path) is meant


def test_one_of_several_is_enough() -> None:
    assert means(["*.log", "sub/*.txt"], "sub/a.txt")
    assert not means(["*.log", "sub/*.txt"], "sub/a.log")


def test_a_directory_that_nothing_leads_through_is_not_entered() -> None:
    globs = Globs(["a/*.log", "b/**/x"])
    assert not globs.into(globs.start, "c")
    assert globs.into(globs.start, "a")
    assert not globs.into(globs.into(globs.start, "a"), "deeper")


@pytest.mark.parametrize(
    ("rule", "path", "left_out"),
    [
        ("*.gz", "/r/a/b.gz", True),
        ("*.gz", "/r/a/b.log", False),
        (".*", "/r/a/.b", True),
        ("/r/a/*.log", "/r/a/b.log", True),
        ("/r/a/*.log", "/r/x/b.log", False),
        ("/r/**/b.log", "/r/x/y/b.log", True),
    ],
)
def test_exclusions_are_meant_from_the_top_and_see_dotted_names(rule: str, path: str, left_out: bool) -> None:
    assert means([exclusion(rule).lstrip("/")], path.lstrip("/"), hidden=True) is left_out


def test_below_tells_when_the_directory_itself_is_meant() -> None:
    assert Globs(["var/log"], hidden=True).below("var/log/app")[1]
    assert not Globs(["var/log/*.gz"], hidden=True).below("var/log/app")[1]


def test_a_glob_that_would_backtrack_for_ever_does_not() -> None:
    start = time.monotonic()
    assert not means(["*a*a*a*a*a*a*a*a*a*a*b"], "a" * 5000)
    assert time.monotonic() - start < 5


def test_the_shell_agrees(tmp_path: Path) -> None:
    """Python's own glob, on a real tree, as the judge."""
    for path in ("a.log", ".a.log", "s/a.log", "s/t/a.log", "s/.h/a.log", "s/t/b.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    for pattern in ("*.log", "*/*.log", "**/*.log", "s/**/*", "s/?/a.*", "[rs]/*.log"):
        found = {str(path.relative_to(tmp_path)) for path in tmp_path.glob(pattern) if path.is_file()}
        shown = {path for path in found if not re.search(r"(^|/)\.", path)}  # pathlib shows dotted names
        assert {path for path in files if means([pattern], path)} == shown, pattern
