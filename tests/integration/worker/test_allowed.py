"""What a worker that is a unit does of what it is asked: what root has applied, and the way back of what left that."""

import grp
import os
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Item, Step, step_to_json
from jamaint.host.plan_file import Writing, pack
from jamaint.worker_client import child_process
from jamaint.worker_client.session import open_worker
from logs_cleanup_runs import DAY

pytestmark = pytest.mark.parametrize("link", ["child"], indirect=True)

LATER = "2999-01-01T00:00:00+00:00"
STEP = Step("cleanup", "", {"direct": {}}, {"trash": "e-1", "step": "cleanup", "roots": []})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "logs" / "old.log").write_text("old")
    return tmp_path / "logs"


async def asked(
    monkeypatch: pytest.MonkeyPatch, applied: dict[str, Any], path: Path, order: dict[str, Any], **more: Any
) -> Any:
    """The answer of a unit for files by whose configuration `applied` was made."""
    take_up = "from jamaint.worker import main as worker; from jamaint.worker import authorization as it"
    boot = f"{take_up}; it.applied = lambda: {applied!r}; worker.main('files')"
    changed = child_process._BOOT.replace("from jamaint.worker.main import main; main()", boot)
    monkeypatch.setattr(child_process, "_BOOT", changed)
    config = {"log_paths": [f"{path}/*.log"], "retention_seconds": DAY, "compress": None, "archive": None}
    task = {"name": "logs", "config": {**config, "exclude": []}, "rollback": True, "timeout_seconds": None}
    opening = {
        "do": "open", "execution": "e-1", "executor": "logs.cleanup", "user": None, "now": "2026-11-26T00:00:00+00:00",
        "task": {**task, "mass_deletion": {"share": 1.0, "items": 9}}, "limits": {"low_space": 0.0},
        "trust": ["adm"], **more,
    }  # fmt: skip
    async with open_worker(opening, on_line=lambda _: None, on_stderr=lambda _: None) as worker:
        return await worker.ask(order)


def of(path: Path, **more: Any) -> dict[str, Any]:
    return {"kinds": {"files": [str(path)]}, "former": [], **more}


def gone(path: Path) -> dict[str, Any]:
    left = {"until": LATER, "kinds": {"files": [str(path)]}, "back": [], "databases": [], "secrets": {}}
    return {"kinds": {"files": []}, "former": [left]}


async def test_what_is_applied_is_done(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    assert (await asked(monkeypatch, of(root), root, {"do": "plan"}))["is"] == "plan"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a directory of another group")
@pytest.mark.parametrize("trust", [["adm"], []])
async def test_groups_are_trusted_by_what_is_applied_alone(
    monkeypatch: pytest.MonkeyPatch, root: Path, trust: list[str]
) -> None:
    os.chown(root, 0, grp.getgrnam("adm").gr_gid)
    os.chmod(root, 0o775)
    answer = await asked(monkeypatch, of(root, trust=trust), root, {"do": "plan"})
    if trust:
        assert answer["is"] == "plan"
    else:
        assert "add `trust: {groups: [adm]}` to root's configuration" in answer["error"]["message"]


async def test_what_is_not_applied_is_not_even_planned(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    answer = await asked(monkeypatch, of(root / "elsewhere"), root, {"do": "plan"})
    assert (answer["is"], answer["error"]["kind"]) == ("failed", "refused")


async def test_of_what_left_only_the_way_back_is_taken(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    for order in ({"do": "plan"}, {"do": "run", "step": step_to_json(STEP)}):
        answer = await asked(monkeypatch, gone(root), root, order)
        assert "is not bound" in answer["error"]["message"]
    undo = {"do": "undo", "dry_run": False, "step": step_to_json(STEP)}
    assert (await asked(monkeypatch, gone(root), root, undo))["is"] == "done"
    assert (await asked(monkeypatch, gone(root), root, {"do": "purge", "step": step_to_json(STEP)}))["is"] == "done"


async def test_a_step_names_no_other_directory(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    forged = Step("archive", "", {"root": "/etc", "prefix": "x"})
    answer = await asked(monkeypatch, of(root), root, {"do": "run", "step": step_to_json(forged)})
    assert "/etc is not bound" in answer["error"]["message"]
    undo = Step("cleanup", "", {}, {"trash": "e-1", "step": "cleanup", "roots": [{"path": "/etc", "times": [0, 0]}]})
    answer = await asked(monkeypatch, of(root), root, {"do": "undo", "dry_run": False, "step": step_to_json(undo)})
    assert "/etc is not bound" in answer["error"]["message"]


@pytest.mark.parametrize(("base", "below"), [("secrets", "key"), ("logs", "../secrets/key"), ("logs", "..")])
async def test_a_stored_plan_names_no_other_directory(
    monkeypatch: pytest.MonkeyPatch, root: Path, base: str, below: str
) -> None:
    key = root.parent / "secrets" / "key"
    key.parent.mkdir(mode=0o755)
    key.write_text("a key")
    seen = key.lstat()
    figures = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    writing = Writing(str(root.parent / "plans"), "forged")
    writing.add(pack("cleanup", [Item(str(root.parent / base), below, *figures)]))
    path = str(root.parent / "plans" / writing.keep(b""))
    writing.close()
    answer = await asked(monkeypatch, of(root), root, {"do": "plan"}, plan=path)
    assert (answer["is"], answer["error"]["kind"]) == ("failed", "refused")
    assert "the plan's items cannot be read" in answer["error"]["message"]
    assert key.read_text() == "a key"


@pytest.mark.parametrize(
    "ident", ["", ".", "..", "../e-1", "/e-1", "a/b", "e 1", "\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
async def test_execution_that_is_no_name_is_refused(monkeypatch: pytest.MonkeyPatch, root: Path, ident: str) -> None:
    answer = await asked(monkeypatch, of(root), root, {"do": "plan"}, execution=ident)
    assert (answer["is"], answer["error"]["kind"]) == ("failed", "refused")
    assert "no name of one" in answer["error"]["message"]
