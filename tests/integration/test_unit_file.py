"""systemd's own opinion of the units in systemd/: the daemon's, its workers', and their sockets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
CEILINGS = {
    "jamaintd.service": 0.5,
    "jamaint-files@.service": 1.2,
    "jamaint-databases@.service": 1.5,
    "jamaint-commands@.service": 1.5,
    "jamaint-openfiles.service": 1.4,
    "jamaint-packages@.service": 9.0,
}
"""0 is a locked room, 10 is root without any fence; as systemd 252 counts, and later versions look at more."""

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def test_every_unit_has_a_ceiling() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == set(CEILINGS)


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units as if their programs were here."""
    for path in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        text = re.sub(r"(?m)^(ExecStart|ExecReload)=.*$", r"\1=/bin/true", path.read_text())
        (tmp_path / path.name).write_text(text)
    names = (*tmp_path.glob("*.service"), *tmp_path.glob("*.socket"))
    return [str(path).replace("@.", "@tried.") for path in sorted(names)]


def test_systemd_understands_every_line(units: list[str]) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=120
    )
    assert [line for line in done.stderr.splitlines() if "jamaint" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", CEILINGS)
def test_the_exposure_stays_low(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name.replace("@.", "@tried.")
    shutil.copy(UNITS / name, unit)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot judge a unit that is not installed: {done.stderr.strip()}")
    assert float(found[1]) <= CEILINGS[name]
