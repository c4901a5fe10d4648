"""The users of this machine: who one is, and becoming another wholly and for good."""

import grp
import os
import pwd
from dataclasses import dataclass

SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Account:
    """A user as a process wears it: ids, all groups, and what its environment says."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @property
    def is_own(self) -> bool:
        """Whether this process is that user already."""
        return self.uid == os.geteuid()


def find_account(name: str) -> Account:
    """Raises LookupError when this machine has no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"there is no user {name} on this machine") from None
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell)


def account_of(uid: int) -> Account:
    """Return the user with that number. Raises LookupError when this machine has no such user."""
    try:
        return find_account(pwd.getpwuid(uid).pw_name)
    except KeyError:
        raise LookupError(f"there is no user with the number {uid} on this machine") from None


def user_name(uid: int) -> str:
    """Return the name of the user with that number, or words with the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def group_id(name: str) -> int:
    """Raises LookupError when this machine has no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise LookupError(f"there is no group {name} on this machine") from None


def own_account() -> Account:
    """The user this process is; one without an entry in the user table has its number for a name and / for a home."""
    uid = os.geteuid()
    groups = tuple(os.getgroups())
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(str(uid), uid, os.getegid(), groups, "/", "/bin/sh")
    return Account(entry.pw_name, uid, os.getegid(), groups, entry.pw_dir, entry.pw_shell)


def check_reachable(account: Account) -> None:
    """Raises PermissionError when this process is neither that user nor root."""
    if not account.is_own and os.geteuid() != 0:
        raise PermissionError(f"this process is {own_account().name} and cannot become {account.name}: only root can")


def become(account: Account) -> None:
    """Makes this process that user, in every id and group, with no way back. Raises PermissionError, OSError.

    A process that is that user already keeps its groups. umask becomes 077: what a worker makes on its way is nobody
    else's until the worker gives it the owner and mode that it shall have.
    """
    check_reachable(account)
    if not account.is_own:
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
        if os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3:
            raise PermissionError(f"this process could not become {account.name}")
    os.umask(0o077)
    os.environ.update(environment_of(account))


def environment_of(account: Account) -> dict[str, str]:
    """The fixed environment of whatever runs as that user; nothing of the caller's own gets in."""
    return {
        "PATH": SAFE_PATH,
        "LANG": "C.UTF-8",
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell or "/bin/sh",
    }
