"""Lines of tmpfiles.d(5) as systemd-tmpfiles reads them, for whoever cleans beside it: which paths it leaves alone.

While it cleans below one path, it leaves alone what an `x` or `X` line names and whatever has a line of its own, of
any type, with an age or without ("a separate entry exists"), with all that is below; lines with `!` are for the boot,
and count for nothing. So do we. A part of a line that cannot be understood stands for anything: more is spared then,
never less, and the line is told.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

TYPES = frozenset("fwdDevqQpLcbCxXrRzZtThHaA")
GLOBS = frozenset("wexXrRzZtThHaA")
"""The types whose paths may be globs."""

_MODIFIERS = frozenset("+!-=~^$?")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_ESCAPES |= {sign: sign for sign in "\\\"'"}
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})")
_BRACKETS = re.compile(r"\[[!^]?\]?[^]/]*\]")
_SPACE = " \t\r\n"
_ANYTHING = "\0"
"""What stands in a path for a part that is not known: no path has that sign."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: its type's letter, and its path as globs of ours from /; none where it has no path.

    There are two where escapes are read in two ways: as tmpfiles.d(5) says, and as systemd before 254 does, to which a
    backslash means the next sign itself. `why` tells what could not be understood, or is empty.
    """

    kind: str
    paths: tuple[str, ...]
    why: str = ""


def read_line(line: str, specifiers: Mapping[str, str]) -> Entry | None:
    """Return what a line says, or None for an empty one, a comment, or one that is for the boot."""
    text = line.strip(_SPACE)
    if not text or text.startswith("#"):
        return None
    entry = _read(text, specifiers, escapes=True)
    other = _read(text, specifiers, escapes=False) if "\\" in text else entry
    if entry is None or other is None:
        return entry
    return replace(entry, paths=tuple(dict.fromkeys(entry.paths + other.paths)))


def _read(text: str, specifiers: Mapping[str, str], escapes: bool) -> Entry | None:
    words = _words(text, escapes)
    action, why = next(words, ("", ""))
    kind = action[:1]
    if "!" in action[1:]:
        return None
    if kind not in TYPES or not set(action[1:]) <= _MODIFIERS:
        why = why or f"{action.replace(_ANYTHING, '')!r} is no type of line"
    word, trouble = next(words, ("", "it has no path"))
    filled, unknown = _filled(word, specifiers)
    why = why or trouble or unknown
    if not filled.startswith("/"):
        return Entry(kind, (), why or f"its path {filled!r} is not absolute")
    return Entry(kind, (_glob(filled, kind in GLOBS or kind not in TYPES),), why)


def concerns(path: str, root: str) -> bool:
    """Whether a glob can mean something below `root` and not only `root` itself or what is above it."""
    return path.count("/") > root.rstrip("/").count("/")


def _words(text: str, escapes: bool) -> Iterator[tuple[str, str]]:
    """(word, trouble) of each field: quotes and escapes are undone; a part that cannot be is _ANYTHING."""
    at = 0
    while at < len(text):
        word, quote, why = "", "", ""
        start = at
        while at < len(text) and (quote or text[at] not in _SPACE):
            sign = text[at]
            at += 1
            if sign == "\\":
                meant, length = _unescaped(text[at : at + 9]) if escapes else (text[at : at + 1], 1)
                if meant is None:
                    why, meant = f"\\{text[at : at + 1]} is no escape", _ANYTHING
                word, at = word + meant, at + length
            elif sign == quote:
                quote = ""
            elif not quote and sign in "\"'":
                quote = sign
            else:
                word += sign
        if quote:
            first = re.split(rf"[{_SPACE}]", text[start:].lstrip("\"'"), maxsplit=1)[0]
            word, why = f"{first.partition(chr(92))[0]}{_ANYTHING}", "a quote is not closed"
        yield word, why
        while at < len(text) and text[at] in _SPACE:
            at += 1


def _unescaped(text: str) -> tuple[str | None, int]:
    """(what an escape without its backslash means, how long it is); None for one that means nothing."""
    if text[:1] in _ESCAPES:
        return _ESCAPES[text[0]], 1
    found = _CODE.match(text)
    if found is None:
        return None, len(text[:1])
    byte, short, long, octal = found.groups()
    if short or long:
        code = int(short or long, 16)
        return (chr(code), found.end()) if 0 < code < 0xD800 or 0xDFFF < code <= 0x10FFFF else (None, found.end())
    code = int(byte, 16) if byte else int(octal, 8)
    # A byte that is no ASCII stands in our texts as the operating system's names have it.
    return (None if code == 0 else chr(code) if code < 0x80 else chr(0xDC00 + code)), found.end()


def _filled(word: str, specifiers: Mapping[str, str]) -> tuple[str, str]:
    """The word with its specifiers filled in, and why one could not be."""
    why = ""

    def fill(found: re.Match[str]) -> str:
        nonlocal why
        sign = found[1]
        if sign in specifiers:
            return specifiers[sign]
        if sign not in KNOWN:  # systemd leaves it as it is
            return found[0]
        why = f"%{sign} is not known here"
        return _ANYTHING

    return re.sub(r"%(.)", fill, word, flags=re.DOTALL), why


KNOWN = frozenset("aAbBCgGhHlLmMoSTtuUvVwW%")
"""The specifiers of tmpfiles.d(5)."""


def _glob(path: str, is_glob: bool) -> str:
    """A path of a line as one of our globs: without doubled slashes, and with our own signs for anything."""
    whole = path.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    names = [_component(name, is_glob) for name in posixpath.normpath(whole).lstrip("/").split("/")]
    return "/" + "/".join(names)


def _component(name: str, is_glob: bool) -> str:
    found, at = "", 0
    while at < len(name):
        sign = name[at]
        brackets = _BRACKETS.match(name, at) if is_glob and sign == "[" else None
        if brackets is not None:
            found += brackets[0].replace("[^", "[!", 1)
            at = brackets.end()
            continue
        if is_glob and sign == "\\":
            at += 1
            sign = name[at : at + 1]
        elif sign == _ANYTHING or (is_glob and sign in "*?"):
            found += "*" if sign == _ANYTHING else sign
            at += 1
            continue
        found += f"[{sign}]" if sign and sign in "*?[" else sign
        at += 1
    return re.sub(r"\*\*+", "*", found)
