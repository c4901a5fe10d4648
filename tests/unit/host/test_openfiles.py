"""Which files are open, for writing or at all, in other processes."""

import os
import subprocess
import sys
from pathlib import Path

from jamaint.host.openfiles import open_files

HOLD = "import sys; f = open(sys.argv[1], sys.argv[2]); print('open', flush=True); sys.stdin.read()"


def test_writers_and_readers_are_told_apart(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    children = []
    for mode in ("a", "r", "r+"):
        path = tmp_path / f"{mode}.log"
        path.write_text("x")
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        children.append(child)
    own = open(tmp_path / "own.log", "w")  # noqa: SIM115 - it has to stay open
    try:
        found = open_files()
        inode = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
        writers = found.writers_on(device)
        assert writers[inode["a.log"]] == children[0].pid
        assert writers[inode["r+.log"]] == children[2].pid
        assert inode["r.log"] not in writers
        assert inode["own.log"] not in writers
        assert {inode["a.log"], inode["r.log"], inode["r+.log"]} <= found.any_on(device)
        assert inode["r.log"] not in found.any_on(device + 1)
        assert os.geteuid() != 0 or found.hidden == 0
    finally:
        own.close()
        for child in children:
            child.communicate()
