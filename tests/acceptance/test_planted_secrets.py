"""Secrets planted everywhere the configuration takes one, and then looked for everywhere: nobody finds any."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import echoing_servers
from command_line import Scene, scene
from daemon_harness import Client, Daemon, client, refusal
from daemon_harness import daemon as serving_daemon
from database_runs import run_script
from jamaint.config import ConfigError, load, mistakes_text
from postgres_server import on_connection
from socket_peers import CAN_BE_OTHERS

PLANTED = re.compile(r"zqplanted-([a-z-]+)")
OLD = {"table": "sessions", "age_column": "seen_at", "older_than": "190d"}
TABLE = (
    "CREATE TABLE sessions (id bigint PRIMARY KEY, seen_at timestamptz)",
    "INSERT INTO sessions SELECT i, now() - i * interval '1 hour' FROM generate_series(1, 6000) i",
    "ANALYZE sessions",
)

only_root = pytest.mark.skipif(not CAN_BE_OTHERS, reason="only root is admin and can look at every process")


def planted(where: str) -> str:
    """A password with all that has to be escaped somewhere, and what it is found by wherever it comes out."""
    return f'p/@:%&"é zqplanted-{where}'


class Place:
    """A scene with secrets, and all that was ever said in it."""

    def __init__(self, there: Scene, cms: str, ports: dict[str, int]) -> None:
        self.there, self.cms, self.ports = there, cms, ports
        self.credentials = there.directory / "credentials"
        self.credentials.mkdir(mode=0o700)
        self.said: dict[str, str] = {}
        self.environment = {
            "CREDENTIALS_DIRECTORY": str(self.credentials),
            "CMS_PASSWORD": planted("in-environment"),
            "CHANNEL": f"smtp://ops:{quote(planted('channel'), safe='')}@mail.example.org",
        }

    def file(self, where: str, text: str | None = None, mode: int = 0o600) -> dict[str, str]:
        path = self.there.directory / f"{where}.secret"
        path.write_text(f"{text or planted(where)}\n")
        path.chmod(mode)
        return {"file": str(path)}

    def credential(self, where: str, text: str | None = None) -> dict[str, str]:
        (self.credentials / where).write_text(text or planted(where))
        return {"credential": where}

    def inside(self, address: str, where: str) -> str:
        """An address with a password in it."""
        user, at, rest = address.partition("@")
        return f"{user}:{quote(planted(where), safe='')}{at}{rest}"

    def ctl(self, *words: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        done = self.there.ctl(*words, stdin=stdin)
        assert "Traceback" not in done.stderr, done
        self.said[" ".join(words)] = self.said.get(" ".join(words), "") + done.stdout + done.stderr
        return done

    def tasks(self) -> dict[str, Any]:
        """One for each place of a secret, and each way in which one fails."""
        held, nobody = self.ports["held"], self.ports["postgres"]
        web = {"url": f"http://127.0.0.1:{self.ports['http']}/", "headers": {"authorization": self.file("header")}}
        hook = self.file("hook", f"http://127.0.0.1:{self.ports['http']}/hook?zqplanted-hook")
        echo = f"postgresql://me@127.0.0.1:{nobody}/x"
        redis = {"url": f"redis://127.0.0.1:{self.ports['redis']}", "pattern": "x:*"}
        asks = {"max_transaction": "1h", "timeout": "30s"}
        return {
            "works-file": _task({"dsn": self.cms, "password": self.file("in-file")}),
            "works-environment": _task({"database": "cms"}),
            "works-credential": _task({"database": "shop"}),
            "works-inside": _task({"dsn": self.inside(self.cms, "inside-task")}),
            "works-granted-inside": _task({"database": "plain"}),
            "wrong-file": _task({"dsn": echo, "password": self.file("wrong-file")}),
            "wrong-inside": _task({"dsn": self.inside(echo, "wrong-inside")}),
            "held": _task({"dsn": f"postgresql://me@127.0.0.1:{held}/x", "password": self.file("held")}),
            "no-address": _task({"dsn": self.file("no-address")}),
            "not-there": _task({"dsn": echo, "password": {"file": "/nowhere/at/all"}}),
            "open-to-all": _task({"dsn": echo, "password": self.file("open-to-all", mode=0o644)}),
            "nobody-there": _task({"dsn": self.inside("postgresql://me@127.0.0.1:1/x", "nobody-there")}),
            "redis-credential": _cache({**redis, "password": self.credential("redis-credential")}),
            "redis-inside": _cache({**redis, "url": self.inside(f"redis://me@127.0.0.1:{self.ports['redis']}", "ri")}),
            "asks": {
                "type": "custom",
                "executor": "noop",
                "conditions": [
                    {"http": web},
                    {"http": {"url": hook}},
                    {"postgresql": {"dsn": echo, "password": self.file("asked-file"), **asks}},
                    {"postgresql": {"dsn": self.inside(echo, "asked-inside"), **asks}},
                    {"postgresql": {"database": "shop", **asks}},
                ],
            },
            "environment": {
                "type": "custom",
                "config": {"command": ["cat", "/proc/self/environ", "/proc/self/cmdline"]},
            },
        }

    def configure(self, **more: Any) -> None:
        self.there.configure(
            **{
                "database": {"dsn": self.there.dsn, "password": self.file("state")},
                "grants": {
                    "databases": {
                        "cms": {"dsn": self.cms, "password": {"environment": "CMS_PASSWORD"}},
                        "shop": self.credential("shop", self.inside(self.cms, "shop")),
                        "plain": self.inside(self.cms, "inside-grant"),
                    }
                },
                "tasks": self.tasks(),
                "windows": {
                    "w": {
                        "schedule": {"cron": "0 2 * * *"},
                        "timezone": "UTC",
                        "duration": 60,
                        "conditions": [{"postgresql": {"dsn": self.inside(self.cms, "window"), "primary": True}}],
                    }
                },
                "cleanup": {"database": {"dsn": self.inside(self.cms, "cleanup"), "cleanup_old_data": [OLD]}},
                "notifications": {
                    "channels": {
                        "ops": {"url": {"environment": "CHANNEL"}},
                        "hook": {"url": "https://u:zqplanted-channel-inside@hook.example.org/"},
                    }
                },
                **more,
            }
        )


def _task(config: dict[str, Any]) -> dict[str, Any]:
    return {"type": "cleanup", "category": "database", "config": {"cleanup_old_data": [OLD], **config}}


def _cache(redis: dict[str, Any]) -> dict[str, Any]:
    return {"type": "cleanup", "category": "cache", "config": {"redis": redis}}


@pytest.fixture
def place(database: str, empty_database: str) -> Iterator[tuple[Place, threading.Event, threading.Event]]:
    for statement in TABLE:
        run_script(empty_database, statement)
    held, come = threading.Event(), threading.Event()
    kinds = {
        "postgres": echoing_servers.postgres(),
        "held": echoing_servers.postgres(held, come),
        "redis": echoing_servers.redis,
        "http": echoing_servers.http,
    }
    with contextlib.ExitStack() as stack:
        ports = {kind: stack.enter_context(echoing_servers.listening(serve)) for kind, serve in kinds.items()}
        stack.callback(held.set)
        yield Place(stack.enter_context(scene(database)), empty_database, ports), held, come


@only_root
def test_what_is_planted_everywhere_is_found_nowhere(place: tuple[Place, threading.Event, threading.Event]) -> None:
    there, _, come = place
    there.configure()
    with serving_daemon(there.there.config, there.environment) as running, client(there.there.socket) as caller:
        _drive(there, caller)
        _kill_a_worker_in_the_midst(there, come)
        running.process.send_signal(signal.SIGUSR1)
        _look_at_processes(there, running)
        for words in (
            ("audit",),
            ("--json", "audit"),
            ("execution", "list"),
            ("--json", "execution", "list"),
            ("status",),
        ):
            assert there.ctl(*words).returncode == 0
    with serving_daemon(there.there.config, there.environment):  # the next one finds all again, and undoes what it may
        there.ctl("rollback", there.said["first"])
    there.said["log"] = there.there.config.with_suffix(".log").read_text()
    there.said["database"] = _dump(there.there.dsn or "")
    there.said["kept in the state directory"] = _contents(there.there.directory / "state")
    _find_nothing(there)


@only_root
def test_a_mistake_beside_a_secret_is_told_without_it(
    place: tuple[Place, threading.Event, threading.Event],
) -> None:
    there, _, _ = place
    there.there.configure(database={"dsn": there.there.dsn, "password": there.file("state")})
    with serving_daemon(there.there.config, there.environment), client(there.there.socket) as caller:
        _make_mistakes(there, caller)
        malformed = {"tasks": {"malformed": _task({"dsn": "postgresql://me:zqplanted-malformed/x@127.0.0.1:5432/x"})}}
        file = there.there.directory / "malformed.yaml"
        file.write_text(json.dumps(malformed))
        file.chmod(0o600)
        refused = there.ctl("config", "check", str(file))
        assert (refused.returncode, "tasks.malformed.config.dsn" in refused.stderr) == (7, True)
        there.ctl("status")
        there.ctl("audit")
    there.said["log"] = there.there.config.with_suffix(".log").read_text()
    there.said["database"] = _dump(there.there.dsn or "", least=1)
    _find_nothing(there)


def _find_nothing(there: Place) -> None:
    leaked = {
        f"{found[0]} in {where}: …{text[max(0, found.start() - 60) : found.end()]}"
        for where, text in there.said.items()
        for found in PLANTED.finditer(text)
    }
    assert leaked == set()


def _drive(there: Place, caller: Client) -> None:
    """All that works, and all that fails."""
    for name in there.tasks():
        if name == "held":
            continue
        planned = there.ctl("plan", name)
        ended = there.ctl("execute", name)
        worked = name.startswith("works-") or name == "environment"
        assert (ended.returncode == 0) == worked, ended
        if worked:
            assert planned.returncode == 0, planned
        if name == "works-inside":
            there.said["first"] = json.loads(there.ctl("--json", "execution", "show", "last").stdout)["id"]
        for words in (f"task show {name}", "--json execution show last", "execution log last", f"why {name}"):
            there.ctl(*words.split())
    for words in ("config show", "config check", "task list", "window show w", "usage", "cleanup analysis", "metrics"):
        there.ctl(*words.split())
        there.ctl("--json", *words.split())
    there.ctl("cleanup", "run", "database")
    there.ctl("rollback", "last")
    made = {"name": "made", **_task({"dsn": "postgresql://me:zqplanted-made@h/x"})}
    refused = there.ctl("task", "create", "-f", "-", stdin=json.dumps(made))
    assert refused.returncode == 7
    assert "config.dsn: has a password in it, which would be stored in the database" in refused.stderr
    by_name = {"name": "made", **_task({"dsn": there.cms, "password": {"credential": "redis-credential"}})}
    assert there.ctl("task", "create", "-f", "-", stdin=json.dumps(by_name)).returncode == 0
    assert there.ctl("execute", "made").returncode == 0
    for method, params in (
        ("task.get", {"task": "postgresql://me:zqplanted-call@h/x"}),
        ("execution.start", {"task": "works-file", "options": {"dsn": "postgresql://me:zqplanted-call@h/x"}}),
        ("execution.cancel", {"execution": "postgresql://me:zqplanted-call@h/x"}),
        ("no.such", {"dsn": "postgresql://me:zqplanted-call@h/x"}),
    ):
        with contextlib.suppress(Exception):
            there.said[f"{method} answers"] = str(caller.call(method, **params))


def _kill_a_worker_in_the_midst(there: Place, come: threading.Event) -> None:
    """While it has the password in its hands."""
    with there.there.typing("execute", "held") as typed:
        assert come.wait(60)
        workers = [pid for pid in _processes() if b"jamaint-worker" in _read(pid, "cmdline")]
        for pid in workers:
            for name in ("cmdline", "environ"):
                there.said[f"{name} of a worker"] = _read(pid, name).decode("utf-8", "replace")
            assert "Max core file size        0 " in _read(pid, "limits").decode()
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        out, err = typed.communicate(timeout=60)
        there.said["execute held"] = out + err
        assert "killed by SIGKILL" in out + err
    there.ctl("execution", "show", "last")


MISTAKES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a password itself", {"database": {"dsn": "postgresql://me@h/x", "password": "zqplanted-itself"}}),
    ("a number", {"database": {"dsn": "postgresql://me@h/x", "password": 12345678}}),
    ("a wrong key", {"database": {"dsn": "postgresql://me@h/x", "passwort": "zqplanted-wrong-key"}}),
    ("a wrong way", {"database": {"dsn": "postgresql://me@h/x", "password": {"vault": "zqplanted-way"}}}),
    ("a name that is none", {"database": {"dsn": "postgresql://me@h/x", "password": {"credential": "zqplanted-a b"}}}),
    ("a path that is none", {"database": {"dsn": "postgresql://me@h/x", "password": {"file": "zqplanted-path"}}}),
    ("two passwords", {"database": {"dsn": "postgresql://u:zqplanted-two@h/x", "password": {"credential": "x"}}}),
    ("no address", {"database": {"dsn": "mysql://u:zqplanted-mysql@h/x"}}),
    ("a wrong section", {"databse": {"dsn": "postgresql://u:zqplanted-section@h/x"}}),
    ("an address for a list", {"grants": {"paths": "postgresql://u:zqplanted-list@h/x"}}),
    ("an address for a number", {"scheduler": {"max_concurrent_tasks": "postgresql://u:zqplanted-number@h/x"}}),
    ("an address for a time", {"rollback": {"retention": "postgresql://u:zqplanted-time@h/x"}}),
    ("an address as a key", {"postgresql://u:zqplanted-key@h/x": 1}),
    ("a granted address", {"grants": {"databases": {"x": {"dsn": "postgresql://u@h/x", "password": "zqplanted-g"}}}}),
    ("a url", {"notifications": {"channels": {"x": {"url": ["zqplanted-url"]}}}}),
    (
        "a header",
        {"tasks": {"x": {"executor": "noop", "conditions": [{"http": {"url": "http://h", "headers": {"x": 7}}}]}}},
    ),
)


def _make_mistakes(there: Place, caller: Client) -> None:
    """Each mistake is told, with its key, by the check, by a reload and in the status."""
    good = there.there.config.read_text()
    texts = {name: json.dumps({**json.loads(good), **sections}) for name, sections in MISTAKES}
    for sign in "*&!":
        texts[f"an unquoted {sign}"] = f"database:\n  dsn: postgresql://me@h/x\n  password: {sign}zqplanted-unquoted\n"
    texts["no end of a quote"] = 'database:\n  dsn: "postgresql://u:zqplanted-quote@h/x\n'
    texts["no space"] = "database:\n  dsn:postgresql://u:zqplanted-space@h/x\n"
    for name, text in texts.items():
        there.there.config.write_text(text)
        with pytest.raises(ConfigError) as refused:
            load(str(there.there.config), environ={}, euid=os.geteuid())
        there.said[name] = mistakes_text(refused.value.mistakes)
        answer = refusal(caller, "daemon.reload")
        there.said[f"{name}, at a reload"] = f"{answer.message} {answer.data}"
        there.said[f"{name}, in the status"] = str(caller.call("status"))
    assert there.ctl("config", "check", str(there.there.config)).returncode == 7
    assert there.ctl("reload").returncode == 7
    there.there.config.write_text(good)
    assert there.ctl("reload").returncode == 0


def _look_at_processes(there: Place, running: Daemon) -> None:
    """The daemon's own environment holds what was put there for it; nothing else holds anything."""
    own = _read(running.process.pid, "cmdline")
    for pid in _processes():
        command = _read(pid, "cmdline")
        for name in ("cmdline", "environ"):
            text = _read(pid, name).decode("utf-8", "replace")
            if command == own and name == "environ":  # the daemon, or a child of its that is no other program yet
                text = "\0".join(part for part in text.split("\0") if not PLANTED.search(part) or not _is_given(part))
            if b"jamaint" in command:
                there.said[f"{name} of {pid}"] = text


def _is_given(variable: str) -> bool:
    return variable.startswith(("CMS_PASSWORD=", "CHANNEL="))


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _read(pid: int, name: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def _dump(dsn: str, least: int = 50) -> str:
    """Every row of every table, as text."""

    async def dump(connection: Any) -> str:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = [row[0] for table in tables for row in await connection.fetch(f"SELECT t::text FROM {table['name']} t")]
        assert len(rows) >= least
        return "\n".join(rows)

    return str(on_connection(dsn, dump))


def _contents(directory: Path) -> str:
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in directory.rglob("*") if path.is_file())
