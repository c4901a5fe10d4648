"""Types the README's two commands on a stock Debian 12 and 13, as an ordinary user: a part of `make acceptance`.

Each root file system is made from Debian's packages and has neither python3-venv nor sudo; the user has no rights; the
clock is in another zone, and the tests of what people read run once more at a month's end. Ends with 0 when all hold or
none could be tried (it says why), with 1 when one does not hold.
"""

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from machine import FailedError
from root import RELEASES, Release, SkippedError, unpacked

PROJECT = Path(__file__).parents[2]
PLACE = PROJECT / "dist" / "stock"
PACKAGES = ("make", "python3", "ca-certificates", "tzdata", "faketime")
USER = "ann"
HOME = f"/home/{USER}"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SETUP_SECONDS, RUN_SECONDS, TEST_SECONDS = 400, 180, 2700
MONTH_END = "2027-01-31 23:50:00"
ZONES = {"12": "Asia/Kolkata", "13": "America/St_Johns"}
SHOWN_LINES = 40

# `make run` in the background as a person has it in a first shell; the second shell waits for what it says.
MAIN_JOB = """
set -eu
make clean >/dev/null
make run >run.log 2>&1 &
until grep -q 'app-logs completed' run.log; do
    kill -0 $! 2>/dev/null || { cat run.log; echo 'make run has ended'; exit 1; }
    sleep 0.2
done
. .run/env
jamaintctl status
jamaintctl execution show last
jamaintctl rollback last
jamaintctl execute app-logs
jamaintctl why app-logs
jamaintctl execute disk-report
"""


@dataclass(frozen=True, slots=True)
class Stock:
    """A stock root file system with a clone of the project in the home of an ordinary user."""

    root: Path
    release: Release

    def run(self, *command: str, seconds: float) -> str:
        """Run a command there as the user and return what it prints. Raises FailedError unless it ends with 0."""
        passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and "LINKS" not in name}
        environment = {"HOME": HOME, "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": ZONES[self.release.number], **passed}
        try:
            done = subprocess.run(
                [
                    "setpriv", "--pdeathsig=KILL", "systemd-nspawn", "--quiet", "--as-pid2", "--register=no",
                    "--keep-unit", "--resolv-conf=copy-host", f"--directory={self.root}", f"--user={USER}",
                    f"--chdir={HOME}/jamaint", "--console=pipe",
                    *(f"--setenv={name}={value}" for name, value in environment.items()), *command,
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, errors="replace", check=False, timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"{' '.join(command)}: not done after {seconds:g} s\n{_end_of(error.output)}") from None
        if done.returncode:
            raise FailedError(f"{' '.join(command)}: exit {done.returncode}\n{_end_of(done.stdout)}")
        return done.stdout


def set_up(stock: Stock) -> str:
    """`make setup` works without python3-venv, pip, sudo and root."""
    for absent in ("pip3", "sudo", "gcc"):
        if any((stock.root / place / absent).exists() for place in ("usr/bin", "usr/local/bin")):
            raise FailedError(f"{absent} is in what should be a stock root")
    return stock.run("make", "setup", seconds=SETUP_SECONDS)


def main_job(stock: Stock) -> str:
    """`make run` does the README's main job, and its first useful output comes soon."""
    began = time.monotonic()
    said = stock.run("sh", "-c", MAIN_JOB, seconds=RUN_SECONDS)
    took = time.monotonic() - began
    if "files put back" not in said:
        raise FailedError(f"nothing tells of a rollback:\n{said}")
    log = (stock.root / HOME.lstrip("/") / "jamaint" / "run.log").read_text(errors="replace")
    if "serves at" not in log:
        raise FailedError(f"the log does not tell that it serves:\n{log}")
    return f"executed, rolled back, executed again and explained, {took:.0f} s with the 10 s before the window"


def first_output(stock: Stock) -> str:
    """After set-up, `make run` soon has a daemon that serves (the goal is 15 s on an idle machine)."""
    script = "make clean >/dev/null; make run >run.log 2>&1 & until grep -q 'serves at' run.log; do sleep 0.1; done"
    began = time.monotonic()
    stock.run("sh", "-c", script, seconds=RUN_SECONDS)
    return f"{time.monotonic() - began:.1f} s"


def tests(stock: Stock) -> str:
    """`make test` passes; on the second release the unit and contract tests alone, which take a third of the time."""
    if stock.release == RELEASES[0]:
        return _end_of(stock.run("make", "test", seconds=TEST_SECONDS), 30)
    return quick_tests(stock)


def quick_tests(stock: Stock) -> str:
    """The unit and contract tests pass."""
    return _end_of(
        stock.run(".venv/bin/pytest", "-rfE", "--tb=short", "tests/unit", "tests/contract", seconds=TEST_SECONDS), 3
    )


def month_end(stock: Stock) -> str:
    """What people read is right on the last evening of a month too."""
    places = ("tests/unit/ctl", "tests/unit/core", "tests/contract/ctl")
    return _end_of(stock.run("faketime", "-f", f"@{MONTH_END}", ".venv/bin/pytest", *places, seconds=TEST_SECONDS), 3)


CHECKS: tuple[Callable[[Stock], str], ...] = (set_up, first_output, main_job, quick_tests, tests, month_end)


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--release", help="try only this release of Debian: its name or its number")
    parser.add_argument("--quick", action="store_true", help="the unit and contract tests, on the first release alone")
    parser.add_argument("--only", nargs="*", default=[], help="names of checks; set_up always")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if os.geteuid() != 0:
        print("SKIPPED: the README was not typed on a stock Debian: only root can make one")
        return 0
    PLACE.mkdir(parents=True, exist_ok=True)
    held = failed = 0
    with (PLACE / "lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # one at a time: they have one root
        for release in RELEASES:
            if options.release not in (None, release.name, release.number):
                continue
            print(f"\nA stock Debian {release.number} ({release.name}), as an ordinary user", flush=True)
            try:
                stock = _prepared(release)
            except SkippedError as why:
                print(f"SKIPPED: the README was not typed there: {why}")
                continue
            for check in CHECKS:
                if _is_wanted(check, release, options):
                    good = _tell(stock, check)
                    held, failed = held + good, failed + (not good)
                    if check is set_up and not good:
                        break
            shutil.rmtree(stock.root, ignore_errors=True)
    print(f"\n{held} held, {failed} did not", flush=True)
    return 1 if failed else 0


def _is_wanted(check: Callable[[Stock], str], release: Release, options: argparse.Namespace) -> bool:
    """True if the check is asked for: all, those that are named, or with --quick one round of quick tests."""
    if options.quick:
        return check in (set_up, main_job) or (check in (quick_tests, month_end) and release == RELEASES[0])
    return check is not quick_tests and (not options.only or check.__name__ in (*options.only, "set_up"))


def _prepared(release: Release) -> Stock:
    """Unpack a root, make the user, and give him a clone. Raises SkippedError."""
    if shutil.which("systemd-nspawn") is None:
        raise SkippedError("systemd-nspawn is not installed")
    root = unpacked(PLACE, release, PACKAGES)
    if CERTIFICATES.exists():  # also those that this machine trusts beyond Debian's
        shutil.copyfile(CERTIFICATES, root / str(CERTIFICATES)[1:])
    _must("chroot", str(root), "useradd", "--create-home", "--shell=/bin/sh", USER)
    home = root / HOME[1:] / "jamaint"
    _must("git", "clone", "--quiet", "--depth=1", PROJECT.as_uri(), str(home))
    _must("chroot", str(root), "chown", "--recursive", f"{USER}:", HOME)
    return Stock(root, release)


def _must(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SkippedError(f"{command[0]} failed: {done.stderr.strip()}")


def _tell(stock: Stock, check: Callable[[Stock], str]) -> bool:
    """Run one check and print what was seen; return True if it held."""
    began = time.monotonic()
    try:
        seen, good = check(stock), True
    except FailedError as error:
        seen, good = str(error), False
    subject = (check.__doc__ or "").splitlines()[0]
    print(f"{'ok' if good else 'NOT OK':6}  {subject}  [{time.monotonic() - began:.1f} s]", flush=True)
    for line in seen.strip().splitlines():
        print(f"          {line}", flush=True)
    return good


def _end_of(said: str | bytes | None, lines: int = SHOWN_LINES) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said or ""
    kept = [line for line in text.splitlines() if not line.startswith("Attempted to remove disk")]
    return "\n".join(kept[-lines:])


if __name__ == "__main__":
    sys.exit(main())
