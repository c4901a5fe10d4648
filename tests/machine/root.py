"""The Debian 12 that the package is tried on: its root directory, made once and kept as an archive."""

import os
import shutil
import subprocess
from pathlib import Path

RELEASE = "bookworm"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "init-system-helpers", "postgresql", "python3", "python3-systemd", "tzdata",
)  # fmt: skip
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BUILD_SECONDS = 420
APT_OPTIONS = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Check", "Acquire::ForceIPv")


class SkippedError(Exception):
    """Why it cannot be tried here."""


def unpacked(place: Path) -> Path:
    """A fresh root below `place`; the archive beside it is made if it is not there, from this machine's sources."""
    archive = place / f"{RELEASE}.tar"
    if not archive.exists():
        _build(archive)
    root = place / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    _run("tar", "--extract", "--numeric-owner", "--xattrs", f"--file={archive}", f"--directory={root}")
    return root


def _build(archive: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise SkippedError("mmdebstrap is not installed")
    new = archive.with_suffix(".new.tar")
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    options = [f"--aptopt={line}" for line in _apt_options()]
    try:
        _run(
            "mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", *keyring, *options,
            RELEASE, str(new), *_sources(), seconds=BUILD_SECONDS,
        )  # fmt: skip
        os.replace(new, archive)
    finally:
        new.unlink(missing_ok=True)


def _sources() -> list[str]:
    """This machine's sources of that release, whatever form they are written in."""
    wanted = "$(ORIGIN)|$(CODENAME)|deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    found = _run("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines()
    rows = [line.split("|", 2) for line in found]
    lines = sorted({line for origin, name, line in rows if origin == "Debian" and name.partition("-")[0] == RELEASE})
    if not lines:
        raise SkippedError(f"apt knows no sources of Debian {RELEASE} here (apt-get update?)")
    return lines


def _apt_options() -> list[str]:
    """How this machine gets at its sources: proxies and the like."""
    said = _run("apt-config", "dump", "--format", '%f "%v";%n', "Acquire").splitlines()
    return [line for line in said if line.startswith(APT_OPTIONS) and not line.endswith('"";')]


def _run(*command: str, seconds: float = 120) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    if done.returncode:
        raise SkippedError(f"{command[0]} failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    return done.stdout
