"""Where the bench keeps things: the peers, the product as a user would have it, and what is thrown away."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from topic import AbsentError

CHECKOUT = Path(__file__).parent.parent
WORK = Path(os.environ.get("BENCH_WORK", "/var/tmp/jamaint-bench"))
PEERS = WORK / "peers" / "bin"
FAIL2BAN = WORK / "fail2ban"
INSTALLED = WORK / "installed"

at_the_end = contextlib.ExitStack()
"""What lasts over all rounds, for whoever makes it; closed when all is measured."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory on the disk under WORK, gone afterwards; whoever the database runs as may pass through it."""
    WORK.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="s-", dir=WORK))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def peer_program(name: str) -> str:
    """A program of the peers' environment. Raises AbsentError."""
    if not (PEERS / name).exists():
        raise AbsentError("sh bench/peers.sh installs it")
    return str(PEERS / name)
