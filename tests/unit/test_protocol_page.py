"""docs/reference/protocol.md says what the table of commands says."""

import runpy
from pathlib import Path

from jamaint.daemon.control.commands import COMMANDS

ROOT = Path(__file__).parents[2]


def test_protocol_page_is_current() -> None:
    made = runpy.run_path(str(ROOT / "packaging" / "protocol_page.py"))["page"]()
    found = (ROOT / "docs" / "reference" / "protocol.md").read_text(encoding="utf-8")
    assert found == made, "run: python packaging/protocol_page.py"


def test_protocol_page_has_each_method_with_its_parameters() -> None:
    found = (ROOT / "docs" / "reference" / "protocol.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in found.splitlines() if line.startswith("| `")}
    assert list(rows) == list(COMMANDS)
    assert "| `task`* (string)" in rows["task.enable"], "also those that a helper takes"
    assert all("Any" not in row and "None" not in row for row in rows.values())
