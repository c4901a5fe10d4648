"""Which machine this is: what sets its random choices apart from those of others with the same configuration."""

import socket
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")


def identity(path: Path = MACHINE_ID) -> str:
    """The machine's id as systemd keeps it, or else its name."""
    try:
        found = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        found = ""
    return found or socket.gethostname()
