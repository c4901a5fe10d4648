"""A process that has forbidden itself to write can open nothing but for reading."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from jamaint.host.read_only import forbid_writing


def _in_child(act: Callable[[], bool]) -> bool:
    """Whether `act` is true in a process of its own."""
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = act()
        finally:
            os._exit(not ok)
    return os.waitpid(child, 0)[1] == 0


def _refused(path: Path, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return True
    return False


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="its system calls are not known")
def test_process_opens_for_reading_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    def act() -> bool:
        if not forbid_writing() or path.read_text() != "x" or os.listdir(tmp_path) != ["file"]:
            return False
        writing = (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND)
        made = (_refused(tmp_path / "new", os.O_CREAT), _refused(tmp_path, os.O_TMPFILE | os.O_RDWR))
        return all(made) and all(_refused(path, flags) for flags in writing)

    assert _in_child(act)
    assert (path.read_text(), os.listdir(tmp_path)) == ("x", ["file"])


def test_machine_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert forbid_writing() is False
