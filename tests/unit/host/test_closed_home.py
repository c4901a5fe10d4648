"""A worker whose user's home is closed to it connects to databases without the files that libpq has there."""

import os
from pathlib import Path

import pytest

from jamaint.databases.connection import leave_closed_home


def test_home_that_may_not_be_looked_into_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(_path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("HOME", "/home/otto")
    monkeypatch.setattr(os, "stat", stat)
    leave_closed_home()
    assert os.environ["HOME"] == "/nonexistent"


def test_home_that_is_open_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    leave_closed_home()
    assert os.environ["HOME"] == str(tmp_path)
