"""Where secrets come from: what is taken, what is refused, and that no refusal tells one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jamaint.core.secrets import secret
from jamaint.host.secrets import SecretError, cleaned, credential_of, handed_over, problem_with, read, resolved
from socket_peers import CAN_BE_OTHERS

VALUE = "planted-Zk3 & co"


def kept(directory: Path, text: str = f"{VALUE}\n", mode: int = 0o600) -> str:
    file = directory / "secret"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_file_that_only_the_right_people_read(tmp_path: Path, mode: int) -> None:
    assert read("file", kept(tmp_path, mode=mode)) == VALUE


@pytest.mark.parametrize(
    ("mode", "why"),
    [(0o644, "may be read by everybody"), (0o660, "may be written by others"), (0o602, "may be written by others")],
)
def test_a_file_that_others_read_or_write_is_refused(tmp_path: Path, mode: int, why: str) -> None:
    path = kept(tmp_path, mode=mode)
    with pytest.raises(SecretError, match=why) as refused:
        read("file", path)
    assert f"chmod 0640 {path}" in str(refused.value)
    assert problem_with("file", path) == str(refused.value)


@pytest.mark.skipif(not CAN_BE_OTHERS, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path)
    os.chown(path, 65534, 65534)
    with pytest.raises(SecretError, match="belongs to user id 65534"):
        read("file", path)


def test_a_link_a_directory_a_pipe_and_nothing_are_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(kept(tmp_path))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is a link" in (problem_with("file", str(link)) or "")
    assert "is no file" in (problem_with("file", str(pipe)) or "")
    assert "there is no /nowhere" in (problem_with("file", "/nowhere") or "")
    for path, why in ((link, "it is a link"), (tmp_path, "is no file"), (pipe, "is no file"), ("/nowhere", "is no /")):
        with pytest.raises(SecretError, match=why):
            read("file", str(path))


@pytest.mark.parametrize(
    ("text", "why"), [("", "is empty"), ("\n", "is empty"), ("a\0b", "NUL"), ("x" * 70_000, "larger than 64 KiB")]
)
def test_what_is_no_password_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SecretError, match=why):
        read("file", kept(tmp_path, text))


def test_bytes_that_are_no_text_are_refused_and_not_told(tmp_path: Path) -> None:
    path = kept(tmp_path)
    Path(path).write_bytes(b"planted\xff")
    with pytest.raises(SecretError) as refused:
        read("file", path)
    assert "planted" not in str(refused.value)


def test_a_credential_of_systemd(tmp_path: Path) -> None:
    kept(tmp_path, mode=0o444)  # as systemd makes them, in a directory that nobody else enters
    assert read("credential", "secret", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == VALUE
    with pytest.raises(SecretError, match="LoadCredential=other:/path"):
        read("credential", "other", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    with pytest.raises(SecretError, match="there are no credentials here"):
        read("credential", "secret", {})


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMS_PASSWORD", VALUE)
    assert read("environment", "CMS_PASSWORD") == VALUE
    assert handed_over({"dsn": secret("environment", "CMS_PASSWORD"), "x": secret("environment", "NOT_SET")}) == {
        "CMS_PASSWORD": VALUE
    }
    with pytest.raises(SecretError, match="NOT_SET is not set"):
        read("environment", "NOT_SET")


def test_a_file_that_systemd_hands_over_is_taken_from_there(tmp_path: Path) -> None:
    paths = ("/etc/pw/a-b", "/etc/pw/a/b", "/etc/pw-a/b")
    for path in paths:
        (tmp_path / credential_of(path)).write_text(f"{VALUE} of {path}\n")
    there = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert [read("file", path, there) for path in paths] == [f"{VALUE} of {path}" for path in paths]
    assert [problem_with("file", path, there) for path in paths] == [None, None, None]


def test_what_was_read_is_known_in_texts(tmp_path: Path) -> None:
    assert resolved({"dsn": secret("file", kept(tmp_path, "planted-only-here"))}) == {"dsn": "planted-only-here"}
    assert cleaned("FATAL: planted-only-here is wrong") == "FATAL: *** is wrong"


def test_what_nobody_catches_is_told_without_it() -> None:
    script = (
        "import threading; from jamaint.host import secrets\n"
        "secrets.keep_out_of_tracebacks(); secrets.learn(['planted'])\n"
        "def fail(): raise ValueError('planted in postgresql://u:other@h/x')\n"
        "one = threading.Thread(target=fail); one.start(); one.join(); fail()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("ValueError: *** in postgresql://u:***@h/x") == 2
    assert "planted" not in done.stderr
    assert "other" not in done.stderr


def test_a_process_that_knows_a_secret_leaves_no_core() -> None:
    script = (
        "import resource; from jamaint.host import secrets; secrets.learn(['planted']); print(resource.getrlimit(4)[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
