"""Colours of the client and of the daemon's log are readable on a black and on a white terminal."""

import pytest

from jamaint.ctl.output.text import STYLES
from jamaint.host.logging.format import COLOURS, DIM

LEVELS = (0, 95, 135, 175, 215, 255)  # xterm's 6x6x6 cube, fixed: unlike the first 16, no theme moves it
FIRST_GREY = 232
CODES = {**{name: STYLES[name] for name in ("dim", "red", "green", "yellow", "cyan")}, **COLOURS, "field": DIM}


def luminance(index: int) -> float:
    """Return the relative luminance (WCAG 2) of one of xterm's fixed colours."""
    assert 16 <= index <= 255, "a theme may redefine this colour: its contrast is unknown"
    if index >= FIRST_GREY:
        shades = [8 + 10 * (index - FIRST_GREY)] * 3
    else:
        shades = [LEVELS[i] for i in ((index - 16) // 36, (index - 16) // 6 % 6, (index - 16) % 6)]
    linear = [((shade / 255 + 0.055) / 1.055) ** 2.4 if shade else 0.0 for shade in shades]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", CODES)
def test_colour_is_readable_on_black_and_on_white(name: str) -> None:
    prefix, _, index = CODES[name].rpartition(";")
    assert prefix in {"38;5", "1;38;5"}
    shade = luminance(int(index))
    assert (shade + 0.05) / 0.05 >= 3.5
    assert 1.05 / (shade + 0.05) >= 3.5


def test_log_has_the_colours_of_the_client() -> None:
    assert (COLOURS["info"], COLOURS["warning"], COLOURS["error"]) == (STYLES["green"], STYLES["yellow"], STYLES["red"])
    assert STYLES["dim"] == DIM
