"""Who may approve what he asked for himself: root, and the person whose own daemon it is; never a service's account."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core_examples import execution
from jamaint.core.policies.approvals import OWNER, Approval
from jamaint.daemon.control.commands.command import Call, is_owner, refuse_own
from jamaint.errors import NOT_AUTHORISED, JamaintError
from jamaint.worker_client.systemd_unit import VARIABLE

ANN = 1000
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def call(uid: int) -> Call:
    return Call({}, cast("Any", SimpleNamespace(uid=uid)), "admin", "ann")


@pytest.fixture(params=["own", "service"])
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A daemon that runs as ANN, for her or as a service whose workers are units."""
    monkeypatch.setattr(os, "geteuid", lambda: ANN)
    monkeypatch.delenv(VARIABLE, raising=False)
    if request.param == "service":
        monkeypatch.setenv(VARIABLE, "/run/jamaint-workers")
    return str(request.param)


def test_owner_is_root_or_the_person_whose_daemon_it_is(daemon: str) -> None:
    assert is_owner(call(0))
    assert is_owner(call(ANN)) == (daemon == "own")
    assert not is_owner(call(ANN + 1))


def test_what_one_made_himself_another_has_to_approve(daemon: str) -> None:
    refuse_own(call(0), "ann", "cannot approve: ann made it")
    refuse_own(call(ANN + 1), "bob", "cannot approve: ann made it")
    if daemon == "own":
        refuse_own(call(ANN), "ann", "cannot approve: ann made it")
    else:
        with pytest.raises(JamaintError, match="another has to approve it") as refused:
            refuse_own(call(ANN), "ann", "cannot approve: ann made it")
        assert refused.value.code == NOT_AUTHORISED


@pytest.mark.parametrize(("principals", "covers"), [({"admin"}, False), ({"admin", OWNER}, True)])
def test_approval_of_an_owner_covers_what_he_asks_for(principals: set[str], covers: bool) -> None:
    given = Approval(
        "a", "cleanup", "ann", NOON, NOON + timedelta(hours=1), definition="d", as_principals=frozenset(principals)
    )
    asked = execution(requested_by="ann", trigger="request")
    assert given.covers(asked, "d", NOON) is covers
    assert given.covers(execution(requested_by="bob", trigger="request"), "d", NOON)
