"""What the kernel does not tell of files in use is not taken for "nothing"."""

import builtins
from typing import Any

import pytest

from jamaint.files.use import procfs
from jamaint.files.use.open_files import OpenFilesError, open_files

REAL_OPEN = builtins.open


def refusing(path: str, error: type[OSError]) -> Any:
    def open_(file: Any, *args: Any, **kw: Any) -> Any:
        if file == path:
            raise error(13, "not told", path)
        return REAL_OPEN(file, *args, **kw)

    return open_


@pytest.mark.parametrize("path", ["/proc/locks", "/proc/swaps", "/proc/mdstat"])
def test_file_of_the_kernel_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(procfs, "open", refusing(path, PermissionError), raising=False)
    with pytest.raises(PermissionError):
        list(procfs.uses(own=0))


def test_file_that_this_kernel_lacks_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "open", refusing("/proc/mdstat", FileNotFoundError), raising=False)
    assert list(procfs.uses(own=0))


def test_nothing_is_cleaned_where_locks_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "open", refusing("/proc/locks", PermissionError), raising=False)
    with pytest.raises(OpenFilesError, match="which files are in use cannot be learnt, so none is touched"):
        open_files()
