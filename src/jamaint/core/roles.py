"""Roles: what a caller may do, from the kernel's word of who it is."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

ROLES = ("viewer", "operator", "admin")
"""Each may do what those before it may."""
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Members:
    """Who has a role: user ids and group ids."""

    uids: frozenset[int]
    gids: frozenset[int]


def role_of(uid: int, gids: Set[int], members: dict[str, Members], own_uid: int) -> str:
    """The highest role of a caller. root, and the user the daemon runs as, are admin; `nobody` has none."""
    if uid in (0, own_uid):
        return "admin"
    for role in reversed(ROLES):
        if uid in members[role].uids or gids & members[role].gids:
            return role
    return NOBODY


def allows(role: str, needed: str) -> bool:
    """Whether a caller with `role` may call what needs `needed`."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


def how_to_get(needed: str, user: str, principals: Mapping[str, Sequence[str]]) -> str:
    """Return what gives `user` the role: the group to join, else the key of the configuration.

    `principals` are those of each role as the configuration has them: root, user:NAME or group:NAME.
    """
    for role in ROLES[ROLES.index(needed) :]:  # the lowest that suffices gives away the least
        for principal in principals.get(role, ()):
            kind, _, name = principal.partition(":")
            if kind == "group":
                return f"as root: adduser {user} {name}, then log in again"
    return f"as root: add user:{user} to roles.{needed} in the configuration, then jamaintctl reload"
