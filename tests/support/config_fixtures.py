"""Types of the fixtures in tests/unit/config/conftest.py, for the tests that name them."""

from collections.abc import Callable

from jamaint.config import Config

Loading = Callable[..., Config]
Mistakes = Callable[..., list[str]]
