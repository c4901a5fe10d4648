"""Addresses of PostgreSQL: what is wrong with one, for a person, and what of it the driver is given.

libpq (psql, pg_dump) takes some forty parameters; the driver knows half of them, and sends the rest to the server as
settings. So each is judged here, for tasks' databases and the daemon's own: what says where or how safely is never
dropped silently; what could not be heeded is refused; what only tunes libpq is left out. No message repeats one.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, unquote, urlsplit

KNOWN = frozenset(
    (
        "host",
        "port",
        "dbname",
        "database",
        "user",
        "password",
        "passfile",
        "service",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslpassword",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "target_session_attrs",
        "krbsrvname",
        "gsslib",
    )
)
"""What the driver itself knows."""
LEFT_OUT = frozenset(
    (
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "fallback_application_name",
        "application_name",
        "client_encoding",
        "sslcompression",
        "sslsni",
        "load_balance_hosts",
        "gssdelegation",
        "min_protocol_version",
        "max_protocol_version",
    )
)
"""What tunes libpq's connections; ours have limits, keepalives and a name of their own."""
UNLESS = {"channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer"), "requiressl": ("0",)}
"""What asks for no more than it is without, with these values."""
REFUSED = {
    "hostaddr": "write that address as the host",
    "require_auth": "leave it out, and have pg_hba.conf of the server ask for that method",
    "requirepeer": "leave it out",
    "replication": "leave it out: these are no connections for replication",
    "ssl": "write sslmode=require",
    "channel_binding": "leave it out, and write sslmode=verify-full to know the server by its certificate",
    "gssencmode": "leave it out, and write sslmode=require",
    "requiressl": "write sslmode=require",
}
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSIONS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")

_SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
_ENCODE = "write / : @ of a password as %2F %3A %40"


def wrong_address(address: str) -> str | None:
    """Why it cannot be used, as what follows "the address"; None if nothing is wrong with how it is written."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return f"cannot be read: {_ENCODE}"
    place = parts.netloc
    if place.count("@") > 1:
        return f"has more than one @: {_ENCODE}"
    try:
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return "has something after its ? that is not NAME=VALUE&NAME=VALUE"
    if parts.fragment:
        return "has a #: write it as %23"
    query = dict(given)
    return _wrong_place(place.rpartition("@")[2], query) or _wrong_parameters(query)


def usable_address(address: str) -> str:
    """The address as the driver takes it: without what only libpq knows and nobody misses."""
    before, mark, query = address.partition("?")
    kept = [
        part for part in query.split("&") if not is_left_out(unquote(part.partition("=")[0]), part.partition("=")[2])
    ]
    hosts = _of(kept, "host")
    if len(hosts) == 1 and "," in hosts[0]:
        kept = _paired(kept, hosts[0])
    return f"{before}{mark if any(kept) else ''}{'&'.join(kept)}"


def parameters(address: str) -> Mapping[str, str]:
    """What stands after its question mark, the last of each name."""
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


def is_left_out(name: str, value: str) -> bool:
    """Whether nobody misses that parameter."""
    return name in LEFT_OUT or unquote(value) in UNLESS.get(name, ())


def _of(parts: Sequence[str], name: str) -> list[str]:
    return [unquote(part.partition("=")[2]) for part in parts if part.startswith(f"{name}=")]


def _paired(parts: Sequence[str], hosts: str) -> list[str]:
    """The driver takes several hosts only each with its port."""
    ports = (_of(parts, "port") or ["5432"])[-1].split(",")
    names = hosts.split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    together = ",".join(f"{name}:{port}" for name, port in zip(names, ports, strict=True))
    others = [part for part in parts if not part.startswith(("host=", "port="))]
    return [f"host={quote(together, safe=':,/[]')}", *others]


def _wrong_place(place: str, query: Mapping[str, str]) -> str | None:
    hosts = [one for one in place.split(",") if one] or [one for one in query.get("host", "").split(",") if one]
    for one in hosts:
        _, colon, port = one.rpartition("]")[2].partition(":")
        if colon and not one.startswith("/") and _no_port(port):
            return f"has a port that is no number from 1 to 65535: {_ENCODE}"
    ports = query["port"].split(",") if query.get("port") else []
    if any(_no_port(port) for port in ports):
        return "has a port that is no number from 1 to 65535"
    if len(ports) > 1 and len(ports) != len(hosts):
        return f"has {len(ports)} ports for {len(hosts)} hosts: one port, or one for each host"
    return None


def _no_port(text: str) -> bool:
    return not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536)


def _wrong_parameters(query: Mapping[str, str]) -> str | None:
    for name, value in query.items():
        if name in KNOWN or is_left_out(name, quote(value)):
            continue
        if name in REFUSED:
            return f"has {name}, which cannot be heeded: {REFUSED[name]}"
        if not _SETTING.fullmatch(name):
            return "has a parameter that is no name of one"
    if query.get("sslmode", "prefer") not in MODES:
        return f"has an sslmode that is none: {', '.join(MODES)}"
    if query.get("target_session_attrs", "any") not in SESSIONS:
        return f"has target_session_attrs that are none: {', '.join(SESSIONS)}"
    return None
