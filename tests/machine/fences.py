"""What must hold of the fences, looked at from inside: a score measures directives, and these measure effect.

A probe is the very unit with another program in it, which tries what it must not be able to do, and tells.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from machine import FailedError, Machine

TRIED = "/etc/jamaint/conf.d/30-fences.yaml"
UNITS = "/lib/systemd/system"
ETC_UNITS = "/etc/systemd/system"

CONFIG = """\
tasks:
  who:
    type: custom
    category: system
    config: { command: [/bin/sh, -c, "id -un; env; ls /proc/self/fd; cat /proc/self/status"], environment: { A: "1" } }
  who-otto: { type: custom, category: system, config: { command: [/usr/bin/id, -un], user: otto } }
  who-whole: { type: custom, category: system, config: { command: [/usr/bin/id, -un], unit: packages } }
  strays:
    type: custom
    category: system
    config: { command: [/bin/sh, -c, "(setsid sh -c 'trap \\"\\" TERM HUP; sleep 600; true' &) ; sleep 600; true"] }
"""
MORE = """\
tasks:
  srv-logs:
    type: cleanup
    category: logs
    config: { log_paths: ["/srv/app/*.log"], retention_days: 30 }
    mass_deletion: { share: 100%, items: 1000 }
  srv-temp:
    type: cleanup
    category: system
    config: { paths: [{ path: /srv/use, age: 30d, age_by: { files: [modification] } }] }
    mass_deletion: { share: 100%, items: 1000 }
  theirs-logs:
    type: cleanup
    category: logs
    config: { log_paths: ["/home/otto/logs/*.log"], retention_days: 30 }
"""

# Each line: a name, and what is tried. What comes of it is the error's name, or what it gave.
PROBE = """
import ctypes, errno, json, os, platform, socket, struct, subprocess, sys
OTHERS, KEYS = __OTHERS__, {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
def attempt(what):
    try:
        found = what()
        return found if isinstance(found, (str, list)) else "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def read(path): return lambda: open(path).read(10) and "read"
def write(path): return lambda: open(path, "w").write("x") and "written"
def reach(family): return lambda: socket.socket(family).close()
def connect(path): return lambda: socket.socket(socket.AF_UNIX).connect(path)
def call(name, *words):
    def it():
        if getattr(ctypes.CDLL(None, use_errno=True), name)(*words): raise OSError(ctypes.get_errno(), "")
    return it
def number(*words):
    def it():
        call = ctypes.CDLL(None, use_errno=True).syscall
        if call(*(ctypes.c_long(w) if isinstance(w, int) else w for w in words)) < 0:
            raise OSError(ctypes.get_errno(), "")
    return it
def other(what):
    def it():
        error = None
        for pid in OTHERS:
            try:
                return what(pid)
            except OSError as one:
                error = one
        raise error
    return it
def memory(pid, mode):
    first = open(f"/proc/{pid}/maps").readline().split("-")[0]
    with open(f"/proc/{pid}/mem", mode, 0) as file:
        file.seek(int(first, 16))
        return "read" if file.read(4) else "nothing"
def remote(pid):
    here = ctypes.create_string_buffer(8)
    ours = struct.pack("PN", ctypes.addressof(here), 8)
    theirs = struct.pack("PN", 0x10000, 8)
    lib = ctypes.CDLL(None, use_errno=True)
    if lib.process_vm_readv(pid, ours, 1, theirs, 1, 0) < 0 and ctypes.get_errno() != errno.EFAULT:
        raise OSError(ctypes.get_errno(), "")
def abstract():
    channel = socket.socket(socket.AF_UNIX)
    channel.connect("\\0jamaint-probe")
tries = {
    "read /proc/1/root/etc/shadow": read("/proc/1/root/etc/shadow"),
    "read a process's root": other(lambda pid: read(f"/proc/{pid}/root/etc/shadow")()),
    "write a process's root": other(lambda pid: write(f"/proc/{pid}/root/tmp/written")()),
    "read a process's memory": other(lambda pid: memory(pid, "rb")),
    "write a process's memory": other(lambda pid: memory(pid, "r+b")),
    "call into a process's memory": other(remote),
    "read a process's environment": other(lambda pid: read(f"/proc/{pid}/environ")()),
    "take a process's descriptor": other(lambda pid: number(438, os.pidfd_open(pid), 0, 0)()),
    "open by handle": number(304 if platform.machine() == "x86_64" else 265, -100, b"\\0" * 64, 0),
    "keyring": number(KEYS[1], 0, -3, 1),
    "add a key": number(KEYS[0], b"user", b"x", b"x", 1, -3),
    "abstract socket": abstract,
    "D-Bus": connect("/run/dbus/system_bus_socket"),
    "systemd's socket": connect("/run/systemd/private"),
    "io_uring": number(425, 1, bytes(120)),
    "user namespace": call("unshare", 0x10000000),
    "mount namespace": call("unshare", 0x20000),
    "network namespace": call("unshare", 0x40000000),
    "bind mount": call("mount", b"/", b"/tmp", None, 4096, None),
    "fsopen": number(430, b"tmpfs", 0),
    "open_tree": number(428, -100, b"/", 1),
    "userfaultfd": number(323 if platform.machine() == "x86_64" else 282, 1),
    "connect to who tells open files": connect("/run/jamaint-openfiles/openfiles.sock"),
    "read /etc/shadow": read("/etc/shadow"),
    "read /home/otto/secret": read("/home/otto/secret"),
    "inet socket": reach(socket.AF_INET),
    "inet6 socket": reach(socket.AF_INET6),
    "netlink socket": reach(socket.AF_NETLINK),
    "write /etc": write("/etc/written"),
    "write /usr": write("/usr/written"),
    "write /srv": write("/srv/written"),
    "write /var/lib/jamaint": write("/var/lib/jamaint/written"),
    "write /var/log/app": write("/var/log/app/written"),
    "run /bin/true": lambda: subprocess.run(["/bin/true"], check=True),
    "run /usr/bin/true": lambda: subprocess.run(["/usr/bin/true"], check=True),
    "mount": call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "unshare": call("unshare", 0x10000000),
    "become root": lambda: os.setuid(0),
    "make a device": lambda: os.mknod("/var/log/app/device", 0o20600, os.makedev(1, 1)),
    "make setuid": lambda: os.chmod("/var/log/app/web-00.log", 0o4755),
    "trace": call("ptrace", 16, 1, None, None),
    "fork": lambda: os.waitpid(os.fork() or os._exit(0), 0) and "done",
    "die with its parent": call("prctl", 1, 9, 0, 0, 0),
    "worker's socket": connect("/run/jamaint-workers/files.sock"),
    "see": lambda: sorted(os.listdir("/")),
    "see /var/log": lambda: sorted(os.listdir("/var/log")),
}
print(json.dumps({name: attempt(what) for name, what in tries.items()}))
"""
NOBODY_MAY = (
    "read /proc/1/root/etc/shadow", "read a process's root", "write a process's root", "read a process's memory",
    "write a process's memory", "call into a process's memory", "read a process's environment",
    "take a process's descriptor", "open by handle", "keyring", "add a key", "io_uring", "user namespace",
    "mount namespace", "network namespace", "bind mount", "fsopen", "open_tree", "userfaultfd", "systemd's socket",
)  # fmt: skip
"""What no unit of ours may but the packages worker; and of these, who tells the open files may read."""
READS = (
    "read /proc/1/root/etc/shadow",
    "read a process's root",
    "read a process's memory",
    "read a process's environment",
)
CLOSED = "from jamaint.host.read_only import forbid_writing\nforbid_writing()\n"
"""What that unit's program does at its start."""
ABSTRACT = """
import socket, time
listening = socket.socket(socket.AF_UNIX)
listening.bind("\\0jamaint-probe")
listening.listen()
time.sleep(600)
"""
HOLDS = """
import os, socket, sys, time
held = open(sys.argv[1], "a")
listening = socket.socket(socket.AF_UNIX)
listening.bind("/srv/use/made")
listening.listen()
while not os.path.exists("/run/held-enough"):
    time.sleep(0.1)
"""
SPEAKS = """
import json, socket, sys
channel = socket.socket(socket.AF_UNIX)
channel.connect(f"/run/jamaint-workers/{sys.argv[1]}.sock")
channel.sendall(sys.stdin.buffer.read())
print(channel.makefile().readline())
"""


def knows_its_fences(machine: Machine) -> str:
    """What was not applied of the configuration is told by name, and a task on it is refused with the words to type"""
    machine.must("sh", "-c", "mkdir -p /srv/app /srv/use && touch -d '60 days ago' /srv/app/old.log /srv/app/older.log")
    machine.must("sh", "-c", "mkdir -p /home/otto/logs && chown -R otto /home/otto && echo secret > /home/otto/secret")
    machine.must("sh", "-c", "chown otto /home/otto/secret; chmod 600 /home/otto/secret; chmod 700 /home/otto")
    machine.write(TRIED, CONFIG + MORE.removeprefix("tasks:\n"))
    said = machine.must("jamaintctl", "reload")
    _expect("/srv/app (srv-logs): not bound into the worker for files: run jamaintctl config apply" in said, said)
    refused = machine.run("jamaintctl", "execute", "srv-logs")
    _expect(refused.returncode != 0 and "run jamaintctl config apply" in refused.stderr + refused.stdout, str(refused))
    would = machine.must("jamaintctl", "config", "apply", "--dry-run")
    _expect('BindPaths="-/srv/app"' in would and "changed" in would, would)
    applied = machine.run("jamaintctl", "config", "apply")
    _expect("/home/otto/logs (theirs-logs): not bound" in applied.stderr and "otto" in applied.stderr, str(applied))
    machine.must("jamaintctl", "execute", "srv-logs")
    left = machine.must("sh", "-c", "ls /srv/app")
    _expect(left == "", f"left: {left}")
    machine.must("jamaintctl", "rollback", "last")
    stranger = machine.run("jamaintctl", "config", "apply", name="otto")
    _expect(stranger.returncode == 6, str(stranger))
    unbound = next(line for line in applied.stderr.splitlines() if "/home/otto" in line)
    said = machine.ctl("execution", "list", "--task", "srv-logs")["items"][-1]["error"]["message"]
    return f"refused: {said}\n{applied.stdout.strip()}\n{unbound}\nsrv-logs then did its work"


def daemon_is_fenced_in(machine: Machine) -> str:
    """The daemon has no network, no capability, cannot write outside its state, and reads nobody's secrets"""
    found = _probe(machine, "jamaintd.service")
    _refused(found, "read /etc/shadow", "read /home/otto/secret", "inet socket", "inet6 socket", "netlink socket",
             "write /etc", "write /usr", "write /srv", "write /var/log/app", "mount", "unshare", "become root",
             "make a device", "make setuid", "trace", "abstract socket", "connect to who tells open files",
             *NOBODY_MAY)  # fmt: skip
    status = machine.must("sh", "-c", "cat /proc/$(systemctl show -P MainPID jamaintd)/status")
    sets = re.findall(r"Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)", status)
    _expect(len(sets) == 5 and {int(one, 16) for one in sets} == {0}, f"capabilities: {sets}")
    return _told(found) + "\nall five sets of capabilities are empty"


def file_worker_is_fenced_in(machine: Machine) -> str:
    """The file worker sees its roots and the programs it consists of: no /etc/shadow, no network, no other program"""
    found = _probe(machine, "jamaint-files@.service")
    _refused(found, "read /etc/shadow", "read /home/otto/secret", "inet socket", "inet6 socket", "netlink socket",
             "write /etc", "write /usr", "write /srv", "write /var/lib/jamaint", "run /bin/true",
             "run /usr/bin/true", "mount", "unshare",
             "become root", "make a device", "make setuid", "trace", "worker's socket", "abstract socket", "D-Bus",
             *NOBODY_MAY)  # fmt: skip
    _expect(found["connect to who tells open files"] == "done", str(found))
    _expect(found["write /var/log/app"] == "done" or found["write /var/log/app"] == "written", str(found))
    _expect((found["fork"], found["die with its parent"]) == ("done", "done"), f"a second process cannot help: {found}")
    # "web" is what a way back still needs of tasks that have left the configuration.
    _expect(found["see /var/log"] in (["app"], ["app", "web"]), f"in /var/log it sees {found['see /var/log']}")
    machine.must("rm", "/var/log/app/written")
    return _told(found) + f"\nin / it sees {' '.join(found['see'])}; in /var/log {' '.join(found['see /var/log'])}"


def database_worker_is_fenced_in(machine: Machine) -> str:
    """The database worker has the network, and can read or write nobody's files, nor run a program"""
    found = _probe(machine, "jamaint-databases@.service")
    _refused(found, "read /etc/shadow", "read /home/otto/secret", "netlink socket", "write /etc", "write /usr",
             "write /srv", "write /var/lib/jamaint", "write /var/log/app", "run /bin/true",
             "run /usr/bin/true", "mount", "unshare",
             "become root", "make a device", "make setuid", "trace", "worker's socket", "D-Bus",
             "connect to who tells open files", *NOBODY_MAY)  # fmt: skip
    _expect(found["inet socket"] == "done", str(found))
    return _told(found) + "\ninet socket: may be opened"


def command_worker_is_fenced_in(machine: Machine) -> str:
    """A command runs as its user with a clean environment, no inherited descriptor and no way to more rights"""
    found = _probe(machine, "jamaint-commands@.service")
    _refused(found, "read /etc/shadow", "read /home/otto/secret", "write /etc", "write /usr", "write /var/lib/jamaint",
             "mount", "unshare", "become root", "make a device", "trace", "worker's socket",
             "connect to who tells open files", *NOBODY_MAY)  # fmt: skip
    lines = _lines(machine, "who")
    names = sorted(line.split("=")[0] for line in lines if re.fullmatch(r"[A-Z_]+=.*", line))
    _expect(lines[0] == "jamaint-commands", f"it runs as {lines[0]}")
    wanted = ["A", "HOME", "JAMAINT_EXECUTION", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "USER"]
    _expect(names == wanted, f"its environment has {names}")
    descriptors = [line for line in lines if line.isdigit()]
    _expect(descriptors == ["0", "1", "2", "3"], f"descriptors of ls: {descriptors}")  # 3 is the directory it lists
    _expect("CapEff:\t0000000000000000" in lines and "NoNewPrivs:\t1" in lines, str(lines))
    otto, whole = _lines(machine, "who-otto"), _lines(machine, "who-whole")
    _expect((otto[0], whole[0]) == ("otto", "root"), f"{otto} {whole}")
    return f"{_told(found)}\nruns as jamaint-commands, or as {otto[0]} where the task says so, with {' '.join(names)}"


def open_files_unit_is_fenced_in(machine: Machine) -> str:
    """Who tells the open files may look into processes, and write to, trace, end or connect to nothing"""
    found = _probe(machine, "jamaint-openfiles.service")
    _refused(found, "inet socket", "inet6 socket", "netlink socket", "write /etc", "write /usr", "write /srv",
             "write /var/lib/jamaint", "write /var/log/app", "run /bin/true", "run /usr/bin/true", "mount", "unshare",
             "become root", "make a device", "make setuid", "trace", "worker's socket", "abstract socket", "D-Bus",
             "fork", *(name for name in NOBODY_MAY if name not in READS))  # fmt: skip
    return _told(found) + "\nmay: " + ", ".join(f"{name}: {found[name]}" for name in READS)


def open_files_are_left_alone(machine: Machine) -> str:
    """What others hold open stays, sockets too; nothing is touched when nobody can tell what they do"""
    machine.must("sh", "-c", "touch -d '60 days ago' /srv/use/held.log /srv/use/free.log; chmod 666 /srv/use/held.log")
    holder = machine.start("unshare", "--net", "python3", "-c", HOLDS, "/srv/use/held.log")
    try:
        machine.until("it holds the log", lambda: machine.run("test", "-S", "/srv/use/made").returncode == 0)
        machine.must("sh", "-c", "mv /srv/use/made /srv/use/live; touch -h -d '60 days ago' /srv/use/live")
        machine.must("systemctl", "mask", "--runtime", "--now", "jamaint-openfiles.socket")
        refused = machine.run("jamaintctl", "execute", "srv-temp")
        said = refused.stderr + refused.stdout
        machine.must("systemctl", "unmask", "--runtime", "jamaint-openfiles.socket")
        _expect(refused.returncode != 0 and "nobody can tell which files are in use" in said, str(refused))
        _expect("free.log" in machine.must("ls", "/srv/use"), "it went although nobody could tell")
        done = machine.run("jamaintctl", "execute", "srv-temp")
        _expect(done.returncode == 0, f"{done.stdout} {done.stderr}")
        left = machine.must("ls", "/srv/use").split()
        _expect({"held.log", "live"} <= set(left) and "free.log" not in left, f"left: {left}")
        why = machine.must("jamaintctl", "execution", "show", "last")
        status = machine.must("sh", "-c", "cat /proc/$(systemctl show -P MainPID jamaint-openfiles)/status")
        _expect("CapEff:\t0000000000080004" in status, status)
    finally:
        machine.must("touch", "/run/held-enough")
        holder.wait()
    machine.must("jamaintctl", "rollback", "last")
    machine.must("sh", "-c", "rm -f /srv/use/held.log /srv/use/free.log /srv/use/live")
    refusal = next(line for line in said.splitlines() if "nobody can tell" in line)
    return f"{refusal.strip()}\nleft: {' '.join(left)}\n{why.strip()}"


def a_worker_trusts_root_alone(machine: Machine) -> str:
    """A daemon that were taken over could have no other command run, nor directory cleaned, than root has applied"""
    seen = []
    for kind, executor, config in (
        ("commands", "command", {"command": ["/bin/sh", "-c", "id"], "environment": {}}),
        ("commands", "command", {"command": ["/usr/bin/id", "-un"], "environment": {"LD_PRELOAD": "/tmp/x.so"}}),
        ("packages", "command", {"command": ["/bin/sh", "-c", "id"], "environment": {}}),
        ("packages", "command", {"command": ["/usr/bin/id", "-un"], "environment": {}, "user": "otto"}),
        ("packages", "logs.cleanup", {"log_paths": ["/etc/*.log"], "user": "owner"}),
        ("packages", "logs.rotate", {"log_paths": [], "signal": {"pid_file": "/run/sshd.pid", "signal": "USR1"}}),
        ("files", "logs.cleanup", {"log_paths": ["/etc/*.log"]}),
        ("databases", "database.cleanup", {"dsn": "postgresql://elsewhere/other"}),
    ):
        task = {"name": "x", "config": config, "rollback": False, "mass_deletion": {"share": 1, "items": 1},
                "timeout_seconds": None}  # fmt: skip
        opening = {"do": "open", "execution": "x", "executor": executor, "task": task, "user": None,
                   "now": "2026-01-01T00:00:00Z", "limits": {"low_space": 0.1}}  # fmt: skip
        lines = "".join(json.dumps(line) + "\n" for line in (opening, {"do": "plan"}))
        answer = json.loads(machine.must("python3", "-c", SPEAKS, kind, name="jamaintd", stdin=lines))
        _expect(answer["is"] == "failed" and answer["error"]["kind"] == "refused", f"{kind}: {answer}")
        seen.append(f"{kind}: {answer['error']['message']}")
    other = machine.run("python3", "-c", SPEAKS, "commands", name="otto", stdin="{}\n")
    _expect("PermissionError" in other.stderr, str(other))
    return "\n".join([*seen, "otto cannot open a worker's socket"])


def ends_what_has_forked_twice(machine: Machine) -> str:
    """Cancelled, a command is gone with what has forked twice, left its session, and ignores SIGTERM"""
    execution = machine.ctl("execute", "strays", "--detach")["execution_id"]
    machine.until("both sleep", lambda: len(_sleeping(machine)) == 2)
    machine.must("jamaintctl", "execution", "cancel", execution)
    machine.until("nothing of it lives", lambda: not _sleeping(machine) and not _workers(machine), 40)
    ended = machine.ctl("execution", "show", execution)
    _expect(ended["status"] == "cancelled", str(ended))
    return f"the execution {ended['status']}; no process is left in jamaint.slice"


def ends_a_worker_that_hangs(machine: Machine) -> str:
    """A worker whose executor hangs (SIGSTOP) is ended after the grace, by its supervisor"""
    execution = machine.ctl("execute", "strays", "--detach")["execution_id"]
    machine.until("both sleep", lambda: len(_sleeping(machine)) == 2)
    executor = machine.until("its executor", lambda: _executor(machine))
    machine.must("sh", "-c", 'kill -STOP "$1"', "sh", executor)
    began = datetime.now(UTC)
    machine.must("jamaintctl", "execution", "cancel", execution)
    machine.until("nothing of it lives", lambda: not _sleeping(machine) and not _workers(machine), 60)
    took = datetime.now(UTC) - began
    ended = machine.until("it has ended", lambda: _if_ended(machine, execution))
    _expect(timedelta(seconds=9) < took, f"it took {took}")
    return f"ended after {took.total_seconds():.0f} s; the execution {ended['status']}"


def undoes_what_the_configuration_names_no_more(machine: Machine) -> str:
    """A task that has left the configuration can still be rolled back, and its directory is good for nothing else"""
    # What an earlier check had put back is held for a while; these logs are new.
    machine.must("sh", "-c", "rm -f /srv/app/*.log && touch -d '60 days ago' /srv/app/left.log /srv/app/later.log")
    before = machine.must("sh", "-c", "stat -c '%n %i %Y' /srv/app/*")
    machine.must("jamaintctl", "execute", "srv-logs")
    _expect(machine.must("sh", "-c", "ls /srv/app") == "", "nothing was cleaned")
    machine.write(TRIED, CONFIG)
    machine.must("jamaintctl", "reload")
    said = machine.must("jamaintctl", "config", "apply")
    _expect("only for rollback: /srv/app" in said, said)
    rules = {"log_paths": ["/srv/app/*.log"], "retention_seconds": 1, "compress": None, "archive": None, "exclude": []}
    task = {"name": "x", "config": rules, "rollback": True, "mass_deletion": {"share": 1, "items": 1},
            "timeout_seconds": None}  # fmt: skip
    opening = {"do": "open", "execution": "x", "executor": "logs.cleanup", "task": task, "user": None,
               "now": "2026-01-01T00:00:00Z", "limits": {"low_space": 0.1}}  # fmt: skip
    lines = "".join(json.dumps(line) + "\n" for line in (opening, {"do": "plan"}))
    answer = json.loads(machine.must("python3", "-c", SPEAKS, "files", name="jamaintd", stdin=lines))
    _expect(answer["is"] == "failed" and "not bound" in answer["error"]["message"], str(answer))
    machine.must("jamaintctl", "rollback", "last")
    after = machine.must("sh", "-c", "stat -c '%n %i %Y' /srv/app/*")
    _expect(after == before, f"{before}\n{after}")
    again = machine.must("jamaintctl", "config", "apply")
    _expect("nothing has changed" in again, again)
    machine.write(TRIED, CONFIG + MORE.removeprefix("tasks:\n"))
    machine.must("jamaintctl", "reload")
    machine.run("jamaintctl", "config", "apply")
    kept = next(line for line in said.splitlines() if "only for rollback" in line)
    return f"{kept}\nto plan there: {answer['error']['message']}\nrolled back, inodes and times as before"


def workers_end_with_a_killed_daemon(machine: Machine) -> str:
    """kill -9 of the daemon: its workers end by themselves, and only then is what they did settled"""
    execution = machine.ctl("execute", "strays", "--detach")["execution_id"]
    machine.until("both sleep", lambda: len(_sleeping(machine)) == 2)
    machine.must("sh", "-c", "kill -KILL $(systemctl show -P MainPID jamaintd)")
    ended = machine.until("it is settled", lambda: _if_ended(machine, execution), 60)
    _expect(not _sleeping(machine), f"settled while {_sleeping(machine)} still run")
    machine.until("nothing of it lives", lambda: not _workers(machine), 30)
    return f"the execution {ended['status']}: {ended['error']['message']}"


CHECKS = (
    knows_its_fences,
    daemon_is_fenced_in,
    file_worker_is_fenced_in,
    database_worker_is_fenced_in,
    command_worker_is_fenced_in,
    open_files_unit_is_fenced_in,
    open_files_are_left_alone,
    a_worker_trusts_root_alone,
    ends_what_has_forked_twice,
    ends_a_worker_that_hangs,
    workers_end_with_a_killed_daemon,
    undoes_what_the_configuration_names_no_more,
)


def _probe(machine: Machine, unit: str) -> dict[str, Any]:
    """What comes of each attempt in that unit, with its drop-ins."""
    name = unit.replace("@.", ".").replace("jamaint", "probe-jamaint")
    text = machine.must("cat", f"{UNITS}/{unit}")
    drop_in = machine.run("cat", f"{ETC_UNITS}/{unit}.d/50-configured.conf")
    text += drop_in.stdout if drop_in.returncode == 0 else ""
    text = re.sub(
        r"(?m)^(Wants|After|Requires|ExecReload|WatchdogSec|Restart\w*|NotifyAccess|StandardInput|StandardOutput|Also|WantedBy)=.*\n",
        "",
        text,
    )
    text = re.sub(r"(?m)^LimitFSIZE=.*\n", "", text)  # the probe writes what it finds to a file
    text = re.sub(r"(?m)^Type=.*$", "Type=oneshot", text)
    text = re.sub(r"(?m)^(RuntimeDirectory\w*|StateDirectory)=jamaint\n", "", text)
    text = re.sub(
        r"(?m)^ExecStart=.*$",
        "ExecStart=/usr/lib/jamaint/bin/python3 -I /usr/lib/probe.py\nStandardOutput=truncate:/run/probe.out",
        text,
    )
    machine.must(
        "sh",
        "-c",
        "cat > /usr/lib/probe.py && chmod 644 /usr/lib/probe.py",
        stdin=(CLOSED if "openfiles" in unit else "") + PROBE.replace("__OTHERS__", _others(machine, unit)),
    )
    listening = machine.start("python3", "-c", ABSTRACT)
    machine.must("sh", "-c", f"cat > /run/systemd/system/{name}", stdin=text)
    try:
        machine.must("systemctl", "daemon-reload")
        started = machine.run("systemctl", "start", name)
        if started.returncode:
            raise FailedError(machine.run("journalctl", "-u", name, "-n", "20", "--no-pager", "-o", "cat").stdout)
        found: dict[str, Any] = json.loads(machine.must("cat", "/run/probe.out"))
        return found
    finally:
        listening.kill()
        machine.must("rm", "-f", "/usr/lib/probe.py", f"/run/systemd/system/{name}", "/run/probe.out")
        machine.must("systemctl", "daemon-reload")


def _others(machine: Machine, unit: str) -> str:
    """Numbers of processes that are none of the unit's user."""
    names = [name for name in ("systemd-journald", "dbus", "jamaintd") if f"{name}.service" != unit]
    pids = [machine.run("systemctl", "show", "-P", "MainPID", name).stdout.strip() for name in names]
    return f"[1, {', '.join(pid for pid in pids if pid not in ('', '0'))}]"


def _refused(found: dict[str, Any], *names: str) -> None:
    done = {name: found[name] for name in names if not re.fullmatch(r"E[A-Z0-9]+", str(found[name]))}
    _expect(not done, f"could be done: {done}")


def _told(found: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {what}" for name, what in found.items() if isinstance(what, str) and what[0] == "E")


def _lines(machine: Machine, task: str) -> list[str]:
    machine.must("jamaintctl", "execute", task)
    return [line["message"] for line in machine.ctl("execution", "log", "last")["items"]]


def _sleeping(machine: Machine) -> list[str]:
    return machine.run("sh", "-c", "grep -lx sleep /proc/[0-9]*/comm 2>/dev/null").stdout.split()


def _workers(machine: Machine) -> str:
    """Processes of all workers' units."""
    look = "cat /sys/fs/cgroup/jamaint.slice/*/cgroup.procs /sys/fs/cgroup/*/jamaint.slice/*/cgroup.procs 2>/dev/null"
    return machine.run("sh", "-c", look).stdout.strip()


def _executor(machine: Machine) -> str:
    """The process between the supervisor and the command."""
    look = (
        "for pid in $(cat /sys/fs/cgroup/jamaint.slice/*/cgroup.procs"
        " /sys/fs/cgroup/systemd/jamaint.slice/*/cgroup.procs 2>/dev/null); do"
        ' parent=$(cut -d" " -f4 /proc/$pid/stat); grep -qa jamaint.worker /proc/$parent/cmdline &&'
        " grep -qa jamaint.worker /proc/$pid/cmdline && echo $pid; done | sort -u"
    )
    return machine.run("sh", "-c", look).stdout.split("\n")[0]


def _if_ended(machine: Machine, execution: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = machine.ctl("execution", "show", execution)
    except FailedError:
        return None
    return found if found["status"] not in ("scheduled", "running") else None


def _expect(holds: bool, seen: str) -> None:
    if not holds:
        raise FailedError(seen)
