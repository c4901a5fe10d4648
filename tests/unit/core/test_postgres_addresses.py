"""An address of PostgreSQL is judged before anybody connects, and never leads to another server than it says."""

import pytest
from asyncpg import connect_utils
from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.postgres_addresses import usable_address, wrong_address
from jamaint.core.resources import database_of


@pytest.mark.parametrize(
    "address",
    [
        "postgresql:///jamaint",
        "postgresql://u:p%40w@db:5433/cms?sslmode=require",
        "postgresql://app@/cms?host=db1,db2&port=5432,5433&target_session_attrs=primary",
        "postgresql://app@db1:5432,db2:5433/cms",
        "postgresql://app@/cms?host=db1,db2&port=5433",
        "postgresql://app@[::1]:5433,[::2]/cms",
        "postgresql://postgres@/DB?host=/sock&port=55501",
        "postgresql://u@%2Frun%2Fpostgresql:5433/cms",
        "postgresql://u@/cms?connect_timeout=3&role=poor&application_name=x",
        "postgresql://me:secret@/x?sslpassword=s3cret&a=b",
        "postgresql://u@db/cms?channel_binding=prefer",
        "postgresql://u@db/cms?options=-c%20statement_timeout%3D5",
    ],
)
def test_right_ones(address: str) -> None:
    assert wrong_address(address) is None
    assert database_of(address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://app@/cms?port=abc", "port that is no number"),
        ("postgresql://app@db:54x/cms", "port that is no number"),
        ("postgresql://app@db:/cms", "port that is no number"),
        ("postgresql://app@db:70000/cms", "port that is no number"),
        ("postgresql://app@/cms?host=a,b,c&port=1,2", "2 ports for 3 hosts"),
        ("postgresql://u:p@w@db/cms", "more than one @"),
        ("postgresql://[bad/x", "cannot be read"),
        ("postgresql://u@db/cms?sslmode", "NAME=VALUE"),
        ("postgresql://u@db/cms?sslmode=yes", "verify-full"),
        ("postgresql://u@db/cms?ssl=true", "sslmode=require"),
        ("postgresql://u@db/cms?channel_binding=require", "leave it out"),
        ("postgresql://u@db/cms?hostaddr=10.0.0.1", "write that address as the host"),
        ("postgresql://u@db/cms?target_session_attrs=master", "read-write"),
        ("postgresql://u:se#cret@db/cms", "%23"),
        ("postgresql://u@db/cms?a-b=c", "no name of one"),
    ],
)
def test_wrong_ones(address: str, words: str) -> None:
    wrong = wrong_address(address)
    assert wrong is not None
    assert words in wrong
    assert database_of(address)


@given(st.text(alphabet="ab:/@?&=%,[]#51", max_size=30))
def test_whatever_is_written_gets_an_answer(rest: str) -> None:
    address = f"postgresql://{rest}"
    database_of(address)
    if wrong_address(address) is None:
        usable_address(address)


def test_several_hosts_get_each_its_port() -> None:
    """As the driver wants them."""
    usable = usable_address("postgresql://a@/cms?host=db1,db2&port=5432,5433&connect_timeout=3")
    names = "host port user password passfile database ssl service servicefile direct_tls server_settings"
    nothing = dict.fromkeys([*names.split(), "target_session_attrs", "krbsrvname", "gsslib"])
    addresses, params, *_ = connect_utils._parse_connect_dsn_and_args(dsn=usable, **nothing)
    assert addresses == [("db1", 5432), ("db2", 5433)]
    assert not params.server_settings


def test_what_only_libpq_knows_is_left_out() -> None:
    assert usable_address("postgresql://u@db/cms?connect_timeout=3") == "postgresql://u@db/cms"
    assert usable_address("postgresql://u@db/cms?role=x&sslsni=1") == "postgresql://u@db/cms?role=x"
