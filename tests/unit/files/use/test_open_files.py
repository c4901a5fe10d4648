"""Which files are in use, for writing or at all, by other processes and the kernel; and the same, asked of the unit."""

import mmap
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from jamaint import openfiles_server
from jamaint.files.use import open_files as openfiles
from jamaint.files.use import procfs, records
from jamaint.files.use.in_use import in_use
from jamaint.files.use.open_files import ADDRESS, OpenFilesError, open_files, open_files_for_figures
from jamaint.files.use.records import END, FULL, KERNEL, LOOP, READER, RECORD, REQUEST, WRITER, pack, unpack

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


def test_forks_with_the_same_files_do_not_fill_the_reply() -> None:
    uses = ((READER, 1, inode, pid) for pid in range(100_001) for inode in range(10))
    told = list(unpack(b"".join(pack(uses))))
    assert told == [*((READER, 1, inode, 0) for inode in range(10)), (END, 0, 0, 0)]


@contextmanager
def child(program: str, *words: str, enter: tuple[str, ...] = ()) -> Iterator[int]:
    """A process that has run `program` and waits; its number."""
    command = [*enter, sys.executable, "-c", f"import sys\n{program}\nprint('ready', flush=True); sys.stdin.read()"]
    with subprocess.Popen([*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.communicate()


@contextmanager
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The unit's program at its socket, with this process asking it."""
    path = str(tmp_path / "openfiles.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        server = threading.Thread(target=openfiles_server.Server(listener, "", idle_seconds=0.2).serve)
        server.start()
        monkeypatch.setenv(ADDRESS, path)
        yield
        server.join()


@pytest.mark.parametrize("asked", [False, True])
def test_mapped_files_and_programs_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    if tmp_path.stat().st_dev != _mapped_device(tmp_path):
        pytest.skip("this file system has another device number in /proc/PID/maps")
    for name in ("shared", "private"):
        (tmp_path / name).write_bytes(b"x" * mmap.PAGESIZE)
    program = """
import mmap, os
maps = []
for path, flags in ((sys.argv[1], mmap.MAP_SHARED), (sys.argv[2], mmap.MAP_PRIVATE)):
    fd = os.open(path, os.O_RDWR)
    maps.append(mmap.mmap(fd, 0, flags))
    os.close(fd)
    for number in os.listdir("/proc/self/fd"):  # mmap keeps a descriptor of its own
        if os.path.exists(f"/proc/self/fd/{number}") and os.path.realpath(f"/proc/self/fd/{number}") == path:
            os.close(int(number))
"""
    with child(program, str(tmp_path / "shared"), str(tmp_path / "private")) as pid:
        if asked:
            with served(tmp_path, monkeypatch):
                found = open_files()
        else:
            found = open_files()
    shared, private = (tmp_path / "shared").stat(), (tmp_path / "private").stat()
    assert found.writers_on(shared.st_dev)[shared.st_ino] == pid
    assert found.readers[private.st_dev, private.st_ino] == pid


def _mapped_device(tmp_path: Path) -> int:
    path = tmp_path / "seen"
    path.write_bytes(b"x" * mmap.PAGESIZE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        line = next(line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path)))
    major, minor = line.split()[3].split(":")
    return os.makedev(int(major, 16), int(minor, 16))


def test_unit_tells_what_a_process_sees_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, directory = tmp_path / "file", tmp_path / "directory"
    file.write_text("x")
    directory.mkdir()
    program = """
import fcntl, os
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX)
os.chdir(sys.argv[2])
"""
    with (
        child(program, str(file), str(directory)) as pid,
        open(tmp_path / "own", "w"),
        served(tmp_path, monkeypatch),
    ):
        found = open_files()
        own = (tmp_path / "own").stat()
    key = (file.stat().st_dev, file.stat().st_ino)
    assert (found.writers[key], found.locks[key]) == (pid, pid)
    assert found.others[directory.stat().st_dev, directory.stat().st_ino] == pid
    assert (own.st_dev, own.st_ino) not in found.writers
    assert in_use(key[0], found).why[key[1]] == f"process {pid} has locked it"


@contextmanager
def another_process(directory: Path) -> Iterator[None]:
    """A process of ours that works in `directory`: an ordinary user alone on a machine has no other."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=directory) as process:
        yield
        process.communicate()


def test_nobody_to_ask_refuses_but_for_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, str(tmp_path / "none.sock"))
    with pytest.raises(
        OpenFilesError, match=r"none is touched.*No such file.*systemctl status jamaint-openfiles.socket"
    ):
        open_files()
    with another_process(tmp_path):
        assert open_files_for_figures().others


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "broke off"),
        (RECORD.pack(1, 2, 3, READER), "broke off"),
        (RECORD.pack(1, 2, 3, READER) + RECORD.pack(0, 0, 0, END)[:-1], "broke off"),
        (RECORD.pack(0, 0, 0, FULL), "more files are open"),
    ],
)
def test_half_an_answer_is_none(answer: bytes, why: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError, match=why):
            openfiles._reply(ours)


def test_answer_in_any_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openfiles, "_CHUNK_BYTES", 7)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        uses = [(WRITER, 1, number, 4) for number in range(20)]
        theirs.sendall(b"".join(pack([*uses, (records.HIDDEN, 0, 0, 9)])))
        found = openfiles._reply(ours)
    assert (found.writers, found.hidden) == ({(1, number): 4 for number in range(20)}, 1)


def test_records_are_told_once_and_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LIMIT", 2)
    twice = [(READER, 1, 2, 3), (READER, 1, 2, 3), (WRITER, 2**64 - 1, 2**64 - 1, 2**32 - 1)]
    told = list(unpack(b"".join(pack(twice))))
    assert told == [twice[0], twice[2], (END, 0, 0, 0)]
    assert list(unpack(b"".join(pack([*twice, (READER, 1, 5, 3)]))))[-1][0] == FULL


def test_callers_that_do_not_ask_or_listen_cost_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        stack.enter_context(served(tmp_path, monkeypatch))
        callers = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(20)]
        for number, caller in enumerate(callers):
            caller.connect(os.environ[ADDRESS])
            if number % 2:
                caller.sendall(b"x" if number % 4 == 1 else REQUEST)
        stack.enter_context(another_process(tmp_path))
        assert open_files().others
        assert callers[1].recv(1) == b"", "what asked for something else is hung up on"


def test_caller_that_is_too_slow_is_hung_up_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as slow:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        slow.connect(str(tmp_path / "s"))
        openfiles_server.Server(listener, "", idle_seconds=0.0, caller_seconds=0.0).serve()
        assert slow.recv(1) == b""


@pytest.mark.skipif(shutil.which("losetup") is None, reason="needs losetup, which an ordinary user's PATH lacks")
def test_image_of_a_loop_device_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "disk image"
    image.write_bytes(b"\0" * 65536)
    made = subprocess.run(
        ["losetup", "--find", "--show", "--read-only", image], capture_output=True, check=False, text=True
    )
    if made.returncode:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    try:
        found = open_files()
        elsewhere = list(procfs.uses(os.getpid(), f"/proc/{os.getpid()}/root"))
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)
    device, inode = image.stat().st_dev, image.stat().st_ino
    assert found.kernel[device, inode] == LOOP
    assert (KERNEL, device, inode, LOOP) in elsewhere, "as the unit sees it, whose own file system is an empty one"
    assert in_use(device, found).why[inode] == "a loop device uses it"
    assert found.writers_on(device)[inode] == -LOOP
    assert inode in found.any_on(device)


def test_files_that_the_kernel_uses_are_found_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/swaps": f"Filename\t\t\t\tType\t\tSize\n{tmp_path}/swap\\040file\tfile\t\t1024\t0\t-2\n",
        "/proc/mdstat": f"md0 : active raid1\n      bitmap: 1/1 pages [4KB], 65536KB chunk, file: {tmp_path}/bitmap\n",
    }
    for name in ("swap file", "bitmap", "lun", "target"):
        (tmp_path / name).write_text("x")
    (tmp_path / "lun.file").write_text(f"{tmp_path}/lun\n")
    (tmp_path / "udev_path").write_text(f"{tmp_path}/target\n")
    (tmp_path / "backing_file").write_text(f"{tmp_path}/gone (deleted)\n")
    read = procfs._read
    monkeypatch.setattr(procfs, "_read", lambda path: texts[path].encode() if path in texts else read(path))
    monkeypatch.setattr(
        procfs,
        "_BACKING",
        (
            (f"{tmp_path}/lun.file", records.GADGET),
            (f"{tmp_path}/udev_path", records.TARGET),
            (f"{tmp_path}/backing_file", LOOP),
        ),
    )
    found = {inode: purpose for kind, _, inode, purpose in procfs.uses(os.getpid()) if kind == KERNEL}
    assert found == {
        (tmp_path / "swap file").stat().st_ino: records.SWAP,
        (tmp_path / "bitmap").stat().st_ino: records.BITMAP,
        (tmp_path / "lun").stat().st_ino: records.GADGET,
        (tmp_path / "target").stat().st_ino: records.TARGET,
    }


def test_a_look_that_lacks_descriptors_is_refused() -> None:
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        null = os.open("/dev/null", os.O_RDONLY)
        stack.callback(os.close, null)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
        with suppress(OSError):
            while True:
                stack.callback(os.close, os.dup(null))
        with pytest.raises(OpenFilesError, match="none is touched"):
            open_files()


def test_a_file_mapped_by_several_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    path.write_bytes(b"x" * 4096)
    program = (
        "import mmap; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 4096); import os; os.closerange(3, 64)"
    )
    with child(program, str(path)), child(program, str(path)):
        told = [use for use in procfs.uses(os.getpid()) if use[2] == path.stat().st_ino]
    assert [use[0] for use in told] == [WRITER]
