"""What must hold of the executors in the installed package: each does a real job in a real place, and undoes it.

The places are as machines have them: directories of several owners, sticky ones, a closed home, logs of a service.
"""

import gzip
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from machine import FailedError, Machine
from tree_snapshot import Entry, differences, snapshot

FILE = "/etc/jamaint/conf.d/40-jobs.yaml"
CALENDAR = "/etc/jamaint/freeze.ics"
DAY = 86400
OTTO = 1000

TASKS = """\
tasks:
  sessions:
    type: cleanup
    category: system
    mass_deletion: { share: 100%, items: 1000 }
    config: { paths: [{ path: /srv/spool/php, age: 10d, age_by: [modification] }] }
  uploads:
    type: cleanup
    category: filesystem
    mass_deletion: { share: 100%, items: 1000 }
    config: { paths: [{ path: /srv/uploads, age: 30d, age_by: [modification] }], remove_empty_directories: true }
  otto-uploads:
    type: cleanup
    category: filesystem
    mass_deletion: { share: 100%, items: 1000 }
    config: { paths: [{ path: /home/otto/uploads, age: 30d, age_by: [modification] }], user: otto }
  pages:
    type: cleanup
    category: cache
    mass_deletion: { share: 100%, items: 1000 }
    config: { directories: [{ path: /var/cache/web, max_size: 16KiB, age_by: [modification] }] }
  web-logs:
    type: cleanup
    category: logs
    mass_deletion: { share: 100%, items: 1000 }
    config:
      log_paths: ["/var/log/web/*.log*"]
      retention_days: 30
      compress_logs: { algorithm: zstd, older_than: 1d }
      archive_logs: { directory: /var/backups/web-logs, older_than: 7d }
  rotate-shop:
    type: cleanup
    category: logs
    executor: logs.rotate
    config:
      log_paths: ["/var/log/shop/*.log"]
      keep: 7
      compress: { algorithm: gzip }
      postrotate: [/bin/sh, -c, "touch /run/shop-was-told"]
  keys:
    type: cleanup
    category: cache
    config: { redis: { url: "redis://127.0.0.1:6379", pattern: "session:*", keep_for_rollback: true } }
  rows:
    type: cleanup
    category: database
    mass_deletion: { share: 100%, items: 1000 }
    config:
      dsn: "postgresql:///stock"
      user: otto
      cleanup_old_data: [{ table: public.visits, age_column: at, older_than: 10d }]
  fit:
    type: optimization
    category: database
    config: { dsn: "postgresql:///stock", user: otto, update_statistics: true }
  flag:
    type: custom
    category: system
    config: { command: [/bin/sh, -c, "touch /tmp/flag"], rollback_command: [/bin/sh, -c, "rm /tmp/flag"], user: otto }
  warm:
    type: optimization
    category: cache
    config: { urls: ["http://127.0.0.1:8000/index.html"] }
  trim:
    type: optimization
    category: filesystem
    config: { trim: [/dev/shm] }
  quiet: { executor: noop }
cleanup:
  temp: { paths: [{ path: /srv/spool/mail, age: 10d, age_by: [modification] }] }
  cache: { redis: { url: "redis://127.0.0.1:6379", pattern: "session:*" } }
"""
FREEZE = """
freezes:
  inventory: { ics: /etc/jamaint/freeze.ics }
"""
ICS = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//jamaint//tried//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20200101T000000Z
DTSTART:20200101T000000Z
DTEND:20200102T000000Z
RRULE:FREQ=DAILY
SUMMARY:inventory
END:VEVENT
END:VCALENDAR
"""


def does_real_jobs(machine: Machine) -> str:
    """Places of a real machine, a Redis, a database and a web server are there, and root applies their configuration"""
    _make_places(machine.root)
    machine.run("systemctl", "stop", "redis-server")
    machine.must("systemd-run", "--unit=tried-redis", "redis-server", "--bind", "127.0.0.1", "--save", "")
    machine.must(
        "systemd-run", "--unit=tried-pages", "python3", "-m", "http.server", "8000", "--bind", "127.0.0.1",
        "--directory", "/srv/pages",
    )  # fmt: skip
    machine.must("createuser", "otto", name="postgres")
    machine.must("psql", "-qc", "GRANT pg_monitor TO otto", name="postgres")
    machine.must("createdb", "--owner=otto", "stock", name="postgres")
    rows = "SELECT i AS id, now() - i * interval '1 day' AS at FROM generate_series(1, 1000) i"
    machine.must("psql", "-qd", "stock", "-c", f"CREATE TABLE visits AS {rows}", name="otto")
    machine.must("psql", "-qd", "stock", "-c", "ALTER TABLE visits ADD PRIMARY KEY (id); ANALYZE visits", name="otto")
    machine.until("Redis is up", lambda: machine.run("redis-cli", "ping").returncode == 0)
    for number in range(3):
        machine.must("redis-cli", "set", f"session:{number}", f"value {number}")
    machine.write(FILE, TASKS)
    applied = machine.run("jamaintctl", "config", "apply")
    _expect(applied.returncode == 0 and "not bound" not in applied.stderr, applied.stderr)
    said = machine.must("jamaintctl", "reload")
    _expect("config apply" not in said and "pip" not in said, said)
    return said


def cleans_sessions(machine: Machine) -> str:
    """temp.cleanup of a sticky directory of everybody's, and its rollback"""
    return _job(machine, "sessions", "srv/spool/php", {"sess_new"})


def cleans_uploads(machine: Machine) -> str:
    """filesystem.cleanup of a tree with directories and links, and its rollback"""
    return _job(machine, "uploads", "srv/uploads", {"new.jpg", "kept", "kept/new.jpg", "a", "a/link"})


def cleans_as_a_user(machine: Machine) -> str:
    """filesystem.cleanup in a closed home, as its owner, and its rollback"""
    return _job(machine, "otto-uploads", "home/otto/uploads", {"new.jpg"})


def cleans_cached_pages(machine: Machine) -> str:
    """cache.cleanup of cached files down to a size, and its rollback"""
    return _job(machine, "pages", "var/cache/web", None)


def cleans_logs(machine: Machine) -> str:
    """logs.cleanup with retention, compression and an archive, and its rollback"""
    gone = {"web-02.log", "web-25.log.gz", "web-40.log"}
    return _job(machine, "web-logs", "var/log/web", lambda names: not gone & names, "var/backups/web-logs")


def rotates_with_a_script(machine: Machine) -> str:
    """logs.rotate with a script that tells the service, and its rollback"""
    said = _job(machine, "rotate-shop", "var/log/shop", lambda names: {"access.log", "error.log"} < names)
    machine.must("test", "-e", "/run/shop-was-told")
    return f"{said}\nthe script was run"


def removes_keys(machine: Machine) -> str:
    """cache.cleanup on Redis, and its rollback"""
    machine.must("jamaintctl", "execute", "keys")
    left = machine.must("redis-cli", "dbsize").strip()
    machine.must("jamaintctl", "rollback", "last")
    back = machine.must("redis-cli", "get", "session:2").strip()
    _expect((left, back) == ("0", "value 2"), f"{left} keys left, then session:2 is {back!r}")
    return f"{left} keys left; after the rollback session:2 is {back!r}"


def removes_rows(machine: Machine) -> str:
    """database.cleanup as a user of the machine, its rollback, and database.optimize"""
    machine.must("jamaintctl", "execute", "rows")
    left = machine.must("psql", "-Atd", "stock", "-c", "SELECT count(*) FROM visits", name="otto").strip()
    machine.must("jamaintctl", "rollback", "last")
    back = machine.must("psql", "-Atd", "stock", "-c", "SELECT count(*) FROM visits", name="otto").strip()
    _expect((left, back) == ("9", "1000"), f"{left} rows left, {back} after the rollback")
    fitted = machine.must("jamaintctl", "execute", "fit").strip().splitlines()[-1]
    return f"{left} rows left, {back} after the rollback\n{fitted}"


def runs_commands_and_warms(machine: Machine) -> str:
    """command and its rollback command, cache.warmup, and filesystem.optimize, which says what a container lacks"""
    machine.must("jamaintctl", "execute", "flag")
    machine.must("test", "-e", "/tmp/flag")
    machine.must("jamaintctl", "rollback", "last")
    machine.must("test", "!", "-e", "/tmp/flag")
    warmed = machine.must("jamaintctl", "execute", "warm").strip().splitlines()[-1]
    trimmed = machine.run("jamaintctl", "execute", "trim")
    said = (trimmed.stdout + trimmed.stderr).strip()
    _expect(trimmed.returncode != 0 and "/dev/shm is on no disk of this machine" in said, said)
    return f"flag made, and removed by the rollback\n{warmed}\ntrim: exit {trimmed.returncode}: {said.splitlines()[-1]}"


def tells_the_usage(machine: Machine) -> str:
    """usage and cleanup analysis have a figure for every directory, database and cache that a task works on"""
    items = machine.ctl("usage")["items"]
    told = {f"{one['kind']} {one['name']}": one.get("problem") or one["bytes"] for one in items}
    without = {name: what for name, what in told.items() if not isinstance(what, int)}
    _expect(not without, f"without a figure: {without}")
    wanted = {
        "temp /srv/spool/php", "temp /srv/spool/mail", "files /srv/uploads", "files /home/otto/uploads",
        "files /var/cache/web", "logs /var/log/web", "logs /var/log/shop", "database stock",
    }  # fmt: skip
    _expect(wanted <= told.keys(), f"missing: {wanted - told.keys()} of {told}")
    shop = machine.root / "var/log/shop"
    blocks = sum(path.stat().st_blocks * 512 for path in shop.rglob("*") if path.is_file())
    _expect(told["logs /var/log/shop"] == blocks, f"{told['logs /var/log/shop']} and not {blocks}")
    analysis = machine.ctl("cleanup", "analysis")
    freed = analysis["reclaimable"]
    _expect(bool(freed["temp"]) and freed["cache"] is not None, f"reclaimable: {freed}")
    return "\n".join([*(f"{name}: {what}" for name, what in told.items()), f"reclaimable: {freed}"])


def keeps_a_freeze_from_a_calendar(machine: Machine) -> str:
    """A freeze from a calendar file is read and kept in the package"""
    machine.write(CALENDAR, ICS)
    machine.write(FILE, TASKS + FREEZE)
    machine.must("jamaintctl", "reload")
    why = machine.must("jamaintctl", "why", "quiet")
    line = next((line.strip() for line in why.splitlines() if "freeze" in line and "inventory" in line), "")
    _expect(bool(line), why)
    machine.must("rm", CALENDAR)
    machine.write(FILE, TASKS)
    machine.must("jamaintctl", "reload")
    return line


def leaves_the_jobs(machine: Machine) -> str:
    """The tasks go from the configuration again, and what was given to their workers with them"""
    machine.must("rm", FILE)
    said = machine.must("jamaintctl", "config", "apply")
    machine.must("systemctl", "reload", "jamaintd")
    machine.must("systemctl", "stop", "tried-redis", "tried-pages")
    _expect("database  " not in said and " ,  on" not in said, said)
    return next(line for line in said.splitlines() if line.startswith("access kept until"))


CHECKS = (
    does_real_jobs,
    cleans_sessions,
    cleans_uploads,
    cleans_as_a_user,
    cleans_cached_pages,
    cleans_logs,
    rotates_with_a_script,
    removes_keys,
    removes_rows,
    runs_commands_and_warms,
    tells_the_usage,
    keeps_a_freeze_from_a_calendar,
    leaves_the_jobs,
)

Left = set[str] | Callable[[set[str]], bool] | None
"""Names that are left when a job is done, or what they must be like; None where only fewer are to be left."""


def _job(machine: Machine, task: str, place: str, left: Left, *others: str) -> str:
    """Does it, looks at what is left, rolls it back, and compares all with before."""
    places = [machine.root / one for one in (place, *others)]
    before = [_tree(one) for one in places]
    said = machine.run("jamaintctl", "execute", task)
    _expect(said.returncode == 0, f"{said.stdout}{said.stderr}")
    told = f"{said.stdout}{said.stderr}"
    names = {os.fsdecode(name) for name in _tree(places[0])} - {"."}
    had = {os.fsdecode(name) for name in before[0]} - {"."}
    if left is None:
        _expect(names < had, f"left: {sorted(names)}; {told}")
    else:
        _expect(left(names) if callable(left) else names == left, f"left: {sorted(names)}; {told}")
    machine.must("jamaintctl", "rollback", "last")
    found = [one for was, now in zip(before, map(_tree, places), strict=True) for one in differences(was, now)]
    _expect(not found, f"after the rollback: {found}")
    return f"{len(had)} names, {len(names)} left; after the rollback no difference to before"


def _tree(top: Path) -> Mapping[bytes, Entry]:
    """All that is there but our trash, which goes by itself later; times of `top` itself are told by what is in it."""
    found = snapshot(top) if top.exists() else {}
    return {name: one for name, one in found.items() if not name.startswith(b".jamaint-trash")}


def _make_places(root: Path) -> None:
    php = _directory(root / "srv/spool/php", 0o1733)
    for name, days, owner in (("sess_new", 0, 33), ("sess_old", 20, 33), ("sess_otto", 40, OTTO)):
        _file(php / name, days, b"user|i:7;", owner)
    _file(_directory(root / "srv/spool/mail", 0o1777) / "old", 20, os.urandom(9000))
    uploads = _directory(root / "srv/uploads", 0o755)
    for name, days in (("new.jpg", 1), ("old.jpg", 60), ("a/b/old.jpg", 70), ("kept/new.jpg", 2), ("kept/old.jpg", 90)):
        _file(uploads / name, days, os.urandom(5000))
    os.symlink("a/b/old.jpg", uploads / "a" / "link")
    os.utime(uploads / "a" / "link", (time.time() - 70 * DAY,) * 2, follow_symlinks=False)
    for name in ("a/b", "a", "kept"):
        os.utime(uploads / name, (time.time() - 70 * DAY,) * 2)
    theirs = _directory(root / "home/otto/uploads", 0o700, OTTO)
    for name, days in (("new.jpg", 1), ("old.jpg", 60)):
        _file(theirs / name, days, os.urandom(3000), OTTO)
    (root / "home/otto").chmod(0o700)
    cache = _directory(root / "var/cache/web", 0o755)
    for number in range(8):
        _file(cache / f"{number:x}" / "page.html", number + 1, os.urandom(4000))
    logs, shop = _directory(root / "var/log/web", 0o755), _directory(root / "var/log/shop", 0o755)
    _directory(root / "var/backups/web-logs", 0o700)
    for days in (0, 2, 20, 40):
        _file(logs / f"web-{days:02}.log", days, b"GET / 200\n" * 500, gid=4)
    _file(logs / "web-25.log.gz", 25, gzip.compress(b"GET / 200\n" * 500), gid=4)
    for name in ("access.log", "error.log"):
        _file(shop / name, 0, b"GET / 200\n" * 500, gid=4)
    pages = _directory(root / "srv/pages", 0o755)
    (pages / "index.html").write_text("<p>hello")


def _directory(path: Path, mode: int, owner: int = 0) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path


def _file(path: Path, days: float, content: bytes, owner: int = 0, gid: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o640)
    os.chown(path, owner, owner if gid is None else gid)
    os.utime(path, (time.time() - days * DAY - 600,) * 2)


def _expect(holds: bool, seen: str) -> None:
    if not holds:
        raise FailedError(seen)
