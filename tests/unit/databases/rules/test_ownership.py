"""Why a role can do nothing to tables of others, and what would let it."""

import pytest

from jamaint.databases.rules.ownership import NotOwned, quoted, why_nothing

T = NotOwned("public.t", "public.t", "app")
U = NotOwned("public.u", "public.u", 'Other "one"')


@pytest.mark.parametrize(
    ("version", "cure"),
    [
        (0, 'To let it: GRANT "app" TO "jm"; GRANT "Other ""one""" TO "jm"'),
        (160009, 'To let it: GRANT "app" TO "jm"; GRANT "Other ""one""" TO "jm"'),
        (170000, 'To let it: GRANT MAINTAIN ON public.t, public.u TO "jm"'),
    ],
)
def test_the_cure_is_one_of_that_server(version: int, cure: str) -> None:
    assert why_nothing("vacuumed", [T, T, U], "jm", version).endswith(cure)


def test_a_long_list_is_cut() -> None:
    many = [NotOwned(f"public.t{number}", "public.t", "app") for number in range(7)]
    assert "public.t4 and 2 more would be" in why_nothing("vacuumed", many, "jm")


def test_a_quote_in_a_name_is_doubled() -> None:
    assert quoted('a"b') == '"a""b"'
