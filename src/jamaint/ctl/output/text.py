"""Values -> text: escapes, sizes, counts, colours, columns. Pure: the moment and the width are given in a Look."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Cell = str | tuple[str, str]
    """A text, or a style and a text."""
    Placed = tuple[int, bool, str, str]
    """The width of its column, whether it stands to the right there, style, text."""

# From the fixed part of the 256 colours, each at least 3.5 to 1 on black and on white.
STYLES = {
    "bold": "1",
    "dim": "38;5;243",
    "red": "38;5;160",
    "green": "38;5;28",
    "yellow": "38;5;130",
    "cyan": "38;5;30",
}
STATUS_STYLES = {
    "completed": "green",
    "healthy": "green",
    "running": "cyan",
    "maintenance": "cyan",
    "scheduled": "yellow",
    "rolled_back": "yellow",
    "cancelled": "yellow",
    "failed": "red",
    "issues": "red",
}
FURTHER = 4
"""So many columns further in stands what goes on below."""
COLUMN = 24
"""So much room makes a column of words worth while: with less they go on below the whole row."""
ROOMY = 140
"""From so many columns on a table spells everything out."""
NARROW = 8
"""With less room than that nothing goes on below: it is cut."""
MOST_BANDS = 2
"""A row takes so many lines of columns; if it had more, what does not fit the first is not in columns."""
# Hangul, CJK, kana, full forms and emoji take two columns of a terminal.
WIDE = ((0x1100, 0x115F), (0x2E80, 0xA4CF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFE30, 0xFE6F), (0xFF00, 0xFF60),
        (0xFFE0, 0xFFE6), (0x1F300, 0x1FAFF), (0x20000, 0x3FFFD))  # fmt: skip


class Look:
    """How a screen is drawn: the moment (seconds since 1970), the columns there are (0: no limit), colours, Unicode."""

    __slots__ = ("colours", "now", "unicode", "width")

    def __init__(self, now: float, width: int = 0, colours: bool = False, unicode: bool = True) -> None:
        self.now = now
        self.width = width
        self.colours = colours
        self.unicode = unicode

    @property
    def narrow(self) -> bool:
        """Whether a table has to save room: a terminal of fewer than ROOMY columns."""
        return 0 < self.width < ROOMY

    def paint(self, style: str, text: str) -> str:
        """`text` in that style where there are colours; a style that does not exist leaves it as it is."""
        code = STYLES.get(style) if self.colours else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


def escaped(value: Any) -> Any:
    """`value` with every text in it made harmless for a terminal: control and format characters become visible."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(map(_visible, value))
    if isinstance(value, dict):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value


def escaped_json(text: str, only_ascii: bool) -> str:
    """One line of JSON that is the same value and carries nothing a terminal obeys."""
    if text.isprintable() and (not only_ascii or text.isascii()):
        return text
    kept = str.isascii if only_ascii else str.isprintable
    return "".join(char if kept(char) and char.isprintable() else _json_escape(char) for char in text)


def size(count: Any) -> str:
    """Bytes in binary units: `0 B`, `512 B`, `1.2 MiB`; `-` for None."""
    if not isinstance(count, (int, float)):
        return "-"
    if abs(count) < 1024:
        return f"{count:.0f} B"
    amount, units = count / 1024, ["EiB", "PiB", "TiB", "GiB", "MiB", "KiB"]
    while abs(amount) >= 1023.95 and len(units) > 1:
        amount /= 1024
        units.pop()
    return f"{amount:.1f} {units[-1]}"


def count(number: Any, noun: str) -> str:
    """`1 file`, `1,204 files`, `2 directories`."""
    number = number if isinstance(number, (int, float)) else 0
    return f"{number:,} {noun if number == 1 else noun[:-1] + 'ies' if noun.endswith('ry') else noun + 's'}"


def bar(fraction: float, width: int, unicode: bool) -> str:
    """A progress bar of `width` characters for a fraction of 0..1."""
    full = int(max(0.0, min(1.0, fraction)) * width)
    return "█" * full + "░" * (width - full) if unicode else "#" * full + "." * (width - full)


def percent(fraction: Any) -> str:
    """`42%` of a fraction of 0..1, never 100% before it is; nothing while it is not known."""
    return f"{int(max(0.0, min(1.0, fraction)) * 100)}%" if isinstance(fraction, (int, float)) else ""


def short(ident: Any) -> str:
    """The eight characters of an id that a person types."""
    return str(ident or "-")[:8]


def status_cell(status: Any) -> Cell:
    """A status in words and in its colour."""
    text = str(status or "-")
    return STATUS_STYLES.get(text, ""), text.replace("_", " ")


def columns(rows: Iterable[Sequence[Cell]], look: Look, indent: str = "", right: Iterable[int] = ()) -> list[str]:
    """The rows as lines, cells aligned, two spaces between; what does not fit the screen goes on below.

    The columns in `right` are aligned to the right. A column that is empty in every row takes no room.
    """
    return [line for lines in blocks(rows, look, indent, right) for line in lines]


def blocks(rows: Iterable[Sequence[Cell]], look: Look, indent: str = "", right: Iterable[int] = ()) -> list[list[str]]:
    """What `columns` makes, the lines of each row by themselves."""
    table = [[("", cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    widths = [max((wide(row[at][1]) for row in table if at < len(row)), default=0) for at in _positions(table)]
    bands, to_right = _bands(widths, look.width, wide(indent)), set(right)
    placed = [[(widths[at], at in to_right, *cell) for at, cell in enumerate(row)] for row in table]
    return [_folded(row, bands, look, indent) for row in placed]


def folded(lines: Iterable[str], look: Look) -> Iterable[str]:
    """The lines, those too wide for the screen continued between words, at the indent of their beginning.

    A word that is longer than a line, such as a path, stays whole, so that it can be copied.
    """
    for line in lines:
        if look.width and len(line) > look.width and wide(_uncoloured(line)) > look.width:
            yield from _continued(line, look.width)
        else:
            yield line


def paragraph(text: str, look: Look, indent: str = "") -> list[str]:
    """`text` as lines that end between words, each after `indent`."""
    room = look.width - wide(indent)
    return [indent + line for line in (wrapped(text, room) if look.width and room >= NARROW else [text])]


def fields(pairs: Iterable[tuple[str, Cell]], look: Look, indent: str = "") -> list[str]:
    """Names and values, the values aligned; a pair with an empty value is left out."""
    rows = [(("dim", name), value) for name, value in pairs if (value if isinstance(value, str) else value[1])]
    return columns(rows, look, indent)


def outline(value: Any, indent: str = "") -> list[str]:
    """Nested values as indented lines, much as YAML has them."""
    if isinstance(value, dict):
        return [line for key, item in value.items() for line in _branch(f"{indent}{key}:", item, indent + "  ")]
    if isinstance(value, list):
        return [line for item in value for line in _branch(f"{indent}-", item, indent + "  ")]
    return [indent + scalar(value)]


def scalar(value: Any) -> str:
    """One value as YAML has it: `true`, `12`, `null`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def wide(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns, with an ellipsis where something is missing."""
    if wide(text) <= width:
        return text
    taken, left = "", width - 1
    for char in text:
        left -= _char_width(char)
        if left < 0:
            break
        taken += char
    return taken + "…" if width > 0 else ""


def wrapped(text: str, width: int) -> list[str]:
    """`text` as lines of at most `width` columns, which end between words; only a longer word is broken."""
    lines, line, room = [], "", width
    if wide(text) <= width:
        return [text]
    for word in text.split(" "):
        if line and wide(word) < room:
            line, room = line + " ", room - 1
        elif line:
            lines.append(line)
            line, room = "", width
        for piece in (word,) if wide(word) <= room else word:
            if wide(piece) > room:
                lines.append(line)
                line, room = "", width
            line, room = line + piece, room - wide(piece)
    return [*lines, line]


def _positions(table: Sequence[Sequence[Any]]) -> range:
    return range(max(map(len, table), default=0))


def _bands(widths: Sequence[int], screen: int, indent: int) -> list[list[int]]:
    """Which columns stand beside one another: all, where they fit; else those that do not go on below, further in.

    The last one need not fit whole if its words have room to go on in its own column.
    """
    shown = [at for at, width in enumerate(widths) if width]
    bands: list[list[int]] = [[]]
    used = indent
    for at in shown:
        needs = min(widths[at], COLUMN) if at == shown[-1] else widths[at]
        if bands[-1] and screen and used + needs > screen and screen - indent - FURTHER >= NARROW:
            bands.append([])
            used = indent + FURTHER
        bands[-1].append(at)
        used += widths[at] + 2
    return bands


def _folded(row: Sequence[Placed], bands: Sequence[Sequence[int]], look: Look, indent: str) -> list[str]:
    lines: list[str] = []
    for number, band in enumerate(bands):
        cells = [row[at] for at in band if at < len(row)]
        while cells and not cells[-1][-1]:
            cells.pop()
        further = indent + " " * FURTHER if number else indent
        if number and len(bands) > MOST_BANDS:  # what would go down the screen like stairs follows one after the other
            rest = [row[at] for later in bands[1:] for at in later if at < len(row) and row[at][-1]]
            return lines + _one_after_the_other(rest, look, further)
        if cells or not number:
            lines += _beside(cells, look, further)
    return lines


def _one_after_the_other(cells: Sequence[Placed], look: Look, indent: str) -> list[str]:
    styles = {style for _, _, style, _ in cells}
    style = styles.pop() if len(styles) == 1 else ""
    lines = paragraph("  ".join(text for *_, text in cells), look, indent) if cells else []
    return [look.paint(style, line.rstrip(" ")) for line in lines]


def _beside(cells: Sequence[Placed], look: Look, indent: str) -> list[str]:
    """Cells on one line; words that do not fit go below, in their column."""
    line, used, below = indent, wide(indent), []
    for number, (width, to_right, style, text) in enumerate(cells, 1):
        fits = min(width, look.width - used) if look.width else width
        if fits < 1:
            break
        # A column of a few letters would go down the screen like a thread.
        first, *more = wrapped(text, fits) if fits >= NARROW else [cut(text, fits)]
        below += [" " * used + look.paint(style, piece) for piece in more]
        shown, room = look.paint(style, first) if first else "", " " * (fits - wide(first))
        line += room + shown if to_right else shown + room if number < len(cells) else shown
        line += "  " if number < len(cells) else ""
        used += fits + 2
    return [line.rstrip(" "), *below]


def _branch(head: str, item: Any, indent: str) -> list[str]:
    if isinstance(item, (dict, list)):
        if not item:
            return [f"{head} {'{}' if isinstance(item, dict) else '[]'}"]
        if head.endswith("-"):
            first, *rest = outline(item, indent)
            return [f"{head} {first.lstrip()}", *rest]
        return [head, *outline(item, indent)]
    return [f"{head} {scalar(item)}"]


def _continued(line: str, width: int) -> list[str]:
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines, current = [], ""
    for word in line[len(indent) :].split(" "):
        longer = f"{current} {word}" if current else indent + word
        if current.strip(" ") and wide(_uncoloured(longer)) > width:
            lines.append(current.rstrip(" "))
            longer = indent + word
        current = longer
    return [*lines, current]


def _uncoloured(text: str) -> str:
    """Without the escapes of `Look.paint`."""
    if "\x1b" not in text:
        return text
    first, *rest = text.split("\x1b[")
    return first + "".join(piece.partition("m")[2] for piece in rest)


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(char: str) -> str:
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _char_width(char: str) -> int:
    code = ord(char)
    if code < 0x300:
        return 1
    if code <= 0x36F or 0xFE00 <= code <= 0xFE0F:
        return 0
    return 2 if any(low <= code <= high for low, high in WIDE) else 1
