"""The command line: words -> verb and values, by the table of verbs alone.

argparse would cost as much as the rest of `jamaintctl status` together, and it takes the `-7d` of `--since -7d` for a
flag. Here a flag that has a value takes the next word, whatever it looks like.
"""

from __future__ import annotations

from jamaint.ctl.output.times import given
from jamaint.errors import INVALID_PARAMS, JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


ANY_NUMBER = "]…"
"""How a positional ends that is any number of words, none included: `[KIND]…`. It is the last, and a list."""


class Flag:
    """One flag: `value` is its value's name in the help, empty for a switch; a `needed` one cannot be left out.

    `kind` says how the value is read: text, count (a whole number of at least 1), seconds, time (RFC 3339 in UTC
    afterwards) or setting (KEY=VALUE). One that may be given `many` times has a list of values.
    """

    __slots__ = ("help", "kind", "many", "name", "needed", "short", "value")

    def __init__(
        self,
        name: str,
        help: str,
        value: str = "",
        *,
        kind: str = "text",
        short: str = "",
        many: bool = False,
        needed: bool = False,
    ) -> None:
        self.name = name
        self.help = help
        self.value = value
        self.kind = kind
        self.short = short
        self.many = many
        self.needed = needed

    @property
    def key(self) -> str:
        """The name under which its value is found: `dry_run` for `--dry-run`."""
        return self.name.lstrip("-").replace("-", "_")


class Verb:
    """One command: its words, its positionals (`[NAME]` may be left out; ANY_NUMBER), and `run`, "module:function".

    `configures` marks the verbs that hand the daemon an object or a configuration: bad parameters are the object's
    mistakes there, and not mistakes of the command line.
    """

    __slots__ = ("configures", "flags", "help", "name", "positionals", "run", "says")

    def __init__(
        self,
        name: str,
        positionals: tuple[str, ...],
        flags: tuple[Flag, ...],
        run: str,
        help: str,
        *,
        says: str = "",
        configures: bool = False,
    ) -> None:
        self.name = name
        self.positionals = positionals
        self.flags = flags
        self.run = run
        self.help = help
        self.says = says
        self.configures = configures


class UsageError(JamaintError):
    """A command line that cannot be taken; `about` is the command whose help would say what can."""

    def __init__(self, message: str, about: str = "", choice: tuple[str, Sequence[str]] | None = None) -> None:
        super().__init__(INVALID_PARAMS, message)
        self.about = about
        self.choice = choice
        """What was written, and all that could have been meant."""


class Arguments:
    """What the command line says: the verb (None with `help` or `version`), and a value for each flag and positional.

    `words` are the words of the verb as far as they were given.
    """

    __slots__ = ("help", "values", "verb", "version", "words")

    def __init__(self) -> None:
        self.verb: Verb | None = None
        self.words: list[str] = []
        self.values: dict[str, Any] = {}
        self.help = False
        self.version = False


GLOBAL_FLAGS = (
    Flag("--socket", "the daemon's socket (also JAMAINT_SOCKET)", "PATH"),
    Flag("--json", "one JSON document on standard output, errors as JSON on standard error"),
    Flag("--no-color", "no colours (also NO_COLOR)"),
    Flag(
        "--timeout", "reply timeout in seconds (default 30); none for dry runs and rollbacks", "SECONDS", kind="seconds"
    ),
)


class _Reader:
    """Goes through the words once, left to right."""

    def __init__(self, words: Sequence[str], verbs: Sequence[Verb], now: float) -> None:
        self._rest = list(reversed(words))
        self._verbs = verbs
        self._now = now
        self._plain: list[str] = []
        self.found = Arguments()

    def read(self) -> Arguments:
        only_words = False
        while self._rest:
            word = self._rest.pop()
            if only_words or word == "-" or not word.startswith("-"):
                self._word(word)
            elif word == "--":
                only_words = True
            else:
                self._flag(word)
        if self.found.help or self.found.version:
            return self.found
        self._finish()
        return self.found

    def _word(self, word: str) -> None:
        if self.found.verb is not None:
            longer = f"{self.found.verb.name} {word}"  # `plan show` is a verb although `plan` is one
            below = None if self._plain else next((verb for verb in self._verbs if verb.name == longer), None)
            if below is None:
                self._plain.append(word)
            else:
                self.found.verb = below
                self.found.words = [*self.found.words, word]
            return
        if word == "help" and not self.found.words:
            self.found.help = True
            return
        words = [*self.found.words, word]
        name = " ".join(words)
        self.found.verb = next((verb for verb in self._verbs if verb.name == name), None)
        if self.found.verb is None and not any(verb.name.startswith(name + " ") for verb in self._verbs):
            above = " ".join(self.found.words)
            raise UsageError(f"no such command: {name}", above, (word, _next_words(self._verbs, above)))
        self.found.words = words

    def _flag(self, word: str) -> None:
        name, equals, value = word.partition("=")
        if name in {"-h", "--help"}:
            self.found.help = True
            return
        if name == "--version":
            self.found.version = True
            return
        flag = self._known(name)
        if flag is None and not name.startswith("--"):
            flag = self._known(name[:2])
            if flag is not None and flag.value:
                equals, value = "=", word[2:]
        if flag is None:
            raise UsageError(f"no such flag: {name}", self._about(), (name, [flag.name for flag in self._flags()]))
        self._keep(flag, self._value(flag, equals, value))

    def _value(self, flag: Flag, equals: str, value: str) -> str:
        if not flag.value:
            if equals:
                raise UsageError(f"{flag.name} takes no value", self._about())
            return ""
        if equals:
            return value
        if not self._rest:
            raise UsageError(f"{flag.name} needs a value: {flag.name} {flag.value}", self._about())
        return self._rest.pop()

    def _keep(self, flag: Flag, text: str) -> None:
        value: Any = True
        if flag.value:
            try:
                value = _read_value(flag.kind, text, self._now)
            except ValueError as error:
                raise UsageError(f"{flag.name} {text}: {error}", self._about()) from None
        if flag.many:
            self.found.values.setdefault(flag.key, []).append(value)
        else:
            self.found.values[flag.key] = value

    def _finish(self) -> None:
        verb = self.found.verb
        if verb is None:
            given_words = " ".join(self.found.words)
            choices = ", ".join(_next_words(self._verbs, given_words))
            raise UsageError(
                f"{given_words} needs one of: {choices}" if given_words else "no command given", given_words
            )
        any_number = bool(verb.positionals) and verb.positionals[-1].endswith(ANY_NUMBER)
        if len(self._plain) > len(verb.positionals) and not any_number:
            raise UsageError(
                f"{verb.name}: {self._plain[len(verb.positionals)]!r} is an unexpected argument", verb.name
            )
        for position, place in enumerate(verb.positionals):
            if place.endswith(ANY_NUMBER):
                self.found.values[place[: -len(ANY_NUMBER)].strip("[]").lower()] = self._plain[position:]
            elif position < len(self._plain):
                self.found.values[place.strip("[]").lower()] = self._plain[position]
            elif not place.startswith("["):
                raise UsageError(f"{verb.name} needs {_article(place)} {place}", verb.name)
        for flag in verb.flags:
            if flag.needed and flag.key not in self.found.values:
                raise UsageError(f"{verb.name} needs {flag.short or flag.name} {flag.value}", verb.name)

    def _known(self, name: str) -> Flag | None:
        return next((flag for flag in self._flags() if name in (flag.name, flag.short)), None)

    def _flags(self) -> Sequence[Flag]:
        return GLOBAL_FLAGS if self.found.verb is None else (*self.found.verb.flags, *GLOBAL_FLAGS)

    def _about(self) -> str:
        return " ".join(self.found.words)


def parse(words: Sequence[str], verbs: Sequence[Verb], now: float) -> Arguments:
    """What `words` say; relative times count from `now` (seconds since 1970). Raises UsageError."""
    return _Reader(words, verbs, now).read()


def _next_words(verbs: Sequence[Verb], above: str) -> list[str]:
    prefix = above + " " if above else ""
    words = [verb.name[len(prefix) :].split(" ")[0] for verb in verbs if verb.name.startswith(prefix)]
    return list(dict.fromkeys(words))


def _read_value(kind: str, text: str, now: float) -> Any:
    if kind == "count":
        if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 10**9):
            raise ValueError("must be a whole number of at least 1")
        return int(text)
    if kind == "seconds":
        return _seconds(text)
    if kind == "time":
        return given(text, now)
    if kind == "setting":
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ValueError("must be KEY=VALUE")
        return key, value
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 10**9:
        raise ValueError("must be a number of seconds above 0")
    return seconds


def _article(noun: str) -> str:
    return "an" if noun[0] in "AEIOU" else "a"
