"""Records read back from a real journald, which runs in a mount namespace of its own with an empty /run."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.host.logging.setup import MESSAGE_IDS

JOURNALD = "/lib/systemd/systemd-journald"
CATALOG = Path(__file__).parents[2] / "systemd" / "jamaint.catalog"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a journald of our own needs root, for a mount namespace"),
    pytest.mark.skipif(
        not (os.path.exists(JOURNALD) and shutil.which("unshare") and shutil.which("nsenter")),
        reason="systemd-journald, unshare or nsenter is not installed",
    ),
    pytest.mark.skipif(not os.path.exists("/etc/machine-id"), reason="journald wants /etc/machine-id"),
]

_PREPARE = f"""
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /var/lib/systemd/catalog
mount -t tmpfs tmpfs /var/lib/systemd/catalog
exec {JOURNALD}
"""


class Journald:
    """A running journald; `process` is its own, `inside` what a command is prefixed with to see its /run."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.inside = ["nsenter", "-m", "-t", str(process.pid), "--"]

    def run_python(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The timeout only ends a test that would hang for ever."""
        return subprocess.run(
            [*self.inside, sys.executable, "-c", script, *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )

    def records(self, *matches: str) -> list[dict[str, Any]]:
        subprocess.run([*self.inside, "journalctl", "--sync"], check=True, timeout=120)
        done = subprocess.run(
            [*self.inside, "journalctl", "-o", "json", "--all", *matches], capture_output=True, check=True, timeout=120
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    name = f"jamaint-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"\0{name}")
        ready.settimeout(60)
        process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-ec", _PREPARE],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": f"@{name}"},
        )
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
            yield Journald(process)
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()


_TELL = """
import structlog
from jamaint.host.logging import setup as journal
log = journal.configure("journal", "debug")
structlog.contextvars.bind_contextvars(execution="e1")
log.info("app-logs started", task="app-logs", message_id=journal.MESSAGE_IDS["execution_started"], files=3)
log.warning("odd\\n\\x1b[2J", text="one\\ntwo=2\\n", path="/a/\\udcff")
log.error("large", text="x" * 300_000 + "\\nend")
try:
    raise ValueError("no such column\\nDETAIL: x")
except ValueError:
    log.exception("the step failed")
log.debug("the last")
"""


def test_records_come_back_with_all_their_fields(journald: Journald) -> None:
    done = journald.run_python(_TELL)
    assert (done.stdout, done.stderr) == ("", "")
    started, odd, large, failed, last = journald.records("SYSLOG_IDENTIFIER=jamaintd")
    assert {name: value for name, value in started.items() if not name.startswith("_")} == {
        "MESSAGE": "app-logs started",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "jamaintd",
        "MESSAGE_ID": MESSAGE_IDS["execution_started"],
        "JAMAINT_EXECUTION": "e1",
        "JAMAINT_TASK": "app-logs",
        "JAMAINT_FILES": "3",
    }
    assert odd["MESSAGE"] == "odd\\n\\x1b[2J"
    assert odd["JAMAINT_TEXT"] == "one\ntwo=2\n"
    assert bytes(odd["JAMAINT_PATH"]) == b"/a/\xff"
    assert large["JAMAINT_TEXT"] == "x" * 300_000 + "\nend"
    assert failed["MESSAGE"] == "the step failed: ValueError: no such column"
    assert failed["JAMAINT_TRACEBACK"].endswith("ValueError: no such column\nDETAIL: x\n")
    assert [record["PRIORITY"] for record in (odd, large, failed, last)] == ["4", "3", "3", "7"]
    assert len(journald.records("JAMAINT_EXECUTION=e1")) == 5


_AS_A_SERVICE = """
import os, socket
from jamaint.host.logging import setup as journal
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"jamaintd\\n\\n6\\n1\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
journal.configure(None).info("by the socket", task="a")
journal.configure("text").error("by the stream", task="a")
"""


def test_the_journal_is_chosen_where_stderr_is_its_stream(journald: Journald) -> None:
    journald.run_python(_AS_A_SERVICE)
    found = {record["_TRANSPORT"]: record for record in journald.records("SYSLOG_IDENTIFIER=jamaintd")}
    native, line = found["journal"], found["stdout"]  # two sockets, read in any order
    assert (native["MESSAGE"], native["JAMAINT_TASK"], line["PRIORITY"]) == ("by the socket", "a", "3")
    assert line["MESSAGE"].endswith("error    by the stream  task=a")


_FLOOD = """
import os, signal, sys
from jamaint.host.logging import setup as journal
journald, count = int(sys.argv[1]), int(sys.argv[2])
log = journal.configure("journal")
os.kill(journald, signal.SIGSTOP)
while open(f"/proc/{journald}/stat").read().split()[2] != "T":
    pass
for number in range(count):
    log.info(f"record {number}")
os.kill(journald, signal.SIGCONT)
while journal._log.sink._missed:  # the first that is taken comes after the count of those that were not
    log.info("after")
"""


def test_a_journald_that_stalls_stalls_nobody_and_loses_nothing(journald: Journald) -> None:
    count = 2000
    done = journald.run_python(_FLOOD, str(journald.process.pid), str(count))
    on_stderr = [line.partition("info     ")[2] for line in done.stderr.splitlines()]
    records = journald.records("SYSLOG_IDENTIFIER=jamaintd")
    in_journal = [record["MESSAGE"] for record in records]
    expected = {f"record {number}" for number in range(count)}
    stalled = [text for text in on_stderr if text in expected]
    assert stalled, "journald was never stalled"
    assert sorted(stalled + [text for text in in_journal if text in expected]) == sorted(expected)
    counted = [int(record["JAMAINT_MISSED"]) for record in records if "JAMAINT_MISSED" in record]
    assert sum(counted) == len(on_stderr)


def test_the_catalog_is_one_that_journalctl_takes(journald: Journald) -> None:
    journald.run_python(_TELL)
    journald.records()
    place = ["sh", "-ec", f"mount -t tmpfs tmpfs /usr/lib/systemd/catalog; cp {CATALOG} /usr/lib/systemd/catalog/"]
    subprocess.run([*journald.inside, *place], check=True, timeout=120)
    subprocess.run([*journald.inside, "journalctl", "--update-catalog"], check=True, timeout=120)
    listed = subprocess.run(
        [*journald.inside, "journalctl", "--list-catalog"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert {line.split()[0] for line in listed.splitlines()} == set(MESSAGE_IDS.values())
    shown = subprocess.run(
        [*journald.inside, "journalctl", "-x", f"MESSAGE_ID={MESSAGE_IDS['execution_started']}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert "Subject: Task app-logs has started" in shown
    assert "jamaintctl execution show e1" in shown
