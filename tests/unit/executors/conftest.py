"""What tests of rotations share."""

import pytest

from jamaint.files.use.open_files import OpenFiles, open_files


@pytest.fixture
def all_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for root, who may look into all processes."""

    def looking() -> OpenFiles:
        found = open_files()
        found.hidden = 0
        return found

    monkeypatch.setattr("jamaint.executors.logs_rotate.executor.open_files", looking)
