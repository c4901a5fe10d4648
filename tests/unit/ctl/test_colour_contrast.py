"""Colours of the client are readable on a black and on a white terminal."""

import pytest

from jamaint.ctl.output.text import STYLES

LEVELS = (0, 95, 135, 175, 215, 255)  # xterm's 6x6x6 cube, fixed: unlike the first 16, no theme moves it


def luminance(index: int) -> float:
    """Return the relative luminance (WCAG 2) of a colour of xterm's cube."""
    assert 16 <= index <= 231, "a theme may redefine this colour: its contrast is unknown"
    red, green, blue = (index - 16) // 36, (index - 16) // 6 % 6, (index - 16) % 6
    linear = [((LEVELS[i] / 255 + 0.055) / 1.055) ** 2.4 if i else 0.0 for i in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["red", "green", "yellow", "cyan"])
def test_colour_is_readable_on_black_and_on_white(name: str) -> None:
    prefix, _, index = STYLES[name].rpartition(";")
    assert prefix == "38;5"
    shade = luminance(int(index))
    assert (shade + 0.05) / 0.05 >= 3.5
    assert 1.05 / (shade + 0.05) >= 3.5
