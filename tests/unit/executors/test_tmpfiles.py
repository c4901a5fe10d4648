"""temp.cleanup leaves alone what systemd-tmpfiles leaves alone, and nothing else: both clean the same trees."""

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.core.plans import Plan
from jamaint.executors.shared.executor import Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.executors.temp_cleanup.tmpfiles_d import spared
from logs_cleanup_runs import DAY, EVERYTHING, Talk, through_json

NAMES = ("plain", "my dir", "a*b", "a[b", "tab\there", "100%", "\u00e4", "cache-1", "cache-2", "back\\slash")
BY = {"files": ["modification"], "directories": ["modification"]}


def tree(top: Path) -> Path:
    """A root in which each name is a directory with a file, an empty one, and one in another directory."""
    for name in NAMES:
        for path in (top / name / "in", top / "deep" / name / "in"):
            path.parent.mkdir(parents=True)
            path.write_text("x")
    (top / "young").write_text("x")
    old = time.time() - 40 * DAY
    for path in sorted(top.rglob("*"), reverse=True):
        if path.name != "young":
            os.utime(path, (old, old))
    os.utime(top, (old, old))
    return top


def left(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*") if ".jamaint-trash" not in path.parts}


def ours(root: Path, directory: Path) -> Plan:
    """Clean a tree by age, with the lines of one directory."""
    path: dict[str, Any] = {"path": str(root), "age_seconds": 10 * DAY, "age_by": BY, "pattern": None, "exclude": []}
    work = Work(
        execution="e-1",
        task_name="temp",
        config={"paths": [path | {"unit": "file", "mount": False}]},
        timeout_seconds=None,
        keeps_way_back=True,
        mass_deletion=EVERYTHING,
        low_space=0.0,
        now=datetime.now(UTC),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jamaint.executors.temp_cleanup.executor.spared", lambda: spared((str(directory),)))
        executor = TempCleanup(work, Talk())
        plan = executor.plan()
        executor.run(through_json(plan.steps[0]))
    return plan


def theirs(root: Path, file: Path) -> None:
    line = f"d {root} - - - mM:10d\n"
    file.with_suffix(".whole").write_text(line + file.read_text(errors="surrogateescape"), errors="surrogateescape")
    command = ["systemd-tmpfiles", "--clean", str(file.with_suffix(".whole"))]
    subprocess.run(command, check=False, capture_output=True, timeout=60)


def quoted(path: str, form: str) -> str:
    """A path as a field of a line, in one of the forms that mean just it (for types that are no globs)."""
    if form == "escapes":
        return "".join(sign if sign.isalnum() or sign in "/-" else _escaped(sign) for sign in path).replace("%", "%%")
    text = path.replace("\\", "\\\\").replace("\t", "\\t").replace("%", "%%")
    return f"{form}{text}{form}"


def _escaped(sign: str) -> str:
    return "%" if sign == "%" else "".join(f"\\x{byte:02x}" for byte in sign.encode())


LITERAL = st.builds(
    lambda kind, name, form, age: f"{kind} ROOT/{quoted(name, form)} - - - {age}".replace('ROOT/"', '"ROOT/').replace(
        "ROOT/'", "'ROOT/"
    ),
    st.sampled_from(["d", "D", "q", "v", "f", "L", "d-"]),
    st.sampled_from([*NAMES, *(f"deep/{name}" for name in NAMES), "deep", "none"]),
    st.sampled_from(["escapes", '"', "'"]),
    st.sampled_from(["-", "90d", ""]),
)
# X is left out: in what it leaves to be cleaned, systemd looks at all times, also where the line above says `mM:`.
GLOB = st.builds(
    lambda kind, pattern: f"{kind} ROOT/{pattern}",
    st.sampled_from(["x", "e", "z", "r", "x!", "d!"]),
    st.sampled_from(
        ["cache-*", "cache-[^1]", "cache-?", "deep/*", "*/in", '"my dir"', "my\\x20dir", "a[[]b", "pl*n", "a\\\\*b"]
    ),
)


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles is not installed")
@settings(derandomize=True, deadline=None, max_examples=60)
@given(lines=st.lists(LITERAL | GLOB, max_size=4))
def test_same_stays_as_with_systemd_tmpfiles(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    top = tmp_path_factory.mktemp("tmpfiles")
    roots = [tree(top / name) for name in ("ours", "theirs")]
    for root in roots:
        (top / f"{root.name}.d").mkdir()
        text = "\n".join(lines).replace("ROOT", str(root)) + "\n"
        (top / f"{root.name}.d" / "a.conf").write_text(text)
    plan = ours(roots[0], top / "ours.d")
    theirs(roots[1], top / "theirs.d" / "a.conf")
    if any("\\" in line.replace("\\\\", "") for line in lines):  # escapes, which systemd reads since 254 only
        assert left(roots[0]) >= left(roots[1])
    else:
        assert left(roots[0]) == left(roots[1])
    assert not [warning for warning in plan.warnings if "a.conf" in warning]


def test_line_that_is_not_understood_is_told_and_its_path_spared(tmp_path: Path) -> None:
    root, conf = tree(tmp_path / "root"), tmp_path / "conf"
    conf.mkdir()
    elsewhere = "x /somewhere/else\\q\n"
    (conf / "b.conf").write_text(f'{elsewhere}x "{root}/my dir\nx {root}/cache\\q1\nx relative\n')
    plan = ours(root, conf)
    assert {"my dir/in", "cache-1/in"} <= left(root)
    assert "cache-2" not in left(root)
    told = [warning for warning in plan.warnings if "b.conf" in warning]
    assert told == [
        f"{conf}/b.conf, line 2: a quote is not closed: {root}/my* is left alone",
        f"{conf}/b.conf, line 3: \\q is no escape: {root}/cache*1 and {root}/cacheq1 is left alone",
        f"{conf}/b.conf, line 4: its path 'relative' is not absolute: nothing can be spared for it",
    ]


def test_lines_for_the_root_and_above_it_do_not_keep_what_is_below(tmp_path: Path) -> None:
    root, conf = tree(tmp_path / "root"), tmp_path / "conf"
    conf.mkdir()
    (conf / "c.conf").write_text(f"d {root}\nd {tmp_path} 0755 - - -\ne {tmp_path}/*\n")
    ours(root, conf)
    assert left(root) == {"young"}


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    root, conf = tree(tmp_path / "root"), tmp_path / "conf"
    (conf / "d.conf").mkdir(parents=True)
    told = [warning for warning in ours(root, conf).warnings if "d.conf" in warning]
    assert told == [f"{conf}/d.conf cannot be read: is a directory; what it asks to be left alone is not known"]
