"""Makes the manual pages: jamaintctl(1) from the table of verbs, jamaintd(8) from its parser, jamaintd.yaml(5) from
docs/reference/configuration.md, and the first two's prose from packaging/man/."""

import argparse
import pathlib
import sys
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from jamaint import VERSION
from jamaint.ctl.cli.arguments import GLOBAL_FLAGS, Flag, Verb
from jamaint.ctl.cli.help import CODES, synopsis
from jamaint.ctl.verbs.table import VERBS
from jamaint.daemon.main import parser

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent


def main() -> None:
    """Writes the pages into the directory that is named."""
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in (
        ("jamaintctl.1", jamaintctl()),
        ("jamaintd.8", jamaintd()),
        ("jamaintd.yaml.5", configuration()),
    ):
        (directory / name).write_text("\n".join([*_head(name), *page, ""]))


def jamaintctl() -> Iterator[str]:
    """Every verb, with its flags, as `jamaintctl COMMAND --help` says it."""
    yield from _name("jamaintctl", "look at and steer the maintenance daemon")
    flags = " ".join(_bracketed(flag) for flag in GLOBAL_FLAGS)
    yield from (".SH SYNOPSIS", f".B jamaintctl\n{_escaped(flags)} COMMAND \\&...")
    yield ".SH DESCRIPTION"
    yield from _markdown((HERE / "man" / "jamaintctl.md").read_text())
    yield ".SH COMMANDS"
    for verb in VERBS:
        yield from _verb(verb)
    yield ".SH OPTIONS"
    yield "Of every command:"
    yield from _flags(GLOBAL_FLAGS)
    yield from (".SH EXIT STATUS", _escaped(CODES.partition(": ")[2]))
    yield from (".SH SEE ALSO", ".BR jamaintd (8),\n.BR jamaintd.yaml (5)")


def jamaintd() -> Iterator[str]:
    """Its options from the parser itself, and the prose."""
    yield from _name("jamaintd", "carry out the maintenance of this machine")
    yield ".SH SYNOPSIS"
    actions = [action for action in parser()._actions if action.dest != "help"]
    yield ".B jamaintd\n" + _escaped(" ".join(f"[{_option(action)}]" for action in actions))
    yield ".SH OPTIONS"
    for action in actions:
        yield from (".TP", f".B {_escaped(_option(action))}", _escaped(_sentence(action.help or "")))
    yield from _markdown((HERE / "man" / "jamaintd.md").read_text())
    yield from (".SH SEE ALSO", ".BR jamaintctl (1),\n.BR jamaintd.yaml (5),\n.BR journalctl (1)")


def configuration() -> Iterator[str]:
    """The reference, as it stands."""
    yield from _name("jamaintd.yaml", "what the maintenance daemon does, and for whom")
    yield from (".SH DESCRIPTION",)
    yield from _markdown((ROOT / "docs" / "reference" / "configuration.md").read_text())
    yield from (".SH SEE ALSO", ".BR jamaintd (8),\n.BR jamaintctl (1)")


def _head(name: str) -> list[str]:
    title, _, section = name.rpartition(".")
    return [
        '.\\" Made from the program and its documents by packaging/manpages.py: change those.',
        f'.TH {title.upper()} {section} "" "jamaint {VERSION}" "Maintenance daemon"',
        ".nh",
        ".ad l",
    ]


def _name(name: str, what: str) -> list[str]:
    return [".SH NAME", f"{name} \\- {what}"]


def _verb(verb: Verb) -> Iterator[str]:
    yield from (".TP", f".B {_escaped(synopsis(verb))}", _escaped(_sentence(verb.help)))
    if verb.says:
        yield from (".IP", _escaped(verb.says))
    if verb.flags:
        yield ".RS"
        yield from _flags(verb.flags)
        yield ".RE"


def _flags(flags: Sequence[Flag]) -> Iterator[str]:
    for flag in flags:
        names = ", ".join(name for name in (flag.short, flag.name) if name)
        yield from (".TP", f".B {_escaped(f'{names} {flag.value}'.strip())}", _escaped(_sentence(flag.help)))


def _bracketed(flag: Flag) -> str:
    return f"[{f'{flag.name} {flag.value}'.strip()}]"


def _option(action: argparse.Action) -> str:
    return f"{action.option_strings[-1]} {action.metavar or ''}".strip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _escaped(text: str) -> str:
    """As roff takes it: no word of a text is an order."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").split("\n")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _markdown(text: str) -> Iterator[str]:
    """What stands below the title, as roff."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "heading_open":
            if token.tag != "h1":
                title = tokens[place + 1].content.replace("`", "")
                yield f".SH {_escaped(title.upper())}" if token.tag == "h2" else f".SS {_escaped(title)}"
            place += 3
        elif token.type == "table_open":
            end = next(at for at in range(place, len(tokens)) if tokens[at].type == "table_close")
            yield from _table(tokens[place:end])
            place = end + 1
        else:
            yield from _block(token)
            place += 1


def _block(token: Token) -> Iterator[str]:
    if token.type == "paragraph_open" and not token.hidden:
        yield ".PP" if token.level == 0 else ""
    elif token.type == "list_item_open":
        yield f".IP {token.info + token.markup if token.info else chr(92) + '(bu'} 3"
    elif token.type in ("bullet_list_close", "ordered_list_close"):
        yield ".PP"
    elif token.type in ("fence", "code_block"):
        yield from (".PP", ".RS 4", ".nf", _escaped(token.content.rstrip("\n")), ".fi", ".RE", ".PP")
    elif token.type == "inline":
        yield _inline(token)


def _table(tokens: Sequence[Token]) -> Iterator[str]:
    """A row is a term and what it is: a table would not fit on a terminal. The head names the columns in between."""
    rows: list[list[str]] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            rows[-1].append(_inline(tokens[place + 1]))
    head, *body = rows
    for term, *cells in body:
        yield from (".TP", f"\\fB{term}\\fR")
        told = [f"{name}: {cell}" if name else cell for name, cell in zip(head[1:], cells, strict=True) if cell]
        yield ". ".join(told) or "\\&"


def _inline(token: Token) -> str:
    found = ""
    for part in token.children or ():
        if part.type == "text":
            found += _escaped(part.content)
        elif part.type == "code_inline":
            found += f"\\fB{_escaped(part.content)}\\fR"
        elif part.type in ("strong_open", "em_open"):
            found += "\\fB" if part.type == "strong_open" else "\\fI"
        elif part.type in ("strong_close", "em_close"):
            found += "\\fR"
        elif part.type in ("softbreak", "hardbreak"):
            found += "\n"
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in found.split("\n"))


if __name__ == "__main__":
    main()
