"""A real PgBouncer before a database: the daemon's own, or one that is maintained, is refused with what to do."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from database_runs import cleanup, rule
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.executors.shared.executor import StepError
from jamaint.store.postgres import open_postgres
from postgres_server import short_directory

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")


@contextlib.contextmanager
def bouncing(dsn: str, mode: str, tolerates: str) -> Iterator[str]:
    parts = urlsplit(dsn)
    query, name = parse_qs(parts.query), parts.path.lstrip("/")
    with short_directory() as directory:
        os.chmod(directory, 0o777)
        place = Path(directory)
        (place / "users").write_text('"jamaint" ""\n')
        (place / "ini").write_text(
            f"[databases]\n{name} = host={query['host'][0]} port={query['port'][0]} user=jamaint\n[pgbouncer]\n"
            f"listen_addr =\nlisten_port = 6432\nunix_socket_dir = {directory}\nauth_type = any\n"
            f"auth_file = {directory}/users\npool_mode = {mode}\nignore_startup_parameters = {tolerates}\n"
        )
        owner = os.stat(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}").st_uid
        user = ["-u", pwd.getpwuid(owner).pw_name] if os.geteuid() == 0 else []
        assert PGBOUNCER is not None
        process = subprocess.Popen([PGBOUNCER, "-q", *user, f"{directory}/ini"], stderr=subprocess.PIPE)
        try:
            _wait_for(f"{directory}/.s.PGSQL.6432", process)
            yield f"postgresql://jamaint@/{name}?host={directory}&port=6432"
        finally:
            process.kill()
            process.communicate()


def _wait_for(path: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.connect(path)
            return
    pytest.fail(str(process.communicate()))


ALL = "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,tcp_keepalives_idle,tcp_keepalives_interval,"
ALL += "tcp_keepalives_count,extra_float_digits,search_path"


@pytest.mark.parametrize(("mode", "tolerates"), [("transaction", ALL), ("session", ALL), ("transaction", "")])
async def test_before_the_daemons_own(database: str, mode: str, tolerates: str) -> None:
    with bouncing(database, mode, tolerates) as dsn:
        async with open_postgres(dsn) as pool:
            for _ in range(2):
                with pytest.raises(
                    JamaintError, match=r"a pooler such as PgBouncer.*name the server itself"
                ) as refused:
                    await pool.open_session(1)
                assert refused.value.code == INVALID_PARAMS


def test_before_one_that_is_maintained(empty_database: str) -> None:
    with bouncing(empty_database, "transaction", ALL) as dsn:
        for _ in range(2):
            with pytest.raises(StepError, match="a pooler such as PgBouncer"):
                cleanup(dsn, rule("t")).plan()
