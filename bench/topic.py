"""What a topic is: some peers, each a function that is run once a round and returns its figures by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Figures = Mapping[str, float]


class AbsentError(Exception):
    """A peer that is not on this machine; the message says what would bring it."""


@dataclass(frozen=True)
class Topic:
    """`peers` by name, the first being the reference of all ratios; `figures` are the columns, the first one leads.

    Ratios are told of the first figure, and of those in `ratios`.
    """

    says: str
    figures: tuple[str, ...]
    peers: Mapping[str, Callable[[], Figures]]
    ratios: tuple[str, ...] = ()
