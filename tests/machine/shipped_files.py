"""Writes docs/reference/shipped-files.md: what came of each logrotate.d and tmpfiles.d file that packages ship.

    tests/machine/shipped_files.py 12=DIRECTORY 13=DIRECTORY

Each directory holds .deb files of that release of Debian. Nothing of them is installed and no script of theirs runs:
the files are taken out, imported, and the result is used as configuration on made logs in a scratch directory, in a
mount namespace whose /etc/passwd and /etc/group know the accounts that they name. Needs root, dpkg-deb, unshare and
logrotate.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jamaint.config.load import load
from jamaint.ctl.imports import logrotate, tmpfiles
from jamaint.ctl.imports.result import Imported, yaml_lines
from jamaint.schema.errors import ConfigError
from shipped_rotation import Rotation, rotation_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "shipped-files.md"
LOGROTATE, TMPFILES = re.compile(r"\./etc/logrotate\.d/[^/]+"), re.compile(r"\./(?:usr/)?lib/tmpfiles\.d/[^/]+\.conf")
FIRST_UID = 20000
INSIDE = "JAMAINT_SHIPPED_FILES_INSIDE"
FIELD_OF_AGE = 5


@dataclass
class Shipped:
    """One file, with the versions of its package that have it word for word, by release."""

    package: str
    name: str
    text: str
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The columns that say which file it is."""
        versions = ", ".join(f"{release}: {version}" for release, version in sorted(self.versions.items()))
        return f"| `{self.name}` | {self.package} | {versions} "


def shipped(directories: dict[str, Path], wanted: re.Pattern[str]) -> list[Shipped]:
    """Return the files of all packages whose path matches; one that is the same in two releases once."""
    found: dict[tuple[str, str, str], Shipped] = {}
    for release, directory in directories.items():
        for package in sorted(directory.glob("*.deb")):
            name, version = _fields(package)
            for path, text in _files(package, wanted):
                key = (name, path.rpartition("/")[2], text)
                found.setdefault(key, Shipped(*key)).versions[release] = version
    return sorted(found.values(), key=lambda one: (one.name, one.package, min(one.versions)))


def _fields(package: Path) -> tuple[str, str]:
    command = ["dpkg-deb", "-f", str(package), "Package", "Version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values = dict(line.split(": ", 1) for line in said.splitlines())
    return values["Package"], values["Version"]


def _files(package: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        for member in archive:
            opened = archive.extractfile(member) if member.isfile() and wanted.fullmatch(member.name) else None
            if opened is not None:
                yield member.name, opened.read().decode("utf-8", "surrogateescape")


def accounts(texts: Iterable[str]) -> tuple[set[str], set[str]]:
    """The users and groups that `create` and `su` of these files name."""
    users, groups = set(), set()
    for text in texts:
        for words in re.findall(r"^\s*(?:create|su)[ \t]+(.+)$", text, re.MULTILINE):
            names = [word for word in words.split("#")[0].split() if not word.isdigit()]
            users.update(names[:1])
            groups.update(names[1:2])
    return users, groups


def know_accounts(texts: Iterable[str], scratch: Path) -> None:
    """Puts files with these accounts over /etc/passwd and /etc/group of this mount namespace."""
    users, groups = accounts(texts)
    passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    known = {line.partition(":")[0] for line in passwd.splitlines()}
    known_groups = {line.partition(":")[0] for line in group.splitlines()}
    for number, name in enumerate(sorted(users | groups), FIRST_UID):
        if name not in known:
            passwd += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
        if name not in known_groups:
            group += f"{name}:x:{number}:\n"
    for path, text in (("/etc/passwd", passwd), ("/etc/group", group)):
        file = scratch / path.rpartition("/")[2]
        file.write_text(text)
        file.chmod(0o644)
        subprocess.run(["mount", "--bind", str(file), path], check=True)


def imported(reader: str, name: str, text: str, scratch: Path) -> Imported:
    """What the import makes of a file."""
    directory = scratch / "d"
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    file.chmod(0o644)
    read = logrotate.read if reader == "logrotate" else tmpfiles.read
    return read([str(file)], lambda path: Path(path).read_text(encoding="utf-8", errors="surrogateescape"), _no_list)


def _no_list(path: str) -> list[str]:
    raise NotADirectoryError(path)


def objections(found: Imported, scratch: Path) -> list[str]:
    """What `config check` has against the configuration that an import gives."""
    file = scratch / "jamaintd.yaml"
    file.write_text("\n".join(yaml_lines(found)) + "\n")
    file.chmod(0o600)
    try:
        load(str(file), environ={}, euid=os.geteuid())
    except ConfigError as invalid:
        return [mistake.problem for mistake in invalid.mistakes]
    return []


def words(texts: Iterable[str]) -> str:
    """Texts in one cell of a table."""
    return "; ".join(dict.fromkeys(text.replace("|", "\\|") for text in texts)) or "all"


def rotation_rows(files: Sequence[Shipped], scratch: Path) -> Iterator[tuple[str, Rotation]]:
    """The table's rows of logrotate.d, with what was measured."""
    for one in files:
        found = imported("logrotate", one.name, one.text, scratch)
        left = [remark for task in found.tasks for remark in task.remarks]
        left += [remark.partition(": ")[2] for remark in found.remarks if str(scratch) in remark]
        left += [mistake.rpartition(":")[2].strip() for mistake in found.mistakes] + objections(found, scratch)
        with tempfile.TemporaryDirectory(dir=scratch, prefix="r-") as made:
            os.chmod(made, 0o755)
            result = rotation_of(one.name, one.text, found, Path(made))
        told = f"{one.place}| {len(found.tasks)} | {words(left)} | {result.same} of {result.logs} | {result.rotated} "
        yield f"{told}| {result.restored} | {words(result.told) if result.told else ''} |", result


def cleaning_rows(files: Sequence[Shipped], scratch: Path) -> Iterator[tuple[str, int, int]]:
    """The table's rows of tmpfiles.d, with how many lines have an age and how many tasks came of them."""
    for one in files:
        found = imported("tmpfiles", one.name, one.text, scratch)
        lines = [line.split() for line in one.text.splitlines() if line.strip() and not line.strip().startswith("#")]
        aged = sum(len(line) > FIELD_OF_AGE and line[FIELD_OF_AGE] != "-" for line in lines)
        left = [remark for task in found.tasks for remark in task.remarks]
        left += [remark.partition(": ")[2] for remark in found.remarks if str(scratch) in remark]
        left += [mistake.rpartition(":")[2].strip() for mistake in found.mistakes] + objections(found, scratch)
        why = words(left) if left or len(found.tasks) else "nothing is cleaned" if not aged else "not read"
        yield f"{one.place}| {len(lines)} | {aged} | {len(found.tasks)} | {why} |", aged, len(found.tasks)


def page(directories: dict[str, Path], scratch: Path) -> str:
    """The page."""
    rotated, cleaned = shipped(directories, LOGROTATE), shipped(directories, TMPFILES)
    know_accounts([one.text for one in rotated], scratch)
    rows, results = zip(*rotation_rows(rotated, scratch), strict=True)
    lines = list(cleaning_rows(cleaned, scratch))
    logs, entries = sum(one.logs for one in results), sum(one.entries for one in results)
    whole = sum(not one.told and one.same == one.logs for one in results)
    planned, back = sum(one.same for one in results), sum(one.restored for one in results)
    figures = (
        f"{len(rotated)} files of logrotate.d of {len({one.package for one in rotated})} packages, with {entries} "
        f"entries; {logs} logs were made,\n{planned} of them planned as logrotate does, "
        f"{sum(one.rotated for one in results)} rotated and {back} of these put back.\n"
        f"For {whole} files nothing is otherwise. {len(cleaned)} files of tmpfiles.d: of "
        f"{sum(one[1] for one in lines)} lines with an age,\n{sum(one[2] for one in lines)} became tasks."
    )
    return HEAD.format(figures=figures) + "\n".join(rows) + "\n" + MIDDLE + "\n".join(one[0] for one in lines) + "\n"


HEAD = """\
# Files that packages ship

<!-- Made by tests/machine/shipped_files.py from Debian's packages. -->

Files of `/etc/logrotate.d` and `tmpfiles.d` as packages of Debian 12 and 13 ship them, read by `jamaintctl import`, and
what came of each. They are of the packages that were at hand, and not all that there are.

{figures}

**How it was measured.** Logs are made for each path (for a wildcard, two), 40 days old and as large as the file's own
limits ask, with the owner that `create` or `su` names; the directory is root's, or belongs to who `su` names. Both
programs are told that each log was last rotated in 2020. *As logrotate* tells for how many of them the plan is the one
of `logrotate -d`: rotate, or leave. *Rotated* is how many the imported task has rotated, *back* how many of these a
rollback put back with the same content, owner, mode and time and nothing left beside. Scripts are not run: the services
are not there.

## logrotate.d

| file | package | versions | entries | carried over, but for | as logrotate | rotated | back | otherwise |
|---|---|---|---|---|---|---|---|---|
"""
MIDDLE = """
## tmpfiles.d

Lines with an age become tasks of `temp.cleanup`; all else (directories, links, modes) stays with systemd-tmpfiles.

| file | package | versions | lines | with an age | tasks | carried over, but for |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Measures within a mount namespace of its own."""
    if not os.environ.get(INSIDE):
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
    directories = {release: Path(path) for release, _, path in (word.partition("=") for word in sys.argv[1:])}
    with tempfile.TemporaryDirectory(prefix="shipped-") as scratch:
        os.chmod(scratch, 0o755)
        text = page(directories, Path(scratch))
    PAGE.write_text(text)
    sys.stdout.write(f"written: {PAGE}\n")


if __name__ == "__main__":
    main()
