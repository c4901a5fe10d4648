"""Two tasks over one log: which pairs are warned of."""

import pytest

TEXT = """
tasks:
  all: {{ executor: {executor}, config: {{ log_paths: ["/srv/k7/*.log"], {keeps}{all} }} }}
  one: {{ executor: {executor}, enabled: {on}, config: {{ log_paths: ["{path}"], {keeps} }} }}
"""
KEEPS = {"logs.rotate": "keep: 4, copy_truncate: true", "logs.cleanup": "retention_days: 9"}


@pytest.mark.parametrize(
    ("executor", "path", "on", "spares", "warned"),
    [
        ("logs.rotate", "/srv/k7/a*", "true", "", True),
        ("logs.rotate", "/srv/k7/a.log", "false", "", False),
        ("logs.rotate", "/srv/k7/a.log", "true", ", exclude: [a.log]", False),
        ("logs.rotate", "/srv/k8/a.log", "true", "", False),
        ("logs.cleanup", "/srv/k7/*.log", "true", "", True),
        ("logs.cleanup", "/srv/k7/a.log", "true", "", False),
    ],
)
def test_tasks_over_one_log(loading, executor, path, on, spares, warned):
    text = TEXT.format(executor=executor, path=path, on=on, all=spares, keeps=KEEPS[executor])
    assert [("all " in one, "tasks.one.config.log_paths[0]" in one) for one in loading(text).warnings] == [
        (True, True)
    ] * warned
