"""The configuration as files for systemd: what is written, what is left out, and that a second time changes nothing."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dead_mounts import dead_mount
from jamaint.core.safety.retained_access import with_what_left
from jamaint.core.safety.sandbox import SandboxPolicy
from jamaint.daemon.sandbox import units as applying
from jamaint.host import applied_sandbox
from jamaint.host.secrets import credential_of

SHIPPED = Path(__file__).parents[4] / "systemd"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's directories are bound")


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(applying, "SHIPPED", (str(SHIPPED),))
    monkeypatch.setattr(applying, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(applied_sandbox, "PATH", str(tmp_path / "workers.json"))
    monkeypatch.setattr(applying, "_systemctl", lambda *_: "")
    return tmp_path / "units"


def fences(secrets: dict[str, Any] | None = None, **paths: tuple[str, ...]) -> SandboxPolicy:
    kinds = {"files": (), **{name.replace("_", "-"): found for name, found in paths.items()}}
    return SandboxPolicy(kinds, ("digest",), ("cms on db",), secrets or {})


def test_directories_users_and_secrets_become_directives(units: Path) -> None:
    wanted = fences(
        {"databases": ("/etc/jamaint/secrets/cms",)},
        files=("/var/log/app", '/srv/a b:c%"d'),
        files_root=("/srv/x",),
        commands_backup=(),
        databases_postgres=(),
        databases=(),
    )
    found = applying.texts(wanted)
    applying.carry_out(found, applying.changes(found))
    drop_in = (units / "jamaint-files@.service.d/50-configured.conf").read_text()
    assert 'BindPaths="-/var/log/app"\n' in drop_in
    assert 'BindPaths="-/srv/a b\\:c%%\\"d"\n' in drop_in
    service = (units / "jamaint-commands-backup@.service").read_text()
    assert "User=backup\n" in service
    assert "Group=" not in service
    assert "jamaint.worker commands-backup\n" in service
    files = (units / "jamaint-files-root@.service").read_text()
    assert "\nCapabilityBoundingSet=\n" in files
    assert "\nSupplementaryGroups=jamaint-openfiles\n" in files
    assert "StateDirectory=jamaint-databases-postgres\n" in (units / "jamaint-databases-postgres@.service").read_text()
    socket = (units / "jamaint-commands-backup.socket").read_text()
    assert "ListenStream=/run/jamaint-workers/commands-backup.sock\n" in socket
    assert "SocketMode=0600\n" in socket
    secrets = (units / "jamaint-databases@.service.d/50-configured.conf").read_text()
    assert f"LoadCredential={credential_of('/etc/jamaint/secrets/cms')}:/etc/jamaint/secrets/cms\n" in secrets
    assert json.loads(Path(applied_sandbox.PATH).read_text())["kinds"]["files-root"] == ["/srv/x"]
    assert applied_sandbox.applied()["databases"] == ["cms on db"]


def test_a_second_time_changes_nothing_and_what_is_no_more_goes(units: Path) -> None:
    found = applying.texts(fences(files=("/srv/x",), commands_backup=()))
    todo = applying.changes(found)
    assert {change.what for change in todo} == {"new"}
    applying.carry_out(found, todo)
    (units / "jamaint-own.socket").write_text("[Socket]\n")  # an administrator's
    assert applying.changes(found) == []
    less = applying.texts(fences())
    gone = {os.path.basename(change.path) for change in applying.changes(less) if change.what == "removed"}
    assert gone == {"50-configured.conf", "jamaint-commands-backup.socket", "jamaint-commands-backup@.service"}
    applying.carry_out(less, applying.changes(less))
    assert os.listdir(units) == ["jamaint-own.socket"]


def test_what_ways_back_still_need_stays_in_the_units(units: Path) -> None:
    first = replace(fences(files=("/srv/x",), files_backup=("/srv/y",)), keeps_seconds=86_400.0)
    found = applying.texts(first)
    applying.carry_out(found, applying.changes(found))
    less = fences(files=("/srv/z",))
    less = with_what_left(less, applied_sandbox.read(), datetime.now(UTC))
    found = applying.texts(less)
    assert {change.what for change in applying.changes(found)} == {"changed"}
    applying.carry_out(found, applying.changes(found))
    drop_in = (units / "jamaint-files@.service.d/50-configured.conf").read_text()
    assert 'BindPaths="-/srv/x"\nBindPaths="-/srv/z"\n' in drop_in
    assert 'BindPaths="-/srv/y"\n' in (units / "jamaint-files-backup@.service.d/50-configured.conf").read_text()
    assert applied_sandbox.applied()["kinds"] == {"files": ["/srv/z"]}
    later = with_what_left(less, applied_sandbox.read(), datetime.now(UTC) + timedelta(days=3))
    gone = {os.path.basename(change.path) for change in applying.changes(applying.texts(later))}
    assert {"jamaint-files-backup.socket", "jamaint-files-backup@.service"} <= gone


def test_a_secret_of_former_tasks_that_is_gone_keeps_no_worker_from_its_start(units: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    before = fences({"databases": (str(secret),)}, databases=())
    wanted = with_what_left(fences(databases=()), before.to_json(), datetime.now(UTC))
    name = f"{units}/jamaint-databases@.service.d/50-configured.conf"
    found, told = applying.bound(wanted)
    if os.geteuid() == 0:
        assert not told
        assert str(secret) in applying.texts(found)[name]
    secret.unlink()
    found, told = applying.bound(wanted)
    assert told == [f"{secret} cannot be read: ways back that need it cannot be taken"]
    assert name not in applying.texts(found)


@as_root
def test_a_directory_into_whose_path_somebody_could_put_a_link_is_not_bound(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    safe, theirs = tmp_path / "safe", tmp_path / "theirs"
    for path in (safe, theirs, theirs / "logs"):
        path.mkdir(mode=0o755)
    os.chown(theirs, 65534, 65534)
    (tmp_path / "link").symlink_to("/etc")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    names = [safe, safe / "later", theirs / "logs", theirs / "later", tmp_path / "link", open_to_all / "later"]
    found, told = applying.bound(fences(files=(*map(str, names), "/")))
    assert found.paths["files"] == (str(safe), str(safe / "later"))
    assert len(told) == 5
    for name in (theirs / "logs", theirs / "later", tmp_path / "link", open_to_all / "later"):
        assert any(line.startswith(f"{name}: not bound") for line in told)


@as_root
def test_bound_tells_why_a_directory_is_not_bound_and_for_whom(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    wanted = replace(fences(files=(str(theirs),)), named_by={("files", str(theirs)): ("photos",)})
    found, told = applying.bound(wanted)
    assert found.paths["files"] == ()
    assert "set `user: nobody` on the task" in found.unbound["files"][str(theirs)]
    assert told == [
        f"{theirs} (photos): not bound into the worker for files: {found.unbound['files'][str(theirs)]}",
    ]
    assert found.to_json()["unbound"] == found.unbound


def test_carry_out_tells_how_far_it_came_and_writes_the_workers_file_last(
    units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = applying.texts(fences(files=("/srv/x",), files_root=("/srv/x",)))
    todo = applying.changes(found)
    assert todo[0].path == applied_sandbox.PATH
    written: list[str] = []
    real = applying._write

    def write(change: applying.Change, wanted: Any) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(change.path)
        real(change, wanted)

    monkeypatch.setattr(applying, "_write", write)
    with pytest.raises(applying.PartlyAppliedError, match=r"No space left on device; 2 of \d+ files are done"):
        applying.carry_out(found, todo)
    assert applied_sandbox.PATH not in written


def test_check_account_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "ACCOUNT", "nobody-of-this-name")
    with pytest.raises(LookupError, match="no user nobody-of-this-name on this machine: install the package"):
        applying.check_account()


def test_bound_leaves_a_mount_out_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "ANSWER_SECONDS", 0.5)
    near, far, here = (tmp_path / name for name in ("near", "far", "here"))
    for path in (near, far, here):
        path.mkdir(mode=0o755)
    with dead_mount(far, near):
        found, told = applying.bound(fences(files=(str(here), str(near))))
    assert found.paths["files"] == (str(here),)
    assert "it does not answer" in told[0]
