"""Files: which files the configuration is made of, and whether they may be trusted."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jamaint.schema.errors import Mistake
from jamaint.schema.yaml_document import Document, read_document

SIZE_LIMIT = 16 << 20
MAIN = "jamaintd.yaml"
OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Found:
    """The main file, which may only be missing if nobody named it, and the directory whose conf.d belongs to it."""

    main: str
    named_by: str | None

    @property
    def directory(self) -> str:
        return os.path.dirname(self.main)

    @property
    def extra(self) -> str:
        return os.path.join(self.directory, "conf.d")


def find(path: str | None, environ: Mapping[str, str], euid: int) -> Found | None:
    """Where the configuration stands: as given, by JAMAINT_CONFIG, by systemd, or in the usual place.

    None if there is no usual place, as for a user without a home.
    """
    if path is not None:
        return Found(os.path.abspath(path), "--config")
    if environ.get("JAMAINT_CONFIG"):
        return Found(os.path.abspath(environ["JAMAINT_CONFIG"]), "JAMAINT_CONFIG")
    by_systemd = first_of(environ, "CONFIGURATION_DIRECTORY")
    if by_systemd:
        return Found(os.path.join(by_systemd, MAIN), None)
    if euid == 0:
        return Found(f"/etc/jamaint/{MAIN}", None)
    directory = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    return Found(os.path.join(directory, "jamaint", MAIN), None) if directory else None


def first_of(environ: Mapping[str, str], name: str) -> str | None:
    """The first of the directories that systemd names in a variable such as STATE_DIRECTORY."""
    return environ.get(name, "").split(":")[0] or None


def user_directory(environ: Mapping[str, str], name: str, below_home: str) -> str | None:
    """A directory of the XDG base directory specification, which says that relative ones are to be ignored."""
    if os.path.isabs(environ.get(name, "")):
        return environ[name]
    home = environ.get("HOME", "")
    return os.path.join(home, below_home) if os.path.isabs(home) else None


def documents(found: Found | None, euid: int) -> Iterator[Document]:
    """Reads all files, the main one first. What cannot be read is a document that has only mistakes."""
    if found is None:
        return
    if found.named_by or os.path.lexists(found.main):
        yield _document(found.main, euid, found.named_by)
    if os.path.lexists(found.extra):
        yield from _extra_documents(found.extra, euid)


def unread(found: Found | None) -> Iterator[Mistake]:
    """Files in conf.d that look as if they were meant to be read and are not."""
    try:
        names = sorted(os.listdir(found.extra)) if found else []
    except OSError:
        return
    for name in names:
        if found and name.endswith((".yml", ".json")):
            problem = "is not read, because only names that end in .yaml are: rename it"
            yield Mistake(os.path.join(found.extra, name), 0, 0, "", problem)


def _extra_documents(directory: str, euid: int) -> Iterator[Document]:
    try:
        names = os.listdir(directory)
    except OSError as error:
        yield _unreadable(directory, f"cannot be read: {_reason(error)}")
        return
    for name in sorted(names):
        if name.endswith(".yaml") and not name.startswith("."):
            yield _document(os.path.join(directory, name), euid, None)


def _document(file: str, euid: int, named_by: str | None) -> Document:
    try:
        # Without O_NONBLOCK, a FIFO in its place would hold the daemon up for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            status = os.fstat(descriptor)
            content = _content(descriptor) if stat.S_ISREG(status.st_mode) else None
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        by = f" ({named_by} names it)" if named_by else ""
        return _unreadable(file, f"there is no such file{by}: write it, or leave its name out to use the defaults")
    except (OSError, ValueError) as error:
        return _unreadable(file, f"cannot be read: {_reason(error)}")
    if content is None:
        return _unreadable(file, f"is {_kind(status.st_mode)}, and must be a file")
    if len(content) > SIZE_LIMIT:
        return _unreadable(file, f"is larger than {SIZE_LIMIT >> 20} MiB")
    distrust = _distrust(file, status) if euid == 0 else None
    return _unreadable(file, distrust) if distrust else read_document(file, content)


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as stream:
        return stream.read(SIZE_LIMIT + 1)


def _unreadable(file: str, problem: str) -> Document:
    return Document(file, mistakes=(Mistake(file, 0, 0, "", problem),), broken=True)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or "it cannot be opened").lower() if isinstance(error, OSError) else str(error)


def _kind(mode: int) -> str:
    return "a directory" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"


def _distrust(file: str, status: os.stat_result) -> str | None:
    """Why root should not take orders from this file: somebody else could have written it, or put it there."""
    against = _owned_by_others("the file", file, status)
    for place in _links(file):
        directory = os.path.dirname(place)
        against = against or _owned_by_others(f"its directory {directory}", directory, os.stat(directory))
        if os.path.islink(place):
            against = against or _owned_by_others(f"the link {place}", place, os.lstat(place))
    return against


def _links(file: str) -> Iterator[str]:
    """`file`, and where it leads to, link by link."""
    for _ in range(40):  # as many as Linux follows
        yield file
        if not os.path.islink(file):
            return
        file = os.path.join(os.path.dirname(file), os.readlink(file))


def _owned_by_others(what: str, path: str, status: os.stat_result) -> str | None:
    if status.st_uid != 0:
        return f"{what} belongs to user id {status.st_uid}, who could make root do anything: chown root {path}"
    if status.st_mode & OTHERS and not stat.S_ISLNK(status.st_mode):
        mode = stat.S_IMODE(status.st_mode)
        # `chmod go-w /tmp` would be carried out by somebody tired, and break the machine.
        shared = status.st_mode & stat.S_ISVTX
        help_ = "move the file to a directory of root's, such as /etc/jamaint" if shared else f"chmod go-w {path}"
        return f"others than root may write to {what} (mode {mode:04o}): {help_}"
    return None
