"""Owners: in a directory that is another user's, root acts with that user's rights, and so for each such directory.

Root must not act by name where somebody else may rename: with the owner's rights, the worst that he can bring about is
what he could do himself. On the way to a directory, the first that is not root's decides whose rights are taken; only
root decides which that is. What the owner may not do (a group that he is not in, a file in it that is root's) is told.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jamaint.files.access.root import Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import words
from jamaint.files.rights.borrowed import acting_as, can_lend
from jamaint.files.trash.trash import TrashBusyError
from jamaint.host.accounts import Account, account_of

WayBack = Mapping[str, Any]


@contextmanager
def opened(path: str) -> Iterator[tuple[Root, Account | None]]:
    """Open a root, with its owner's rights where it is another user's, and act with them within the block.

    Gives the owner too; None where no rights are borrowed. Raises RootRefusedError.
    """
    account = owner_of(path)
    with acting_as(account), open_root(path) as root:
        yield root, account


def numbered(roots: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the roots of a way back, each with its number, which the marks of made files name: whatever becomes of a
    root or of its owner, the others are known by theirs."""
    return [{**entry, "number": number} for number, entry in enumerate(roots)]


def owner_of(path: str) -> Account | None:
    """Return the user with whose rights root acts in a directory: None for its own. Raises RootRefusedError."""
    if not can_lend():
        return None
    try:
        os.close(open_root(path).fd)
        return None
    except RootRefusedError as refusal:
        if refusal.owner is None:
            return None  # it is refused, and told, when it is opened
        return _account(refusal)


def each_owner(way_back: WayBack, act: Callable[[WayBack], dict[str, Any]]) -> dict[str, Any]:
    """Take back, or let go of, what was done below several owners' roots, with each owner's rights.

    `way_back` is Step.undo: {trash, step, roots}. Numbers of the answers are added up, lists joined. The failure of one
    owner keeps no other's files from coming back: an undo tells it among its problems. A purge raises it when all are
    done, for how much that owner's trash has lost is not known. Raises Busy, OSError.
    """
    groups: dict[str | None, tuple[Account | None, list[Any]]] = {}
    for entry in way_back.get("roots", ()):
        account = None if entry.get("shared") else _known_owner(entry["path"])
        groups.setdefault(None if account is None else account.name, (account, []))[1].append(entry)
    if groups.keys() <= {None}:
        return act(way_back)
    total: dict[str, Any] = {}
    failures: list[tuple[str, Exception]] = []
    for account, entries in groups.values():
        try:
            with acting_as(account):
                _add(total, act({**way_back, "roots": entries}))
        except (TrashBusyError, OSError) as error:
            failures += [(entry["path"], error) for entry in entries]
        except (ValueError, ArithmeticError) as error:  # he can write into the trash of his directory what he likes
            failures += [(entry["path"], OSError(f"its trash is not as it was written: {error}")) for entry in entries]
    if failures and "restored" not in total:
        raise failures[0][1]
    problems = [{"path": path, "why": words(e) if isinstance(e, OSError) else str(e)} for path, e in failures]
    return {**total, "problems": [*total["problems"], *problems]} if problems else total


def _known_owner(path: str) -> Account | None:
    try:
        return owner_of(path)
    except RootRefusedError:
        return None  # it is refused again, and told, by what opens it


def _account(refusal: RootRefusedError) -> Account:
    assert refusal.owner is not None
    try:
        account = account_of(refusal.owner)
        with acting_as(account):
            return account
    except (LookupError, PermissionError):
        raise refusal from None


def _add(total: dict[str, Any], found: Mapping[str, Any]) -> None:
    for key, value in found.items():
        known = total.get(key)
        if isinstance(known, list):
            total[key] = [*known, *value]
        elif isinstance(known, int) and not isinstance(known, bool):
            total[key] = known + value
        else:
            total[key] = value
