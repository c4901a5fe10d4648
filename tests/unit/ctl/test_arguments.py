"""The command line: every form in which a verb, a flag and a value may be written, and every mistake with its hint."""

import pytest

from jamaint.ctl.cli.arguments import Arguments, UsageError, parse
from jamaint.ctl.cli.failures import lines
from jamaint.ctl.verbs.table import VERBS

NOW = 1795485613.0


def read(*words: str) -> Arguments:
    return parse(words, VERBS, NOW)


def test_a_verb_of_two_words_with_its_positional() -> None:
    found = read("task", "show", "app-logs")
    assert found.verb is not None
    assert found.verb.name == "task show"
    assert found.values == {"task": "app-logs"}


def test_global_flags_may_stand_anywhere() -> None:
    assert read("--json", "task", "--socket", "/s", "show", "--timeout=2.5", "a").values == {
        "json": True,
        "socket": "/s",
        "timeout": 2.5,
        "task": "a",
    }


@pytest.mark.parametrize("words", [("--since", "-7d"), ("--since=-7d",)])
def test_a_value_may_begin_with_a_dash(words: tuple[str, ...]) -> None:
    assert read("audit", *words).values["since"].endswith("Z")


@pytest.mark.parametrize("words", [("-n", "5"), ("-n5",), ("--limit", "5"), ("--limit=5",)])
def test_short_and_long_flags(words: tuple[str, ...]) -> None:
    assert read("next", *words).values == {"limit": 5}


def test_a_dash_is_standard_input_and_two_end_the_flags() -> None:
    assert read("task", "create", "-f", "-").values == {"file": "-"}
    assert read("execute", "--", "--json").values == {"task": "--json"}


def test_settings_gather() -> None:
    assert read("execute", "a", "--set", "k=1", "--set=text=a=b").values["set"] == [("k", "1"), ("text", "a=b")]


def test_an_optional_positional_may_be_left_out() -> None:
    assert read("next").values == {}
    assert read("next", "nightly").values == {"window": "nightly"}


@pytest.mark.parametrize(
    "words", [("--help",), ("help",), ("execute", "-h"), ("task", "--help"), ("task", "list", "-h")]
)
def test_help_is_found_wherever_it_stands(words: tuple[str, ...]) -> None:
    assert read(*words).help


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "no command given (see `jamaintctl --help`)"),
        (("exeute", "a"), "no such command: exeute; did you mean execute? (see `jamaintctl --help`)"),
        (("task", "lst"), "no such command: task lst; did you mean list? (see `jamaintctl task --help`)"),
        (("zzz",), "no such command: zzz (see `jamaintctl --help`)"),
        (("task",), "task needs one of: list, show, create, update, delete, enable, disable, pause"),
        (("execute",), "execute needs a TASK (see `jamaintctl execute --help`)"),
        (("rollback",), "rollback needs an EXECUTION (see `jamaintctl rollback --help`)"),
        (("execute", "a", "b"), "execute: 'b' is an unexpected argument"),
        (("execute", "a", "--dryrun"), "no such flag: --dryrun; did you mean --dry-run?"),
        (("execute", "a", "-x"), "no such flag: -x"),
        (("execute", "a", "--window"), "--window needs a value: --window WINDOW"),
        (("execute", "a", "--detach=yes"), "--detach takes no value"),
        (("execute", "a", "--set", "k"), "--set k: must be KEY=VALUE"),
        (("next", "-n", "0"), "--limit 0: must be a whole number of at least 1"),
        (("next", "-n", "many"), "--limit many: must be a whole number of at least 1"),
        (("--timeout", "nan", "status"), "--timeout nan: must be a number of seconds above 0"),
        (("--timeout", "-1", "status"), "--timeout -1: must be a number of seconds above 0"),
        (("task", "create"), "task create needs -f FILE (see `jamaintctl task create --help`)"),
        (("task", "pause", "a"), "task pause needs --until TIME"),
        (("audit", "--since", "7d"), "--since 7d: is not a valid time; did you mean -7d or +7d?"),
    ],
)
def test_mistakes_say_what_would_be_right(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(*words)
    (line,) = lines(caught.value)
    assert line.startswith(says)


def test_every_verb_of_the_table_can_be_run() -> None:
    for verb in VERBS:
        module, function = verb.run.split(":")
        assert callable(getattr(__import__(f"jamaint.ctl.verbs.{module}", fromlist=[function]), function)), verb.name
        needed = [place for place in verb.positionals if not place.startswith("[")]
        flags = [f"{flag.name}=now" for flag in verb.flags if flag.needed]
        assert read(*verb.name.split(" "), *needed, *flags).verb is verb
