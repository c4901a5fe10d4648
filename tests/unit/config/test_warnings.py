"""Warnings: what can be taken, and is probably not meant."""

import os

import pytest

CASES = "warnings.txt"


def test_each_warning(loading, tmp_path, case):
    text, lines = case
    assert [warning.removeprefix(f"{tmp_path}/jamaintd.yaml:") for warning in loading(text).warnings] == lines


def test_a_last_line_that_does_not_end(loading, tmp_path):
    assert loading("log: { level: info }").warnings == (
        f"{tmp_path}/jamaintd.yaml: its last line does not end, as if the file were half written",
    )


@pytest.mark.parametrize(
    "schedule",
    [
        "{ cron: '0 2 1 * *', timezone: UTC }",
        "{ cron: '*/5 * * * *' }",
        "{ cron: '@hourly' }",
        "{ cron: '0 2 */2 * 1', timezone: UTC }",
    ],
)
def test_nothing_to_doubt(loading, schedule):
    assert loading(f"tasks: {{ nap: {{ executor: noop, schedule: {schedule} }} }}\n").warnings == ()


def test_a_password_that_everybody_may_read(loading, tmp_path):
    text = "database: { dsn: 'postgresql://u:s3cret@h/x' }\n"
    loading(text)
    main = tmp_path / "jamaintd.yaml"
    os.chmod(main, 0o644)
    (warning,) = loading(text).warnings
    assert warning == f"{main}:1:13: database.dsn: holds a password, and everybody may read it: chmod 0640 {main}"
    os.chmod(main, 0o640)
    assert loading(text).warnings == ()
    os.chmod(main, 0o644)
    assert loading("database: { dsn: 'postgresql:///jamaint' }\n").warnings == ()
