"""Tests the tests: changes what decides, one place at a time, and lists the changes that no test notices.

    bench/mutants.py [GROUP…] [--jobs N] [--only TEXT] [--quick]

Each job works in a copy of the tree, so that no mutant touches the tree itself. It keeps one process that has imported
pytest and the libraries, and forks for each mutant; that costs a fifth of a new interpreter. Survivors are printed and
written to dist/mutants/GROUP.txt. Ends with status 1 if a group has more survivors than the limit, or if a mutation
that mutants_equivalent.toml names is not there or is noticed.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

from mutant_groups import GROUPS, LIMIT, Group
from mutations import Mutation, mutations

TOP = Path(__file__).parent.parent
PACKAGE = "src/jamaint"
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.toml")
SLACK_SECONDS = 20.0
"""A mutant may take so long, and three times what the tests take without one; then it counts as noticed."""


@dataclass(frozen=True, slots=True)
class Job:
    """One mutant to try: `mutation` of the module `path`, which the tests `tests` are about."""

    path: str
    mutation: Mutation
    tests: Sequence[str]

    @property
    def name(self) -> tuple[str, str]:
        """Its module, and its name there."""
        return self.path, self.mutation.name


@dataclass(slots=True)
class Outcome:
    """What became of a group's mutants; `timed_out` are among `noticed`."""

    noticed: int = 0
    timed_out: int = 0
    survivors: list[Job] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many were tried."""
        return self.noticed + len(self.survivors)

    def add(self, job: Job, result: str) -> None:
        """Count a job whose tests ended with "pass", "fail" or "time"."""
        if result == "pass":
            self.survivors.append(job)
            print(f"  {job.path}:{job.mutation.line} {job.mutation.name}", file=sys.stderr, flush=True)
        else:
            self.noticed += 1
            self.timed_out += result == "time"


class Copy:
    """A copy of the tree with a process that runs tests in it."""

    def __init__(self, top: Path, quick: bool) -> None:
        self._top = top
        self._quick = quick
        for name in ("src", "tests"):
            shutil.copytree(TOP / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "packaging", "etc", "systemd", "docs"):
            os.symlink(TOP / name, top / name)
        there = {
            **os.environ,
            "PYTHONPATH": str(top / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(top / "tmp"),
        }
        (top / "tmp").mkdir()
        server = Path(__file__).with_name("mutant_server.py")
        self._server = subprocess.Popen(
            [*_own_mounts(), sys.executable, str(server)],
            cwd=top,
            env=there,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: Sequence[str], seconds: float) -> str:
        """Run tests file by file, those of properties last, which take longest; return "pass", "fail" or "time"."""
        parts = [["-m", "not hypothesis", test] for test in tests]
        parts += [] if self._quick else [["-m", "hypothesis", *tests]]
        outcomes = (self._run(part, seconds) for part in parts)
        return next((outcome for outcome in outcomes if outcome != "pass"), "pass")

    def _run(self, tests: Sequence[str], seconds: float) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        _say(self._server.stdin, {"tests": list(tests), "seconds": seconds})
        return str(json.loads(self._server.stdout.readline())["outcome"])

    def run_mutant(self, job: Job, seconds: float) -> str:
        """Run a job's tests with its mutant in place."""
        place = self._top / PACKAGE / job.path
        original = place.read_text()
        place.write_text(job.mutation.source)
        try:
            return self.run(job.tests, seconds)
        finally:
            place.write_text(original)

    def close(self) -> None:
        """End the process."""
        self._server.send_signal(signal.SIGTERM)
        self._server.wait()


def _own_mounts() -> list[str]:
    """Return what a command begins with to have mounts of its own, which go with it; nothing where that may not be."""
    command = ["unshare", "--mount"]
    allowed = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if allowed and allowed.returncode == 0 else []


def _say(pipe: IO[str], value: object) -> None:
    pipe.write(json.dumps(value) + "\n")
    pipe.flush()


def jobs_of(group: Group, only: str) -> list[Job]:
    """Return the mutants of a group's modules whose module or name contains `only`."""
    found = []
    for path, tests in group.modules.items():
        source = (TOP / PACKAGE / path).read_text()
        found += [Job(path, one, tests) for one in mutations(source) if only in f"{path} {one.name}"]
    return found


def tried(copies: Sequence[Copy], jobs: Sequence[Job]) -> Outcome:
    """Try every job, side by side in the copies. Raises SystemExit if tests fail without a mutant."""
    limits = {tests: _limit(copies[0], tests) for tests in dict.fromkeys(tuple(job.tests) for job in jobs)}
    outcome, waiting, lock = Outcome(), SimpleQueue[Job](), threading.Lock()
    for job in jobs:
        waiting.put(job)

    def work(copy: Copy) -> None:
        while True:
            try:
                job = waiting.get_nowait()
            except Empty:
                return
            result = copy.run_mutant(job, limits[tuple(job.tests)])
            with lock:
                outcome.add(job, result)

    workers = [threading.Thread(target=work, args=(copy,)) for copy in copies]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcome


def _limit(copy: Copy, tests: Sequence[str]) -> float:
    began = time.monotonic()
    if copy.run(tests, 600) != "pass":
        raise SystemExit(f"these tests do not pass without a mutant: {' '.join(tests)}")
    return 3 * (time.monotonic() - began) + SLACK_SECONDS


def equivalents() -> dict[tuple[str, str], str]:
    """Return the mutations that change nothing: (module, name) -> reason."""
    listed = tomllib.loads(EQUIVALENT.read_text()).get("equivalent", [])
    return {(one["module"], one["mutation"]): one["reason"] for one in listed}


def report(name: str, outcome: Outcome, same: dict[tuple[str, str], str]) -> bool:
    """Print and write what became of a group; return True if it is within the limit."""
    survivors = sorted((job for job in outcome.survivors if job.name not in same), key=lambda job: job.name)
    known = len(outcome.survivors) - len(survivors)
    count = outcome.total - known
    share = len(survivors) / count if count else 0.0
    lines = [
        f"{name}: {count} mutants, {outcome.noticed} noticed ({outcome.timed_out} by the time limit), "
        f"{len(survivors)} survive ({share:.1%}); {known} more are equivalent"
    ]
    lines += [f"  {job.path}:{job.mutation.line} {job.mutation.name}" for job in survivors]
    print("\n".join(lines), flush=True)
    place = TOP / "dist" / "mutants"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return share <= LIMIT


def main() -> int:
    """Try the groups that were named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; all if none is named")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried side by side (2)")
    parser.add_argument("--only", default="", help="only mutants whose module or name contains this text")
    parser.add_argument("--quick", action="store_true", help="without tests of properties: more survive")
    given = parser.parse_args()
    unknown = set(given.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    same, fine = equivalents(), True
    with tempfile.TemporaryDirectory(prefix="mutants-") as room:
        Path(room).chmod(0o755)
        places = [Path(room) / str(number) for number in range(given.jobs)]
        for place in places:
            place.mkdir()
        copies = [Copy(place, given.quick) for place in places]
        try:
            for name in given.groups or GROUPS:
                jobs = jobs_of(GROUPS[name], given.only)
                outcome = tried(copies, jobs)
                fine = report(name, outcome, same) and fine
                fine = _holds(outcome, jobs, GROUPS[name], same, given.only) and fine
        finally:
            for copy in copies:
                copy.close()
    return 0 if fine else 1


def _holds(outcome: Outcome, jobs: Sequence[Job], group: Group, same: dict[tuple[str, str], str], only: str) -> bool:
    """Say which mutations are listed as equivalent and are not; True if there are none."""
    survived = {job.name for job in outcome.survivors}
    wrong = [name for name in same if name[0] in group.modules and only in " ".join(name) and name not in survived]
    tried_names = {job.name for job in jobs}
    for name in wrong:
        why = "a test notices it" if name in tried_names else "there is no such mutation"
        print(f"  listed as equivalent, but {why}: {name[0]} {name[1]}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
