"""Whether two path patterns can match one path."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.glob_overlap import overlap


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("/srv/*.log", "/srv/access.log", True),
        ("/srv/*.log", "/srv/access.out", False),
        ("/srv/*.log", "/srv/a*", True),
        ("/srv/a*b", "/srv/*ba", False),
        ("/srv/*/x.log", "/srv/a/*.log", True),
        ("/srv/*.log", "/srv/a/x.log", False),
        ("/srv/**/*.log", "/srv/a/b/x.log", True),
        ("/srv/**/*.log", "/srv/x.log", True),
        ("/srv/[ab].log", "/srv/c.log", False),
        ("/srv/[!ab].log", "/srv/c.log", True),
        ("/srv/*", "/srv/.hidden", False),
        ("/srv/.h*", "/srv/.hidden", True),
    ],
)
def test_overlap(first: str, second: str, expected: bool) -> None:
    assert overlap(first, second) is expected
    assert overlap(second, first) is expected


@given(st.text("ab*?", max_size=6), st.text("ab", max_size=6))
def test_overlap_with_a_plain_name_is_a_match(pattern: str, name: str) -> None:
    if "**" not in pattern:
        assert overlap(f"/{pattern}", f"/{name}") is fnmatch.fnmatchcase(name, pattern)
