"""The Debian that the package is tried on: its root directory, made once for each release and kept as an archive."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Debian; `postgresql` is the major version, and `python` the version, that it comes with."""

    name: str
    number: str
    postgresql: int
    python: str

    @property
    def cluster(self) -> str:
        """The unit of its PostgreSQL."""
        return f"postgresql@{self.postgresql}-main"


RELEASES = (Release("bookworm", "12", 15, "3.11"), Release("trixie", "13", 17, "3.13"))
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "init-system-helpers", "postgresql", "python3", "python3-systemd", "tzdata",
    "redis-server", "procps",
)  # fmt: skip
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BUILD_SECONDS = 420
APT_OPTIONS = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Check", "Acquire::ForceIPv")


class SkippedError(Exception):
    """Why it cannot be tried here."""


def unpacked(place: Path, release: Release, packages: tuple[str, ...] = PACKAGES) -> Path:
    """A fresh root below `place`; the archive beside it is made if it is not there, from this machine's sources."""
    archive = place / f"{release.name}.tar"
    if not _is_current(archive, packages):
        _build(archive, release, packages)
    root = place / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    _run("tar", "--extract", "--numeric-owner", "--xattrs", f"--file={archive}", f"--directory={root}")
    return root


def _is_current(archive: Path, packages: tuple[str, ...]) -> bool:
    """True if the archive is there and has the packages that are asked for today."""
    listed = archive.with_suffix(".packages")
    return archive.exists() and listed.exists() and listed.read_text().split() == list(packages)


def _build(archive: Path, release: Release, packages: tuple[str, ...]) -> None:
    if shutil.which("mmdebstrap") is None:
        raise SkippedError("mmdebstrap is not installed")
    new = archive.with_suffix(".new.tar")
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    options = [f"--aptopt={line}" for line in _apt_options()]
    try:
        _run(
            "mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", *keyring, *options,
            release.name, str(new), *_sources(release), seconds=BUILD_SECONDS,
        )  # fmt: skip
        os.replace(new, archive)
        archive.with_suffix(".packages").write_text("\n".join(packages))
    finally:
        new.unlink(missing_ok=True)


def _sources(release: Release) -> list[str]:
    """This machine's sources of that release, in whatever form; else those of another release, renamed."""
    wanted = "$(ORIGIN)|$(CODENAME)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    found = _run("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines()
    lines = {row[2] for line in found if (row := line.split("|", 2))[0] == "Debian"}
    here = sorted(line for line in lines if _suite(line).partition("-")[0] == release.name)
    if not here:
        others = "|".join(one.name for one in RELEASES)
        here = sorted({re.sub(rf"(?<= )({others})(?=[ -])", release.name, line, count=1) for line in lines})
        here = [line for line in here if _suite(line).partition("-")[0] == release.name]
    if not here:
        raise SkippedError(f"apt knows no sources of Debian {release.name} here (apt-get update?)")
    return here


def _suite(line: str) -> str:
    return line.split()[2]


def _apt_options() -> list[str]:
    """How this machine gets at its sources: proxies and the like."""
    said = _run("apt-config", "dump", "--format", '%f "%v";%n', "Acquire").splitlines()
    return [line for line in said if line.startswith(APT_OPTIONS) and not line.endswith('"";')]


def _run(*command: str, seconds: float = 120) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise SkippedError(f"{command[0]} took longer than {seconds:g} s") from None
    if done.returncode:
        raise SkippedError(f"{command[0]} failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    return done.stdout
