"""Tries the Debian package on a Debian 12 and a Debian 13 that boot: `make acceptance`.

Prints each check with what was seen. Ends with 0 when all hold or none could be tried (it says why), with 1 when one
does not hold.
"""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import checks
import earlier
from machine import FailedError, Machine, powered
from root import RELEASES, Release, SkippedError, unpacked

PLACE = Path(__file__).parents[2] / "dist" / "machine"
LIMIT_SECONDS = 1800


@dataclass(slots=True)
class Tally:
    """How many checks held, and how many did not."""

    held: int = 0
    failed: int = 0


def main() -> int:
    """The exit code."""
    began = time.monotonic()
    options = _options()
    package = options.package.resolve()
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.alarm(LIMIT_SECONDS)
    tally = Tally()
    try:
        print(_lintian(package), flush=True)
        if os.geteuid() != 0:
            raise SkippedError("only root can boot a machine")
        PLACE.mkdir(parents=True, exist_ok=True)
        alone = (PLACE / "lock").open("w")
        fcntl.flock(alone, fcntl.LOCK_EX)  # one at a time: they have one root
        for release in RELEASES:
            if options.release in (None, release.name, release.number):
                _try(release, package, options.only, tally)
    except FailedError as error:
        print(f"NOT OK  {error}")
        return 1
    print(f"\n{tally.held} held, {tally.failed} did not; {time.monotonic() - began:.0f} s")
    return 1 if tally.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("package", type=Path, help="the .deb")
    parser.add_argument("--release", help="try only this release of Debian: its name or its number")
    parser.add_argument("--only", nargs="*", default=[], help="names of checks: no others, and those they build on")
    return parser.parse_args()


def _try(release: Release, package: Path, only: list[str], tally: Tally) -> None:
    """All checks on one release."""
    print(f"\nDebian {release.number} ({release.name})", flush=True)
    try:
        root = unpacked(PLACE, release)
        checks.prepare(root, package, _earlier(release))
        with powered(Machine(root, release)) as machine:
            machine.boot()
            before = tally.failed
            for check in checks.chosen(only):
                _tell(machine, check, tally)
            if tally.failed > before:
                print(machine.run("journalctl", "-u", "jamaint*", "--no-pager", "-n", "150").stdout)
    except SkippedError as why:
        print(f"SKIPPED: the package was not tried on a machine with Debian {release.number} that boots: {why}")


def _earlier(release: Release) -> Path | None:
    """The package of an earlier commit for it, or the reason why there is none."""
    try:
        return earlier.package(PLACE, release)
    except SkippedError as why:
        print(f"--      {why}", flush=True)
        return None


def _tell(machine: Machine, check: checks.Check, tally: Tally) -> None:
    """One check, and what was seen."""
    started = time.monotonic()
    # systemd counts starts within a minute; here a minute has as many as a bad week has otherwise.
    machine.run("systemctl", "reset-failed", "jamaintd.service")
    try:
        seen, word = check(machine), "ok"
        tally.held += 1
    except SkippedError as why:
        seen, word = f"left out: {why}", "--"
    except FailedError as error:
        seen, word = str(error), "NOT OK"
        tally.failed += 1
    except Exception:
        seen, word = traceback.format_exc(limit=-3), "NOT OK"
        tally.failed += 1
    took = time.monotonic() - started
    print(f"{word:6}  {(check.__doc__ or '').splitlines()[0]}  [{took:.1f} s]", flush=True)
    for line in str(seen).strip().splitlines():
        print(f"          {line}", flush=True)


def _lintian(package: Path) -> str:
    """Its opinion of the package. Raises FailedError when it has found an error."""
    if shutil.which("lintian") is None:
        return "        lintian is not installed, and was not asked"
    done = subprocess.run(["lintian", "--fail-on=error", str(package)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"lintian: {done.stdout}{done.stderr}")
    return f"ok      lintian finds no error in {package.name}, {package.stat().st_size / 2**20:.1f} MiB\n" + "".join(
        f"          {line}\n" for line in done.stdout.splitlines()
    ).rstrip("\n")


def _too_long(_number: int, _frame: object) -> None:
    raise FailedError(f"the whole took longer than {LIMIT_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
