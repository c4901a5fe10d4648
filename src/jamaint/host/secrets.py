"""Where secrets come from: systemd's credentials, files that only the right people can read, the environment.

They are read in the process that uses them, when it uses them, and never kept. What a process has read it knows again
in a text, so that no message of it, whoever wrote that message, tells it.
"""

import os
import resource
import stat
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from jamaint.core import secrets

SIZE_LIMIT = 64 << 10
WRITABLE = stat.S_IWGRP | stat.S_IWOTH

_known: set[str] = set()


class SecretError(Exception):
    """A secret that cannot be had; the text says which, why, and what to do, and never what it is."""


def read(kind: str, name: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret of that reference, which is known from now on. Raises SecretError."""
    value = _READ[kind](name, os.environ if environ is None else environ)
    if not value:
        raise SecretError(f"{kind} {name} is empty")
    if "\0" in value:
        raise SecretError(f"{kind} {name} holds a NUL, which no password has")
    learn((value,))
    return value


def resolved(value: Any, environ: Mapping[str, str] | None = None) -> Any:
    """`value` with the secrets that it refers to; all passwords in it are known from now on. Raises SecretError."""
    found = secrets.resolved(value, lambda kind, name: read(kind, name, environ))
    learn(secrets.passwords(found))
    return found


def handed_over(value: Any) -> dict[str, str]:
    """What a process that is started with a clean environment must be told: the variables that `value` refers to."""
    names = [name for kind, name in secrets.references(value) if kind == "environment"]
    found = {name: os.environ[name] for name in names if name in os.environ}
    learn(found.values())
    return found


def learn(values: Iterable[str]) -> None:
    """Knows these again in texts, from now on; a process that knows any leaves no core dump."""
    new = secrets.worth_knowing(values) - _known
    if new and not _known:
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        if soft != 0:  # a unit has LimitCORE=0, and may not be allowed to set any limit
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    _known.update(new)


def cleaned(text: str) -> str:
    """The text without any secret that this process knows, nor a password in an address."""
    return secrets.cleaned(text, _known)


def cleaned_deep(value: Any) -> Any:
    """`cleaned`, for every text in it but the keys."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, Mapping):
        return {key: cleaned_deep(item) for key, item in value.items()}
    return [cleaned_deep(item) for item in value] if isinstance(value, list | tuple) else value


def cleaned_line(line: bytes) -> bytes:
    """A line of JSON without passwords in addresses: the last look before it leaves, whatever made it."""
    if b"://" not in line:
        return line
    return secrets.cleaned(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def keep_out_of_tracebacks() -> None:
    """From now on, what nobody catches is told without secrets: its traceback ends with whatever the error says."""
    sys.excepthook = _say_traceback
    threading.excepthook = lambda left: _say_traceback(left.exc_type, left.exc_value, left.exc_traceback)


def _say_traceback(kind: type[BaseException], error: BaseException | None, where: TracebackType | None) -> None:
    text = cleaned("".join(traceback.format_exception(kind, error, where)))
    with suppress(OSError):
        os.write(2, text.encode("utf-8", "replace"))


def problem_with(kind: str, name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Why a secret could not be had now, as far as this process can tell, or None. Reads none of it."""
    try:
        if kind == "environment":
            _of_environment(name, os.environ if environ is None else environ)
        elif kind == "file" and not os.path.exists(_handed(name, environ)):
            against = _distrust(os.lstat(name), name, trusted=False)
            return against and f"{name} {against}"
    except SecretError as error:
        return str(error)
    except FileNotFoundError:
        return f"there is no {name}: write it"
    except (OSError, ValueError):  # it is the worker's to read, and not ours
        return None
    return None


def _of_credentials(name: str, environ: Mapping[str, str]) -> str:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretError(
            f"there are no credentials here, so none of the name {name}: add LoadCredential={name}:/path to the unit"
        )
    return _content(os.path.join(directory, name), f"credential {name}", trusted=True)


def credential_of(path: str) -> str:
    """The name under which systemd hands a file to a unit that may not read it, where the configuration names it."""
    from hashlib import sha256  # noqa: PLC0415 - 3 ms of each worker's start, and few have secrets

    return f"file-{sha256(os.fsencode(path)).hexdigest()[:32]}"  # of a path itself, two could become one


def _handed(path: str, environ: Mapping[str, str] | None) -> str:
    """Where it is then."""
    directory = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
    return os.path.join(directory or "/nonexistent", credential_of(path))


def _of_file(path: str, environ: Mapping[str, str]) -> str:
    handed = _handed(path, environ)
    if os.path.exists(handed):
        return _content(handed, path, trusted=True)
    return _content(path, path, trusted=False)


def _of_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SecretError(f"{name} is not set in the daemon's environment: set it where the daemon is started")
    return environ[name]


_READ = {"credential": _of_credentials, "file": _of_file, "environment": _of_environment}


def _content(path: str, called: str, *, trusted: bool) -> str:
    """The text of a file, without the end of its last line."""
    descriptor = _opened(path, called, trusted=trusted)
    try:
        with open(descriptor, "rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise SecretError(f"{called} cannot be read: {_reason(error)}") from None
    if len(data) > SIZE_LIMIT:
        raise SecretError(f"{called} is larger than {SIZE_LIMIT >> 10} KiB: that is no password")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"{called} is not UTF-8") from None  # the error would repeat its bytes
    return text.removesuffix("\n").removesuffix("\r")


def _opened(path: str, called: str, *, trusted: bool) -> int:
    """A descriptor of that very file, judged after it was opened, so that nothing can be put in its place between."""
    try:
        # Without O_NONBLOCK, a FIFO in its place would hold us up for ever.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if trusted else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        hint = f"add LoadCredential={os.path.basename(path)}:/path to the unit" if trusted else "write it"
        raise SecretError(f"there is no {called}: {hint}") from None
    except (OSError, ValueError) as error:
        link = not trusted and os.path.islink(path)
        why = "it is a link: name the file itself" if link else _reason(error)
        raise SecretError(f"{called} cannot be read: {why}") from None
    against = _distrust(os.fstat(descriptor), path, trusted)
    if against:
        os.close(descriptor)
        raise SecretError(f"{called} {against}")
    return descriptor


def _distrust(status: os.stat_result, path: str, trusted: bool) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is a link: name the file itself" if stat.S_ISLNK(status.st_mode) else "is no file"
    if trusted:  # systemd has made it, in a directory of its own
        return None
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user id {status.st_uid}, who could read and change it: chown root {path}"
    if mode & stat.S_IROTH:
        return f"may be read by everybody (mode {mode:04o}): chmod 0640 {path}"
    if mode & WRITABLE:
        return f"may be written by others than its owner (mode {mode:04o}): chmod 0640 {path}"
    return None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or "it cannot be opened").lower() if isinstance(error, OSError) else "no such name"
