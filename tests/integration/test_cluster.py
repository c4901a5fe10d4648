"""The embedded PostgreSQL with real servers: made, restarted, killed, left behind, and refused."""

# ruff: noqa: ASYNC220, ASYNC230, ASYNC240 nothing else runs in these tests that a short wait could hold up

import contextlib
import glob
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from cluster_harness import DAEMON, Place, Told, ask, daemon, ended, keep_a_note, say
from jamaint.errors import JamaintError
from jamaint.host.accounts import find_account, own_account
from jamaint.store.embedded import binaries, orphans
from jamaint.store.embedded import server as cluster_module
from jamaint.store.embedded.server import Cluster
from postgres_server import on_connection, short_directory

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def empty_place() -> Iterator[Place]:
    """Where no cluster was ever made."""
    with short_directory() as directory:
        yield Place(directory)


@pytest.fixture(scope="module")
def made() -> Iterator[str]:
    """The state directory of a cluster that was made and stopped."""
    with short_directory() as directory:
        trio.run(_make, directory)
        yield directory


async def _make(directory: str) -> None:
    async with Place(directory).running():
        pass


@pytest.fixture
def place(made: str) -> Iterator[Place]:
    """Where a cluster is, without the second that making one takes."""
    with short_directory() as directory:
        subprocess.run(["cp", "-a", f"{made}/postgres", directory], check=True)
        yield Place(directory)


def working_directories() -> list[str]:
    found = []
    for link in glob.glob("/proc/[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return found


async def test_a_first_start_a_stop_and_another_start(empty_place: Place) -> None:
    place = empty_place
    async with place.running(fast_unsafe=False) as dsn:
        assert dsn == place.cluster.dsn
        assert await ask(dsn, "SELECT current_user || ' ' || current_database()") == "jamaint jamaint"
        assert await ask(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert (
            await ask(dsn, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'jamaint'") == "UTF8"
        )
        for name, value in {
            "listen_addresses": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "jit": "off",
            "max_connections": "20",
            "autovacuum": "on",
            "TimeZone": "UTC",
        }.items():
            assert await ask(dsn, f"SELECT current_setting('{name}')") == value
        await keep_a_note(dsn)
        first = place.up
    assert place.cluster.pid is None
    assert not os.path.exists(f"/proc/{first}")
    assert place.data not in working_directories()
    async with place.running(fast_unsafe=False) as dsn:
        assert await ask(dsn, "SELECT text FROM notes") == "kept"
        assert place.told.count("made a cluster") == 0


async def test_nobody_else_is_let_in(place: Place) -> None:
    async with place.running() as dsn:
        sockets = f"{place.directory}/pg"
        assert stat.S_IMODE(os.stat(sockets).st_mode) == 0o700
        assert os.stat(sockets).st_uid == os.stat(place.data).st_uid
        for user in ("postgres", "root", "nobody"):
            with pytest.raises(Exception, match=r"no pg_hba\.conf entry"):
                await ask(dsn.replace("jamaint@", f"{user}@"), "SELECT 1")
        await place.told.wait_for("warning postgres: FATAL:  no pg_hba.conf entry", times=3)


@AS_ROOT
async def test_root_runs_it_as_somebody_else(empty_place: Place) -> None:
    place = empty_place
    before = os.stat(place.directory)
    async with place.running():
        owner = os.stat(f"/proc/{place.up}").st_uid
        assert owner not in (0, None)
        assert os.stat(place.data).st_uid == owner
        assert os.stat(f"{place.directory}/postgres").st_uid == 0
        assert "\nGroups:\t \n" in Path(f"/proc/{place.up}/status").read_text()
    assert os.stat(place.directory).st_mode == before.st_mode


async def test_a_killed_server_comes_back_with_its_data(place: Place) -> None:
    async with place.running() as dsn:
        await keep_a_note(dsn)
        for times in (2, 3):
            first = place.up
            os.kill(first, signal.SIGKILL)
            await place.told.wait_for("the embedded PostgreSQL is up", times)
            assert place.up != first
            assert await ask(dsn, "SELECT text FROM notes") == "kept"
        assert place.told.count("it was ended by SIGKILL") == 2


async def test_a_session_that_outlives_its_server_is_ended_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL would refuse to start while the old memory is in use."""
    monkeypatch.setattr(cluster_module, "_LAST_WORDS_SECONDS", 0.01)
    monkeypatch.setattr(orphans, "QUIT_SECONDS", 0.01)
    async with place.running() as dsn:
        session = await trio.to_thread.run_sync(on_connection, dsn, _stop_own_session)
        os.kill(place.up, signal.SIGKILL)
        await place.told.wait_for("the embedded PostgreSQL is up", times=2)
        await ended(session)
        assert place.told.count("ended what was left of an earlier PostgreSQL") == 1
        assert place.told.count("it is started again") == 1


async def _stop_own_session(connection: Any) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    connection.terminate()
    return pid


async def test_a_server_that_does_not_stop_is_made_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_FAST_SECONDS", 0.01)
    monkeypatch.setattr(cluster_module, "_QUIT_SECONDS", 0.01)
    async with place.running():
        first = place.up
        os.kill(first, signal.SIGSTOP)
    assert not os.path.exists(f"/proc/{first}")
    async with place.running() as dsn:
        assert await ask(dsn, "SELECT 1") == 1


async def test_what_a_killed_daemon_has_left_is_ended_first(place: Place) -> None:
    with daemon(place) as process:
        dsn, pid = await trio.to_thread.run_sync(say, process)
        await keep_a_note(dsn)
    assert os.path.exists(f"/proc/{pid}"), "the server did not outlive its daemon, so this shows nothing"
    async with place.running() as dsn:
        await ended(int(pid))
        assert place.told.count("ended what was left of an earlier PostgreSQL") == 1
        assert place.up != int(pid)
        assert await ask(dsn, "SELECT text FROM notes") == "kept"


async def test_another_server_of_the_same_user_is_left_alone(place: Place, empty_place: Place) -> None:
    async with empty_place.running() as other:
        with daemon(place) as process:
            await trio.to_thread.run_sync(say, process)
        async with place.running():
            assert place.told.count("ended what was left of an earlier PostgreSQL") == 1
        assert await ask(other, "SELECT 1") == 1
        assert empty_place.told.count("it is started again") == 0


async def test_a_second_daemon_is_refused_and_harms_nothing(place: Place) -> None:
    with daemon(place) as process:
        dsn, pid = await trio.to_thread.run_sync(say, process)
        message = await place.refusal()
        assert f"another jamaintd (process {process.pid}) uses the state directory {place.directory}" in message
        assert await ask(dsn, "SELECT 1") == 1
        assert os.path.exists(f"/proc/{pid}")
    async with place.running():
        assert place.up != int(pid)


async def test_a_number_that_another_process_has_got_since(place: Place) -> None:
    async with place.running() as dsn:
        await keep_a_note(dsn)
        lock = Path(place.data, "postmaster.pid").read_text().splitlines(keepends=True)
        socket_lock = Path(place.directory, "pg", ".s.PGSQL.5432.lock").read_text().splitlines(keepends=True)
        owner = os.stat(place.data)
    identity: dict[str, Any] = {} if owner.st_uid == os.geteuid() else {"user": owner.st_uid, "group": owner.st_gid}
    bystander = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, cwd="/", **identity)
    assert bystander.stdin is not None
    with bystander.stdin:
        for path, lines in (
            (Path(place.data, "postmaster.pid"), lock),
            (Path(place.directory, "pg", ".s.PGSQL.5432.lock"), socket_lock),
        ):
            path.write_text("".join([f"{bystander.pid}\n", *lines[1:]]))
            os.chown(path, owner.st_uid, owner.st_gid)
        async with place.running() as dsn:
            assert place.told.count("it is started again") == 0
            assert await ask(dsn, "SELECT text FROM notes") == "kept"
        assert bystander.poll() is None
    assert bystander.wait() == 0


def real_programs() -> binaries.Programs:
    return binaries.find(None, None, own_account(), "/nonexistent")


def wrapped_programs(place: Place, initdb: str) -> str:
    """A directory with the real `postgres` and an `initdb` that is a script; $REAL is the real one."""
    real = real_programs().directory
    directory = Path(place.directory, "bin")
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    (directory / "postgres").symlink_to(f"{real}/postgres")
    (directory / "initdb").write_text(f"#!/bin/sh\nREAL={real}/initdb\n{initdb}\n")
    (directory / "initdb").chmod(0o755)
    return str(directory)


async def test_a_daemon_killed_in_the_middle_of_initdb(empty_place: Place) -> None:
    place = empty_place
    said, held = f"{place.directory}/said", f"{place.directory}/held"
    for pipe in (said, held):
        os.mkfifo(pipe)
        os.chmod(pipe, 0o666)
    # Half of a cluster is there when it says so; then it stays as it is until it is let go.
    script = f'mkdir "$2/base"; echo 15 > "$2/PG_VERSION"; echo half > {said}; exec /bin/cat {held}'
    with daemon(place, wrapped_programs(place, script)):
        with open(said) as half:
            assert await trio.to_thread.run_sync(half.readline) == "half\n"
        [left] = glob.glob(f"{place.directory}/postgres/data.new-*")
        assert os.path.exists(f"{left}/PG_VERSION")
    with open(held, "w"):
        pass
    assert not os.path.exists(place.data)
    async with place.running() as dsn:
        assert await ask(dsn, "SELECT current_database()") == "jamaint"
    assert not glob.glob(f"{place.directory}/postgres/data.new-*")


async def test_a_first_start_that_fails_is_tried_again(empty_place: Place) -> None:
    place = empty_place
    broken = Path(place.directory, "broken")
    broken.touch()
    script = f'test ! -e {broken} || {{ echo "No space left on device" >&2; exit 1; }}; exec $REAL "$@"'
    async with place.running(wrapped_programs(place, script)) as dsn:
        assert place.cluster.pid is None
        assert place.told.count("could not be prepared") == 1
        await place.told.wait_for("the embedded PostgreSQL is down")
        assert place.told.count("No space left on device") >= 1
        broken.unlink()
        await place.told.wait_for("the embedded PostgreSQL is up")
        assert await ask(dsn, "SELECT current_database()") == "jamaint"


async def test_another_major_version_is_refused(place: Place) -> None:
    async with place.running():
        pass
    version = Path(place.data, "PG_VERSION")
    original = version.read_text()
    version.write_text("12\n")
    message = await place.refusal()
    assert "is of PostgreSQL 12" in message
    assert "pg_upgrade" in message
    assert "dump and restore" in message
    version.write_text(original)
    async with place.running() as dsn:
        assert await ask(dsn, "SELECT 1") == 1


@AS_ROOT
async def test_a_state_directory_that_is_closed_is_named(empty_place: Place) -> None:
    place = empty_place
    os.chmod(place.directory, 0o700)
    message = await place.refusal()
    assert f"{place.directory} is closed to that user" in message
    assert stat.S_IMODE(os.stat(place.directory).st_mode) == 0o700


async def test_a_socket_path_that_is_too_long_is_refused(empty_place: Place) -> None:
    place = empty_place
    place.directory += "/" + "x" * 90
    assert "a socket's path may have 103" in await place.refusal()
    assert not os.path.exists(place.directory)


async def test_a_runtime_directory_that_cannot_be_made_is_refused(place: Place) -> None:
    Path(place.directory, "run").write_text("not a directory")
    cluster = Cluster(place.directory, f"{place.directory}/run/jamaint", log=Told().log)
    with pytest.raises(JamaintError, match=r"cannot be prepared: .*/run"):
        await cluster.supervise()


async def test_programs_that_were_replaced_on_disk(place: Place) -> None:
    real = real_programs()
    directory = f"{place.directory}/installed/bin"
    if real.origin == "wheel":
        shutil.copytree(os.path.dirname(real.directory), os.path.dirname(directory), symlinks=True)
    else:  # Debian's find their other files by the path that they were built for
        os.makedirs(directory)
        for name in ("postgres", "initdb"):
            shutil.copy(real.path(name), directory)
        os.symlink(os.path.join(real.directory, "../lib"), f"{place.directory}/installed/lib")
    async with place.running(directory) as dsn:
        first = place.up
        assert not place.cluster.restart_if_replaced()
        shutil.copy(f"{directory}/postgres", f"{directory}/postgres.dpkg-new")
        os.rename(f"{directory}/postgres.dpkg-new", f"{directory}/postgres")
        assert place.cluster.restart_if_replaced()
        await place.told.wait_for("the embedded PostgreSQL is up", times=2)
        assert place.up != first
        assert not place.cluster.restart_if_replaced()
        assert await ask(dsn, "SELECT 1") == 1
    assert not place.cluster.restart_if_replaced()


def test_pauses_grow_up_to_a_bound() -> None:
    pauses = list(itertools.islice(cluster_module._pauses(), 12))
    assert pauses[:4] == [0, 0.1, 0.2, 0.4]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30


def interpreter_of_others() -> str | None:
    """A Python that an ordinary user can start and that can import what the daemon needs."""
    account = find_account("nobody")
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        path = os.pathsep.join(sys.path)
        probe = ["/usr/bin/env", f"PYTHONPATH={path}", candidate, "-c", "import jamaint.store.embedded.server"]
        if binaries.runs(account, *probe):
            return candidate
    return None


@AS_ROOT
def test_an_ordinary_user_has_his_own(place: Place) -> None:
    interpreter = interpreter_of_others()
    if interpreter is None:
        pytest.skip("no Python that the user nobody may start has this project's dependencies")
    nobody = find_account("nobody")
    os.mkdir(f"{place.directory}/home", 0o700)
    os.chown(f"{place.directory}/home", nobody.uid, nobody.gid)
    process = subprocess.Popen(
        [interpreter, "-c", DAEMON, f"{place.directory}/home", ""],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        **binaries.identity(nobody),
    )
    try:
        dsn, pid = say(process)
        assert os.stat(f"/proc/{pid}").st_uid == nobody.uid
        assert stat.S_IMODE(os.stat(f"{place.directory}/home/postgres").st_mode) == 0o700
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        assert process.stdout is not None
        process.stdout.close()
    assert not os.path.exists(f"/proc/{pid}")
    assert dsn.startswith("postgresql://jamaint@/jamaint?host=")
