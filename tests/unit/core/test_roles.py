"""Roles: the highest that a caller has by its user or any of its groups, and what each may do."""

from itertools import product

import pytest

from jamaint.core.roles import NOBODY, ROLES, Members, allows, how_to_get, role_of

DAEMON = 900
MEMBERS = {
    "viewer": Members(frozenset({1001}), frozenset({100})),
    "operator": Members(frozenset({1002, 1003}), frozenset({200})),
    "admin": Members(frozenset({1003}), frozenset({300})),
}


@pytest.mark.parametrize(
    ("uid", "gids", "role"),
    [
        (0, set(), "admin"),
        (DAEMON, set(), "admin"),
        (1001, set(), "viewer"),
        (1002, set(), "operator"),
        (1003, set(), "admin"),
        (5000, {100}, "viewer"),
        (5000, {100, 200}, "operator"),
        (5000, {300, 100}, "admin"),
        (1001, {300}, "admin"),
        (1002, {100}, "operator"),
        (5000, {0}, NOBODY),
        (5000, {1001, 400}, NOBODY),
        (100, set(), NOBODY),
        (65534, set(), NOBODY),
    ],
)
def test_the_highest_role_counts_and_a_group_is_not_a_user(uid: int, gids: set[int], role: str) -> None:
    assert role_of(uid, gids, MEMBERS, DAEMON) == role


def test_with_no_members_only_root_and_the_daemon_s_own_user_have_a_role() -> None:
    nobody = {role: Members(frozenset(), frozenset()) for role in ROLES}
    assert {uid: role_of(uid, {0, uid}, nobody, DAEMON) for uid in (0, DAEMON, 1001)} == {
        0: "admin",
        DAEMON: "admin",
        1001: NOBODY,
    }


def test_each_role_may_do_what_those_before_it_may() -> None:
    order = ["viewer", "operator", "admin"]
    for has, needed in product(order, order):
        assert allows(has, needed) == (order.index(has) >= order.index(needed))
    assert not any(allows(has, needed) for has in (NOBODY, "", "root") for needed in order)


@pytest.mark.parametrize(
    ("needed", "principals", "told"),
    [
        (
            "viewer",
            {"viewer": ["user:eve", "group:adm"], "operator": ["group:jamaint"]},
            "as root: adduser bob adm, then log in again",
        ),
        (
            "operator",
            {"viewer": ["group:adm"], "operator": ["root"], "admin": ["group:wheel"]},
            "as root: adduser bob wheel, then log in again",
        ),
        (
            "admin",
            {"viewer": ["group:adm"], "admin": ["root"]},
            "as root: add user:bob to roles.admin in the configuration, then jamaintctl reload",
        ),
    ],
)
def test_roles_how_to_get_one(needed: str, principals: dict[str, list[str]], told: str) -> None:
    assert how_to_get(needed, "bob", principals) == told
