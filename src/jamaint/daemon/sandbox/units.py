"""Applying the configuration to the workers' units: which files systemd needs for it, and what is done with them.

Only root does this, with the root-owned configuration. The daemon and the workers read the one file with what they may
be given, and none of them can write it.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from jamaint.core.safety.retained_access import needs
from jamaint.core.safety.sandbox import BASES, SandboxPolicy, topmost, unbound_words
from jamaint.core.worker_kinds import DATABASES, FILES
from jamaint.files.access.root import RootRefusedError, open_root
from jamaint.host import applied_sandbox
from jamaint.host.accounts import find_account
from jamaint.host.bounded_calls import NoAnswerError, within
from jamaint.host.secrets import credential_of, problem_with

UNITS = "/etc/systemd/system"
SHIPPED = ("/lib/systemd/system", "/usr/lib/systemd/system")
ANSWER_SECONDS = 5.0
"""How long a directory may keep `config apply` waiting."""
ACCOUNT = "jamaint-files"
MARK = "# Written by jamaintctl config apply from the configuration; it is written anew each time."

_OWN = re.compile(r"jamaint-.+(@\.service|\.socket|@\.service\.d/50-configured\.conf)")


@dataclass(frozen=True, slots=True)
class Change:
    """A file that is made, changed or removed."""

    what: str
    path: str


class PartlyAppliedError(Exception):
    """Some files are as they are to be, and the others as they were."""

    def __init__(self, done: int, total: int, change: Change, error: OSError) -> None:
        super().__init__(
            f"{change.path}: {error.strerror or error}; {done} of {total} files are done, the others are as they were: "
            "fix that and apply again"
        )


def bound(wanted: SandboxPolicy) -> tuple[SandboxPolicy, list[str]]:
    """`wanted` with only those directories that may be bound, and why others are not.

    systemd goes to a directory by its path, as root: where somebody else could put a link into that path, it would
    bind whatever that leads to. A worker that is that somebody has no more rights there than he has.
    """
    kinds, unbound, told = _may_be_bound(wanted.paths)
    told = [
        *(unbound_words(wanted, kind, path, why) for kind, whys in unbound.items() for path, why in whys.items()),
        *told,
    ]
    former = []
    for one in wanted.former:
        left, lost_paths, why_not = _may_be_bound(one["kinds"])
        told += [
            f"{path}: not bound into the worker for {kind}: {why}: ways back that need it cannot be taken"
            for kind, whys in lost_paths.items()
            for path, why in whys.items()
        ]
        secrets = {
            kind: [path for path in paths if not problem_with("file", path)] for kind, paths in one["secrets"].items()
        }
        lost = sorted({path for kind, paths in one["secrets"].items() for path in paths if path not in secrets[kind]})
        former.append({**one, "kinds": {kind: list(paths) for kind, paths in left.items()}, "secrets": secrets})
        told += why_not
        told += [f"{path} cannot be read: ways back that need it cannot be taken" for path in lost]
    told += [f"{why}" for paths in wanted.secrets.values() for path in paths if (why := problem_with("file", path))]
    return replace(wanted, paths=kinds, former=tuple(former), unbound=unbound), told


def _may_be_bound(
    wanted: Mapping[str, Sequence[str]],
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, str]], list[str]]:
    """By kind, the directories that may be bound, and those that may not with the reason; users who are not there."""
    kinds, unbound, told = {}, {}, []
    for kind, paths in wanted.items():
        whys = {path: _why_not(path) if kind == FILES else None for path in paths}
        kinds[kind] = tuple(path for path in paths if whys[path] is None)
        if left := {path: why for path, why in whys.items() if why is not None}:
            unbound[kind] = left
        user = kind.partition("-")[2]
        if user:
            try:
                find_account(user)
            except LookupError as error:
                told.append(f"worker {kind}: {error}")
    return kinds, unbound, told


def texts(wanted: SandboxPolicy, daemon_secrets: tuple[str, ...] = ()) -> dict[str, str]:
    """All files, by their paths."""
    found = {applied_sandbox.PATH: json.dumps(wanted.to_json(), indent=1, sort_keys=True) + "\n"}
    old = needs(wanted.former)
    for kind in (*wanted.paths, *(kind for kind in old.paths if kind not in wanted.paths)):
        paths = topmost(_all(kind, wanted.paths, old.paths))
        base = kind.partition("-")[0]
        if kind not in BASES:
            user = kind.partition("-")[2]
            found[f"{UNITS}/jamaint-{kind}.socket"] = _socket(_shipped(f"jamaint-{base}.socket"), base, kind)
            found[f"{UNITS}/jamaint-{kind}@.service"] = _service(_shipped(f"jamaint-{base}@.service"), base, user)
        lines = [f"BindPaths={_quoted(path)}" for path in paths if base == FILES]
        lines += [_credential(path) for path in dict.fromkeys(_all(kind, wanted.secrets, old.secrets))]
        if lines:
            found[f"{UNITS}/jamaint-{kind}@.service.d/50-configured.conf"] = _drop_in(lines)
    if daemon_secrets:
        lines = [_credential(path) for path in daemon_secrets]
        found[f"{UNITS}/jamaintd.service.d/50-configured.conf"] = _drop_in(lines)
    return found


def _all(kind: str, *parts: Mapping[str, Sequence[str]]) -> list[str]:
    return [one for part in parts for one in part.get(kind, ())]


def changes(wanted: Mapping[str, str]) -> list[Change]:
    """What is to be done so that there are these files and no others of ours."""
    found = [Change("new" if not os.path.exists(path) else "changed", path) for path in wanted if not _is(path, wanted)]
    return found + [Change("removed", path) for path in _ours() if path not in wanted]


def carry_out(wanted: Mapping[str, str], todo: list[Change]) -> list[str]:
    """Writes and removes, and tells systemd. Returns what systemd would not do, in words. Raises PartlyAppliedError.

    The workers' own file goes last: until then they do what they did before.
    """
    sockets = [os.path.basename(change.path) for change in todo if change.path.endswith(".socket")]
    gone = [name for name in sockets if f"{UNITS}/{name}" not in wanted]
    told = [said for name in gone if (said := _systemctl("disable", "--now", name))]
    ordered = sorted(todo, key=lambda change: change.path == applied_sandbox.PATH)
    for number, change in enumerate(ordered):
        try:
            _write(change, wanted)
        except OSError as error:
            raise PartlyAppliedError(number, len(ordered), change, error) from error
    if os.path.isdir("/run/systemd/system"):
        told.append(_systemctl("daemon-reload"))
        now = ["--now"]
    else:
        now = []
    told += [_systemctl("enable", *now, name) for name in sockets if name not in gone]
    return [said for said in told if said]


def _write(change: Change, wanted: Mapping[str, str]) -> None:
    """Makes or removes one file. Raises OSError."""
    if change.what == "removed":
        os.unlink(change.path)
        if os.path.dirname(change.path).endswith(".d"):
            with suppress(OSError):
                os.rmdir(os.path.dirname(change.path))
        return
    os.makedirs(os.path.dirname(change.path), mode=0o755, exist_ok=True)
    with open(f"{change.path}.new", "w", encoding="utf-8") as file:
        file.write(wanted[change.path])
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    os.rename(f"{change.path}.new", change.path)


def check_account() -> None:
    """Raise LookupError where there is no user for the worker of files: the units would be of no use."""
    try:
        find_account(ACCOUNT)
    except LookupError as error:
        raise LookupError(f"{error}: install the package, or run systemd-sysusers with its file jamaint.conf") from None


def take_over_trash(wanted: SandboxPolicy) -> list[str]:
    """What a daemon that was root has in the trashes of the roots becomes the file worker's. Returns where that was."""
    account = find_account(ACCOUNT)
    taken = []
    for path in wanted.paths.get(FILES, ()):
        try:
            with open_root(path, shared=True) as root:
                taken += [f"{path}/{rel}" for rel in _give(root.fd, ".jamaint-trash", 3, account.uid, account.gid)]
        except RootRefusedError:
            continue
    return taken


def _give(parent: int, name: str, depth: int, uid: int, gid: int) -> Iterator[str]:
    """Directories of a trash down to what is kept in it, which keeps its owner."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return
    try:
        seen = os.fstat(fd)
        if seen.st_uid not in (0, uid) or seen.st_mode & 0o077:
            return
        if seen.st_uid == 0:
            os.fchown(fd, uid, gid)
            yield name
        for inner in os.listdir(fd) if depth else ():
            for rel in _give(fd, inner, depth - 1, uid, gid):
                yield f"{name}/{rel}"
    finally:
        os.close(fd)


def _why_not(path: str) -> str | None:
    if path == "/":
        return "name the directories that tasks work in"
    try:
        within(ANSWER_SECONDS, lambda: open_root(path, shared=True).__exit__(None, None, None))
    except NoAnswerError as error:
        return f"{path}: {error} (a mount whose server is gone?); while it was bound no other directory could be had"
    except RootRefusedError as refused:
        if refused.kind != "missing":
            return refused.why
        return _why_not_later(path)
    return None


def _why_not_later(path: str) -> str | None:
    """Of a directory that is not there yet: whether somebody else could make it, as a link."""
    above = os.path.dirname(path)
    try:
        open_root(above).__exit__(None, None, None)
    except RootRefusedError as refused:
        if refused.kind == "missing" and above != "/":
            return _why_not_later(above)
        return f"it does not exist, and {refused.why}: make it, and apply again"
    return None


def _service(text: str, base: str, user: str) -> str:
    """The shipped unit with that user, who has his own rights and no others."""
    text = text.replace(f"jamaint.worker {base}", f"jamaint.worker {base}-{user}")
    text = re.sub(r"(?m)^User=.*$", f"User={user}", text)
    text = re.sub(r"(?m)^Group=.*\n", "", text)
    text = re.sub(r"(?m)^(AmbientCapabilities|CapabilityBoundingSet)=.*$", r"\1=", text)
    if base == DATABASES:
        text = text.replace(f"jamaint-{base}", f"jamaint-{base}-{user}")
    return f"{MARK}\n{text}"


def _socket(text: str, base: str, kind: str) -> str:
    return f"{MARK}\n" + text.replace(f"/{base}.sock", f"/{kind}.sock")


def _drop_in(lines: list[str]) -> str:
    return "\n".join([MARK, "[Service]", *lines, ""])


def _credential(path: str) -> str:
    return f"LoadCredential={credential_of(path)}:{path.replace('%', '%%')}"


def _quoted(path: str) -> str:
    """A path that need not be there, for a directive in which spaces, colons and percent signs mean something."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace(":", "\\:").replace("%", "%%")
    return f'"-{text}"'


def _shipped(name: str) -> str:
    for directory in SHIPPED:
        with suppress(FileNotFoundError), open(f"{directory}/{name}", encoding="utf-8") as file:
            return file.read()
    raise FileNotFoundError(f"there is no {name} in {' or '.join(SHIPPED)}: install the package")


def _is(path: str, wanted: Mapping[str, str]) -> bool:
    with suppress(OSError), open(path, encoding="utf-8") as file:
        return file.read() == wanted[path]
    return False


def _ours() -> Iterator[str]:
    """Files that an earlier application has written: by their names, and by their first line."""
    for directory, _, names in os.walk(UNITS):
        for name in names:
            path = os.path.join(directory, name)
            below = os.path.relpath(path, UNITS)
            if (_OWN.fullmatch(below) or below == "jamaintd.service.d/50-configured.conf") and not os.path.islink(path):
                with suppress(OSError), open(path, encoding="utf-8") as file:
                    if file.readline().rstrip("\n") == MARK:
                        yield path


def _systemctl(*words: str) -> str:
    """What it said when it failed."""
    program = shutil.which("systemctl", path="/usr/bin:/bin")
    if program is None:
        return ""
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)  # noqa: S603
    return f"systemctl {' '.join(words)}: {done.stderr.strip()}" if done.returncode else ""
