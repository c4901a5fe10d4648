"""Resources of a task, from its normalised config, and whether two tasks conflict over one."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from jamaint.core.executor_table import ROWS
from jamaint.core.secrets import ADDRESS, is_address, told, without_password

PATHS = frozenset({"path", "paths", "log_paths", "directory", "directories", "destination"})
DATABASES = frozenset({"dsn", "database", "url"})
"""The keys of a config below which a text that begins with / is a path, and any text a database."""

ONLY_LOOKING = frozenset(row.key for row in ROWS if row.only_reads)
"""Executors that change nothing where they look: they get into nobody's way."""

_WILDCARD = re.compile(r"[*?\[]")


class Resource(NamedTuple):
    """A directory (all below it included) or a database that a task works on."""

    kind: Literal["path", "database"]
    value: str

    def __str__(self) -> str:
        return self.value if self.kind == "path" else f"database {self.value}"


def touched(
    executor: str, config: Mapping[str, Any], paths: Iterable[str] = (), databases: Iterable[str] = ()
) -> tuple[Resource, ...]:
    """What a task of that executor and normalised config works on, beside the paths and databases that it declares."""
    found = [] if executor in ONLY_LOOKING else list(_in(config, None))
    found += [Resource("path", path) for path in paths]
    found += [Resource("database", database_of(address)) for address in databases]
    return tuple(dict.fromkeys(found))


def meeting(some: Iterable[Resource], others: Iterable[Resource]) -> tuple[Resource, Resource] | None:
    """The first two that are one thing, or of which one lies in the other; None where nothing meets."""
    others = tuple(others)
    return next(((one, other) for one in some for other in others if _meet(one, other)), None)


def database_of(address: Any) -> str:
    """What two addresses of one database have in common: `cms on localhost`. No password is in it.

    Of an address that is a secret only that is known: `credential cms-dsn`. A name that is no address, as grants have
    them, stays as it is.
    """
    if isinstance(address, Mapping):
        inside = address.get(ADDRESS)
        return told(address) if inside is None else database_of(inside)
    if "://" not in address:
        return str(address)
    try:
        parts = urlsplit(without_password(str(address)))
    except ValueError:  # no address at all
        return without_password(str(address)).partition("@")[2] or "a database"
    query = parse_qs(parts.query)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is none, or several hosts: the text itself, without who
        host, port = parts.netloc.rpartition("@")[2], None
    host = host or (query.get("host") or [""])[0]
    user = parts.username or (query.get("user") or [""])[0]
    name = unquote(parts.path.lstrip("/")) or (query.get("dbname") or [user])[0]
    local = not host or host.startswith("/") or host in ("127.0.0.1", "::1", "localhost")
    number = str(port or (query.get("port") or ["5432"])[0] or 5432)
    return f"{name} on {'localhost' if local else host}" + ("" if number == "5432" else f":{number}")


def _in(value: Any, key: str | None) -> Iterator[Resource]:
    """Walks a config; `key` is the nearest of PATHS or DATABASES above, if any."""
    if key in DATABASES and is_address(value):
        yield Resource("database", database_of(value))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _in(item, name if name in PATHS or name in DATABASES else None)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _in(item, key)
    elif isinstance(value, str) and key in PATHS and value.startswith("/"):
        yield Resource("path", _directory(value))
    elif isinstance(value, str) and key in DATABASES and value:
        yield Resource("database", database_of(value))


def _directory(path: str) -> str:
    """What is known for certain of where a pattern reaches: /var/log/app for /var/log/app/*.log."""
    found = _WILDCARD.search(path)
    return path if found is None else posixpath.dirname(path[: found.start()]) or "/"


def _meet(one: Resource, other: Resource) -> bool:
    if one.kind != other.kind:
        return False
    if one.kind == "database":
        return one.value == other.value
    return _holds(one.value, other.value) or _holds(other.value, one.value)


def _holds(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
