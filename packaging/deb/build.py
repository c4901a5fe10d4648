"""Builds the Debian package of this machine's release: dist/jamaint_VERSION_ARCHITECTURE.deb, by dpkg-deb alone.

What is laid out where stands in LAYOUT, and in `_environment` for the Python code: a private environment in
/usr/lib/jamaint, whose interpreter is the release's own, so that its security updates reach us.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import os
import pathlib
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
from jamaint.ctl.completion import SCRIPTS

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
NEXT_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor + 1}"
HOME = "usr/lib/jamaint"
SITE = f"{HOME}/lib/python{PYTHON}/site-packages"
EXTRAS = ("fast",)
FROM_DEBIAN = {"tzdata"}
"""What the release has itself, and keeps up to date."""

LAYOUT = {
    "systemd/*.service": "lib/systemd/system/",
    "systemd/*.socket": "lib/systemd/system/",
    "systemd/jamaint.catalog": "usr/lib/systemd/catalog/",
    "systemd/jamaint.sysusers.conf": "usr/lib/sysusers.d/jamaint.conf",
    "systemd/jamaint.tmpfiles.conf": "usr/lib/tmpfiles.d/jamaint.conf",
    "etc/jamaint/jamaintd.yaml": "etc/jamaint/",
    "README.md": "usr/share/doc/jamaint/",
    "docs/*/*.md": "usr/share/doc/jamaint/docs/",
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
    lock = ROOT / "dist" / "runtime.lock"
    lock.write_text("\n".join(_locked()))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    _run(*command, "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(site), "-r", str(lock))
    lock.unlink()
    shutil.copytree(ROOT / "src" / "jamaint", site / "jamaint", ignore=shutil.ignore_patterns("__pycache__"))
    for unwanted in (*site.glob("bin"), *site.rglob("__pycache__"), *site.rglob("tests"), *site.rglob("RECORD")):
        shutil.rmtree(unwanted) if unwanted.is_dir() else unwanted.unlink()
    for source in (*site.rglob("*.pyx"), *site.rglob("*.pxd"), *site.rglob("*.pyi"), *site.rglob("*.[ch]")):
        source.unlink()
    for library in site.rglob("*.so*"):
        _run("strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note", str(library))
        library.chmod(0o644)
    (root / HOME / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (root / HOME / "bin").mkdir()
    (root / HOME / "bin" / "python3").symlink_to(f"../../../bin/python{PYTHON}")
    (site / "systemd").symlink_to("../../../../python3/dist-packages/systemd")


def _locked() -> Iterator[str]:
    """The lines of requirements.lock, hashes included, for what runs; the rest is for development."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text())
    wanted = {*_needed()} - FROM_DEBIAN
    found = {canonicalize_name(re.split(r"[=;\s]", block)[0]): block for block in blocks if "==" in block}
    if missing := wanted - found.keys():
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}")
    yield from (found[name].rstrip() for name in sorted(wanted))


def _needed() -> Iterator[str]:
    """All distributions that the daemon needs, directly or not, as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    for extra in EXTRAS:
        texts += project["optional-dependencies"][extra]
    seen = set()
    while texts:
        wanted = Requirement(texts.pop())
        name = canonicalize_name(wanted.name)
        if name in seen or (wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        yield name
        texts += importlib.metadata.requires(name) or []


def _files(root: pathlib.Path) -> None:
    for pattern, place in LAYOUT.items():
        for source in sorted(ROOT.glob(pattern)):
            below = source.relative_to(ROOT / "docs") if pattern.startswith("docs/") else source.name
            target = root / place / below if place.endswith("/") else root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
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
        "PYTHON": PYTHON,
        "NEXT_PYTHON": NEXT_PYTHON,
    }
    control.mkdir()
    text = (HERE / "control").read_text()
    (control / "control").write_text(re.sub(r"@(\w+)@", lambda found: values[found[1]], text))
    (control / "conffiles").write_text("/etc/jamaint/jamaintd.yaml\n")
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files)
    (control / "md5sums").write_text("".join(sums))
    for script in ("postinst", "prerm", "postrm"):
        shutil.copyfile(HERE / script, control / script)
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
