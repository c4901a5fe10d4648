"""What must hold of the package on a machine that boots, in the order of an administrator's life with it.

A check's first line says what must hold; it returns what was seen, or raises FailedError with that.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fences import CHECKS as FENCES
from fences import TRIED
from looking import looks_with_secrets
from machine import FailedError, Machine

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from jobs import CHECKS as JOBS
from tree_snapshot import differences, snapshot
from upgrading import DEB, OLD_DEB, refuses_to_go_back, upgrades_from_an_earlier_version

CONFIG = "/etc/jamaint/conf.d/10-tried.yaml"
NIGHT = "/etc/jamaint/conf.d/20-night.yaml"
LOGS = "var/log/app"
NEW_DEB = "/var/tmp/jamaint-new.deb"
OUTAGE_SECONDS = 60.0
CLIENTS = 3
DAY = 86400

TASKS = """\
database: { dsn: "postgresql:///jamaint" }
tasks:
  app-logs:
    type: cleanup
    category: logs
    config:
      log_paths: ["/var/log/app/*.log"]
      retention_days: 30
      compress_logs: { algorithm: zstd, older_than: 1d }
    mass_deletion: { share: 100%, items: 1000 }
  nap: { type: custom, category: system, config: { command: [/bin/sleep, "20"] } }
  long-sleep: { type: custom, category: system, config: { command: [/bin/sleep, "600"] } }
"""
NIGHTLY = """\
windows:
  tonight: {{ schedule: {{ at: "{opens}" }}, duration: 30, timezone: UTC, allowed_tasks: [cleanup] }}
tasks:
  night-logs:
    type: cleanup
    category: logs
    schedule: {{ window: tonight }}
    config: {{ log_paths: ["/var/log/app/*.log"], retention_days: 30 }}
    mass_deletion: {{ share: 100%, items: 1000 }}
"""
ASKING = """\
answered=0 refused=0
while [ ! -e /run/enough ]; do
    if jamaintctl version >/dev/null 2>>/run/refusals
    then answered=$((answered + 1))
    else refused=$((refused + 1))
    fi
done
echo "$answered $refused"
"""


def prepare(root: Path, package: Path, earlier: Path | None) -> None:
    """What is there before the first boot: people, logs, the package's file, its successor's and an earlier one's."""
    for name, group in (("otto", None), ("vera", "adm"), ("stan", None)):
        groups = [] if group is None else [f"--groups={group}"]
        subprocess.run(["chroot", str(root), "useradd", "--create-home", *groups, name], check=True)
    (root / "var/log/journal").mkdir(exist_ok=True)
    logs = root / LOGS
    logs.mkdir()
    for days in (0, 2, 20, 40, 50, 60):
        path = logs / f"web-{days:02}.log"
        path.write_text(f"{days} days ago\n" * 2000)
        os.utime(path, (time.time() - days * DAY - 600,) * 2)
    shutil.copyfile(package, root / DEB[1:])
    if earlier is not None:
        shutil.copyfile(earlier, root / OLD_DEB[1:])
    _successor(package, root / NEW_DEB[1:])


def _successor(package: Path, target: Path) -> None:
    """The package once more with a higher version and another configuration, as a release would have it."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["dpkg-deb", "--raw-extract", str(package), directory], check=True)
        control = Path(directory, "DEBIAN", "control")
        lines = control.read_text().splitlines()
        version = next(line.split()[1] for line in lines if line.startswith("Version:"))
        for file in (control, control.with_name("preinst")):
            file.write_text(file.read_text().replace(version, f"{version}+tried"))
        with Path(directory, "etc/jamaint/jamaintd.yaml").open("a") as sample:
            sample.write("# A line that the older version did not have.\n")
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Znone", "--build", directory, str(target)],
            check=True, capture_output=True,
        )  # fmt: skip


def installs(machine: Machine) -> str:
    """Installed on a fresh Debian it is enabled and runs at once, with a private PostgreSQL"""
    machine.must("dpkg", "-i", DEB, seconds=120)
    enabled = machine.must("systemctl", "is-enabled", "jamaintd.socket", "jamaintd.service").split()
    state = machine.until("healthy", lambda: _if_up(machine), 60)
    complaints = [line for line in _messages(machine) if "already exists but the mode" in line]
    _expect(enabled == ["enabled", "enabled"] and not complaints, f"{enabled} {complaints}")
    data = machine.must("sh", "-c", "ls -d /var/lib/jamaint/postgres/data*").strip()
    return (
        f"socket and service {enabled[0]}, overall {state['overall']}, database {state['daemon']['database']}, {data}"
    )


def has_manuals(machine: Machine) -> str:
    """Manual pages, completion for three shells, licences"""
    wanted = (
        "/usr/share/man/man1/jamaintctl.1.gz", "/usr/share/man/man8/jamaintd.8.gz",
        "/usr/share/man/man5/jamaintd.yaml.5.gz", "/usr/share/doc/jamaint/copyright",
        "/usr/share/bash-completion/completions/jamaintctl", "/usr/share/zsh/vendor-completions/_jamaintctl",
        "/usr/share/fish/vendor_completions.d/jamaintctl.fish",
    )  # fmt: skip
    listed = machine.must("dpkg", "-L", "jamaint").split()
    _expect(all(name in listed for name in wanted), f"missing: {[name for name in wanted if name not in listed]}")
    offered = machine.must(
        "bash", "-c",
        '. /usr/share/bash-completion/completions/jamaintctl; COMP_WORDS=(jamaintctl exec) COMP_CWORD=1; '
        '_jamaintctl jamaintctl exec; echo "${COMPREPLY[@]}"',
    )  # fmt: skip
    _expect("execute" in offered, f"bash offers {offered!r} for exec")
    return f"{len(wanted)} files; bash offers for `jamaintctl exec<Tab>`: {offered}"


def waits_for_its_database(machine: Machine) -> str:
    """With a database that cannot be reached it starts, says what it waits for, and refuses with exit 3"""
    machine.must("usermod", "--append", "--groups", "jamaint", "otto")
    machine.write(CONFIG, TASKS)
    machine.must("jamaintctl", "config", "apply")
    machine.must("systemctl", "restart", "jamaintd")
    text = machine.until("it waits", lambda: _status_text(machine, "waiting for the database"))
    shown = machine.run("jamaintctl", "status")
    _expect(shown.returncode == 0 and "waiting for the database" in shown.stdout, f"status: {shown}")
    refused = machine.run("jamaintctl", "execute", "app-logs")
    _expect(refused.returncode == 3 and "waiting for the database" in refused.stderr, f"execute: {refused}")
    state = machine.show("jamaintd", "ActiveState")["ActiveState"]
    _expect(state == "active", f"the unit is {state}")
    return f"STATUS: {text}\nstatus: exit 0\nexecute: exit 3, {refused.stderr.strip()}"


def comes_up_by_itself(machine: Machine) -> str:
    """It is up as soon as the database is there, without a restart"""
    before = machine.show("jamaintd", "MainPID")
    machine.must("createuser", "jamaintd", name="postgres")
    machine.must("createdb", "--owner=jamaintd", "jamaint", name="postgres")
    machine.until("up", lambda: _if_up(machine))
    _expect(machine.show("jamaintd", "MainPID") == before, "it was restarted")
    tasks = [item["name"] for item in machine.ctl("task", "list")["items"]]
    return f"process {before['MainPID']} as before; tasks {', '.join(tasks)}"


def starts_at_boot(machine: Machine) -> str:
    """Started at boot, after PostgreSQL"""
    machine.power_off()
    machine.boot()
    machine.until("up", lambda: _if_up(machine))
    theirs = int(
        machine.show(machine.release.cluster, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]
    )
    ours = int(machine.show("jamaintd", "ExecMainStartTimestampMonotonic")["ExecMainStartTimestampMonotonic"])
    _expect(theirs < ours, f"PostgreSQL was up at {theirs} us, jamaintd started at {ours} us")
    failed = machine.must("systemctl", "--failed", "--plain", "--no-legend")
    _expect("jamaint" not in failed, failed)
    return f"jamaintd was started {(ours - theirs) / 1000:.0f} ms after PostgreSQL was up"


def shows_its_status(machine: Machine) -> str:
    """systemctl status shows our STATUS line"""
    said = machine.must("systemctl", "status", "--no-pager", "--lines=0", "jamaintd")
    line = next((line.strip() for line in said.splitlines() if line.strip().startswith("Status:")), "")
    _expect("3 tasks, 0 windows" in line, said)
    return line


def knows_who_asks(machine: Machine) -> str:
    """root and the operators' group may act, a viewer may look, a stranger is refused: exit 6, in the audit log"""
    seen = []
    for name, words, code in (
        ("root", ("status",), 0),
        ("otto", ("status",), 0),
        ("otto", ("execute", "app-logs", "--dry-run"), 0),
        ("otto", ("reload",), 6),
        ("vera", ("status",), 0),
        ("vera", ("execute", "app-logs"), 6),
        ("stan", ("status",), 6),
    ):
        done = machine.run("jamaintctl", *words, name=name)
        told = f": {done.stderr.strip()}" if code else ""
        seen.append(f"{name}: {' '.join(words)}: exit {done.returncode}{told}")
        _expect(done.returncode == code, f"{seen[-1]}, and not {code}: {done.stderr}")
    entries = machine.ctl("audit", "--limit", "20")["items"]
    found = [(entry["user"], entry["method"], entry["outcome"]) for entry in entries]
    _expect(("stan", "status", "refused") in found, f"the audit log has {found}")
    return "\n".join([*seen, "audit log: stan, status, refused"])


def cleans_and_rolls_back(machine: Machine) -> str:
    """A task in a window really cleans, and is rolled back byte for byte; systemctl reload takes a good file"""
    logs = machine.root / LOGS
    before = snapshot(logs)
    opens = datetime.now(UTC) + timedelta(seconds=4)
    machine.write(NIGHT, NIGHTLY.format(opens=opens.strftime("%Y-%m-%dT%H:%M:%SZ")))
    machine.must("systemctl", "reload", "jamaintd")
    execution = machine.until("it ran in its window", lambda: _ended(machine, "night-logs"), 60)
    _expect(execution["status"] == "completed", str(execution.get("error") or execution["status"]))
    left = sorted(path.name for path in logs.glob("*.log"))
    _expect(left == ["web-00.log", "web-02.log", "web-20.log"], f"left: {left}")
    said = machine.must("jamaintctl", "rollback", execution["id"], name="otto").strip()
    found = [one for one in differences(before, snapshot(logs)) if ".jamaint-trash" not in str(one)]
    _expect(not found, f"after the rollback: {found}")
    return f"{len(before) - 1} files, left after it: {', '.join(left)}\n{said}\nno difference to the tree before"


def speaks_to_the_journal(machine: Machine) -> str:
    """The journal has our fields and our catalogue's texts, and filters by task"""
    ended = [one for one in machine.journal("JAMAINT_TASK=night-logs") if one.get("JAMAINT_EXECUTION")]
    _expect(bool(ended), "no message has JAMAINT_TASK and JAMAINT_EXECUTION")
    strangers = [one for one in ended if one.get("JAMAINT_TASK") != "night-logs"]
    _expect(not strangers, f"the filter lets through {strangers}")
    _expect(len(ended) < len(machine.journal()), "the filter filters nothing")
    fields = sorted(name for name in ended[0] if name.startswith("JAMAINT_") or name in ("MESSAGE_ID", "PRIORITY"))
    texts = machine.must("journalctl", "-u", "jamaintd", "-x", "--no-pager", "-q", "JAMAINT_TASK=night-logs")
    subject = "Subject: Task night-logs has started"
    _expect(subject in texts, f"journalctl -x says {texts[:2000]}")
    return f"{len(ended)} messages of the task, with {', '.join(fields)}\njournalctl -x: {subject}"


def tells_metrics(machine: Machine) -> str:
    """Metrics for a person, for Prometheus, and as a file that node_exporter, an ordinary user, may read"""
    file, config = "/run/jamaint/jamaint.prom", "/etc/jamaint/conf.d/metrics.yaml"
    machine.write(config, f"monitoring: {{ textfile: {file} }}\n")
    machine.must("systemctl", "reload", "jamaintd")
    text = machine.must("cat", file, name="stan")
    _expect("jamaint_window_open" in text and "jamaint_build_info" in text, f"{file} has {text[:500]}")
    scrape = machine.must("jamaintctl", "metrics", "--format", "openmetrics", name="otto")
    _expect(scrape.endswith("# EOF\n"), f"the scrape ends with {scrape[-200:]}")
    tasks = {one["task"]: one for one in machine.ctl("metrics")["tasks"]["items"]}
    night = tasks.get("night-logs", {})
    _expect(night.get("rolled_back") == 1, f"night-logs: {night}")
    machine.must("rm", config, file)
    machine.must("systemctl", "reload", "jamaintd")
    return f"{len(text.splitlines())} lines in {file}; night-logs rolled back once, as it was"


def refuses_a_bad_file(machine: Machine) -> str:
    """systemctl reload with a bad file fails and tells where; the old configuration stays in force"""
    machine.write(NIGHT, "windows:\n  tonight: { schedule: { at: never }, duration: 30 }\n")
    reload = machine.run("systemctl", "reload", "jamaintd")
    _expect(reload.returncode != 0, "systemctl reload says that all is well")
    text = machine.until("STATUS says so", lambda: _status_text(machine, "refused"))
    again = machine.run("jamaintctl", "reload")
    _expect(again.returncode == 7 and f"{NIGHT}:2" in again.stderr, f"reload: {again}")
    tasks = {item["name"] for item in machine.ctl("task", "list")["items"]}
    _expect("night-logs" in tasks, f"tasks: {tasks}")
    said = machine.must("systemctl", "status", "--no-pager", "--lines=20", "jamaintd")
    _expect(f"{NIGHT}:2" in said, f"systemctl status says {said}")
    machine.must("rm", NIGHT)
    machine.must("systemctl", "reload", "jamaintd")
    _expect(not _status_text(machine, "refused"), "STATUS still says that it was refused")
    return f"STATUS: {text}\njamaintctl reload: exit 7, {again.stderr.strip().splitlines()[0]}"


def fails_with_a_bad_file(machine: Machine) -> str:
    """Started with a bad file it fails and tells where, and starts at once when that is mended"""
    machine.write(NIGHT, "windows:\n  tonight: { schedule: { at: never }, duration: 30 }\n")
    began = machine.must("date", "+%Y-%m-%d %H:%M:%S").strip()
    restart = machine.run("systemctl", "restart", "jamaintd", seconds=130)
    _expect(restart.returncode != 0, "systemctl restart says that all is well")
    refused = machine.run("jamaintctl", "--timeout", "20", "status")
    _expect(refused.returncode == 3, f"status: {refused}")
    machine.until("it has given up", lambda: machine.show("jamaintd", "ActiveState")["ActiveState"] == "failed")
    said = machine.must("journalctl", "-u", "jamaintd", "--no-pager", "-q", "-o", "cat", "--since", began)
    lines = [line for line in said.splitlines() if line.startswith(f"{NIGHT}:2")]
    _expect(bool(lines), said)
    machine.must("rm", NIGHT)
    machine.must("systemctl", "start", "jamaintd")
    machine.until("up", lambda: _if_up(machine))
    return f"{lines[0]}\njamaintctl: exit 3, {refused.stderr.strip()}\nmended and started, it is up at once"


def restarts_without_a_refusal(machine: Machine) -> str:
    """systemctl restart while an execution runs: drained in time, and not one client is refused"""
    execution = _started(machine, "long-sleep")
    with _asked(machine) as answers:
        began = time.monotonic()
        machine.must("systemctl", "restart", "jamaintd", seconds=130)
        took = time.monotonic() - began
        machine.until("up", lambda: _if_up(machine))
    ended = machine.ctl("execution", "show", execution)
    _expect(ended["status"] in ("failed", "cancelled"), f"the execution is {ended['status']}")
    _expect(
        answers[1] == 0 and answers[0] > 0, f"{answers[0]} calls answered, {answers[1]} refused: {_refusals(machine)}"
    )
    error = (ended.get("error") or {}).get("message", "")
    said = f"restarted in {took:.1f} s; {answers[0]} calls answered meanwhile, 0 refused"
    return f"{said}; the execution {ended['status']}: {error}"


def survives_kill_9(machine: Machine) -> str:
    """kill -9 while an execution runs: restarted by systemd, the execution settled, nothing of it left running"""
    execution = _started(machine, "long-sleep")
    before = machine.show("jamaintd", "MainPID", "NRestarts")
    _signal(machine, "KILL", before["MainPID"])
    after = machine.until("restarted", lambda: _restarted(machine, before))
    machine.until("up", lambda: _if_up(machine))
    ended = machine.ctl("execution", "show", execution)
    _expect(ended["status"] == "failed", f"the execution is {ended['status']}")
    _expect(not _sleeping(machine), f"still running: {_sleeping(machine)}")
    error = (ended.get("error") or {}).get("message", "")
    return f"process {before['MainPID']}, then {after['MainPID']}; the execution failed: {error}"


def survives_a_hung_loop(machine: Machine) -> str:
    """A main loop that hangs (SIGSTOP) is found by the watchdog and restarted"""
    before = machine.show("jamaintd", "MainPID", "NRestarts")
    began = time.monotonic()
    _signal(machine, "STOP", before["MainPID"])
    machine.until("restarted", lambda: _restarted(machine, before), 90)
    took = time.monotonic() - began
    machine.until("up", lambda: _if_up(machine))
    said = machine.must("journalctl", "-u", "jamaintd", "--no-pager", "-q", "-o", "cat", "--grep=Watchdog timeout")
    return f"restarted after {took:.0f} s; systemd says: {said.strip().splitlines()[-1]}"


def stands_a_restart_of_postgresql(machine: Machine) -> str:
    """PostgreSQL is restarted: the same process goes on"""
    before = machine.show("jamaintd", "MainPID")
    machine.must("systemctl", "restart", machine.release.cluster)
    machine.until("it can write again", lambda: machine.run("jamaintctl", "execute", "app-logs").returncode == 0)
    _expect(machine.show("jamaintd", "MainPID") == before, "it was restarted")
    return f"process {before['MainPID']} as before, and an execution completed after it"


def stands_a_minute_without_postgresql(machine: Machine) -> str:
    """PostgreSQL is stopped for a minute: it stays, says so in STATUS, and writes what it kept when it is back"""
    before = machine.show("jamaintd", "MainPID")
    execution = _started(machine, "nap")
    began, stopped = time.monotonic(), datetime.now(UTC)
    machine.must("systemctl", "stop", machine.release.cluster)
    text = machine.until("STATUS says so", lambda: _status_text(machine, "the database is away"))
    shown = machine.run("jamaintctl", "status")
    _expect(shown.returncode == 0 and "degraded" in shown.stdout, f"status: {shown}")
    refused = machine.run("jamaintctl", "execute", "app-logs")
    _expect(refused.returncode == 3, f"execute: {refused}")
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    _expect(machine.show("jamaintd", "MainPID") == before, "it was restarted")
    started = datetime.now(UTC)
    machine.must("systemctl", "start", machine.release.cluster)
    machine.until("it is back", lambda: _if_up(machine))
    ended = machine.until("its end is written", lambda: _if_ended(machine, execution))
    at = datetime.fromisoformat(ended["completed_at"])
    _expect(ended["status"] == "completed" and stopped < at < started, f"{ended['status']} at {at}")
    audit = machine.until("the refused call is in the audit log", lambda: _audited(machine, "execution.start", stopped))
    return (
        f"STATUS: {text}\nexecute: exit 3, {refused.stderr.strip()}\n"
        f"the execution that ended while it was away: completed at {at:%H:%M:%S}, written after {started:%H:%M:%S}\n"
        f"audit log: {audit['method']} {audit['outcome']} at {audit['at']}"
    )


def upgrades(machine: Machine) -> str:
    """Upgraded while it runs: configuration and state are kept, and not one client is refused"""
    machine.must("sh", "-c", "echo '# changed by the administrator' >> /etc/jamaint/jamaintd.yaml")
    before = machine.show("jamaintd", "MainPID")
    executions = len(machine.ctl("execution", "list", "--limit", "100")["items"])
    with _asked(machine) as answers:
        machine.must("dpkg", "-i", "--force-confold", NEW_DEB, seconds=130)
        machine.until("up", lambda: _if_up(machine))
    version = machine.must("dpkg-query", "-W", "-f=${Version}", "jamaint")
    _expect(version.endswith("+tried"), version)
    _expect(machine.show("jamaintd", "MainPID") != before, "the old daemon still runs")
    kept = machine.must("tail", "-n", "1", "/etc/jamaint/jamaintd.yaml").strip()
    _expect(kept == "# changed by the administrator", f"the configuration ends with {kept!r}")
    after = len(machine.ctl("execution", "list", "--limit", "100")["items"])
    _expect(after == executions, f"{executions} executions before, {after} after")
    _expect(
        answers[1] == 0 and answers[0] > 0, f"{answers[0]} calls answered, {answers[1]} refused: {_refusals(machine)}"
    )
    return (
        f"{version}; {after} executions kept, the configuration too; {answers[0]} calls answered meanwhile, 0 refused"
    )


def leaves_one_that_was_stopped_alone(machine: Machine) -> str:
    """An upgrade does not start a daemon that its administrator has stopped"""
    machine.must("systemctl", "stop", "jamaintd.socket", "jamaintd.service")
    machine.must("dpkg", "-i", "--force-confold", NEW_DEB, seconds=130)
    states = machine.run("systemctl", "is-active", "jamaintd.socket", "jamaintd.service").stdout.split()
    _expect(states == ["inactive", "inactive"], f"afterwards: {states}")
    refused = machine.run("jamaintctl", "status")
    _expect(refused.returncode == 3, str(refused))
    machine.must("systemctl", "start", "jamaintd")
    machine.until("up", lambda: _if_up(machine))
    return f"socket and service {states[0]}; jamaintctl: exit 3, {refused.stderr.strip()}"


def takes_over_what_root_had(machine: Machine) -> str:
    """An upgrade takes over the state and the trash of a daemon that was root"""
    machine.must("sh", "-c", "touch -d '60 days ago' /srv/app/kept.log")
    machine.must("jamaintctl", "execute", "srv-logs")
    machine.must("systemctl", "stop", "jamaintd.socket", "jamaintd.service")
    machine.must(
        "sh",
        "-c",
        "chown -R root:root /var/lib/jamaint; find /srv/app/.jamaint-trash -type d -exec chown root:root {} +",
    )
    said = machine.must("dpkg", "-i", "--force-confold", NEW_DEB, seconds=130)
    machine.must("systemctl", "start", "jamaintd.socket", "jamaintd.service")
    machine.until("up", lambda: _if_up(machine))
    owners = machine.must("sh", "-c", "find /var/lib/jamaint -printf '%u\\n' | sort | uniq -c").split()
    _expect(owners[1::2] == ["jamaintd"], f"/var/lib/jamaint belongs to {owners}")
    machine.must("jamaintctl", "rollback", "last")
    machine.must("test", "-e", "/srv/app/kept.log")
    taken = [line.strip() for line in said.splitlines() if line.startswith("taken over from root: ")]
    return f"{owners[0]} files of the state are jamaintd's\n{taken[0]}\nand what lay in it was put back"


def removes(machine: Machine) -> str:
    """Removed, its configuration and state stay; purged, nothing is left but what the administrator made"""
    machine.must("dpkg", "-r", "jamaint")
    units = machine.run("systemctl", "is-active", "jamaintd.socket", "jamaintd.service").stdout.split()
    _expect(units == ["inactive", "inactive"], f"after the removal: {units}")
    machine.must(
        "test",
        "-e",
        "/etc/jamaint/jamaintd.yaml",
        "-a",
        "-d",
        "/var/lib/jamaint/postgres",
        "-a",
        "!",
        "-e",
        "/run/jamaint",
    )
    machine.must("dpkg", "-P", "jamaint")
    left = machine.must(
        "find",
        "/etc",
        "/usr",
        "/lib/systemd",
        "/var/lib",
        "/run",
        "-xdev",
        "-iname",
        "*jamaint*",
        "-not",
        "-path",
        "/run/host/*",
    ).split()
    _expect(left == ["/etc/jamaint"], f"after the purge: {left}")
    held = machine.must("find", "/etc/jamaint", "-type", "f").split()
    _expect(sorted(held) == [CONFIG, TRIED], f"after the purge: {held}")
    return (
        f"after the removal: configuration and state there, units gone; after the purge: {CONFIG} (the administrator's)"
    )


Check = Callable[[Machine], str]

CHECKS: tuple[Check, ...] = (
    upgrades_from_an_earlier_version,
    installs,
    has_manuals,
    waits_for_its_database,
    comes_up_by_itself,
    starts_at_boot,
    shows_its_status,
    knows_who_asks,
    cleans_and_rolls_back,
    looks_with_secrets,
    speaks_to_the_journal,
    tells_metrics,
    *JOBS,
    refuses_a_bad_file,
    fails_with_a_bad_file,
    restarts_without_a_refusal,
    survives_kill_9,
    survives_a_hung_loop,
    *FENCES,
    stands_a_restart_of_postgresql,
    stands_a_minute_without_postgresql,
    upgrades,
    refuses_to_go_back,
    leaves_one_that_was_stopped_alone,
    takes_over_what_root_had,
    removes,
)
BASE = (installs, waits_for_its_database, comes_up_by_itself)
"""What all others build on."""


def chosen(only: list[str]) -> list[Check]:
    """All checks, or those of these names and what they build on; `jobs` are all of JOBS."""
    named = {*only, *(job.__name__ for job in JOBS if "jobs" in only)}
    return [check for check in CHECKS if not only or check in BASE or check.__name__ in named]


def _expect(holds: bool, seen: str) -> None:
    if not holds:
        raise FailedError(seen)


def _if_up(machine: Machine) -> dict[str, object] | None:
    with contextlib.suppress(FailedError):
        state: dict[str, object] = machine.ctl("status")
        if state["daemon"]["database"]["state"] == "ok":  # type: ignore[index]
            return state
    return None


def _status_text(machine: Machine, part: str) -> str:
    text = machine.show("jamaintd", "StatusText").get("StatusText", "")
    return text if part in text else ""


def _messages(machine: Machine) -> list[str]:
    return machine.must("journalctl", "-u", "jamaintd", "--no-pager", "-q", "-o", "cat").splitlines()


def _started(machine: Machine, task: str) -> str:
    """Starts a task and returns its execution's id when its command runs."""
    execution: str = machine.ctl("execute", task, "--detach")["execution_id"]
    machine.until(f"{task} runs", lambda: _sleeping(machine))
    return execution


def _sleeping(machine: Machine) -> str:
    """Processes of the tasks' command."""
    return machine.run("sh", "-c", "grep -lx sleep /proc/[0-9]*/comm 2>/dev/null").stdout.strip()


def _ended(machine: Machine, task: str) -> dict[str, object] | None:
    items = machine.ctl("execution", "list", "--task", task)["items"]
    return next((item for item in items if item["status"] not in ("scheduled", "running")), None)


def _if_ended(machine: Machine, execution: str) -> dict[str, object] | None:
    found: dict[str, object] = machine.ctl("execution", "show", execution)
    return found if found["status"] not in ("scheduled", "running") else None


def _restarted(machine: Machine, before: dict[str, str]) -> dict[str, str] | None:
    now = machine.show("jamaintd", "MainPID", "NRestarts")
    is_new = int(now["NRestarts"]) > int(before["NRestarts"]) and now["MainPID"] not in ("0", before["MainPID"])
    return now if is_new else None


def _audited(machine: Machine, method: str, since: datetime) -> dict[str, object] | None:
    items = machine.ctl("audit", "--limit", "20")["items"]
    return next(
        (
            item
            for item in items
            if item["method"] == method and item["outcome"] == "refused" and datetime.fromisoformat(item["at"]) > since
        ),
        None,
    )


def _signal(machine: Machine, name: str, process: str) -> None:
    machine.must("sh", "-c", 'kill -s "$1" "$2"', "sh", name, process)


def _refusals(machine: Machine) -> str:
    return machine.run("sort", "-u", "/run/refusals").stdout.strip()


@contextlib.contextmanager
def _asked(machine: Machine) -> Iterator[list[int]]:
    """Clients that ask one thing after the other while the block lasts; then how many were answered, and refused."""
    machine.must("rm", "-f", "/run/enough", "/run/refusals")
    totals = [0, 0]
    asking = [machine.start("sh", "-c", ASKING) for _ in range(CLIENTS)]
    try:
        machine.until("clients ask", lambda: machine.run("test", "-e", "/run/refusals").returncode == 0)
        yield totals
    finally:
        machine.must("touch", "/run/enough")
        for one in asking:
            said, _ = one.communicate(timeout=60)
            answered, refused = map(int, said.split())
            totals[0] += answered
            totals[1] += refused
