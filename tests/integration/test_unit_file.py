"""systemd's own opinion of systemd/jamaintd.service and its socket."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "jamaintd.service"
WORST_EXPOSURE = 3.2
"""0 is a locked room, 10 is root without any fence; 3.0 by systemd 252, and later versions look at more."""

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    text, changed = re.subn(r"(?m)^(ExecStart|ExecReload)=.*$", r"\1=/bin/true", UNIT.read_text())
    assert changed == 2
    (tmp_path / "jamaintd.service").write_text(text)
    shutil.copy(UNIT.with_suffix(".socket"), tmp_path)
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            str(tmp_path / "jamaintd.service"),
            str(tmp_path / "jamaintd.socket"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert [line for line in done.stderr.splitlines() if "jamaintd." in line] == []
    assert done.returncode == 0, done.stderr


def test_the_exposure_stays_low() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = re.search(r"Overall exposure level for jamaintd\.service: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot judge a unit that is not installed: {done.stderr.strip()}")
    assert float(found[1]) <= WORST_EXPOSURE
