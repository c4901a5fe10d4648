"""The list of executors: each row is true, and what has no row is refused."""

import inspect
from pathlib import Path

import pytest

import jamaint.executors
from jamaint.config.executor_models import CONFIG_OF
from jamaint.core.executor_table import EXECUTORS, ROWS, ExecutorRow, row_of
from jamaint.core.worker_kinds import kind_of
from jamaint.executors import executor_of

HERE = [row for row in ROWS if row.folder]
FOLDERS = Path(jamaint.executors.__file__).parent


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.key)
def test_row_names_classes_that_are_there(row: ExecutorRow) -> None:
    found = executor_of(row.key)
    assert all(inspect.isfunction(getattr(found, name)) for name in ("plan", "run", "undo", "purge"))
    assert (row.key in CONFIG_OF) == bool(row.config_class)


def test_every_folder_of_an_executor_has_a_row() -> None:
    folders = {place.name for place in FOLDERS.iterdir() if (place / "executor.py").is_file()}
    assert folders - {"shared"} == {row.folder for row in HERE} - {"internal"}


def test_folder_holds_the_same_names() -> None:
    for row in HERE:
        if row.config_class:
            assert (FOLDERS / row.folder / "config.py").is_file(), row.key
            assert (FOLDERS / row.folder / "executor.py").is_file(), row.key


def test_row_of_network_matches_its_worker() -> None:
    """The files worker has no network: an executor that needs it must not get that one."""
    for row in ROWS:
        assert not (row.needs_network and row.worker == "files"), row.key


def test_no_two_rows_mean_one_kind() -> None:
    kinds = [kind for row in ROWS for kind in row.kinds]
    assert len(kinds) == len(set(kinds))
    assert len(EXECUTORS) == len(ROWS)


@pytest.mark.parametrize("name", ["backup.database2", "database.", "cache.x", ""])
def test_name_without_a_row_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no executor"):
        row_of(name)
    with pytest.raises(ValueError, match="there is no executor"):
        kind_of(name, {})


def test_row_of_an_executor_to_come_gives_its_worker() -> None:
    """The name begins as one of the network's does; the worker comes from the row alone."""
    assert kind_of("backup.database", {}) == "databases"
    assert kind_of("backup.files", {}) == "files"
    with pytest.raises(KeyError):
        executor_of("backup.files")


def test_toy_executor_needs_a_folder_and_a_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "executor.py").write_text("class Toy:\n    plan = run = undo = purge = None\n")
    monkeypatch.setattr(jamaint.executors, "__path__", [*jamaint.executors.__path__, str(tmp_path)])
    row = ExecutorRow("toy.play", "toy", "", "Toy", (), "databases", needs_network=True)
    monkeypatch.setitem(EXECUTORS, "toy.play", row)  # type: ignore[arg-type]  # a mapping to everybody else
    assert executor_of("toy.play").__name__ == "Toy"
    assert kind_of("toy.play", {}) == "databases"
