"""Which PostgreSQL is taken, and what is said when none will do. The programs are scripts that tell a version."""

import importlib
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jamaint.errors import JamaintError
from jamaint.host.accounts import Account, find_account, own_account
from jamaint.store.embedded import binaries
from jamaint.store.embedded.binaries import can_enter, closed_directory, find
from postgres_server import short_directory

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that everybody can go through, and the only one where the system's programs are looked for."""
    with short_directory() as directory:
        monkeypatch.setattr(binaries, "SYSTEM", f"{directory}/system/*/bin")
        monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
        yield Path(directory)


def install(directory: Path, version: str) -> str:
    directory.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = directory / name
        program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n")
        program.chmod(0o755)
    return str(directory)


def install_wheel(place: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> str:
    package = place / "site" / "jamaint_test_wheel"
    directory = install(package / "pginstall" / "bin", version)
    (package / "pginstall" / "share").mkdir()
    (package / "pginstall" / "share" / "postgres.bki").write_text("x")
    (package / "__init__.py").write_text("raise AssertionError('the wheel must not be imported')")
    monkeypatch.setattr(binaries, "WHEEL", "jamaint_test_wheel")
    monkeypatch.syspath_prepend(str(place / "site"))
    importlib.invalidate_caches()
    return directory


def account() -> Account:
    return find_account("nobody") if os.geteuid() == 0 else own_account()


def found(place: Path, configured: str | None = None, pinned: int | None = None) -> str:
    return find(configured, pinned, account(), str(place)).directory


def test_the_systems_newest_before_the_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = install_wheel(place, "18.6", monkeypatch)
    assert found(place) == wheel
    for version in ("9.6.24", "15.18", "17.2", "13.9"):
        install(place / "system" / version.partition(".")[0] / "bin", version)
    assert found(place) == f"{place}/system/17/bin"
    (place / "system" / "17" / "bin" / "initdb").unlink()
    assert found(place) == f"{place}/system/15/bin"


def test_the_configured_before_all(place: Path) -> None:
    install(place / "system" / "17" / "bin", "17.2")
    configured = install(place / "own", "16beta1")
    programs = find(configured, None, account(), str(place))
    assert (programs.directory, programs.version, programs.major) == (configured, "16beta1", 16)


def test_a_cluster_keeps_its_major_version(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("15.18", "17.2"):
        install(place / "system" / version.partition(".")[0] / "bin", version)
    wheel = install_wheel(place, "18.6", monkeypatch)
    assert found(place, pinned=15) == f"{place}/system/15/bin"
    assert found(place, pinned=18) == wheel
    with pytest.raises(JamaintError, match=r"is of PostgreSQL 16, and only 17\.2 in .*pg_upgrade.*dump and restore"):
        found(place, pinned=16)
    with pytest.raises(JamaintError, match=r"is of PostgreSQL 15, and only 17\.2 in"):
        found(place, configured=f"{place}/system/17/bin", pinned=15)


def test_none_that_will_do(place: Path) -> None:
    with pytest.raises(
        JamaintError, match=r"no PostgreSQL 14 or later below .*\(none at all\): install postgresql, or pip"
    ):
        found(place)
    old = install(place / "old", "13.9")
    with pytest.raises(JamaintError, match=r"no PostgreSQL 14 or later in database\.binaries \(13\.9 in"):
        found(place, configured=old)
    for directory in (str(place), "/no/such/directory", install(place / "odd", "?")):
        with pytest.raises(JamaintError, match=r"database\.binaries: .* has no PostgreSQL"):
            found(place, configured=directory)


@AS_ROOT
def test_programs_in_a_closed_directory_are_named_with_the_directory(place: Path) -> None:
    closed = place / "home" / "me"
    configured = install(closed / "pg" / "bin", "15.18")
    closed.chmod(0o700)
    with pytest.raises(JamaintError, match=rf"cannot be run by nobody: {closed} is closed to that user"):
        found(place, configured=configured)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@AS_ROOT
def test_the_wheel_in_a_closed_directory_is_copied_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Path(install_wheel(place, "18.6", monkeypatch))
    for path in (wheel / "postgres", wheel / "initdb", wheel, wheel.parent, wheel.parent / "share"):
        path.chmod(0o700)
    (wheel.parent / "share" / "postgres.bki").chmod(0o600)
    copies = place / "state"
    copies.mkdir()
    (copies / "programs-18.5").mkdir()
    copies.chmod(0o711)
    directory = found(copies)
    assert directory == f"{copies}/programs-18.6/bin"
    assert os.listdir(copies) == ["programs-18.6"]
    modes = {name: stat.S_IMODE((copies / "programs-18.6" / name).stat().st_mode) for name in ("bin", "bin/initdb")}
    modes["bki"] = stat.S_IMODE((copies / "programs-18.6" / "share" / "postgres.bki").stat().st_mode)
    assert modes == {"bin": 0o755, "bin/initdb": 0o755, "bki": 0o644}
    made = os.stat(f"{directory}/postgres").st_ino
    assert found(copies) == directory
    assert os.stat(f"{directory}/postgres").st_ino == made
    assert stat.S_IMODE(wheel.stat().st_mode) == 0o700


def test_the_first_closed_directory_on_the_way(place: Path) -> None:
    inner = place / "a" / "b" / "c"
    inner.mkdir(parents=True)
    someone = replace(own_account(), uid=os.geteuid() + 1, gid=os.getegid() + 1)
    for path in (place, place / "a", place / "a" / "b", inner):
        path.chmod(0o711)
    assert closed_directory(str(inner), someone) is None
    (place / "a" / "b").chmod(0o710)
    assert closed_directory(str(inner), someone) == str(place / "a" / "b")
    assert closed_directory(str(inner), own_account()) is None
    if os.geteuid() == 0:
        assert can_enter(account(), str(place / "a"))
        assert not can_enter(account(), str(inner))
