"""`jamaintctl import`: real-looking files become a configuration that the daemon finds in order."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jamaint.ctl.imports import logrotate
from jamaint.schema import paths

Done = subprocess.CompletedProcess[str]

ROTATED = r"""
# global
weekly
rotate 4
create

"{logs}/access.log" {logs}/error*.log {{
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    compressoptions -7
    create 640 www-data adm
    sharedscripts
    prerotate
        test -x /bin/true || exit 1
    endscript
    postrotate
        /usr/bin/true --reload
    endscript
}}
{logs}/copied.log {{
    size 10M
    copytruncate
    nodateext
    su backup backup
    olddir old
    postrotate
        echo "$1"
    endscript
}}
{logs}/dated.log {{
    weekly 1
    dateext
    dateformat -%Y-%m-%d
    maxsize 5M
    minage 2
    rotate -1
    nocreate
    notifempty
}}
"""


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Done]:
    """Type `jamaintctl import WORDS` in the zone of Kolkata."""

    def run(*words: str) -> Done:
        program = Path(sys.executable).with_name("jamaintctl")
        environment = {"PATH": os.environ["PATH"], "TZ": "Asia/Kolkata", "HOME": str(tmp_path)}
        return subprocess.run(
            [str(program), "import", *words], env=environment, capture_output=True, text=True, check=False
        )

    return run


def tasks_of(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["tasks"]
    return found


def checked(text: str, tmp_path: Path) -> Done:
    """What `jamaintd --check` says of it."""
    file = tmp_path / "jamaintd.yaml"
    file.write_text(text)
    file.chmod(0o600)
    program = Path(sys.executable).with_name("jamaintd")
    return subprocess.run([str(program), "--check", "--config", str(file)], capture_output=True, text=True, check=False)


def test_logrotate_files_become_tasks_that_are_in_order(imported: Any, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    file = tmp_path / "app"
    file.write_text(ROTATED.format(logs=logs))
    done = imported("logrotate", str(file))
    found = tasks_of(done)
    assert list(found) == ["app-rotate", "app-rotate-2", "app-rotate-3"]
    first, second, third = (task["config"] for task in found.values())
    assert first == {
        "log_paths": [f"{logs}/access.log", f"{logs}/error*.log"],
        "every": "daily",
        "keep": 14,
        "names": "number",
        "compress": {"algorithm": "gzip", "delay": True, "level": 7},
        "create": {"mode": "640", "owner": "www-data", "group": "adm"},
        "prerotate": ["/bin/sh", "-c", "test -x /bin/true || exit 1"],
        "postrotate": ["/usr/bin/true", "--reload"],
    }
    assert second["max_size"] == "10MiB"
    assert (second["copy_truncate"], second["user"], second["if_empty"]) == (True, "backup", True)
    assert second["scripts"] == {"per_log": True, "user": "root"}
    assert second["postrotate"] == ["/bin/sh", "-c", 'echo "$1"', "logrotate"]
    assert second["olddir"] == "old"
    assert (third["every"], third["weekday"], third["max_size"], third["min_age"]) == ("weekly", "monday", "5MiB", "2d")
    assert (third["keep"], third["create"], third["date_format"]) == (10_000, False, "-%Y-%m-%d")
    assert {task["schedule"]["timezone"] for task in found.values()} == {"Asia/Kolkata"}
    assert f"{file}:7" in done.stdout
    verdict = checked(done.stdout, tmp_path)
    assert verdict.returncode == 0, verdict.stderr


@pytest.mark.skipif(shutil.which("logrotate", path="/usr/sbin:/usr/bin") is None, reason="needs logrotate")
def test_logs_are_compared_with_logrotate(imported: Any, tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.txt"):
        (tmp_path / name).write_text("a line\n")
    file = tmp_path / "app"
    file.write_text(f"{tmp_path}/*.log {{\n  daily\n  rotate 3\n}}\n")
    file.chmod(0o644)
    assert "compared with logrotate -d on this machine: the same 2 logs" in imported("logrotate", str(file)).stdout


def test_broken_file_is_told_with_line_and_column_and_the_rest_imported(imported: Any, tmp_path: Path) -> None:
    file = tmp_path / "broken"
    file.write_text("/var/log/a.log {\n  dayly\n  rotate 3\n}\n/var/log/b.log {\n  daily\n")
    done = imported("logrotate", str(file))
    assert done.returncode == 7
    assert f"{file}:2:3: dayly is no directive of logrotate: it is left out" in done.stderr
    assert f"{file}:5:1: the {{ of these paths is not closed: the stanza is left out" in done.stderr
    assert list(yaml.safe_load(done.stdout)["tasks"]) == ["broken-rotate"]


def test_include_and_globals_hold_for_what_stands_below(imported: Any, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "one").write_text("/var/log/one.log {\n}\n")
    (tmp_path / "d" / "one.dpkg-old").write_text("/var/log/old.log {\n}\n")
    main = tmp_path / "logrotate.conf"
    main.write_text(
        f"monthly\nrotate 2\ninclude {tmp_path}/d\n/var/log/two.log {{ \n rotate 9\n}}\ninclude /no/such/file\n"
    )
    done = imported("logrotate", str(main))
    assert done.returncode == 7
    assert f"{main}:7:1: /no/such/file cannot be read: No such file or directory" in done.stderr
    found = yaml.safe_load(done.stdout)["tasks"]
    assert {name: (one["config"]["every"], one["config"]["keep"]) for name, one in found.items()} == {
        "one-rotate": ("monthly", 2), "logrotate.conf-rotate": ("monthly", 9),
    }  # fmt: skip


def test_include_of_a_fifo_is_told_and_not_waited_for(imported: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "lr.conf"
    file.write_text("include pipe\n/var/log/a.log {\n weekly\n rotate 3\n}\n")
    done = imported("logrotate", str(file))
    assert "pipe cannot be read: is not a regular file" in done.stdout + done.stderr
    assert "/var/log/a.log" in done.stdout


def test_tmpfiles_lines_with_an_age_become_cleanups(imported: Any, tmp_path: Path) -> None:
    file = tmp_path / "app.conf"
    file.write_text(
        'd /var/tmp/app 0755 app app 1h30min\nd /var/lib/app 0755 - - -\nx "/var/tmp/app/my dir"\n'
        "x /var/tmp/app/b-%b\nD! /tmp/.X11-unix 1777 root root 10d\nL+ /run/x - - - - /y\n"
    )
    done = imported("tmpfiles", str(file))
    (task,) = tasks_of(done).values()
    assert task["config"] == {
        "paths": [{"path": "/var/tmp/app", "age": "1h30m", "exclude": ["/var/tmp/app/my dir", "/var/tmp/app/b-*"]}],
        "user": "app",
    }
    assert "/tmp/.X11-unix is cleaned at boot only" in done.stdout
    file.write_text("d /var/tmp/root 0755 root root 2w\nk /nowhere\nd relative - - - 1d\nd /x - - - soon\n")
    done = imported("tmpfiles", str(file))
    assert done.returncode == 7
    assert [line.split(": ", 2)[1] for line in done.stderr.splitlines()] == [
        f"{file}:2:1",
        f"{file}:3:3",
        f"{file}:4:12",
    ]
    verdict = checked(done.stdout, tmp_path)
    assert verdict.returncode == 0, verdict.stderr


def test_crontab_lines_become_commands(imported: Any, tmp_path: Path) -> None:
    places = tmp_path / "cron.d", tmp_path / "crontabs", tmp_path / "cron.daily"
    for place in places:
        place.mkdir()
    (places[0] / "app").write_text(
        "MAILTO=ops@example.org\nLEVEL=3\n*/5 * * * * root /usr/bin/app --stamp 100\\%  %input\n@daily www /opt/x\n"
        "@reboot root /opt/boot\n1 2 3\n"
    )
    (places[1] / "ann").write_text("0 4 * * 1 tidy\n")
    (places[2] / "job").write_text("#!/bin/sh\n")
    done = imported("cron", str(places[0] / "app"), str(places[1] / "ann"), str(places[2] / "job"))
    assert done.returncode == 7
    assert f"{places[0]}/app:6:1: a line has five times" in done.stderr
    found = yaml.safe_load(done.stdout)["tasks"]
    assert found["app-app"]["config"] == {
        "command": ["/bin/sh", "-c", "/usr/bin/app --stamp 100%"], "environment": {"LEVEL": "3"},
    }  # fmt: skip
    assert found["app-x"]["config"]["user"] == "www"
    assert found["ann-tidy"]["config"]["user"] == "ann"
    assert found["job"]["schedule"] == {"calendar": "daily", "timezone": "Asia/Kolkata"}
    assert "@reboot is the job of a systemd unit" in done.stdout
    assert "the output is in `jamaintctl execution log`" in done.stdout


def test_hostile_bytes_reach_no_terminal_and_no_command(imported: Any, tmp_path: Path) -> None:
    file = tmp_path / "app"
    file.write_bytes(b"0 1 * * * root /bin/echo caf\xe9\n0 2 * * * root /bin/echo \x1b[31m\n@no\x1b root x\n")
    done = imported("cron", str(file))
    assert done.returncode == 7
    assert f"{file}:1:1: it has bytes that are not UTF-8: it is left out" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    (task,) = yaml.safe_load(done.stdout)["tasks"].values()
    assert task["config"]["command"][2] == "/bin/echo \x1b[31m"


def test_output_goes_to_a_new_file_and_never_over_an_old_one(imported: Any, tmp_path: Path) -> None:
    (tmp_path / "app").write_text("/var/log/app.log {\n daily\n}\n")
    target = tmp_path / "tasks.yaml"
    assert imported("logrotate", str(tmp_path / "app"), "-o", str(target)).returncode == 0
    before = target.read_text()
    assert target.stat().st_mode & 0o777 == 0o600
    again = imported("logrotate", str(tmp_path / "app"), "-o", str(target))
    assert (again.returncode, target.read_text()) == (1, before)
    assert "is there already" in again.stderr
    document = json.loads(imported("logrotate", str(tmp_path / "app"), "--json").stdout)
    assert list(document["tasks"]) == ["app-rotate"]


WRITTEN_OTHERWISE = """\
compress # every log
\t{logs}/a.log "{logs}/with space.log"\t{logs}/tab.log\t{{
\tsize=64k
\tmaxsize = 10M
\trotate=3
\tdateext
\tdateformat\t-%Y%m%d
\tcreate\t0640\troot\tadm
\tpostrotate
\t\techo "}}" # not the end
\tendscript # the end
}} # closed
{logs}/one.log {{ daily
}}
{logs}/two.log {{ weekly }}
{logs}/"three".log{{
    monthly
}}
"""


def test_logrotate_files_may_be_written_with_equals_signs_tabs_and_comments(imported: Any, tmp_path: Path) -> None:
    file = tmp_path / "app"
    file.write_text(WRITTEN_OTHERWISE.format(logs="/var/log/app"))
    first, one, two, three = (task["config"] for task in tasks_of(imported("logrotate", str(file))).values())
    logs = "/var/log/app"
    assert first["log_paths"] == [f"{logs}/a.log", f"{logs}/with space.log", f"{logs}/tab.log"]
    assert (first["max_size"], first["keep"], first["date_format"]) == ("64KiB", 3, "-%Y%m%d")
    assert first["create"] == {"mode": "0640", "owner": "root", "group": "adm"}
    assert first["postrotate"][-2] == 'echo "}" # not the end'
    assert first["compress"]["algorithm"] == "gzip"
    assert (one["log_paths"], one["every"]) == ([f"{logs}/one.log"], "daily")
    assert (two["log_paths"], two["every"]) == ([f"{logs}/two.log"], "weekly")
    assert (three["log_paths"], three["every"]) == ([f"{logs}/three.log"], "monthly")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("  rotate many", "3:10: rotate is followed by a whole number, not many: it is left out"),
        ("  minage soon", "3:10: minage is followed by a whole number, not soon: it is left out"),
        ("  size 5T", "3:8: size is followed by bytes, such as 100k, 10M or 1G, not 5T: it is left out"),
        ("  maxsize=big", "3:11: maxsize is followed by bytes, such as 100k, 10M or 1G, not big: it is left out"),
    ],
)
def test_figure_of_logrotate_that_is_none_is_told_and_never_guessed(
    imported: Any, tmp_path: Path, written: str, told: str
) -> None:
    file = tmp_path / "app"
    file.write_text(f"/var/log/a.log {{\n  rotate 4\n{written}\n  daily\n}}\n/var/log/b.log {{\n  daily\n}}\n")
    done = imported("logrotate", str(file))
    assert done.returncode == 7
    assert f"{file}:{told}" in done.stderr
    first, second = (task["config"] for task in yaml.safe_load(done.stdout)["tasks"].values())
    assert (first["keep"], first["every"], second["log_paths"]) == (4, "daily", ["/var/log/b.log"])


def test_braces_in_a_path_are_told_for_logrotate_reads_none(imported: Any, tmp_path: Path) -> None:
    file = tmp_path / "app"
    file.write_text('"/var/log/{a,b}.log" /var/log/c.log {\n  daily\n}\n')
    done = imported("logrotate", str(file))
    assert done.returncode == 7
    assert f"{file}:1:2: /var/log/{{a,b}}.log has braces, which are no wildcard: name each log" in done.stderr
    (task,) = yaml.safe_load(done.stdout)["tasks"].values()
    assert task["config"]["log_paths"] == ["/var/log/c.log"]


def test_logs_where_a_database_keeps_its_files_are_told_and_left_out(imported: Any, tmp_path: Path) -> None:
    assert logrotate.DATABASES == paths.DATABASES
    file = tmp_path / "db"
    file.write_text("/var/lib/mysql/db.log /var/log/mysql/db.log {\n  daily\n}\n/var/lib/mysql/*.err {\n  daily\n}\n")
    done = imported("logrotate", str(file))
    (task,) = tasks_of(done).values()
    assert task["config"]["log_paths"] == ["/var/log/mysql/db.log"]
    for path in ("/var/lib/mysql/db.log", "/var/lib/mysql/*.err"):
        assert f"{path} is where a database keeps its files: leave it to logrotate" in done.stdout
    verdict = checked(done.stdout, tmp_path)
    assert verdict.returncode == 0, verdict.stderr


@pytest.mark.parametrize(
    ("directives", "olddir", "told"),
    [
        ("olddir /var/log/app/old", "old", None),
        ("olddir=old/rotated", "old/rotated", None),
        ("olddir old\n  createolddir 750 root adm", "old", "createolddir: make old yourself"),
        ("olddir old\n  noolddir", None, None),
        ("olddir /srv/archive", None, "olddir /srv/archive: it is not in the directory of all these logs"),
        ("olddir ../old", None, "olddir ../old: it is not in the directory of all these logs"),
    ],
)
def test_olddir_of_logrotate_becomes_a_directory_in_that_of_the_logs(
    imported: Any, tmp_path: Path, directives: str, olddir: str | None, told: str | None
) -> None:
    file = tmp_path / "app"
    file.write_text(f"/var/log/app/*.log {{\n  daily\n  {directives}\n}}\n")
    done = imported("logrotate", str(file))
    (task,) = tasks_of(done).values()
    assert task["config"].get("olddir") == olddir
    assert (told is None) or f"cannot be carried over: {told}" in done.stdout
    verdict = checked(done.stdout, tmp_path)
    assert verdict.returncode == 0, verdict.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  99 * * * * root /bin/one", "1:3: 99 is no minute: the line is left out"),
        ("0 25 * * mon root /bin/one", "1:3: 25 is no hour: the line is left out"),
        ("0 1 1-32 * * root /bin/one", "1:5: 1-32 is no day of a month: the line is left out"),
        ("0 1 * jam * root /bin/one", "1:7: jam is no month: the line is left out"),
        ("0 1 * * */x root /bin/one", "1:9: */x is no day of a week: the line is left out"),
        ("  0 1 * * root", "1:3: a line has five times"),
        (" @nightly root /bin/x", "1:2: @nightly is not a valid time"),
    ],
)
def test_broken_crontab_line_is_told_with_line_and_column_and_the_rest_imported(
    imported: Any, tmp_path: Path, line: str, told: str
) -> None:
    file = tmp_path / "crontab"
    file.write_text(f"{line}\n*/5,1-3/2 0-23 1,15 jan-MAR sun,7 root /bin/good\n")
    done = imported("cron", str(file))
    assert done.returncode == 7
    assert f"{file}:{told}" in done.stderr
    (task,) = yaml.safe_load(done.stdout)["tasks"].values()
    assert task["schedule"]["cron"] == "*/5,1-3/2 0-23 1,15 jan-MAR sun,7"
    verdict = checked(done.stdout, tmp_path)
    assert verdict.returncode == 0, verdict.stderr
