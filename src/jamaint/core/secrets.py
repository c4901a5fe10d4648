"""Secrets: what of a configuration is one, how it is referred to, and how texts and values are told without it.

In a file a secret is referred to by one mapping: `{credential: NAME}`, `{file: PATH}` or `{environment: NAME}`. In what
a task has become it is `{"secret": {kind: name}}`, and an address with its password elsewhere is `{"address": …,
"password": {"secret": …}}`. So a reference is known for one wherever it stands, and `resolved` puts what it means in
its place, in the process that uses it.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

KINDS = ("credential", "file", "environment")
HIDDEN = "***"
LEAST_CHARACTERS = 6
"""A secret shorter than this is not looked for in texts: it would be found everywhere."""

SECRET, ADDRESS, PASSWORD = "secret", "address", "password"
ADDRESSES = frozenset({"dsn", "url", ADDRESS})
"""The keys whose text is an address as a whole, so that all before its last @ may be a password."""
VALUES_ARE_SECRET = frozenset({"headers"})
"""The keys of mappings whose texts are secrets."""
NAMES_ARE_FREE = frozenset({"environment", *VALUES_ARE_SECRET})
"""The keys of mappings whose own keys are anybody's words, and mean nothing."""

Read = Callable[[str, str], str]
"""From the kind and the name of a reference to what it means."""

_BEFORE_HOST = re.compile(r"^([^:]+://[^:/@]*):.*@", re.DOTALL)
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)(?:[^&\s\"'\\]|\\.)*", re.IGNORECASE)
_IN_TEXT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@\"'\\]*):(?:[^\s\"\\]|\\.)*@")


def is_reference(value: Any) -> bool:
    """Whether it is what a file says instead of a secret."""
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and all(kind in KINDS and isinstance(name, str) for kind, name in value.items())
    )


def is_address(value: Any) -> bool:
    """Whether it is, in what a task has become, an address that is a secret or has its password elsewhere."""
    return isinstance(value, Mapping) and (_is_secret(value) or value.keys() == {ADDRESS, PASSWORD})


def secret(kind: str, name: str) -> dict[str, Any]:
    """A reference, as it stands in what a task has become."""
    return {SECRET: {kind: name}}


def references(value: Any) -> Iterator[tuple[str, str]]:
    """The kind and name of every reference in what a task has become."""
    if isinstance(value, Mapping):
        if _is_secret(value):
            yield from value[SECRET].items()
        else:
            for item in value.values():
                yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def resolved(value: Any, read: Read) -> Any:
    """`value` with each reference replaced by what `read` says it means. Raises what `read` raises."""
    if isinstance(value, Mapping):
        if _is_secret(value):
            ((kind, name),) = value[SECRET].items()
            return read(kind, name)
        if value.keys() == {ADDRESS, PASSWORD}:
            return with_password(value[ADDRESS], resolved(value[PASSWORD], read))
        return {key: resolved(item, read) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item, read) for item in value]
    return value


def with_password(address: str, password: str) -> str:
    """The address with that password for its user."""
    scheme, separator, rest = address.partition("://")
    place, slash, path = _split(rest)
    user, at, host = place.rpartition("@")
    return f"{scheme}{separator}{user if at else ''}:{quote(password, safe='')}@{host}{slash}{path}"


def told(address: Any) -> str:
    """An address for a person: `postgresql://u:***@h/x`, `credential cms-dsn`."""
    if isinstance(address, Mapping):
        if _is_secret(address):
            ((kind, name),) = address[SECRET].items()
            return f"{kind} {name}"
        return without_password(str(address[ADDRESS]))
    return without_password(str(address))


def as_given(address: Any) -> Any:
    """An address, or a secret, in the words of the file, without a password."""
    if isinstance(address, Mapping):
        return (
            dict(address[SECRET])
            if _is_secret(address)
            else {
                "dsn": without_password(address[ADDRESS]),
                PASSWORD: as_given(address[PASSWORD]),
            }
        )
    return without_password(address) if isinstance(address, str) else address


def written(address: Any) -> str:
    """An address as one text, that tells two apart; of a text, that text."""
    return address if isinstance(address, str) else json.dumps(address, sort_keys=True)


def without_password(address: str) -> str:
    """The address with `***` for every password in it. Where it is malformed, more is hidden rather than less."""
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _BEFORE_HOST.sub(rf"\1:{HIDDEN}@", address))


def without_passwords(value: Any, key: str = "") -> Any:
    """A value with no password in it, however deep; references stay, for they are none."""
    if isinstance(value, Mapping):
        if is_reference(value) or _is_secret(value):
            return dict(value)
        inside = key if key in NAMES_ARE_FREE else None
        return {name: without_passwords(item, inside or str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_passwords(item, key) for item in value]
    if isinstance(value, str):
        if key == PASSWORD or key in VALUES_ARE_SECRET:
            return HIDDEN
        return without_password(value) if key in ADDRESSES else cleaned(value)
    return value


def with_passwords(value: Any, known: Mapping[str, str]) -> Any:
    """The reverse of `without_passwords`: texts that are in `known` without their passwords get them back."""
    if isinstance(value, Mapping):
        return {name: with_passwords(item, known) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_passwords(item, known) for item in value]
    return known.get(value, value) if isinstance(value, str) and HIDDEN in value else value


def texts_with_passwords(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each text that has a password in it: without it, and whole."""
    if isinstance(value, Mapping):
        inside = key if key in NAMES_ARE_FREE else None
        for name, item in value.items():
            yield from texts_with_passwords(item, inside or str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_with_passwords(item, key)
    elif isinstance(value, str):
        hidden = without_passwords(value, key)
        if hidden != value:
            yield hidden, value


def passwords(value: Any) -> set[str]:
    """The passwords themselves that stand in the texts of `value`, as they are written and as they are meant."""
    found: set[str] = set()
    for hidden, whole in texts_with_passwords(value):
        if hidden == HIDDEN:
            found |= {whole}
            continue
        start, end = hidden.split(HIDDEN, 1)[0], hidden.rsplit(HIDDEN, 1)[1]
        part = whole[len(start) : len(whole) - len(end)]
        found |= {part, unquote(part)}
    return found


def cleaned(text: str, known: Iterable[str] = ()) -> str:
    """A text, such as a message, without passwords in addresses, and without those secrets that are `known`."""
    if "://" in text:
        text = _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_TEXT.sub(rf"\1:{HIDDEN}@", text))
    for value in sorted(known, key=len, reverse=True):  # one may stand in another
        if value in text:
            text = text.replace(value, HIDDEN)
    return text


def worth_knowing(values: Iterable[str]) -> set[str]:
    """Those of `values` that can be looked for in texts."""
    return {value for value in values if len(value) >= LEAST_CHARACTERS}


def _is_secret(value: Mapping[str, Any]) -> bool:
    return value.keys() == {SECRET} and is_reference(value[SECRET])


def _split(rest: str) -> tuple[str, str, str]:
    """What stands before the path or query of an address, the sign there, and what follows."""
    found = re.search(r"[/?#]", rest)
    return (rest, "", "") if found is None else (rest[: found.start()], found[0], rest[found.end() :])
