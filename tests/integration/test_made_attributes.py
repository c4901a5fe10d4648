"""What is made has the attributes of what it stands for, and none of the directory that it is made in."""

import grp
import os
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import step_from_json, step_to_json
from jamaint.files.rights.attributes import AttributesDifferError, FileAttributes
from jamaint.host.accounts import become, find_account
from logs_cleanup_runs import DAY, executor, grow_old, in_fresh_process, put, run_all, undo_all, without_modern_calls
from logs_rotate_runs import rotate, rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot

ADM, BOB = 4321, 4242
SERVICE = find_account("nobody")
GZIP = {"algorithm": "gzip", "older_than_seconds": DAY}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of several groups")


def access_list(user: int, may: int = 7) -> bytes:
    entries = [(1, 7, -1), (2, may, user), (4, 0, -1), (16, may, -1), (32, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A directory that hands a group and an access list on to what is made in it, and logs that have neither."""
    logs = tmp_path / "logs"
    for age in (3, 5):
        put(logs / f"app{age}.log", age)
    if os.geteuid() == 0:
        os.chown(logs, 0, ADM)
        logs.chmod(0o2750)
    try:
        os.setxattr(logs, "system.posix_acl_default", access_list(BOB))
    except OSError:
        pytest.skip("no access lists on this file system")
    return logs


def attributes(path: Path) -> tuple[int, int, str, tuple[str, ...]]:
    seen = path.stat()
    return seen.st_uid, seen.st_gid, f"{stat.S_IMODE(seen.st_mode):04o}", tuple(os.listxattr(path))


def compressed(logs: Path, keeps: bool) -> None:
    _, details = run_all(executor(log_paths=[f"{logs}/*.log"], compress=GZIP, keeps_way_back=keeps))
    assert details["compression"]["files"] == 2, details


def rotated(logs: Path, keeps: bool) -> None:
    mine = rotation_config([f"{logs}/*.log"], compress={"algorithm": "gzip", "delay": False})
    _, details = rotate(rotator(mine, keeps_way_back=keeps))
    assert details["rotation"]["files"] == 2, details


def copied(logs: Path, keeps: bool) -> None:
    _, details = rotate(rotator(rotation_config([f"{logs}/*.log"], copy_truncate=True), keeps_way_back=keeps))
    assert details["rotation"]["files"] == 2, details


def archived(logs: Path, keeps: bool) -> None:
    archive = {"directory": f"{logs}/archive", "older_than_seconds": DAY}
    _, details = run_all(executor(log_paths=[f"{logs}/*.log"], archive=archive, keeps_way_back=keeps))
    assert details["archive"]["files"] == 2, details


@pytest.mark.parametrize("make", [compressed, rotated, copied, archived])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("modern", [True, False])
def test_made_files_have_no_group_or_access_list_of_the_directory(
    logs: Path, make: Callable[[Path, bool], None], keeps: bool, modern: bool
) -> None:
    wanted = attributes(logs / "app3.log")

    def act() -> list[Any]:
        if not modern:  # no files without a name
            without_modern_calls()
        make(logs, keeps)
        files = [path for path in logs.rglob("*") if path.is_file() and ".jamaint-trash" not in path.parts]
        return [[path.name for path in files], sorted({str(attributes(path)) for path in files})]

    names, found = in_fresh_process(act)
    assert len(names) >= 2
    assert found == [str(wanted)]


@as_root
def test_made_directories_have_no_access_list_of_the_directory(logs: Path) -> None:
    archived(logs, True)
    for path in [path for path in logs.rglob("*") if path.is_dir()]:
        if ".jamaint-trash" in path.parts:
            assert attributes(path) == (0, path.stat().st_gid, "0700", ())
        else:
            assert not os.listxattr(path), path


@pytest.mark.parametrize("keeps", [True, False])
def test_archived_directories_give_their_group_no_more_than_it_had(tmp_path: Path, keeps: bool) -> None:
    """With an access list, the mode's bits of the group are what those named in the list may."""
    log = put(tmp_path / "logs" / "app" / "inner" / "a.log", 5)
    for directory in (log.parent, log.parent.parent):
        try:
            os.setxattr(directory, "system.posix_acl_access", access_list(BOB, may=5))
        except OSError:
            pytest.skip("no access lists on this file system")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    archive = {"directory": f"{tmp_path}/archive", "older_than_seconds": DAY}
    run_all(executor(log_paths=[f"{tmp_path}/logs/**/*.log"], archive=archive, keeps_way_back=keeps))
    for made in ("app", "app/inner"):
        assert attributes(tmp_path / "archive" / made)[2:] == ("0700", ())


def test_logs_come_back_from_a_directory_that_hands_things_on(logs: Path) -> None:
    before = snapshot(logs)
    config = {"log_paths": [f"{logs}/*.log"], "compress": GZIP}
    steps, _ = run_all(executor(**config))
    assert not undo_all(steps, **config)["problems"]
    assert differences(before, snapshot(logs)) == []


@pytest.fixture
def service_logs() -> Iterator[Path]:
    """As Debian has them: a directory and logs of a service, in a group that it is no member of."""
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        top.chmod(0o755)
        log = put(top / "logs" / "app.log", 3)
        for path in (log, log.parent):
            os.chown(path, SERVICE.uid, ADM)
        log.parent.chmod(0o2751)
        grow_old(log, 3)
        yield log.parent


def as_service(act: Callable[[], Any]) -> Any:
    """What comes of it in a process of the service."""

    def become_and_act() -> Any:
        become(SERVICE)
        return act()

    return in_fresh_process(become_and_act)


@as_root
def test_create_is_exact(service_logs: Path) -> None:
    """As icinga2 has it: create 644 nagios nagios, in a directory nagios:adm 2751."""
    os.setxattr(service_logs / "app.log", "system.posix_acl_access", access_list(BOB))
    create = {"mode": 0o644, "owner": SERVICE.name, "group": grp.getgrgid(SERVICE.gid).gr_name}
    mine = rotation_config([f"{service_logs}/*.log"], create=create)
    details = as_service(lambda: rotate(rotator(mine))[1]["rotation"])
    assert details["files"] == 1, details
    assert attributes(service_logs / "app.log") == (SERVICE.uid, SERVICE.gid, "0644", ())


@as_root
def test_a_service_keeps_the_group_that_its_directory_gives(service_logs: Path) -> None:
    wanted = attributes(service_logs / "app.log")
    mine = rotation_config([f"{service_logs}/*.log"])
    steps = as_service(lambda: [step_to_json(step) for step in rotate(rotator(mine))[0]])
    assert attributes(service_logs / "app.log") == wanted
    outcome = as_service(lambda: undo_rotation(mine, [step_from_json(step) for step in steps]))
    assert (outcome["problems"], outcome["kept"]) == ([], [])
    config = {"log_paths": [f"{service_logs}/*.log"], "compress": GZIP}
    assert as_service(lambda: run_all(executor(**config))[1]["compression"]["files"]) == 1
    assert attributes(service_logs / "app.log.gz") == wanted


@as_root
def test_attributes_that_writing_clears_are_given_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    wanted = FileAttributes(0, 0, 0o4755, {})
    with path.open("r+b", buffering=0) as file:
        wanted.give(file.fileno())
        os.chown(path, 0, 0)  # clears the bits, as a write does
        assert wanted.differs(file.fileno()) == "mode"
        wanted.settle(file.fileno(), (5, 6))
        assert (wanted.differs(file.fileno()), path.stat().st_mtime_ns) == ("", 6)


def test_attributes_that_cannot_be_given_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    monkeypatch.setattr(os, "fchmod", lambda fd, mode: None)  # as file systems without modes do
    with path.open("r+b") as file:
        wanted = FileAttributes(os.geteuid(), os.getegid(), 0o600, {})
        os.chmod(path, 0o644)
        with pytest.raises(AttributesDifferError, match="another mode than its original"):
            wanted.settle(file.fileno(), (5, 6))


def test_a_label_counts_where_the_kernel_decides_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    seen = path.stat()
    wanted = FileAttributes(seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode), {"security.selinux": b"a label"})
    monkeypatch.setattr(os, "setxattr", lambda fd, name, value: None)
    with path.open("r+b") as file:
        wanted.settle(file.fileno(), (5, 6))
        monkeypatch.setattr("jamaint.files.rights.attributes._LABELS", {"security.selinux": str(tmp_path)})
        with pytest.raises(AttributesDifferError, match="label"):
            wanted.settle(file.fileno(), (5, 6))
