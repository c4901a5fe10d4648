"""Files that no program ever wrote, read by `import`: mistakes are told, and what is printed means what was read."""

import json
import random
from collections.abc import Iterator
from types import ModuleType

import pytest
import yaml

from jamaint.ctl.imports import cron, logrotate, tmpfiles
from jamaint.ctl.imports.result import Imported, yaml_lines

NUMBERS = "rotate ²\nsize ²k\nweekly ²\nmonthly ²\nminage ²\ncompress\ncompressoptions -²\n"
SEEDS = {
    logrotate: (
        "/var/log/a.log {\n weekly 3\n rotate 4\n size 10k\n create 640 root adm\n su root adm\n postrotate\n"
        " kill $1\n endscript\n}\n",
        f"/x {{\n{NUMBERS}}}\n",
        '/x {\nsu ""\nrotate ""\nsize ""\nextension ""\ndateext\ndateformat ""\ncreate "" ""\n}\n',
        "/x {\nsu\nrotate\nolddir\ncompresscmd\ncompress\ncreate\n}\n",
        '"" {\n}\ninclude ""\n',
    ),
    tmpfiles: (
        "d /var/x 0755 root root 10d -\n",
        '"" /x - - - 1d\n',
        "d /x - - - ²d\n",
        'd "" - "" - 1d\n',
        "d /%% - : - ~mA:1h\n",
    ),
    cron: ("* * * * * root /bin/x\n", "=x\n", '_=\n"=1\n', "@daily root \n", "@daily root %\n", '* * * * * root ""\n'),
}
SIGNS = "{}\"'\\ \t\n\0²٣%*~:-=@#\udc80\x85\u2028a1"
MUTATIONS = 1500


def broken(seeds: tuple[str, ...], chance: random.Random) -> Iterator[str]:
    yield from seeds
    for _ in range(MUTATIONS):
        text = list(chance.choice(seeds) + chance.choice(seeds))
        for _ in range(chance.randrange(6)):
            at = chance.randrange(len(text))
            text[at : at + chance.randrange(2)] = chance.choice([*SIGNS, ""])
        yield "".join(text)


def read(module: ModuleType, text: str) -> Imported:
    def content(name: str) -> str:
        if name != "one":
            raise FileNotFoundError(2, "no such file", name)
        return text

    def listed(name: str) -> list[str]:
        raise NotADirectoryError(name)

    found: Imported = module.read(["one"], content, listed)
    return found


@pytest.mark.parametrize("module", SEEDS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_import_of_broken_files_raises_nothing_and_prints_what_was_read(module: ModuleType) -> None:
    for text in broken(SEEDS[module], random.Random(5)):
        found = read(module, text)
        printed = yaml.safe_load("\n".join(yaml_lines(found))) or {}
        kept = {task.name: json.loads(json.dumps(task.keys)) for task in found.tasks}
        assert printed.get("tasks", {}) == kept, text


def test_import_tells_the_value_that_is_no_number() -> None:
    found = read(logrotate, "/x {\nrotate\nsize ²k\n}\n")
    assert found.mistakes == [
        "one:2:1: rotate is followed by nothing: it is left out",
        "one:3:6: size is followed by bytes, such as 100k, 10M or 1G, not ²k: it is left out",
    ]
    assert found.tasks[0].remarks == []
