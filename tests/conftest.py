"""What tests of every level share: a PostgreSQL for the session, and databases in it."""

import signal
from collections.abc import Iterator

import pytest

import postgres_server

# A shell starts what runs in the background with SIGINT and SIGQUIT ignored, which every process would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A server, started once; the address of its database `jamaint`, which has no tables."""
    with postgres_server.serving() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def _template(postgres_dsn: str) -> str:
    return postgres_server.make_template(postgres_dsn)


@pytest.fixture
def database(postgres_dsn: str, _template: str) -> Iterator[str]:
    """The address of a database of the test's own, with all tables and nothing in them."""
    with postgres_server.fresh_database(postgres_dsn, _template) as dsn:
        yield dsn


@pytest.fixture
def empty_database(postgres_dsn: str) -> Iterator[str]:
    """The address of a database of the test's own, without tables."""
    with postgres_server.fresh_database(postgres_dsn) as dsn:
        yield dsn
