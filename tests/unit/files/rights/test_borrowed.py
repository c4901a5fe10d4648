"""Rights that are borrowed for a while: what can be done with them, and that the own ones come back."""

import os
import threading
from pathlib import Path

import pytest

from jamaint.files.rights.borrowed import acting_as, can_lend, own_rights
from jamaint.host.accounts import find_account, own_account
from jamaint.host.processes.run import Call, run

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def ids() -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    return os.getresuid(), os.getresgid(), os.getgroups()


@as_root
def test_rights_are_borrowed_and_come_back(tmp_path: Path) -> None:
    before, secret = ids(), tmp_path / "secret"
    secret.write_text("root's alone")
    secret.chmod(0o600)
    nobody = find_account("nobody")
    with acting_as(nobody):
        assert ids() == ((0, nobody.uid, 0), (0, nobody.gid, 0), list(nobody.groups))
        assert not can_lend()
        with pytest.raises(PermissionError):
            secret.read_text()
    assert ids() == before
    assert secret.read_text() == "root's alone"


@as_root
def test_rights_hold_in_every_thread() -> None:
    seen: list[int] = []
    begin = threading.Event()
    thread = threading.Thread(target=lambda: (begin.wait(), seen.append(os.geteuid())))
    thread.start()
    with acting_as(find_account("nobody")):
        begin.set()
        thread.join()
    assert seen == [find_account("nobody").uid]


@as_root
def test_own_rights_are_taken_within_borrowed_ones() -> None:
    before = ids()
    with acting_as(find_account("nobody")):
        with own_rights():
            assert ids() == before
        assert os.geteuid() == find_account("nobody").uid
    assert ids() == before


@as_root
def test_rights_come_back_after_an_error() -> None:
    before = ids()
    with pytest.raises(ZeroDivisionError), acting_as(find_account("nobody")):
        raise ZeroDivisionError
    assert ids() == before


@as_root
def test_a_command_within_own_rights_is_wholly_its_user() -> None:
    lines: list[str] = []
    with acting_as(find_account("nobody")), own_rights():
        run(Call("e-1", ("/bin/sh", "-c", "grep -E '^(Uid|Gid)' /proc/self/status")), lines.append, lambda: False)
    assert [line.split()[1:] for line in lines] == [["0"] * 4, ["0"] * 4]


def test_the_user_that_this_is_changes_nothing() -> None:
    before = ids()
    with acting_as(own_account()), own_rights():
        assert ids() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root can act as anybody")
def test_who_is_not_root_cannot_act_as_another() -> None:
    with pytest.raises(PermissionError, match="only root can"), acting_as(find_account("root")):
        pass
