"""The grammar of logrotate's files: stanzas with their directives and scripts. It is that of logrotate.conf(5), 3.21.

A file is read line by line: global directives, then stanzas (paths, `{`, directives, `}`), with scripts between a word
such as `postrotate` and `endscript`. A stanza starts from the global directives that stand above it.
"""

from __future__ import annotations

import os
import shlex

from jamaint.ctl.imports.result import Imported, Line, is_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
FLAGS = {
    "compress": True, "nocompress": False, "delaycompress": True, "nodelaycompress": False, "dateext": True,
    "nodateext": False, "ifempty": True, "notifempty": False, "sharedscripts": True, "nosharedscripts": False,
    "copytruncate": True, "nocopytruncate": False, "copy": True, "nocopy": False, "nocreate": False,
}  # fmt: skip
VALUES = ("rotate", "size", "maxsize", "minsize", "minage", "maxage", "dateformat", "extension", "compresscmd",
          "compressoptions", "olddir", "su", "create", "start", "mail", "compressext", "uncompresscmd", "addextension",
          "tabooext", "taboopat", "shredcycles", "createolddir")  # fmt: skip
WITHOUT_VALUES = ("renamecopy", "shred", "dateyesterday", "datehourago", "allowhardlink")
NEEDLESS = ("missingok", "nomissingok", "nomail", "noshred", "ignoreduplicates", "noolddir",
            "nocreateolddir", "mailfirst", "maillast", "tabooext", "taboopat", "compressext", "uncompresscmd",
            "norenamecopy", "shredcycles", "noallowhardlink")  # fmt: skip
SIZES = {"": "", "k": "KiB", "K": "KiB", "M": "MiB", "G": "GiB"}
COUNTS, LIMITS = ("rotate", "minage", "maxage", "start", "shredcycles"), ("size", "minsize", "maxsize")
Directives = dict[str, list[str]]


class Stanza:
    """Paths with the directives that hold for them, and their scripts by name; `line` is where they begin."""

    __slots__ = ("directives", "line", "paths", "scripts")

    def __init__(self, line: Line, paths: list[str], directives: Directives, scripts: dict[str, str]) -> None:
        self.line = line
        self.paths = paths
        self.directives = directives
        self.scripts = scripts


class Reader:
    """Reads files one after the other: global directives hold for what stands below, also in included files."""

    def __init__(self, found: Imported, open_text: Callable[[str], str], listed: Callable[[str], list[str]]) -> None:
        self._found = found
        self._open_text = open_text
        self._listed = listed
        self._globals: Directives = {}
        self._seen: set[str] = set()
        self.stanzas: list[Stanza] = []

    def file(self, name: str, asked: Line) -> None:
        """Read one file, or all of a directory."""
        try:
            inside = self._listed(name)
        except NotADirectoryError:
            inside = []
        except OSError as error:
            self._found.mistake(asked, 1, f"{name} cannot be read: {error.strerror}")
            return
        for one in inside:
            self.file(one, asked)
        if inside or name in self._seen:
            return
        self._seen.add(name)
        try:
            text = self._open_text(name)
        except IsADirectoryError:
            return
        except OSError as error:
            self._found.mistake(asked, 1, f"{name} cannot be read: {error.strerror}")
            return
        self._lines([Line(name, number, one) for number, one in enumerate(text.splitlines(), 1)])

    def _lines(self, lines: list[Line]) -> None:
        paths: list[str] = []
        first: Line | None = None
        at = 0
        while at < len(lines):
            line = lines[at]
            at += 1
            words = self._words(line)
            if not words:
                continue
            if not paths and not _is_path(words[0]) and words[0] != "{":
                self._take(line, words, self._globals)
                continue
            first = first or line
            before, opens, rest = _split_at_brace(words)
            paths += self._paths(line, before)
            if opens:
                at = self._stanza(lines, at, first, paths, rest)
                paths, first = [], None
        if first is not None:
            self._found.mistake(first, 1, "these paths are followed by no {")

    def _paths(self, line: Line, words: Iterable[str]) -> Iterator[str]:
        """The paths of a stanza's head, without those that logrotate would not read either."""
        for word in words:
            if "{" in word or "}" in word:
                self._found.mistake(
                    line, _column(line, word), f"{word} has braces, which are no wildcard: name each log"
                )
            else:
                yield word

    def _stanza(self, lines: list[Line], at: int, first: Line, paths: list[str], rest: list[str]) -> int:
        """Read the stanza that begins before `lines[at]` and return where the next line stands.

        `rest` stands behind its `{`, on the same line.
        """
        stanza = Stanza(first, paths, {key: list(value) for key, value in self._globals.items()}, {})
        line, words = lines[at - 1], rest
        while True:
            closes = bool(words) and words[-1] == "}"
            words = words[:-1] if closes else words
            if words and words[0] in SCRIPTS:
                at = self._script(lines, at, line, words[0], stanza)
            elif words:
                self._take(line, words, stanza.directives)
            if closes:
                if stanza.paths:
                    self.stanzas.append(stanza)
                return at
            if at == len(lines):
                break
            line = lines[at]
            at += 1
            words = self._words(line)
        self._found.mistake(first, 1, "the { of these paths is not closed: the stanza is left out")
        return at

    def _script(self, lines: list[Line], at: int, began: Line, word: str, stanza: Stanza) -> int:
        body: list[str] = []
        while at < len(lines):
            text = lines[at].text
            at += 1
            if text.split()[:1] == ["endscript"]:
                stanza.scripts[word] = "\n".join(body).strip("\n")
                return at
            body.append(text)
        self._found.mistake(began, 1, f"{word} has no endscript: the script is left out")
        return at

    def _take(self, line: Line, words: list[str], into: Directives) -> None:
        head, equals, glued = words[0].partition("=")
        word, values = head, [one for one in ([glued] if equals else []) + words[1:] if one not in ("", "=")]
        column = _column(line, words[0])
        if word == "include" and into is self._globals:
            for name in values:
                self.file(os.path.join(os.path.dirname(line.file), name), line)
        elif word in PERIODS:
            into["period"] = [word, *values[:1]]
        elif word in FLAGS:
            into["ifempty" if word == "notifempty" else word.removeprefix("no")] = [word]
        elif word in VALUES or word in WITHOUT_VALUES:
            if word in VALUES and word not in ("create", "su", "createolddir") and not values:
                self._found.mistake(line, column, f"{word} is followed by nothing: it is left out")
                return
            wanted = _wanted(word, values)
            if wanted:
                why = f"{word} is followed by {wanted}, not {values[0]}: it is left out"
                self._found.mistake(line, _column(line, values[0], len(head)), why)
                return
            into[word] = values
        elif word in NEEDLESS:
            into.pop(word.removeprefix("no"), None)
        else:
            self._found.mistake(line, column, f"{word} is no directive of logrotate: it is left out")

    def _words(self, line: Line) -> list[str]:
        text = line.text.strip()
        if not text or text.startswith("#"):
            return []
        try:
            return shlex.split(text, comments=True)
        except ValueError as error:
            self._found.mistake(line, _column(line, text), f"{error}".lower())
            return []


def _column(line: Line, word: str, behind: int = 0) -> int:
    """Where a word stands, from 1; the line's first sign where it is written otherwise there (quotes)."""
    start = len(line.text) - len(line.text.lstrip())
    return max(line.text.find(word, start + behind), start) + 1


def _split_at_brace(words: list[str]) -> tuple[list[str], bool, list[str]]:
    """The words before a stanza's `{`, true if there is one, and those behind it."""
    for at, word in enumerate(words):
        if word == "{":
            return words[:at], True, words[at + 1 :]
        if word.endswith("{"):
            return [*words[:at], word.rstrip("{")], True, words[at + 1 :]
    return words, False, []


def _wanted(word: str, values: list[str]) -> str | None:
    """What a directive's figure is to be, where it is not so."""
    if word in COUNTS and values and not is_number(values[0]) and (word, values[0]) != ("rotate", "-1"):
        return "a whole number"
    if word in LIMITS and values and size_of(values) is None:
        return "bytes, such as 100k, 10M or 1G"
    return None


def _is_path(word: str) -> bool:
    return word.startswith(("/", "~"))


def size_of(values: list[str] | None) -> str | None:
    """A size as the configuration writes it; None where there is none, and where it cannot be understood."""
    if not values:
        return None
    text = values[0]
    digits = text.rstrip("kKMG")
    if not is_number(digits) or text[len(digits) :] not in SIZES:
        return None
    unit = SIZES[text[len(digits) :]]
    return f"{digits}{unit}" if unit else f"{digits}B"
