"""The places of the state and the socket: file, environment, systemd, and the usual ones."""

import pytest

from jamaint.config import ConfigError, load

HOME = {"HOME": "/home/ana"}


def places(tmp_path, euid, environ, text="# nothing\n"):
    config = load(None, environ={"CONFIGURATION_DIRECTORY": str(tmp_path), **environ}, euid=euid)
    return config.state_dir, config.socket.path


@pytest.mark.parametrize(
    ("euid", "environ", "state_dir", "socket"),
    [
        (0, {}, "/var/lib/jamaint", "/run/jamaint/jamaintd.sock"),
        (0, {"STATE_DIRECTORY": "/s:/t", "RUNTIME_DIRECTORY": "/r:/q"}, "/s", "/r/jamaintd.sock"),
        (0, {"JAMAINT_STATE_DIR": "/j/", "STATE_DIRECTORY": "/s"}, "/j", "/run/jamaint/jamaintd.sock"),
        (0, {"JAMAINT_SOCKET": "/j/s", "RUNTIME_DIRECTORY": "/r"}, "/var/lib/jamaint", "/j/s"),
        (1000, HOME, "/home/ana/.local/state/jamaint", "/home/ana/.local/state/jamaint/jamaintd.sock"),
        (
            1000,
            {**HOME, "XDG_RUNTIME_DIR": "/run/user/1000", "XDG_STATE_HOME": "/x"},
            "/x/jamaint",
            "/run/user/1000/jamaint/jamaintd.sock",
        ),
        (
            1000,
            {**HOME, "XDG_RUNTIME_DIR": "here"},
            "/home/ana/.local/state/jamaint",
            "/home/ana/.local/state/jamaint/jamaintd.sock",
        ),
        (1000, {"JAMAINT_STATE_DIR": "/j", "JAMAINT_SOCKET": ""}, "/j", "/j/jamaintd.sock"),
    ],
)
def test_without_a_file(tmp_path, euid, environ, state_dir, socket):
    assert places(tmp_path, euid, environ) == (state_dir, socket)


def test_the_file_goes_before_systemd_and_the_environment_before_the_file(loading):
    text = "state_dir: /srv/file\nsocket: { path: /srv/file.sock }\n"
    by_systemd = {"STATE_DIRECTORY": "/s", "RUNTIME_DIRECTORY": "/r"}
    config = loading(text, **by_systemd)
    assert (config.state_dir, config.socket.path) == ("/srv/file", "/srv/file.sock")
    config = loading(text, **by_systemd, JAMAINT_STATE_DIR="/srv/asked", JAMAINT_SOCKET="/srv/asked.sock")
    assert (config.state_dir, config.socket.path) == ("/srv/asked", "/srv/asked.sock")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"JAMAINT_STATE_DIR": "here"}, "JAMAINT_STATE_DIR: must be an absolute path, from /, not here"),
        ({"JAMAINT_STATE_DIR": "/"}, "JAMAINT_STATE_DIR: must be a directory of its own, not /"),
        (
            {"JAMAINT_SOCKET": "~/s"},
            "JAMAINT_SOCKET: ~/s begins with ~, which is not resolved here: write the whole path, from /",
        ),
        (
            {"JAMAINT_STATE_DIR": f"/{'x' * 100}"},
            f"socket.path: is 115 bytes long, and the path of a socket may have 107: /{'x' * 100}/jamaintd.sock: name "
            "a shorter one, or set JAMAINT_SOCKET",
        ),
    ],
)
def test_mistakes_of_the_environment(mistakes, environ, expected):
    assert mistakes("# nothing\n", **environ) == [expected]


def test_a_user_without_a_home(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(None, environ={"CONFIGURATION_DIRECTORY": str(tmp_path)}, euid=1000)
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        "HOME: the daemon needs a place for its state: set JAMAINT_STATE_DIR or HOME, or `state_dir:` in the "
        "configuration"
    ]


def test_who_may_do_what_without_a_word(loading):
    roles = loading("# nothing\n").roles
    assert (roles.viewer, roles.operator, roles.admin) == ((), (), (("root", "root"),))
