"""Tries the Debian package on a Debian 12 that boots: `make acceptance`. Prints each check with what was seen.

Ends with 0 when all hold or none could be tried (it says why), with 1 when one does not hold.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import checks
from machine import FailedError, Machine, powered
from root import SkippedError, unpacked

PLACE = Path(__file__).parents[2] / "dist" / "machine"
LIMIT_SECONDS = 600


def main() -> int:
    """The exit code."""
    began = time.monotonic()
    package = Path(sys.argv[1]).resolve()
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.alarm(LIMIT_SECONDS)
    failed = held = 0
    try:
        print(_lintian(package))
        if os.geteuid() != 0:
            raise SkippedError("only root can boot a machine")
        PLACE.mkdir(parents=True, exist_ok=True)
        alone = (PLACE / "lock").open("w")
        fcntl.flock(alone, fcntl.LOCK_EX)  # one at a time: they have one root
        root = unpacked(PLACE)
        checks.prepare(root, package)
        with powered(Machine(root)) as machine:
            machine.boot()
            for check in checks.CHECKS:
                started = time.monotonic()
                # systemd counts starts within a minute; here a minute has as many as a bad week has otherwise.
                machine.run("systemctl", "reset-failed", "jamaintd.service")
                try:
                    seen, word = check(machine), "ok"
                    held += 1
                except FailedError as error:
                    seen, word = str(error), "NOT OK"
                    failed += 1
                except Exception:
                    seen, word = traceback.format_exc(limit=-3), "NOT OK"
                    failed += 1
                took = time.monotonic() - started
                print(f"{word:6}  {(check.__doc__ or '').splitlines()[0]}  [{took:.1f} s]", flush=True)
                for line in str(seen).strip().splitlines():
                    print(f"          {line}", flush=True)
            if failed:
                print(machine.run("journalctl", "-u", "jamaint*", "--no-pager", "-n", "150").stdout)
    except FailedError as error:
        print(f"NOT OK  {error}")
        return 1
    except SkippedError as why:
        print(f"SKIPPED: the package was not tried on a machine that boots: {why}")
        return 0
    print(f"\n{held} held, {failed} did not; {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


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
