"""Several files as one configuration."""

from pathlib import Path

NAP = "tasks: { nap: { executor: noop } }\n"


def test_objects_come_from_all_files_in_the_order_of_names(loading, tmp_path):
    config = loading(
        "scheduler: { max_concurrent_tasks: 2 }\n" + NAP,
        {
            "20-b.yaml": "tasks: { b: { executor: noop, schedule: { window: w } } }\n",
            "10-a.yaml": "log: { level: debug }\n"
            "windows: { w: { schedule: { cron: '@daily' }, duration: 5, timezone: UTC } }\n",
            ".hidden.yaml": "nonsense",
            "notes.txt": "nonsense",
            "old.yml": "nonsense",
        },
    )
    assert [Path(file).name for file in config.files] == ["jamaintd.yaml", "10-a.yaml", "20-b.yaml"]
    assert config.path == str(tmp_path / "jamaintd.yaml")
    assert (sorted(config.tasks), sorted(config.windows)) == (["b", "nap"], ["w"])
    assert (config.scheduler.max_concurrent_tasks, config.log.level) == (2, "debug")
    assert config.warnings == (
        f"{tmp_path}/conf.d/old.yml: is not read, because only names that end in .yaml are: rename it",
    )


def test_a_name_in_two_files(mistakes, tmp_path):
    assert mistakes(NAP, {"more.yaml": "# more\ntasks:\n  nap:\n    executor: noop\n"}) == [
        "conf.d/more.yaml:3:3: tasks.nap: tasks.nap stands in jamaintd.yaml, line 1, too: remove one of the two"
    ]


def test_a_section_in_two_files(mistakes):
    given = {"a.yaml": "log: { level: info }\n", "b.yaml": "log: { format: text }\nstate_dir: /srv/j\n"}
    assert mistakes("state_dir: /srv/k\n", given) == [
        "conf.d/b.yaml:1:1: log: log stands in conf.d/a.yaml, line 1, too: remove one of the two",
        "conf.d/b.yaml:2:1: state_dir: state_dir stands in jamaintd.yaml, line 1, too: remove one of the two",
    ]


def test_mistakes_of_all_files_are_told_in_their_order(mistakes):
    assert mistakes("scheduler: 4\n", {"b.yaml": "logs: {}\n", "a.yaml": "a: [\n"}) == [
        "jamaintd.yaml:1:12: scheduler: must be a mapping with the keys enabled, max_concurrent_tasks, misfire_grace, "
        "catch_ups_per_minute, "
        "not 4",
        "conf.d/a.yaml:2:1: not YAML: did not find expected node content",
        "conf.d/b.yaml:1:1: logs: unknown section: did you mean log?",
    ]


def test_what_a_broken_file_may_define_is_not_missed(mistakes):
    text = """\
tasks:
  a: { executor: noop, schedule: { window: night }, dependencies: [{ task: b }] }
  c: { type: custom, config: { command: reindex } }
"""
    (line,) = mistakes(text, {"a.yaml": "windows: { night: [ }\n"})
    assert line.startswith("conf.d/a.yaml:1:21: not YAML: ")


def test_a_name_that_a_misspelled_section_may_define_is_not_missed(mistakes):
    text = "widnows: { night: {} }\ntasks: { a: { executor: noop, schedule: { window: night } } }\n"
    assert mistakes(text) == ["jamaintd.yaml:1:1: widnows: unknown section: did you mean windows?"]


def test_a_window_with_mistakes_is_there_all_the_same(mistakes):
    text = "windows: { night: { duration: 5 } }\ntasks: { a: { executor: noop, schedule: { window: night } } }\n"
    (line,) = mistakes(text)
    assert "windows.night.schedule: is missing" in line


def test_conf_d_that_is_no_directory(mistakes, tmp_path):
    (tmp_path / "conf.d").write_text("")
    assert mistakes(NAP) == ["conf.d: cannot be read: not a directory"]
