"""Paths: which directories a task may be let loose on, judged from the text alone: nothing is looked up or followed."""

import posixpath
import re
from typing import Any

from jamaint.schema.units import shown, text

PROTECTED = frozenset({"/var/lib", "/var/cache", "/var/spool", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share"})
"""Beside every first-level directory (/etc, /usr, /home …): too much hangs on all that lies in them."""

UNREAL = ("/proc", "/sys", "/dev", "/boot")
"""Nothing at all below these is ever cleaned."""

DATABASES = ("/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/mysql")
"""Where databases keep their files: only their logs may be cleaned."""
OWN_DATABASE = "postgres"
"""The embedded one's, below the daemon's own state directory."""
LOGS = ("log", "pg_log")

TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""Made to be cleaned: they are no application's own, and a task for temporary files may name them."""

LENGTH_LIMIT = 4096
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
WILDCARD = re.compile(r"[*?\[]")


def absolute(value: Any) -> str:
    """An absolute path without `..`, normalised. Raises ValueError."""
    path = text(value)
    if len(path) > LENGTH_LIMIT or CONTROL.search(path):
        raise ValueError(f"must have at most {LENGTH_LIMIT} characters, and none that control a terminal")
    if path.startswith("~"):
        raise ValueError(f"{shown(path)} begins with ~, which is not resolved here: write the whole path, from /")
    if "$" in path:
        raise ValueError(
            f"{shown(path)} has a $ in it, and no variable is filled in here: write the whole path, from /"
        )
    if not path.startswith("/"):
        raise ValueError(f"must be an absolute path, from /, not {shown(path)}")
    normal = posixpath.normpath("/" + path.lstrip("/"))
    if ".." in path.split("/"):
        raise ValueError(f"{shown(path)} climbs by .. and means {normal}: write that, if you mean it")
    return normal


def plain_directory(value: Any) -> str:
    """An absolute path in which nothing is a wildcard. Raises ValueError."""
    path = absolute(value)
    if WILDCARD.search(path):
        raise ValueError(f"{path} has a wildcard in it: name one directory")
    return path


def exclusion(value: Any) -> str:
    """A pattern of what is left alone: a file name, or a path. Raises ValueError."""
    pattern = text(value)
    if ".." in pattern.split("/") or pattern.startswith("~") or "$" in pattern:
        raise ValueError(f"{shown(pattern)} holds .., ~ or $, which are not resolved here: write the name itself")
    return pattern


def directory_before_wildcard(path: str) -> str:
    """The directory in which a pattern begins to vary: /var/log/ja for /var/log/ja/*.log; of a plain file, its own."""
    head: list[str] = []
    for part in path.split("/")[:-1]:
        if WILDCARD.search(part):
            break
        head.append(part)
    return "/".join(head) or "/"


def log_pattern(value: Any, state_dir: str) -> str:
    """A file or pattern of files that a cleanup may take files from, normalised. Raises ValueError."""
    path = absolute(value)
    if any(WILDCARD.search(part) for part in path.split("/")[1:3]):
        raise ValueError(f"{path} has a wildcard in its first two parts, and could mean anything: name the directory")
    allowed_root(directory_before_wildcard(path), state_dir, f"{path} takes files from ")
    return path


def allowed_root(directory: str, state_dir: str, says: str = "") -> str:
    """A directory that a task may change something in. Raises ValueError, which begins with `says`, for any other."""
    if directory.count("/") < 2 or directory in PROTECTED:
        raise ValueError(f"{says}{directory}, which is protected: name a directory of the application's own below it")
    if any(contains(unreal, directory) for unreal in UNREAL):
        raise ValueError(f"{says}{directory}, where there is nothing to clean: name another directory")
    own = contains(f"{state_dir}/{OWN_DATABASE}", directory)
    kept = any(contains(place, directory) for place in DATABASES) and posixpath.basename(directory) not in LOGS
    if own or kept:
        raise ValueError(f"{says}{directory}, where a database keeps its files: name another directory")
    if contains(directory, state_dir):
        raise ValueError(f"{says}{directory}, which is or holds the daemon's own state ({state_dir}): name another one")
    return directory


def cleaned_pattern(value: Any, state_dir: str) -> str:
    """A directory, or directories by a pattern, that may be cleaned, normalised. Raises ValueError."""
    path = absolute(value)
    if not WILDCARD.search(path):
        return allowed_root(path, state_dir)
    if "**" in path:
        raise ValueError(f"{path} has ** in it: all below a directory is meant anyway, so name the directory")
    if any(WILDCARD.search(part) for part in path.split("/")[1:3]):
        raise ValueError(f"{path} has a wildcard in its first two parts, and could mean anything: name the directory")
    allowed_root(directory_before_wildcard(path), state_dir, f"{path} means directories in ")
    return path


def temporary_root(value: Any, state_dir: str) -> str:
    """Directories whose old files a task may remove, by path or pattern; /tmp and /var/tmp too. Raises ValueError."""
    path = absolute(value)
    return path if path in TEMPORARY else cleaned_pattern(path, state_dir)


def contains(directory: str, path: str) -> bool:
    """Whether `path` is `directory` or lies below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
