"""Who else may write in a directory: private groups, trusted ones, access lists, and what cannot be known."""

import grp
import os
import pwd
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.files.access.root import RootRefusedError, open_root
from jamaint.files.rights import writable_groups

GROUP = 4711
ACL = "system.posix_acl_access"


class Accounts:
    """A user table: the members of one group, and the accounts that have it as primary group, each by name and uid."""

    def __init__(self) -> None:
        self.members: dict[str, int] = {}
        self.primary: dict[str, int] = {}

    def getgrgid(self, gid: int) -> grp.struct_group:
        if gid != GROUP:
            raise KeyError(gid)
        return grp.struct_group(("team", "x", GROUP, list(self.members)))

    def getgrnam(self, name: str) -> grp.struct_group:
        if name != "team":
            raise KeyError(name)
        return self.getgrgid(GROUP)

    def getpwall(self) -> list[pwd.struct_passwd]:
        return [pwd.struct_passwd((name, "x", uid, GROUP, "", "/", "/bin/sh")) for name, uid in self.primary.items()]

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", self.members[name], 100, "", "/", "/bin/sh"))


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Accounts]:
    table = Accounts()
    for module, names in ((grp, ("getgrgid", "getgrnam")), (pwd, ("getpwall", "getpwnam"))):
        for name in names:
            monkeypatch.setattr(module, name, getattr(table, name))
    monkeypatch.setattr(writable_groups, "_NSSWITCH", str(tmp_path / "nsswitch.conf"))
    (tmp_path / "nsswitch.conf").write_text(
        "# accounts\npasswd: files systemd\ngroup: files [NOTFOUND=return] systemd\n"
    )
    writable_groups.trust(())
    yield table
    writable_groups.trust(())


def test_group_with_only_the_acting_user_is_private(accounts: Accounts) -> None:
    accounts.primary["me"] = os.geteuid()
    assert writable_groups.is_private(GROUP)
    accounts.members["me-too"] = os.geteuid()
    accounts.members["root"] = 0
    assert writable_groups.is_private(GROUP)


@pytest.mark.parametrize("by", ["members", "primary"])
def test_group_with_another_account_is_not_private(accounts: Accounts, by: str) -> None:
    accounts.primary["me"] = os.geteuid()
    getattr(accounts, by)["other"] = 4242
    assert not writable_groups.is_private(GROUP)


def test_group_without_accounts_is_not_private(accounts: Accounts) -> None:
    """Programs may have its rights (setgid), and nobody knows whose they are."""
    assert not writable_groups.is_private(GROUP)
    assert not writable_groups.is_private(GROUP + 1)


@pytest.mark.parametrize("line", ["passwd: files sss", "group: ldap files", "initgroups: winbind"])
def test_group_is_not_private_where_a_directory_service_may_know_more(
    accounts: Accounts, tmp_path: Path, line: str
) -> None:
    accounts.primary["me"] = os.geteuid()
    (tmp_path / "nsswitch.conf").write_text(f"{line}\n")
    assert not writable_groups.is_private(GROUP)
    (tmp_path / "nsswitch.conf").unlink()
    assert writable_groups.is_private(GROUP)


def test_group_is_trusted_by_its_name_alone(accounts: Accounts) -> None:
    writable_groups.trust(["team", "no-such-group"])
    assert writable_groups.is_trusted(GROUP)
    assert not writable_groups.is_trusted(GROUP + 1)
    assert not writable_groups.is_private(GROUP)


# Real directories

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a directory of another group")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """/var/log as Ubuntu has it, with the directory of a service in it."""
    log = tmp_path / "log"
    (log / "nginx").mkdir(parents=True)
    (log / "nginx").chmod(0o755)
    os.chown(log, 0, GROUP)
    log.chmod(0o775)
    return log


def refusal(path: Path) -> str:
    with pytest.raises(RootRefusedError) as refused, open_root(str(path)):
        pass
    return refused.value.why


@as_root
@pytest.mark.parametrize("below", [".", "nginx"])
def test_directory_of_a_trusted_group_is_opened(log: Path, accounts: Accounts, below: str) -> None:
    accounts.primary["syslog"] = 104
    why = refusal(log / below)
    assert why.startswith(f"{log} may be written by the group team (mode 0775)")
    assert "add `trust: {groups: [team]}` to root's configuration" in why
    writable_groups.trust(["team"])
    with open_root(str(log / below)):
        pass


@as_root
def test_directory_of_everyone_is_never_opened_by_trust(log: Path, accounts: Accounts) -> None:
    writable_groups.trust(["team"])
    log.chmod(0o1777)
    why = refusal(log)
    assert "may be written by everyone (mode 1777)" in why
    assert "chmod" not in why  # it would break what everybody uses
    assert "a directory of its own" in why


def an_access_list(path: Path, mask: int, *entries: tuple[int, int, int]) -> None:
    every = [(1, 7, -1), *entries, (4, 5, -1), (16, mask, -1), (32, 0, -1)]
    order = sorted(every, key=lambda entry: (entry[0], entry[2]))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in order)
    try:
        os.setxattr(path, ACL, acl)
    except OSError:
        pytest.skip("no access lists on this file system")


@as_root
def test_writers_on_an_access_list_are_told_by_what_they_may(log: Path, accounts: Accounts) -> None:
    writable_groups.trust(["team"])
    an_access_list(log, 7, (2, 5, 4242))  # may look
    with open_root(str(log)):
        pass
    an_access_list(log, 7, (2, 7, 0))  # root
    with open_root(str(log)):
        pass
    an_access_list(log, 5, (2, 7, 4242))  # the mask takes it away
    with open_root(str(log)):
        pass
    an_access_list(log, 7, (2, 7, 4242))
    assert "may be written by uid 4242 (access list)" in refusal(log)
    an_access_list(log, 7, (8, 7, GROUP))
    with open_root(str(log)):
        pass
    an_access_list(log, 7, (8, 7, GROUP + 1))
    assert f"may be written by the group {GROUP + 1}" in refusal(log)
