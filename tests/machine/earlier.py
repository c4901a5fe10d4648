"""The package of an earlier commit, to be upgraded from: built from this repository's history, once."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from root import Release, SkippedError

COMMIT = "ca25dfe727610a83c3f5b45de40072a2b7fc17bd"
"""The last one whose package was for one version of Python, the builder's."""
VERSION = "0.1.0-0"
ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 400
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def package(place: Path, release: Release) -> Path:
    """Return its .deb below `place`. Raises SkippedError where it cannot be built, or is not for that release."""
    if release.python != _PYTHON:
        raise SkippedError(
            f"the earlier package is for Python {_PYTHON} if it is built here, and Debian {release.number} has "
            f"{release.python}"
        )
    found = place / f"jamaint-{COMMIT[:7]}-{_PYTHON}.deb"
    if not found.exists():
        _build(found)
    return found


def _build(target: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory, "tree")
        _run("git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(tree), COMMIT)
        try:
            environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
            _run(sys.executable, "packaging/deb/build.py", "--version", VERSION, cwd=tree, environment=environment)
            (built,) = (tree / "dist").glob("jamaint_*.deb")
            shutil.copyfile(built, target.with_suffix(".new"))
            target.with_suffix(".new").rename(target)
        finally:
            _run("git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree))


def _run(*command: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=BUILD_SECONDS
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise SkippedError(f"the earlier package cannot be built: {command[0]}: {said[-1] if said else 'it failed'}")
