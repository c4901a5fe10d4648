"""The embedded PostgreSQL's files: what is made, with which modes, and what is refused."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.errors import JamaintError
from jamaint.host.accounts import Account, find_account, own_account
from jamaint.store.embedded.files import Files, make_for, read_small
from postgres_server import short_directory

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@pytest.fixture
def place() -> Iterator[Path]:
    with short_directory() as directory:
        yield Path(directory)


@pytest.fixture
def files(place: Path) -> Files:
    return Files(str(place / "state"), str(place / "run"))


@pytest.fixture
def account() -> Account:
    return find_account("nobody") if os.geteuid() == 0 else own_account()


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_address_names_host_and_port_whatever_the_environment_says() -> None:
    assert Files("/s", "/run/x y").dsn == "postgresql://jamaint@/jamaint?host=/run/x%20y/pg&port=5432"


def test_a_path_too_long_for_a_socket() -> None:
    fits = "/" + "x" * (103 - len("/pg/.s.PGSQL.5432") - 1)
    Files("/s", fits).check()
    with pytest.raises(JamaintError, match="has 104 bytes, and a socket's path may have 103: set a shorter runtime"):
        Files("/s", f"{fits}x").check()


def test_directories_are_open_or_closed_whatever_the_umask(files: Files, account: Account) -> None:
    before = os.umask(0o077)
    try:
        with files.alone():
            files.prepare(account, 15, fast_unsafe=False)
    finally:
        os.umask(before)
    as_root = os.geteuid() == 0
    assert mode(files.home) == mode(files.state_dir) == (0o711 if as_root else 0o700)
    assert mode(files.runtime_dir) == (0o755 if as_root else 0o700)
    assert (mode(files.sockets), os.stat(files.sockets).st_uid) == (0o700, account.uid)
    assert {name: mode(f"{files.settings}/{name}") for name in os.listdir(files.settings)} == {
        "postgresql.conf": 0o644,
        "pg_hba.conf": 0o644,
        "pg_ident.conf": 0o644,
    }


def test_directories_that_are_there_keep_their_modes(files: Files, account: Account) -> None:
    for path in (files.state_dir, files.home, files.runtime_dir):
        os.makedirs(path)
        os.chmod(path, 0o715)
    with files.alone():
        files.prepare(account, 15, fast_unsafe=False)
    assert {mode(path) for path in (files.state_dir, files.home, files.runtime_dir)} == {0o715}


@AS_ROOT
@pytest.mark.parametrize(("closed", "setting"), [("state", "JAMAINT_STATE_DIR"), ("run", "socket.path")])
def test_a_directory_closed_to_the_user_is_named_and_left_closed(
    files: Files, account: Account, closed: str, setting: str
) -> None:
    path = os.path.join(os.path.dirname(files.state_dir), closed)
    os.mkdir(path, 0o700)
    with (
        files.alone(),
        pytest.raises(JamaintError, match=rf"runs as nobody, and {path} is closed .*chmod o\+x.*{setting}"),
    ):
        files.prepare(account, 15, fast_unsafe=False)
    assert mode(path) == 0o700


def test_only_we_and_the_user_it_runs_as_can_connect(files: Files, account: Account) -> None:
    with files.alone():
        files.prepare(account, 15, fast_unsafe=False)
    assert Path(files.settings, "pg_hba.conf").read_text() == "local all jamaint peer map=jamaint\n"
    expected = {f'jamaint "{name}" jamaint' for name in (own_account().name, account.name)}
    assert set(Path(files.settings, "pg_ident.conf").read_text().splitlines()) == expected
    settings = Path(files.settings, "postgresql.conf").read_text()
    assert "listen_addresses = ''\n" in settings
    assert f"unix_socket_directories = '{files.sockets}'\n" in settings
    assert "fsync" not in settings
    assert "io_method" not in settings


def test_settings_are_quoted_and_only_tests_forget_in_a_crash(place: Path, account: Account) -> None:
    files = Files(str(place / "it's"), str(place / "back\\slash"))
    with files.alone():
        files.prepare(account, 18, fast_unsafe=True)
    settings = Path(files.settings, "postgresql.conf").read_text()
    assert f"hba_file = '{place}/it''s/postgres/settings/pg_hba.conf'\n" in settings
    assert f"unix_socket_directories = '{place}/back\\\\slash/pg'\n" in settings
    assert "fsync = 'off'\n" in settings
    assert "io_method = 'sync'\n" in settings


def test_settings_that_are_right_already_are_not_written_again(files: Files, account: Account) -> None:
    """A full disk does not keep a cluster from starting that was there before."""
    path = f"{files.settings}/postgresql.conf"
    with files.alone():
        files.prepare(account, 15, fast_unsafe=False)
        first = os.stat(path).st_ino
        files.prepare(account, 15, fast_unsafe=False)
        assert os.stat(path).st_ino == first
        files.prepare(account, 18, fast_unsafe=False)
        assert os.stat(path).st_ino != first


def test_the_version_is_pinned(files: Files) -> None:
    assert files.pinned_major() is None
    os.makedirs(files.data)
    with pytest.raises(JamaintError, match="is no PostgreSQL data directory"):
        files.pinned_major()
    Path(files.data, "PG_VERSION").write_text("15\n")
    assert files.pinned_major() == 15
    Path(files.data, "PG_VERSION").unlink()
    os.mkfifo(f"{files.data}/PG_VERSION")
    with pytest.raises(JamaintError, match="is no PostgreSQL data directory"):
        files.pinned_major()


def test_one_daemon_at_a_time(files: Files) -> None:
    script = (
        "import sys, jamaint.store.embedded.files as f\n"
        "with f.Files(*sys.argv[1:]).alone(): print('mine', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, files.state_dir, files.runtime_dir],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other.stdin, other.stdout:
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(JamaintError, match=rf"another jamaintd \(process {other.pid}\) uses"), files.alone():
            pytest.fail("there were two")
        other.kill()
        other.wait()
        with files.alone():
            assert os.path.isdir(files.home)


def test_what_earlier_attempts_have_left_goes(files: Files, account: Account) -> None:
    with files.alone():
        first = files.new_data(account)
        Path(first, "base").mkdir()
        second = files.new_data(account)
        assert [name for name in os.listdir(files.home) if name.startswith("data")] == [os.path.basename(second)]
        assert os.stat(second).st_uid == account.uid
        files.adopt(second)
    assert files.owner() == account.uid


@AS_ROOT
def test_a_cluster_of_another_user(files: Files, account: Account) -> None:
    files.check_owner(account)
    os.makedirs(files.data)
    with pytest.raises(
        JamaintError, match=r"belongs to user id 0, and PostgreSQL would run as nobody.*chown -R nobody"
    ):
        files.check_owner(account)


def test_a_directory_that_others_have_made_is_not_trusted(place: Path, account: Account) -> None:
    make_for(str(place / "own"), account)
    make_for(str(place / "own"), account)
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    (place / "link").symlink_to(place / "own")
    (place / "file").write_text("x")
    for name in ("open", "link", "file"):
        with pytest.raises(JamaintError, match=r"is not a directory of .* alone"):
            make_for(str(place / name), account)


def test_small_files_are_read_without_following_or_waiting(place: Path) -> None:
    (place / "file").write_text("12\n" + "x" * 10000)
    (place / "link").symlink_to("file")
    os.mkfifo(place / "pipe")
    assert read_small(str(place / "file"), 3) == "12\n"
    assert read_small(str(place / "link")) is None
    assert read_small(str(place / "pipe")) in (None, "")
    assert read_small(str(place)) is None
    assert read_small(str(place / "missing")) is None


def test_a_state_directory_that_cannot_be_made(place: Path) -> None:
    (place / "state").write_text("not a directory")
    files = Files(str(place / "state"), str(place / "run"))
    with (
        pytest.raises(JamaintError, match=r"state directory .*/state cannot be used .*JAMAINT_STATE_DIR"),
        files.alone(),
    ):
        pytest.fail("it was taken")
