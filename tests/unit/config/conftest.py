"""What the tests of the configuration share: real files, read as an ordinary user unless a test says otherwise."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config_fixtures import Loading, Mistakes
from jamaint.config import Config, ConfigError, load

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def loading(tmp_path: Path) -> Loading:
    """Loads a text as jamaintd.yaml; `extra` are files of conf.d, by name."""

    def load_text(text: str, extra: dict[str, str] | None = None, **environ: str) -> Config:
        main = tmp_path / "jamaintd.yaml"
        main.write_text(text, encoding="utf-8")
        for name, content in (extra or {}).items():
            (tmp_path / "conf.d").mkdir(exist_ok=True)
            (tmp_path / "conf.d" / name).write_text(content, encoding="utf-8")
        return load(str(main), environ={"HOME": "/home/somebody", **environ}, euid=1000, loaded_at=NOON)

    return load_text


@pytest.fixture
def mistakes(loading: Loading, tmp_path: Path) -> Mistakes:
    """The mistakes of a text, each as a line, without the directory."""

    def mistakes_of(text: str, extra: dict[str, str] | None = None, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loading(text, extra, **environ)
        return [str(mistake).replace(f"{tmp_path}/", "") for mistake in caught.value.mistakes]

    return mistakes_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a `case` gets each one of the file that its module names."""
    if "case" in metafunc.fixturenames:
        cases = _cases(metafunc.module.CASES)
        metafunc.parametrize("case", cases, ids=[lines[0] for _, lines in cases])


def _cases(file: str) -> list[tuple[str, list[str]]]:
    """Each a text, and the lines after => that belong to it."""
    found = []
    for block in re.split(r"\n\n+", (Path(__file__).parent / file).read_text(encoding="utf-8")):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        text = "".join(f"{line}\n" for line in lines if not line.startswith("=> "))
        if text:
            found.append((text, [line.removeprefix("=> ") for line in lines if line.startswith("=> ")]))
    return found
