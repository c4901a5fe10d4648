"""What tasks work on, and where two of them would meet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.core.resources import Resource, database_of, meeting, touched
from jamaint.core.safety.sandbox import database_words

LOGS = {"log_paths": ["/var/log/app/*.log", "/srv/w?b/logs/x"], "archive": {"directory": "/srv/old"}, "exclude": ["/x"]}


@pytest.mark.parametrize(
    ("executor", "config", "values"),
    [
        ("logs.cleanup", LOGS, ["/var/log/app", "/srv", "/srv/old"]),
        ("logs.cleanup", {**LOGS, "archive": None}, ["/var/log/app", "/srv"]),
        ("temp.cleanup", {"paths": [{"path": "/var/tmp/a", "age": 5}, {"path": "/var/tmp/b/c*d"}]},
         ["/var/tmp/a", "/var/tmp/b"]),
        ("cache.cleanup", {"directories": [{"path": "/srv/cache"}], "redis": {"url": "redis://x/0"}},
         ["/srv/cache", "0 on x"]),
        ("backup.files", {"paths": ["/srv/www"], "destination": "/mnt/b"}, ["/srv/www", "/mnt/b"]),
        ("database.optimize", {"dsn": "postgresql://u:secret@db/cms", "statements": ["/x"]}, ["cms on db"]),
        ("database.cleanup", {"database": "cms", "cleanup_old_data": [{"table": "t"}]}, ["cms"]),
        ("command", {"command": ["/bin/rm", "/srv/x"], "working_directory": "/srv", "user": None}, []),
        ("health.check", {"paths": ["/srv"]}, []),
        ("noop", {}, []),
        ("logs.cleanup", {"log_paths": ["relative", 5, None]}, []),
    ],
)  # fmt: skip
def test_what_a_config_works_on(executor, config, values):
    assert [touch.value for touch in touched(executor, config)] == values


def test_what_is_declared_counts_for_every_executor_and_once():
    found = touched("command", {}, ["/srv/a", "/srv/a"], ["cms", "postgresql:///cms"])
    assert found == (Resource("path", "/srv/a"), Resource("database", "cms"), Resource("database", "cms on localhost"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql:///cms", "postgresql://localhost/cms", True),
        ("postgresql://me:pw@127.0.0.1:5432/cms", "postgresql://you@/cms?host=/run/postgresql", True),
        ("postgresql://me@/cms", "postgresql://me@/", False),
        ("postgresql://me@/", "postgresql:///me", True),
        ("postgresql://db/cms", "postgresql://db:5433/cms", False),
        ("postgresql://db/cms", "postgresql://other/cms", False),
        ("postgresql://db/cms", "postgresql://db/shop", False),
        ("postgresql:///cms?port=5433", "postgresql://localhost:5433/cms", True),
        ("cms", "cms", True),
        ("cms", "shop", False),
    ],
)
def test_two_addresses_of_one_database(one, other, same):
    assert (database_of(one) == database_of(other)) is same


def test_no_password_is_in_what_a_person_reads():
    for address in ("postgresql://u:secret@h/n", "postgresql://u:secret@a:1,b:2/n", "postgresql://u:secret@h:x/n"):
        assert "secret" not in database_of(address)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("/srv/a", "/srv/a", True),
        ("/srv/a", "/srv/a/b", True),
        ("/srv/a/b", "/srv/a", True),
        ("/srv/a", "/srv/ab", False),
        ("/", "/srv/ab", True),
        ("/srv/a", "/srv/b", False),
    ],
)
def test_paths_meet_when_one_holds_the_other(one, other, meet):
    assert (meeting([Resource("path", one)], [Resource("path", other)]) is not None) is meet


def test_a_database_named_like_a_path_meets_no_path():
    assert meeting([Resource("path", "/a")], [Resource("database", "/a")]) is None


PARTS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4)


@given(PARTS, PARTS)
@settings(derandomize=True, deadline=None)
def test_they_meet_just_when_one_is_a_beginning_of_the_other(one, other):
    some, others = (Resource("path", "/" + "/".join(parts)) for parts in (one, other))
    shorter = min(len(one), len(other))
    assert (meeting([some], [others]) is not None) is (one[:shorter] == other[:shorter])
    assert (meeting([some], [others]) is None) is (meeting([others], [some]) is None)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://jamaint@/cms", "database cms on localhost"),
        ("postgresql://", "the server on localhost"),
        ("postgresql://db.example", "the server on db.example"),
        ("cms", "database cms"),
        ("", "a database without a name"),
    ],
)
def test_a_database_is_never_called_by_an_empty_name(address: str, words: str) -> None:
    assert database_words(database_of(address)) == words
