"""The files of the embedded PostgreSQL: its directories, the lock on them, its settings, and who may connect.

Everything but the data directory belongs to us and is written by us; what lies in the data directory belongs to the
user that PostgreSQL runs as, so as root nothing is ever written there.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from jamaint.errors import CONFLICT, UNAVAILABLE, JamaintError
from jamaint.host.accounts import Account
from jamaint.store.embedded.binaries import can_enter, closed_directory

ROLE = "jamaint"
DATABASE = "jamaint"
PORT = 5432
SOCKET_LIMIT = 103
"""Bytes that a socket's path may have everywhere; Linux takes four more."""

_SETTINGS: dict[str, str | int] = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": 20,
    "shared_buffers": "16MB",
    "huge_pages": "off",
    "jit": "off",
    "max_parallel_workers": 0,
    "max_parallel_workers_per_gather": 0,
    "max_parallel_maintenance_workers": 0,
    "max_worker_processes": 1,
    "max_logical_replication_workers": 0,
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "checkpoint_timeout": "30min",
    "autovacuum_max_workers": 1,
    # How rarely it wakes while nothing happens; each of them wakes at once when there is work.
    "autovacuum_naptime": "10min",
    "bgwriter_delay": "10s",
    "wal_writer_delay": "10s",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "lc_messages": "C",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything of one cluster is, below its state directory and its runtime directory."""

    state_dir: str
    runtime_dir: str

    @property
    def home(self) -> str:
        """Ours: the lock, the settings, copied programs, and in it the data directory."""
        return os.path.join(self.state_dir, "postgres")

    @property
    def data(self) -> str:
        """PostgreSQL's own directory."""
        return os.path.join(self.home, "data")

    @property
    def settings(self) -> str:
        """Files that we write at each start."""
        return os.path.join(self.home, "settings")

    @property
    def sockets(self) -> str:
        """The directory of its socket: only the user it runs as and root get in."""
        return os.path.join(self.runtime_dir, "pg")

    @property
    def socket(self) -> str:
        """Its socket."""
        return os.path.join(self.sockets, f".s.PGSQL.{PORT}")

    @property
    def dsn(self) -> str:
        """The address of the database, as asyncpg takes it."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(self.sockets, safe='/')}&port={PORT}"

    def check(self) -> None:
        """Raises JamaintError when the socket's path would be too long."""
        length = len(os.fsencode(self.socket))
        if length > SOCKET_LIMIT:
            raise JamaintError(
                CONFLICT,
                f"{self.socket} has {length} bytes, and a socket's path may have {SOCKET_LIMIT}: set a shorter runtime "
                "directory (RUNTIME_DIRECTORY, or the directory of socket.path)",
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the lock on the cluster; a process that is killed loses it. Raises JamaintError."""
        lock = self._open_lock()
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise JamaintError(
                    CONFLICT,
                    f"another jamaintd (process {holder}) uses the state directory {self.state_dir}: stop it first, or "
                    "set another one (JAMAINT_STATE_DIR)",
                ) from None
            with contextlib.suppress(OSError):  # only for the message above; the disk may be full
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        mode = 0o711 if os.geteuid() == 0 else 0o700
        try:
            _make(self.state_dir, mode)
            _make(self.home, mode)
            path = os.path.join(self.home, "lock")
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise JamaintError(
                UNAVAILABLE,
                f"the state directory {self.state_dir} cannot be used ({error}): make it usable, or set another one "
                "(JAMAINT_STATE_DIR)",
            ) from error

    def pinned_major(self) -> int | None:
        """The major version of the cluster that is there, or None. Raises JamaintError when something else is there."""
        if not os.path.isdir(self.data):
            return None
        text = read_small(os.path.join(self.data, "PG_VERSION"))
        if text is None or not text.strip().isdigit():
            raise JamaintError(
                CONFLICT,
                f"{self.data} is there, but is no PostgreSQL data directory (PG_VERSION is missing or strange): "
                "restore it, or move it away and a new one is made",
            )
        return int(text)

    def owner(self) -> int | None:
        """The user id that the cluster that is there belongs to; None where there is none."""
        try:
            return os.stat(self.data).st_uid
        except FileNotFoundError:
            return None

    def check_owner(self, account: Account) -> None:
        """Raises JamaintError when the cluster that is there belongs to another user."""
        owner = self.owner()
        if owner not in (None, account.uid):
            raise JamaintError(
                CONFLICT,
                f"{self.data} belongs to user id {owner}, and PostgreSQL would run as {account.name}: start jamaintd "
                f"as before, or give it over (chown -R {account.name} {self.data})",
            )

    def prepare(self, account: Account, major: int, fast_unsafe: bool) -> None:
        """Makes the directories and writes the settings. Raises JamaintError for a directory that is closed,
        OSError."""
        _make(self.settings, 0o711)
        _make(self.runtime_dir, 0o755 if os.geteuid() == 0 else 0o700)
        for directory, what in (
            (self.home, "JAMAINT_STATE_DIR"),
            (self.runtime_dir, "RUNTIME_DIRECTORY or socket.path"),
        ):
            _check_open(directory, account, what)
        make_for(self.sockets, account)
        chosen: dict[str, str | int] = {**_SETTINGS, **(_UNSAFE_SETTINGS if fast_unsafe else {})}
        if major >= 18:
            chosen["io_method"] = "sync"  # the default keeps three more processes
        chosen |= {
            "unix_socket_directories": self.sockets,
            "hba_file": os.path.join(self.settings, "pg_hba.conf"),
            "ident_file": os.path.join(self.settings, "pg_ident.conf"),
        }
        self._write("postgresql.conf", _settings_text(chosen))
        self._write("pg_hba.conf", f"local all {ROLE} peer map={ROLE}\n")
        users = dict.fromkeys((pwd.getpwuid(os.geteuid()).pw_name, account.name))
        self._write("pg_ident.conf", "".join(f'{ROLE} "{user}" {ROLE}\n' for user in users))

    def new_data(self, account: Account) -> str:
        """An empty directory for a cluster that is being made; what earlier attempts have left goes."""
        for name in os.listdir(self.home):
            if name.startswith("data.new-"):
                shutil.rmtree(os.path.join(self.home, name), ignore_errors=True)
        path = os.path.join(self.home, f"data.new-{uuid.uuid4().hex[:8]}")
        make_for(path, account)
        return path

    def adopt(self, path: str) -> None:
        """A cluster that is whole takes its place; from here on it counts."""
        os.rename(path, self.data)
        home = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(home)
        finally:
            os.close(home)

    def _write(self, name: str, text: str) -> None:
        """Only when it is another text: on a full disk what is there will do."""
        path = os.path.join(self.settings, name)
        if read_small(path, 65536) == text:
            return
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{path}.new", 0o644)
        os.rename(f"{path}.new", path)


def read_small(path: str, limit: int = 4096) -> str | None:
    """A small file's text, or None. Its directory may be another user's: no link is followed, no pipe waited for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, limit).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def make_for(path: str, account: Account) -> None:
    """A directory for the account alone; one that is there must be that already. Raises JamaintError, OSError."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if found.st_uid != account.uid or (found.st_mode & 0o170777) != 0o40700:
            raise JamaintError(
                CONFLICT, f"{path} is not a directory of {account.name} alone (mode 700): move it away"
            ) from None
        return
    os.chmod(path, 0o700)
    if not account.is_own:
        os.chown(path, account.uid, account.gid)


def _make(path: str, mode: int) -> None:
    """With the parents that are missing. What is there keeps its mode, what is made gets it whatever the umask is."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        _make(parent, 0o755)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    else:
        os.chmod(path, mode)


def _check_open(path: str, account: Account, setting: str) -> None:
    if can_enter(account, path):
        return
    closed = closed_directory(path, account) or path
    raise JamaintError(
        UNAVAILABLE,
        f"PostgreSQL runs as {account.name}, and {closed} is closed to that user: let it through (chmod o+x {closed}), "
        f"or set another place ({setting}), or name a database in database.dsn",
    )


def _settings_text(settings: Mapping[str, str | int]) -> str:
    lines = (f"{name} = '{_quoted(str(value))}'\n" for name, value in settings.items())
    return "# Written by jamaintd at each start.\n" + "".join(lines)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
