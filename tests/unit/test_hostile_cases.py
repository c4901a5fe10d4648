"""docs/explanation/hostile-cases.md names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "explanation" / "hostile-cases.md").read_text())


def test_each_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 40
    missing = []
    for named in NAMED:
        path, _, name = named.partition("::")
        text = (ROOT / path).read_text() if (ROOT / path).is_file() else ""
        if re.search(rf"def {name}\(" if name else r"def test_", text) is None:
            missing.append(named)
    assert missing == []
