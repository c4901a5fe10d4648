"""Where the configuration is looked for, and which files root takes no orders from."""

import os
import socket
from pathlib import Path

import pytest

from jamaint.config import ConfigError, load
from jamaint.config.files import Found, find

NAP = "tasks: { nap: { executor: noop } }\n"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
HOME = {"HOME": "/home/somebody"}


def problem_of(path: Path | str | None, euid: int = 0, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(None if path is None else str(path), environ={**HOME, **environ}, euid=euid)
    (mistake,) = caught.value.mistakes
    return str(mistake)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A file as root would have it: in a directory of its own, writable by its owner alone."""
    directory = tmp_path / "etc"
    directory.mkdir(mode=0o755)
    file = directory / "jamaintd.yaml"
    file.write_text(NAP)
    os.chmod(file, 0o644)
    return file


@pytest.mark.parametrize(
    ("path", "environ", "euid", "expected"),
    [
        ("/a/b.yaml", {"JAMAINT_CONFIG": "/c"}, 0, Found("/a/b.yaml", "--config")),
        (None, {"JAMAINT_CONFIG": "/c.yaml", "CONFIGURATION_DIRECTORY": "/d"}, 0, Found("/c.yaml", "JAMAINT_CONFIG")),
        (None, {"CONFIGURATION_DIRECTORY": "/d:/e"}, 0, Found("/d/jamaintd.yaml", None)),
        (None, {}, 0, Found("/etc/jamaint/jamaintd.yaml", None)),
        (None, {"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, 1000, Found("/x/jamaint/jamaintd.yaml", None)),
        (None, {"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, 1000, Found("/h/.config/jamaint/jamaintd.yaml", None)),
        (None, {}, 1000, None),
    ],
)
def test_where_it_is_looked_for(path, environ, euid, expected):
    assert find(path, environ, euid) == expected


def test_a_relative_path_is_told_whole(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert problem_of("x.yaml") == (
        f"{tmp_path}/x.yaml: there is no such file (--config names it): write it, or leave its name out to use the "
        "defaults"
    )


def test_no_file_at_all_is_the_built_in_configuration(tmp_path):
    config = load(None, environ={"CONFIGURATION_DIRECTORY": str(tmp_path), **HOME}, euid=1000)
    assert (config.path, config.files, config.tasks, config.warnings) == (None, (), {}, ())
    assert config.database.dsn is None


def test_conf_d_without_a_main_file(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.yaml").write_text(NAP)
    config = load(None, environ={"CONFIGURATION_DIRECTORY": str(tmp_path), **HOME}, euid=1000)
    assert (config.path, config.files) == (None, (f"{tmp_path}/conf.d/a.yaml",))
    assert list(config.tasks) == ["nap"]


def test_a_named_file_must_be_there(tmp_path):
    file = tmp_path / "x.yaml"
    assert problem_of(None, JAMAINT_CONFIG=str(file)) == (
        f"{file}: there is no such file (JAMAINT_CONFIG names it): write it, or leave its name out to use the defaults"
    )


def test_no_files(tmp_path):
    assert problem_of(tmp_path) == f"{tmp_path}: is a directory, and must be a file"
    os.mkfifo(tmp_path / "fifo")  # opening one would wait for a writer
    assert problem_of(tmp_path / "fifo") == f"{tmp_path}/fifo: is a device, a pipe or a socket, and must be a file"
    assert problem_of("/dev/zero") == "/dev/zero: is a device, a pipe or a socket, and must be a file"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert "cannot be read" in problem_of(tmp_path / "s")
    (tmp_path / "round").symlink_to("round")
    assert "cannot be read: too many levels of symbolic links" in problem_of(tmp_path / "round")


def test_a_huge_file(main):
    with main.open("ab") as stream:
        stream.truncate(17 << 20)
    assert problem_of(main) == f"{main}: is larger than 16 MiB"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(main):
    os.chmod(main, 0)
    assert problem_of(main, euid=os.geteuid()) == f"{main}: cannot be read: permission denied"


@AS_ROOT
def test_root_takes_a_file_of_its_own(main):
    assert list(load(str(main), environ={}, euid=0).tasks) == ["nap"]


@AS_ROOT
@pytest.mark.parametrize(("mode", "shown"), [(0o664, "0664"), (0o646, "0646"), (0o666, "0666")])
def test_root_takes_no_file_that_others_may_write(main, mode, shown):
    os.chmod(main, mode)
    expected = f"{main}: others than root may write to the file (mode {shown}): chmod go-w {main}"
    assert problem_of(main) == expected
    assert load(str(main), environ=HOME, euid=1000).tasks


@AS_ROOT
def test_root_takes_no_file_of_another_user(main):
    os.chown(main, 65534, 0)
    expected = f"{main}: the file belongs to user id 65534, who could make root do anything: chown root {main}"
    assert problem_of(main) == expected


@AS_ROOT
def test_nobody_is_told_to_close_a_directory_that_all_share(main):
    os.chmod(main.parent, 0o1777)
    assert "chmod" not in problem_of(main)
    assert problem_of(main).endswith("move the file to a directory of root's, such as /etc/jamaint")


@AS_ROOT
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_root_takes_no_file_from_a_directory_that_others_may_write(main, mode):
    os.chmod(main.parent, mode)
    assert f"others than root may write to its directory {main.parent}" in problem_of(main)


@AS_ROOT
def test_root_takes_no_file_from_a_directory_of_another_user(main):
    os.chown(main.parent, 65534, 0)
    assert f"its directory {main.parent} belongs to user id 65534" in problem_of(main)


@AS_ROOT
def test_root_follows_a_link_only_through_safe_places(main, tmp_path):
    directory = tmp_path / "links"
    directory.mkdir()
    link = directory / "jamaintd.yaml"
    link.symlink_to(main)
    assert load(str(link), environ={}, euid=0).tasks
    os.chmod(directory, 0o777)
    assert f"others than root may write to its directory {directory}" in problem_of(link)
    os.chmod(directory, 0o755)
    os.lchown(link, 65534, 0)
    assert f"the link {link} belongs to user id 65534" in problem_of(link)


@AS_ROOT
def test_root_follows_no_link_into_a_directory_that_others_may_write(main, tmp_path):
    (tmp_path / "links").mkdir()
    middle, link = main.parent / "middle.yaml", tmp_path / "links" / "jamaintd.yaml"
    (tmp_path / "real").mkdir()
    os.rename(main, tmp_path / "real" / "x.yaml")
    middle.symlink_to("../real/x.yaml")
    link.symlink_to(middle)
    assert load(str(link), environ={}, euid=0).tasks
    os.chmod(main.parent, 0o777)
    assert f"others than root may write to its directory {main.parent}" in problem_of(link)


@AS_ROOT
def test_files_of_conf_d_are_judged_like_the_main_one(main):
    extra = main.parent / "conf.d"
    extra.mkdir(mode=0o755)
    (extra / "a.yaml").write_text("log: { level: debug }\n")
    os.chmod(extra / "a.yaml", 0o644)
    assert load(str(main), environ={}, euid=0).log.level == "debug"
    os.chmod(extra, 0o775)
    assert f"{extra}/a.yaml: others than root may write to its directory {extra}" in problem_of(main)


@pytest.mark.skipif(os.geteuid() == 0, reason="root's own files are trusted")
def test_root_takes_no_file_of_an_ordinary_user(main):
    assert f"{main}: the file belongs to user id {os.geteuid()}" in problem_of(main)


def test_an_ordinary_user_may_share_a_file(main):
    os.chmod(main, 0o664)
    os.chmod(main.parent, 0o775)
    assert load(str(main), environ=HOME, euid=1000).tasks
