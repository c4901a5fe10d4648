"""Files that an address of PostgreSQL needs: whether they can be read here, by the user who connects."""

import configparser
import os
from pathlib import Path

from jamaint.core.postgres_addresses import parameters

_CERTIFICATES = {"sslrootcert": "root.crt"}


def missing_file(address: str) -> str | None:
    """Why the address cannot be used here, as what follows "the address"; None if no file is missing. The driver would
    go to another server without a word where a service is not found."""
    given = parameters(address)
    if given.get("service"):
        why = _no_service(given["service"])
        if why is not None:
            return why
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        if given.get(name) and not os.access(given[name], os.R_OK):
            return f"names {name}={given[name]}, which cannot be read"
    if given.get("sslmode") in ("verify-ca", "verify-full") and not given.get("sslrootcert"):
        home = Path("~/.postgresql/root.crt").expanduser()
        if not os.access(home, os.R_OK):
            return (
                f"has sslmode={given['sslmode']} and no certificate of an authority to check the server's by: write "
                f"sslrootcert=FILE, or put it to {home}"
            )
    return None


def _no_service(name: str) -> str | None:
    path = Path(os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf").expanduser()
    found = configparser.ConfigParser(interpolation=None)
    try:
        read = found.read(path, "utf-8")
    except (OSError, configparser.Error, UnicodeError):
        read = []
    if not read:
        return f"names a service, and {path} cannot be read: write host, port and database instead"
    if name not in found:
        return f"names the service {name}, which is not in {path}"
    return None
