"""Secrets as they stand in the file: three ways to refer to one, and addresses that hold one or have it elsewhere."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainValidator

from jamaint.core.postgres_addresses import wrong_address
from jamaint.core.secrets import (
    ADDRESS,
    KINDS,
    NAMES_ARE_FREE,
    PASSWORD,
    is_reference,
    secret,
    without_password,
    without_passwords,
)
from jamaint.schema import paths
from jamaint.schema.errors import Path
from jamaint.schema.fields import VARIABLE
from jamaint.schema.units import text

WAYS = "{ credential: NAME }, { file: PATH } or { environment: NAME }"
POSTGRES = ("postgresql://", "postgres://")
REDIS = ("redis://", "rediss://", "unix://")

_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def reference(value: Any) -> dict[str, Any]:
    """A secret, as what a task becomes has it. No message repeats what stands there: it may be the secret itself."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be {WAYS}: a secret itself does not stand here")
    if not is_reference(value):
        raise ValueError(f"must be exactly one of {WAYS}")
    ((kind, name),) = value.items()
    return secret(kind, _NAMES[kind](name))


def _credential(name: str) -> str:
    if not _CREDENTIAL.fullmatch(name):
        raise ValueError("the name of a credential has letters, digits, dots, dashes and underscores: it is a file's")
    return name


def _file(name: str) -> str:
    try:
        return paths.absolute(name)
    except ValueError:
        raise ValueError("the file of a secret must be an absolute path") from None  # it may be the secret


def _variable(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError("the name of a variable has letters, digits and underscores")
    return name


_NAMES = {"credential": _credential, "file": _file, "environment": _variable}
assert tuple(_NAMES) == KINDS


def postgres_address(value: Any) -> Any:
    """A PostgreSQL address, or the secret that is one. It may hold a password, so no message repeats it."""
    found = _address(value, POSTGRES, "postgresql:///jamaint or postgresql://user@host:5432/name")
    wrong = wrong_address(found) if isinstance(found, str) else None
    if wrong is not None:
        raise ValueError(wrong)
    return found


def redis_address(value: Any) -> Any:
    """The address of a Redis server, or the secret that is one, as `postgres_address`."""
    found = _address(value, REDIS, "redis://localhost:6379/0 or unix:///run/redis/redis.sock")
    if isinstance(found, str):
        try:
            _ = urlsplit(found).port
        except ValueError:
            raise ValueError("has no port that is a number: write / : @ of a password as %2F %3A %40") from None
    return found


def any_address(value: Any) -> Any:
    """An address of any kind, or the secret that is one."""
    if isinstance(value, Mapping):
        return reference(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be an address, or {WAYS}")
    return value


def _address(value: Any, schemes: tuple[str, ...], such_as: str) -> Any:
    if isinstance(value, Mapping):
        return reference(value)
    if not isinstance(value, str):
        raise ValueError(f"must be an address such as {such_as}, or {WAYS}")
    address = text(value)
    if not address.startswith(schemes):
        raise ValueError(f"must be an address such as {such_as}")
    return address


def joined(address: Any, password: Any) -> Any:
    """An address with the password that stands beside it. Raises ValueError where it has one already, or is none."""
    if password is None or address is None:
        if password is not None:
            raise ValueError("has a `password` and no address that it is for: write the address too")
        return address
    if not isinstance(address, str):
        raise ValueError("has a `password` beside a secret address, which has its own in it: remove one of the two")
    if without_password(address) != address:
        raise ValueError("has a password in the address and another one beside it: remove one of the two")
    return {ADDRESS: address, PASSWORD: password}


def granted_database(value: Any) -> Any:
    """An address, the secret that is one, or `dsn` and `password`."""
    if isinstance(value, Mapping) and not is_reference(value):
        keys = set(map(str, value))
        if keys != {"dsn", PASSWORD}:
            raise ValueError(f"must be an address, or {WAYS}, or have the keys dsn and password")
        return joined(postgres_address(value["dsn"]), reference(value[PASSWORD]))
    return postgres_address(value)


def given_secrets(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """In what a file or a request says, each reference to a secret, and each text with a password in it."""
    if is_reference(value) and path[-1:] != ("environment",):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from given_secrets(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from given_secrets(item, (*path, index))
    elif isinstance(value, str) and without_passwords(value, _key(path)) != value:
        yield path, value


def _key(path: Path) -> str:
    """The key that says what a text at that path is."""
    *above, last = ["", *(part for part in path if isinstance(part, str))]
    if above[-1:] == ["databases"]:
        return "dsn"
    return above[-1] if above and above[-1] in NAMES_ARE_FREE else last


Secret = Annotated[dict[str, Any], PlainValidator(reference)]
PostgresAddress = Annotated[Any, PlainValidator(postgres_address)]
RedisAddress = Annotated[Any, PlainValidator(redis_address)]
GrantedAddress = Annotated[Any, PlainValidator(granted_database)]
