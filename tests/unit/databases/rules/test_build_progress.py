"""How far a build is: it never goes back from one phase to the next."""

import pytest

from jamaint.databases.rules.build_progress import share_built

PHASES = [  # in the order in which the server goes through them
    ("initializing", (0, 0), (0, 0)),
    ("waiting for writers before build", (0, 0), (0, 0)),
    ("building index: scanning table", (50, 100), (0, 0)),
    ("building index: sorting live tuples", (100, 100), (0, 0)),
    ("building index: loading tuples in tree", (100, 100), (400, 500)),
    ("waiting for writers before validation", (100, 100), (500, 500)),
    ("index validation: scanning index", (3, 10), (0, 0)),
    ("index validation: sorting tuples", (10, 10), (0, 0)),
    ("index validation: scanning table", (60, 100), (0, 0)),
    ("waiting for old snapshots", (0, 0), (0, 0)),
    ("waiting for readers before marking dead", (0, 0), (0, 0)),
    ("waiting for readers before dropping", (0, 0), (0, 0)),
]


def test_it_goes_forward() -> None:
    shares = [share_built(*one) for one in PHASES]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(("phase", "blocks", "tuples"), PHASES)
def test_it_is_a_share(phase: str, blocks: tuple[int, int], tuples: tuple[int, int]) -> None:
    assert 0.0 <= share_built(phase, blocks, tuples) <= share_built(phase, (200, 100), (900, 100)) <= 1.0


def test_a_phase_of_another_version_is_not_guessed() -> None:
    assert share_built("something new", (1, 2), (1, 2)) == 0.0
