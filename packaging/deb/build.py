"""Builds the Debian package, for all releases in PYTHONS: dist/jamaint_VERSION_ARCHITECTURE.deb, by dpkg-deb alone.

Files are laid out by LAYOUT, and the Python code by `_environment`: a private environment in /usr/lib/jamaint, whose
interpreter is the release's own, so that its security updates reach us. The compiled modules of all these versions lie
side by side in one directory, which their names allow; each version finds it under its own name.
"""

import argparse
import contextlib
import gzip
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jamaint import VERSION
from jamaint.ctl.verbs.service.completion import SCRIPTS

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
"""Debian 12 has the first, Ubuntu 24.04 the second, Debian 13 the last."""
NEXT_PYTHON = "3.14"
GLIBC_MINOR = 34
"""Of wheels: no release above has an older glibc 2."""
HOME = "usr/lib/jamaint"
SITE = f"{HOME}/lib/python{PYTHONS[0]}/site-packages"
EXTRAS = ("cache", "fast", "ics")
UNWANTED = ("bin", "__pycache__", "tests", "RECORD", "sboms", "*.pyx", "*.pxd", "*.pyi", "*.[ch]")
"""Of distributions: files and directories that nobody needs at run time."""
FROM_DEBIAN = {"tzdata"}
"""What the release has itself, and keeps up to date."""

LAYOUT = {
    "systemd/*.service": "lib/systemd/system/",
    "systemd/*.socket": "lib/systemd/system/",
    "systemd/jamaint.catalog": "usr/lib/systemd/catalog/",
    "systemd/jamaint.sysusers.conf": "usr/lib/sysusers.d/jamaint.conf",
    "systemd/jamaint.tmpfiles.conf": "usr/lib/tmpfiles.d/jamaint.conf",
    "etc/jamaint/jamaintd.yaml": "etc/jamaint/",
    "etc/prometheus/*.yml": "usr/share/doc/jamaint/prometheus/",
    "etc/grafana/*.json": "usr/share/doc/jamaint/grafana/",
    "README.md": "usr/share/doc/jamaint/",
    "docs/*/*.md": "usr/share/doc/jamaint/docs/",
    "packaging/deb/jamaint.rtupdate": "usr/share/python3/runtime.d/",
    "packaging/deb/lintian-overrides": "usr/share/lintian/overrides/jamaint",
}
"""Files -> directory, or the one file's own place where that has another name."""

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/jamaintctl",
    "zsh": "usr/share/zsh/vendor-completions/_jamaintctl",
    "fish": "usr/share/fish/vendor_completions.d/jamaintctl.fish",
}

# What a package has in force that the sample only proposes: everybody may connect and learns what he may do; the
# members of adm look, those of jamaint act.
IN_FORCE = ('#socket:\n#  path: /run/jamaint/jamaintd.sock\n#  mode: "0660"\n#  group: jamaint\n', "#roles:")
SOCKET = """\
socket:
#  path: /run/jamaint/jamaintd.sock
# Everybody may connect, and may do what his role allows: nothing, for most. 0660 keeps all but the group out.
  mode: "0666"
  group: jamaint
"""


def main() -> None:
    """Lays everything out below dist/, and packs it."""
    options = _options()
    root = ROOT / "dist" / "deb"
    shutil.rmtree(root, ignore_errors=True)
    os.umask(0o022)
    _environment(root)
    _files(root)
    _programs(root)
    _documents(root, options.version)
    _control(root, options.version)
    _same_times(root)
    package = ROOT / "dist" / f"jamaint_{options.version}_{_architecture()}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(package))
    shutil.rmtree(root)
    print(f"built {package.relative_to(ROOT)}, {package.stat().st_size / 2**20:.1f} MiB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", default=f"{VERSION}-1", help="the package's version")
    return parser.parse_args()


def _environment(root: pathlib.Path) -> None:
    """The private Python environment: the locked distributions that the daemon needs, and the daemon."""
    site = root / SITE
    site.mkdir(parents=True)
    for python in PYTHONS:
        _install(python, site)
    if missing := _missing(site):
        raise SystemExit(f"the package would lack {', '.join(missing)}")
    shutil.copytree(ROOT / "src" / "jamaint", site / "jamaint", ignore=shutil.ignore_patterns("__pycache__"))
    for library in site.rglob("*.so*"):
        _run("strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note", str(library))
        library.chmod(0o644)
    for python in PYTHONS[1:]:
        (root / HOME / "lib" / f"python{python}").symlink_to(f"python{PYTHONS[0]}")
    (root / HOME / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (root / HOME / "bin").mkdir()
    (root / HOME / "bin" / "python3").symlink_to("../../../bin/python3")
    (site / "systemd").symlink_to("../../../../python3/dist-packages/systemd")


def _install(python: str, site: pathlib.Path) -> None:
    """Adds the locked distributions as that version of Python has them, without what nobody needs at run time."""
    lock, target = ROOT / "dist" / "runtime.lock", ROOT / "dist" / "site"
    lock.write_text("\n".join(_locked()))
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    for_python = ["--implementation=cp", f"--python-version={python}", *_platforms(), "--only-binary=:all:"]
    _run(*command, *for_python, "--no-deps", "--require-hashes", "--target", str(target), "-r", str(lock))
    lock.unlink()
    for unwanted in [path for name in UNWANTED for path in target.rglob(name)]:
        shutil.rmtree(unwanted) if unwanted.is_dir() else unwanted.unlink(missing_ok=True)
    for file in sorted(path for path in target.rglob("*") if path.is_file()):
        _add(file, site / file.relative_to(target))
    shutil.rmtree(target)


def _add(file: pathlib.Path, place: pathlib.Path) -> None:
    """Moves a file to its place, where another version of Python may have put it already: then it must be the same."""
    if place.exists():
        if place.name != "WHEEL" and place.read_bytes() != file.read_bytes():
            raise SystemExit(f"{place.name} of {place.parent.name} is not the same for all of {', '.join(PYTHONS)}")
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    file.rename(place)
    place.chmod(0o644)


def _platforms() -> Iterator[str]:
    """Of wheels that run on all the releases, the newest first."""
    machine = platform.machine()
    yield from (f"--platform=manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1))
    yield from (f"--platform={name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux"))


def _locked() -> Iterator[str]:
    """The lines of requirements.lock, hashes included, for what runs; the rest is for development.

    Without their conditions: pip would judge them by the version that it runs under.
    """
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    wanted = {*_needed()} - FROM_DEBIAN
    found = {canonicalize_name(re.split(r"[=;\s]", block)[0]): block for block in blocks if "==" in block}
    if missing := wanted - found.keys():
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}")
    yield from (re.sub(r"\A(\S+) *;[^\\\n]*", r"\1 ", found[name].rstrip()) for name in sorted(wanted))


def _needed() -> Iterator[str]:
    """All distributions that the daemon needs under any of PYTHONS, directly or not, as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    for extra in EXTRAS:
        texts += project["optional-dependencies"][extra]
    seen = set()
    while texts:
        wanted = Requirement(texts.pop())
        name = canonicalize_name(wanted.name)
        if name in seen or not _applies(wanted):
            continue
        seen.add(name)
        yield name
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # another version of Python needs it
            texts += importlib.metadata.requires(name) or []


def _applies(wanted: Requirement) -> bool:
    """True if one of PYTHONS, with any of its corrections, needs it."""
    versions = [(python, f"{python}.{last}") for python in PYTHONS for last in (0, 99)]
    return wanted.marker is None or any(
        wanted.marker.evaluate({"extra": "", "python_version": short, "python_full_version": full})
        for short, full in versions
    )


def _missing(site: pathlib.Path) -> list[str]:
    """What the distributions there need and is not there."""
    found = {path: importlib.metadata.Distribution.at(path) for path in site.glob("*.dist-info")}
    there = {canonicalize_name(one.metadata["Name"]) for one in found.values()} | FROM_DEBIAN
    needed = [Requirement(text) for one in found.values() for text in one.requires or []]
    return sorted({one.name for one in needed if _applies(one) and canonicalize_name(one.name) not in there})


def _files(root: pathlib.Path) -> None:
    for pattern, place in LAYOUT.items():
        for source in sorted(ROOT.glob(pattern)):
            below = source.relative_to(ROOT / "docs") if pattern.startswith("docs/") else source.name
            target = root / place / below if place.endswith("/") else root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            if source.suffix == ".rtupdate":
                target.chmod(0o755)
    (root / "etc/jamaint/conf.d").mkdir()
    sample = root / "etc/jamaint/jamaintd.yaml"
    sample.write_text(_in_force(sample.read_text()))


def _in_force(text: str) -> str:
    socket, roles = IN_FORCE
    if text.count(socket) != 1 or text.count(roles) != 1:
        raise SystemExit("etc/jamaint/jamaintd.yaml has changed: say anew which of it a package has in force")
    before, after = text.replace(socket, SOCKET).split(roles)
    section, _, rest = after.partition("\n\n")
    return f"{before}roles:{section.replace(f'{chr(10)}#', chr(10))}\n\n{rest}"


def _programs(root: pathlib.Path) -> None:
    for name, place in (("jamaintctl", "usr/bin"), ("jamaintd", "usr/sbin")):
        target = root / place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((HERE / name).read_text().replace("@SITE@", f"/{SITE}"))
        target.chmod(0o755)
    for shell, place in COMPLETIONS.items():
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(SCRIPTS[shell])


def _documents(root: pathlib.Path, version: str) -> None:
    doc = root / "usr/share/doc/jamaint"
    doc.mkdir(parents=True, exist_ok=True)
    (doc / "copyright").write_text(_copyright(root / SITE))
    _packed(doc / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    _packed(doc / "changelog.Debian.gz", _changelog(version))
    pages = ROOT / "dist" / "man"
    _run(sys.executable, str(HERE.parent / "manpages.py"), str(pages))
    for page in sorted(pages.iterdir()):
        _packed(root / "usr/share/man" / f"man{page.suffix[1:]}" / f"{page.name}.gz", page.read_text())
    shutil.rmtree(pages)


def _copyright(site: pathlib.Path) -> str:
    """Ours, and what each bundled distribution says of itself; its full text lies beside it."""
    licence = (ROOT / "LICENSE").read_text().split("\n\n", 1)[1]
    body = "\n".join(f" {line}" if line.strip() else " ." for line in licence.rstrip().split("\n"))
    parts = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: jamaint",
        "Files: *\nCopyright: 2026 the jamaint authors\nLicense: MIT",
        *(_bundled(info, site) for info in sorted(site.glob("*.dist-info"))),
        f"License: MIT\n{body}",
    ]
    return "\n\n".join(parts) + "\n"


def _bundled(info: pathlib.Path, site: pathlib.Path) -> str:
    about = importlib.metadata.Distribution.at(info).metadata
    said = (
        about["License-Expression"] or _classified(about.get_all("Classifier") or []) or about["License"] or "see below"
    )
    texts = sorted(
        path for path in info.rglob("*") if re.match(r"(?i)licen|copying|notice", path.name) and path.is_file()
    )
    common = ["/usr/share/common-licenses/Apache-2.0"] if "Apache" in said else []
    told = common + [f"/{SITE}/{path.relative_to(site)}" for path in texts] or [f"/{SITE}/{info.name}/METADATA"]
    return "\n".join(
        [
            f"Files: {SITE}/{about['Name'].replace('-', '_')}*",
            f"Copyright: the authors of {about['Name']}",
            f"License: {re.sub(r'[^A-Za-z0-9.+-]+', '-', said).strip('-')[:60]}",
            *(
                f" {line}"
                for line in [f"{about['Name']} {about['Version']}, as it says: {said.splitlines()[0]}.", *told]
            ),
        ]
    )


def _classified(classifiers: list[str]) -> str:
    return ", ".join(one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License"))


def _changelog(version: str) -> str:
    """Debian's form of the newest part of CHANGELOG.md."""
    newest = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    items = [" ".join(item.split()) for item in re.split(r"\n- ", newest)[1:]]
    told = "\n".join(textwrap.fill(item, 76, initial_indent="  * ", subsequent_indent="    ") for item in items)
    maintainer = re.search(r"(?m)^Maintainer: (.*)$", (HERE / "control").read_text())
    assert maintainer is not None
    date = datetime.fromtimestamp(_epoch(), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    return f"jamaint ({version}) unstable; urgency=medium\n\n{told}\n\n -- {maintainer[1]}  {date}\n"


def _control(root: pathlib.Path, version: str) -> None:
    control = root / "DEBIAN"
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    values = {
        "VERSION": version,
        "ARCHITECTURE": _architecture(),
        "SIZE": str(sum(-(-path.stat().st_size // 1024) for path in files) + 1),
        "LIBRARIES": _libraries(root),
        "PYTHON": PYTHONS[0],
        "NEXT_PYTHON": NEXT_PYTHON,
    }
    control.mkdir()
    text = (HERE / "control").read_text()
    (control / "control").write_text(re.sub(r"@(\w+)@", lambda found: values[found[1]], text))
    (control / "conffiles").write_text("/etc/jamaint/jamaintd.yaml\n")
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)
    (control / "md5sums").write_text("".join(sums))
    for script in ("preinst", "postinst", "prerm", "postrm"):
        (control / script).write_text((HERE / script).read_text().replace("@VERSION@", version))
        (control / script).chmod(0o755)


def _libraries(root: pathlib.Path) -> str:
    """The packages with the libraries that the compiled modules are linked with, as dpkg-shlibdeps finds them."""
    work = ROOT / "dist" / "shlibs"
    (work / "debian").mkdir(parents=True, exist_ok=True)
    (work / "debian" / "control").write_text("Source: jamaint\n\nPackage: jamaint\nArchitecture: any\n")
    modules = [f"-e{path}" for path in sorted(root.rglob("*.so*")) if not path.is_symlink()]
    said = _run("dpkg-shlibdeps", "-O", "--warnings=0", *modules, cwd=work)
    shutil.rmtree(work)
    return said.strip().removeprefix("shlibs:Depends=")


def _packed(target: pathlib.Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _same_times(root: pathlib.Path) -> None:
    """The same sources make the same package."""
    for path in (root, *root.rglob("*")):
        os.utime(path, (_epoch(), _epoch()), follow_symlinks=False)
    os.environ["SOURCE_DATE_EPOCH"] = str(_epoch())


def _epoch() -> int:
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    found = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(found.stdout or (ROOT / "CHANGELOG.md").stat().st_mtime)


def _architecture() -> str:
    return _run("dpkg", "--print-architecture").strip()


def _run(*command: str, cwd: pathlib.Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} …: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
