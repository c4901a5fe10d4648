"""The configuration that is shipped: every key is in it, and every line of it is true."""

import re
from pathlib import Path

import pytest

from jamaint.config.executor_models import CONFIG_OF
from jamaint.config.freezes import FreezeGiven
from jamaint.config.policies import ActionGiven, PolicyGiven
from jamaint.config.sections import SECTIONS, Top
from jamaint.config.task_window_models import TaskGiven, WindowGiven
from jamaint.schema.fields import Section
from jamaint.schema.validation import section_in
from jamaint.schema.yaml_document import read_document

ROOT = Path(__file__).parents[3]
PAGES = ("configuration.md", "conditions.md", "secrets.md")
SHIPPED = (ROOT / "etc/jamaint/jamaintd.yaml").read_text()
# A # before a word or an indented line is an example; before a space and a word, it explains.
UNCOMMENTED = re.sub(r"^#(?! \S)", "", SHIPPED, flags=re.MULTILINE)


def keys_of(model: type[Section]) -> set[str]:
    inner = [section_in(field.annotation) for field in model.model_fields.values()]
    return {*model.keywords()}.union(*(keys_of(section) for section in inner if section))


def all_keys() -> set[str]:
    models = [*SECTIONS.values(), WindowGiven, TaskGiven, FreezeGiven, PolicyGiven, ActionGiven, *CONFIG_OF.values()]
    return set(Top.model_fields).union(*(keys_of(model) for model in models)) - {"name", "cleanup"}


def keys_in(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_in(item) for item in value.values()))
    return set().union(*(keys_in(item) for item in value)) if isinstance(value, list) else set()


def test_as_it_stands_it_says_nothing(loading):
    config = loading(SHIPPED)
    assert (config.tasks, config.windows, config.warnings) == ({}, {}, ())


def test_with_every_example_uncommented_it_has_no_mistake(loading):
    config = loading(UNCOMMENTED)
    assert {"after-the-logs", "app-logs", "patch-day", "rehearsal", "reindex-search", "rotate-logs"} <= set(
        config.tasks
    )
    assert sorted(config.windows) == ["new-year", "nightly"]
    assert config.state_dir == "/var/lib/jamaint"
    here = ("there is no user", "there is no group")
    doubts = [warning for warning in config.warnings if not any(words in warning for words in here)]
    assert [doubt.split(": ")[1] for doubt in doubts] == ["notifications", "database.binaries"]


def test_every_key_stands_in_it():
    # The file that an `ics` names would have to be there: it stands among the explanations.
    assert all_keys() - keys_in(read_document("f", UNCOMMENTED.encode()).value) == {"ics"}
    assert "ics: /etc/jamaint/holidays.ics" in SHIPPED


@pytest.mark.parametrize("key", sorted(all_keys() | {"cleanup"}))
def test_every_key_is_told_of_in_the_reference(key):
    told = "".join((ROOT / "docs/reference" / page).read_text() for page in PAGES)
    assert re.search(rf"\b{key}\b", told)
