"""What must hold when the package of an earlier commit is upgraded, with what it has left open, and gone back to."""

import contextlib
import os
import time

from machine import FailedError, Machine
from root import SkippedError
from tree_snapshot import differences, snapshot

DEB = "/var/tmp/jamaint.deb"
OLD_DEB = "/var/tmp/jamaint-old.deb"
FILE = "/etc/jamaint/conf.d/10-before.yaml"
DAY = 86400
TASKS = """\
tasks:
  old-logs:
    type: cleanup
    category: logs
    mass_deletion: { share: 100%, items: 1000 }
    config:
      log_paths: ["/var/log/before/*.log"]
      retention_days: 30
      compress_logs: { algorithm: zstd, older_than: 1d }
  otto-logs:
    type: cleanup
    category: logs
    mass_deletion: { share: 100%, items: 1000 }
    config: { log_paths: ["/home/otto/before/*.log"], retention_days: 30, user: otto }
  note: { type: custom, category: system, config: { command: [/bin/true], rollback_command: [/bin/touch, /tmp/noted] } }
  sleep: { type: custom, category: system, config: { command: [/bin/sleep, "600"] } }
"""


def upgrades_from_an_earlier_version(machine: Machine) -> str:
    """Upgraded from an earlier commit in mid-run: state, open trash and ways back are there, and are taken"""
    if not (machine.root / OLD_DEB[1:]).exists():
        raise SkippedError("there is no package of an earlier commit for this release: see above")
    _logs(machine)
    places = [machine.root / one for one in ("var/log/before", "home/otto/before")]
    before = [snapshot(place) for place in places]
    machine.must("dpkg", "-i", OLD_DEB, seconds=120)
    machine.write(FILE, TASKS)
    machine.must("jamaintctl", "config", "apply")
    machine.until("up", lambda: _if_up(machine), 60)
    machine.must("jamaintctl", "reload")
    for task in ("old-logs", "otto-logs", "note"):
        machine.must("jamaintctl", "execute", task)
    machine.ctl("execute", "sleep", "--detach")
    machine.until("it runs", lambda: "sleep" in machine.run("sh", "-c", "cat /proc/[0-9]*/comm").stdout.split())
    executions = {one["id"]: one["status"] for one in machine.ctl("execution", "list")["items"]}
    machine.must("dpkg", "-i", "--force-confold", DEB, seconds=180)
    machine.until("up", lambda: _if_up(machine), 60)
    after = {one["id"]: one["status"] for one in machine.ctl("execution", "list")["items"]}
    _expect(after.keys() == executions.keys(), f"{executions} before, {after} after")
    broken = [one for one, status in executions.items() if status == "running"]
    _expect(all(after[one] in ("failed", "cancelled") for one in broken), f"what ran is {after}")
    forced = _goes_back_by_force(machine)
    done = [one for one, status in executions.items() if status == "completed"]
    for one in done:
        machine.must("jamaintctl", "rollback", one)
    found = [
        one
        for place, was in zip(places, before, strict=True)
        for one in differences(was, snapshot(place))
        if ".jamaint-trash" not in str(one)
    ]
    _expect(not found, f"after the rollbacks: {found}")
    machine.must("test", "-e", "/tmp/noted")
    machine.must("dpkg", "-P", "jamaint", seconds=120)
    machine.must("rm", "-rf", "/etc/jamaint", "/tmp/noted")
    return (
        f"{len(after)} executions kept; what ran is {after[broken[0]]}\n{forced}\n"
        f"{len(done)} ways back from before were taken, with no difference to the trees before"
    )


def _goes_back_by_force(machine: Machine) -> str:
    """The older program is put over the newer, as its package allows: its daemon refuses, and nothing is lost."""
    machine.run("dpkg", "-i", "--force-confold", OLD_DEB, seconds=180)
    said = machine.until("the older daemon says why it does not start", lambda: _refusal(machine), 60)
    machine.must("dpkg", "-i", "--force-confold", DEB, seconds=180)
    machine.must("systemctl", "reset-failed", "jamaintd.service")
    machine.must("systemctl", "start", "jamaintd")
    machine.until("up", lambda: _if_up(machine), 60)
    return f"the older program on the newer state: {said}"


def _refusal(machine: Machine) -> str:
    said = machine.must("journalctl", "-u", "jamaintd", "--no-pager", "-q", "-o", "cat")
    return next((line for line in reversed(said.splitlines()) if "start the newer version" in line), "")


def refuses_to_go_back(machine: Machine) -> str:
    """A package of an older version is refused with words, and the newer one goes on"""
    before = machine.show("jamaintd", "MainPID")
    version = machine.must("dpkg-query", "-W", "-f=${Version}", "jamaint")
    done = machine.run("dpkg", "-i", "--force-confold", DEB, seconds=120)
    _expect(done.returncode != 0 and "going back" in done.stderr, f"{done}")
    _expect(machine.must("dpkg-query", "-W", "-f=${Version} ${Status}", "jamaint").startswith(version), "it is gone")
    state = machine.must("dpkg-query", "-W", "-f=${Status}", "jamaint")
    _expect(state == "install ok installed", state)
    _expect(machine.show("jamaintd", "MainPID") == before, "the daemon was restarted")
    _expect(_if_up(machine), "the daemon is not up")
    return next(line for line in done.stderr.splitlines() if "going back" in line)


def _logs(machine: Machine) -> None:
    for place, owner in (("var/log/before", 0), ("home/otto/before", 1000)):
        logs = machine.root / place
        logs.mkdir(parents=True, exist_ok=True)
        for days in (0, 2, 40, 50):
            path = logs / f"web-{days:02}.log"
            path.write_text(f"{days} days ago\n" * 500)
            os.chown(path, owner, owner)
            os.utime(path, (time.time() - days * DAY - 600,) * 2)
        os.chown(logs, owner, owner)
        os.utime(logs, (time.time() - 3600,) * 2)


def _if_up(machine: Machine) -> bool:
    with contextlib.suppress(FailedError):
        return bool(machine.ctl("status")["daemon"]["database"]["state"] == "ok")
    return False


def _expect(holds: object, seen: str) -> None:
    if not holds:
        raise FailedError(seen)
