"""filesystem.optimize: gives the disk back what is free (fstrim), and reports how scattered files are (e4defrag -c)."""

import re
from collections.abc import Sequence
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work
from jamaint.files.access.mounts import Mount, mount_of, mounts
from jamaint.host.processes.executables import check_runnable
from jamaint.host.processes.run import Call, run

TRIM, DEFRAGMENT = "trim", "defragment"
TRIMMABLE = frozenset({"ext4", "ext3", "xfs", "btrfs", "f2fs", "vfat", "ntfs3", "jfs", "nilfs2", "ocfs2"})
_PROGRAMS = {TRIM: ("fstrim", "util-linux"), DEFRAGMENT: ("e4defrag", "e2fsprogs")}
_TRIMMED = re.compile(r"\((\d+) bytes\) trimmed")
_EXTENTS = re.compile(r"Total/best extents\s+(\d+)/(\d+)")
_SCORE = re.compile(r"Fragmentation score\s+(\d+)")


class FilesystemOptimize:
    """The executor of filesystem.optimize; executors/shared/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host

    def plan(self) -> Plan:
        """See Executor. What cannot be done here is a warning."""
        try:
            there = mounts()
        except OSError as error:
            raise StepError(f"the mounts of this machine cannot be read: {error}") from None
        steps, warnings = [], []
        for name in (TRIM, DEFRAGMENT):
            asked = self._work.config[name]
            if asked is None:
                continue
            places, told = _places(name, asked, there)
            program, package = _PROGRAMS[name]
            missing = _missing(program)
            if missing:
                told = [*told, f"{name} cannot be done: {missing}; install {package}"]
            warnings += told
            args = {"places": [] if missing else places, "not_done": told}
            steps.append(Step(name, _says(name, places), args, None, len(places)))
        return Plan(tuple(steps), tuple(warnings))

    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. Details: {places: [{path, …}], not_done}; trimmed_bytes, or the worst score, over all."""
        if not step.args["places"]:
            raise StepError("; ".join(step.args["not_done"]) or "there is nothing to do it on")
        done: list[dict[str, Any]] = []
        problems: list[dict[str, str]] = []
        for number, path in enumerate(step.args["places"]):
            self._host.checkpoint()
            self._host.progress(number, len(step.args["places"]), "items")
            lines: list[str] = []
            argv = ("fstrim", "-v", path) if step.name == TRIM else ("e4defrag", "-c", path)
            ended = run(Call(self._work.execution, argv), lines.append, self._stopping)
            if ended.cut_short:
                raise StopRequestedError({"places": done})
            found = _read(step.name, "\n".join(lines))
            if ended.exit_code == 0 and found:
                done.append({"path": path, **found})
            else:
                problems.append({"path": path, "why": (lines[-1] if lines else f"exit {ended.exit_code}").strip()})
        for item in problems:
            self._host.log("warning", f"{item['path']}: {item['why']}")
        details = {"places": done, "problems": problems, "not_done": step.args["not_done"]}
        if not done:
            raise StepError(f"nothing could be done: {problems[0]['path']}: {problems[0]['why']}", details=details)
        if step.name == TRIM:
            return {**details, "trimmed_bytes": sum(one["trimmed_bytes"] for one in done)}
        return {**details, "worst_score": max(one["score"] for one in done)}

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:  # noqa: ARG002
        """See Executor. There is nothing to undo: no file is changed."""
        return {"restored": 0, "removed": 0, "kept": [], "problems": []}

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002
        """See Executor."""
        return {"freed_space": 0, "items": 0, "problems": []}

    def _stopping(self) -> bool:
        try:
            self._host.paused()
        except StopRequestedError:
            return True
        return False


def _places(name: str, asked: Sequence[str], there: list[Mount]) -> tuple[list[str], list[str]]:
    """(where it can be done, why not elsewhere)."""
    places, told = [], []
    kinds = TRIMMABLE if name == TRIM else frozenset({"ext4"})
    for path in [one.path for one in there] if list(asked) == [""] else asked:
        mount = mount_of(path, there)
        if mount is None:
            told.append(f"{path} is on no disk of this machine: no {name} there")
        elif mount.kind not in kinds:
            told.append(f"{path} is on {mount.kind}, which knows no {name}")
        elif name == TRIM and mount.read_only:
            told.append(f"{path} is mounted read-only: no {name} there")
        else:
            places.append(mount.path if name == TRIM else path)
    return list(dict.fromkeys(places)), told


def _missing(program: str) -> str:
    try:
        check_runnable(program, "/", None)
    except OSError as error:
        return str(error)
    return ""


def _says(name: str, places: Sequence[str]) -> str:
    where = ", ".join(places) or "nowhere"
    if name == TRIM:
        return f"Trim free space on {where}. No file is changed, so there is nothing to undo."
    return f"Report the fragmentation of files on {where}; change nothing."


def _read(name: str, text: str) -> dict[str, int]:
    if name == TRIM:
        trimmed = _TRIMMED.search(text)
        return {"trimmed_bytes": int(trimmed[1])} if trimmed else {}
    score, extents = _SCORE.search(text), _EXTENTS.search(text)
    if score is None:
        return {}
    return {"score": int(score[1])} | ({"extents": int(extents[1]), "best_extents": int(extents[2])} if extents else {})
