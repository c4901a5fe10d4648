"""Units: what is written, and the number that it means."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.schema.units import duration_seconds, share, size_bytes, whole_minutes


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1h 30m", 5400), ("7d", 604800), ("2w1d", 1296000),
     ("1.5h", 5400), (" 1d ", 86400)],
)  # fmt: skip
def test_a_length_of_time(written, seconds):
    assert duration_seconds(written) == seconds


@given(st.dictionaries(st.sampled_from(["w", "d", "h", "m", "s"]), st.integers(1, 50), min_size=1))
def test_a_sum_of_parts(parts):
    length = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
    written = "".join(f"{parts[unit]}{unit}" for unit in length if unit in parts)
    assert duration_seconds(written) == sum(number * length[unit] for unit, number in parts.items())


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "d",
        "7",
        "7x",
        "1d1d",
        "1m1h",
        "-7d",
        "0s",
        "1e3s",
        "1..5h",
        "٣h",
        "9" * 400 + "d",
        "37000d",
        None,
        True,
        [],
        1.5,
    ],
)
def test_no_length_of_time(written):
    with pytest.raises(ValueError, match=r"\w"):
        duration_seconds(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [("1B", 1), ("500MB", 500_000_000), ("2 GiB", 2 << 30), ("2G", 2 << 30), ("1.5kB", 1500), ("1TiB", 1 << 40)],
)
def test_a_size(written, size):
    assert size_bytes(written) == size


@pytest.mark.parametrize("written", ["", "5", "5mb", "0B", "0.5B", "-5MB", "GB", "10000000TB", 5, None, True])
def test_no_size(written):
    with pytest.raises(ValueError, match=r"\w"):
        size_bytes(written)


def test_a_share():
    assert (share("25%"), share("0%"), share("100 %"), share("0.5%")) == (0.25, 0, 1, 0.005)


@pytest.mark.parametrize("written", ["25", "-5%", "101%", "%", 25, 0.25, None, True])
def test_no_share(written):
    with pytest.raises(ValueError, match=r"\w"):
        share(written)


def test_minutes():
    assert (whole_minutes(120, 1, 999), whole_minutes("2h", 1, 999), whole_minutes("1h30m", 1, 999)) == (120, 120, 90)


def test_a_small_k_is_asked_back():
    with pytest.raises(ValueError, match=re.escape("write 100K (of 1024) or 100kB (of 1000)")):
        size_bytes("100k")
