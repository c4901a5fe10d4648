"""--help, from the table of verbs: of the program, of a group of verbs, of one verb."""

from __future__ import annotations

import sys

from jamaint import VERSION
from jamaint.ctl.cli.arguments import GLOBAL_FLAGS, UsageError
from jamaint.ctl.output.terminal import columns_of
from jamaint.ctl.output.text import Look, columns, paragraph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from jamaint.ctl.cli.arguments import Arguments, Flag, Verb
    from jamaint.ctl.output.terminal import Screen

CODES = (
    "Exit codes: 0 done, 1 it ran and failed, 2 usage, 3 the daemon cannot be reached, 4 no such object, 5 refused, "
    "6 not authorised, 7 invalid configuration or object."
)


def show(arguments: Arguments, verbs: Sequence[Verb], screen: Screen) -> int:
    """--help and --version on standard output."""
    look = Look(0.0, columns_of(sys.stdout))
    if arguments.version and not arguments.help:
        screen.lines([f"jamaintctl {VERSION}"])
    elif arguments.verb is not None:
        screen.lines(_verb(arguments.verb, look))
    else:
        screen.lines(_group(" ".join(arguments.words), verbs, look))
    return 0


def synopsis(verb: Verb) -> str:
    """`execute TASK [--window WINDOW] …`"""
    return " ".join([verb.name, *verb.positionals, *map(_use, verb.flags)])


def _short_synopsis(verb: Verb) -> str:
    return " ".join([verb.name, *verb.positionals, *(_use(flag) for flag in verb.flags if flag.needed)])


def meant(mistake: UsageError) -> str:
    """What was probably meant, of what would have been possible; empty when nothing is near."""
    if mistake.choice is None:
        return ""
    word, possible = mistake.choice
    near = sorted((_distance(word, other), other) for other in possible)
    return near[0][1] if near and near[0][0] <= max(1, len(word) // 3) else ""


def _group(words: str, verbs: Sequence[Verb], look: Look) -> list[str]:
    shown = [verb for verb in verbs if not words or verb.name.startswith(words + " ")]
    lines = [f"usage: jamaintctl [flags] {words or 'COMMAND'} …", ""]
    lines += columns([(_short_synopsis(verb), verb.help) for verb in shown], look, "  ")
    if not words:
        lines += ["", "Flags of every command:", *_flags(GLOBAL_FLAGS, look), "", *paragraph(CODES, look)]
        lines += ["`jamaintctl COMMAND --help` says more."]
    return lines


def _verb(verb: Verb, look: Look) -> list[str]:
    lines = [*columns([(f"usage: jamaintctl {synopsis(verb)}",)], look), "", *paragraph(_sentence(verb.help), look)]
    if verb.says:
        lines += ["", *(line for text in verb.says.split("\n") for line in paragraph(text, look))]
    if verb.flags:
        lines += ["", "Flags:", *_flags(verb.flags, look)]
    return [*lines, "", "Flags of every command:", *_flags(GLOBAL_FLAGS, look)]


def _flags(flags: Sequence[Flag], look: Look) -> list[str]:
    return columns([(_flag(flag), flag.help) for flag in flags], look, "  ")


def _flag(flag: Flag) -> str:
    names = f"{flag.short}, {flag.name}" if flag.short else flag.name
    return f"{names} {flag.value}" if flag.value else names


def _use(flag: Flag) -> str:
    text = f"{flag.short or flag.name} {flag.value}".rstrip()
    return (text if flag.needed else f"[{text}]") + ("…" if flag.many else "")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _distance(one: str, other: str) -> int:
    """How many letters must be put in, left out, replaced or swapped with the next to get from one to the other."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for row, char in enumerate(one, 1):
        line = [row]
        for column, match in enumerate(other, 1):
            steps = min(line[-1] + 1, last[column] + 1, last[column - 1] + (char != match))
            if row > 1 and column > 1 and char == other[column - 2] and one[row - 2] == match:
                steps = min(steps, before[column - 2] + 1)
            line.append(steps)
        before, last = last, line
    return last[-1]
