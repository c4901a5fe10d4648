"""The names of what is measured: no password in one, and no two of one name."""

from jamaint.daemon.monitoring.usage import _all_named


def test_two_databases_of_one_name_are_told_apart_by_their_address_without_its_password() -> None:
    found = _all_named(
        [
            {"kind": "database", "name": "postgresql://u:hush@a/shop", "label": "shop", "bytes": 1},
            {"kind": "database", "name": "postgresql://b/shop", "label": "shop", "bytes": 2},
            {"kind": "database", "name": "postgresql://u:hush@b/cms", "label": "cms", "bytes": 3},
            {"kind": "database", "name": "postgresql://u:hush@c/x", "bytes": None},
            {"kind": "logs", "name": "/var/log", "bytes": 4},
        ]
    )
    assert [one["name"] for one in found] == [
        "shop (postgresql://u:***@a/shop)",
        "shop (postgresql://b/shop)",
        "cms",
        "a database that cannot be reached",
        "/var/log",
    ]
