"""Rows under a head, fitted to the screen. Pure.

A table that is wider than the screen gives way in this order, until it fits: columns that are empty in every row go;
the last column goes on below each row, where the table says so; columns that the table can spare go; the widest
columns wrap their words, each inside itself. Only a screen that has no room for that gets `columns`, which folds rows.
"""

from __future__ import annotations

from jamaint.ctl.output.text import COLUMN, FURTHER, NARROW, columns, paragraph, wide, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jamaint.ctl.output.text import Cell, Look

    Row = list[tuple[str, str]]

GAP = 2
MEASURED = 50
"""So many rows decide which columns give way."""
WHOLE = 12
"""A column of so few columns wraps only when nothing else helps: a time, a state."""
LONGEST_WORD = 24
"""A word of more columns than these is broken to make a table fit; a shorter one only when nothing else helps."""


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    look: Look,
    *,
    right: Iterable[int] = (),
    spare: Sequence[str] = (),
    below: bool = False,
) -> list[str]:
    """Return the lines of a table under a dim head.

    `right` are the positions aligned to the right; `spare` the names of columns that a narrow screen goes without, the
    first to go first; with `below`, the last column continues on lines of its own where it has little room.
    """
    top: Row = [("dim", name) for name in head]
    body = [[("", cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    to_right = set(right)
    if not look.width or _total(_widths([top, *body], range(len(head)))) <= look.width:
        return columns([top, *body], look, right=to_right)
    shown = [at for at in range(len(head)) if any(row[at][1] for row in body if at < len(row))]
    apart = len(head) - 1 if below and shown[-1:] == [len(head) - 1] else None
    shown = _spared([top, *body], [at for at in shown if at != apart], spare, look.width)
    if apart is not None and _has_room(_widths([top, *body], [*shown, apart]), look.width):
        shown, apart = [*shown, apart], None
    widths = _shrunk([top, *body], shown, look.width)
    if not widths:
        return columns([[row[at] for at in range(len(row)) if at in shown] for row in [top, *body]], look)
    lines = _row(top, shown, widths, look, to_right)
    for row in body:
        lines += _row(row, shown, widths, look, to_right)
        if apart is not None and apart < len(row) and row[apart][1]:
            style, text = row[apart]
            lines += [look.paint(style, line) for line in paragraph(text, look, " " * FURTHER)]
    return lines


def _spared(rows: Sequence[Row], shown: list[int], spare: Sequence[str], screen: int) -> list[int]:
    """The columns that are left when those which can be spared have gone, one after the other, until the rest fits."""
    for name in spare:
        if _total(_widths(rows, shown)) <= screen:
            break
        shown = [at for at in shown if rows[0][at][1] != name]
    return shown


def _widths(rows: Sequence[Row], shown: Collection[int]) -> list[int]:
    return [max((wide(row[at][1]) for row in rows if at < len(row)), default=0) for at in shown]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _has_room(widths: Sequence[int], screen: int) -> bool:
    """Whether the last column has room for its words beside the others."""
    return _total([*widths[:-1], min(widths[-1], COLUMN)]) <= screen


def _shrunk(rows: Sequence[Row], shown: Sequence[int], screen: int) -> list[int]:
    """The widths at which the columns fit the screen in few lines; empty when there are none.

    The next column to give way is the one that makes the table least taller by it, of several the widest.
    """
    widths = _widths(rows, shown)
    words = [max((wide(word) for row in rows if at < len(row) for word in row[at][1].split(" ")), default=0)
             for at in shown]  # fmt: skip
    kept = [max(min(word, LONGEST_WORD), min(width, WHOLE)) for word, width in zip(words, widths, strict=True)]
    for floors in (kept, [min(word, NARROW) for word in words]):
        heights = [_heights(rows, at, width) for at, width in zip(shown, widths, strict=True)]
        while _total(widths) > screen:
            free = [number for number, width in enumerate(widths) if width > floors[number]]
            if not free:
                break
            narrower = {number: _heights(rows, shown[number], widths[number] - 1) for number in free}
            best = _least(heights, narrower, widths)
            widths[best] -= 1
            heights[best] = narrower[best]
    return widths if _total(widths) <= screen else []


def _heights(rows: Sequence[Row], at: int, width: int) -> list[int]:
    """The lines of each row's cell in a column of that width."""
    return [len(wrapped(row[at][1], width)) if at < len(row) else 1 for row in rows[:MEASURED]]


def _least(heights: Sequence[Sequence[int]], narrower: Mapping[int, Sequence[int]], widths: Sequence[int]) -> int:
    """The column whose heights `narrower` make the table least tall."""

    def tall(number: int) -> tuple[int, int]:
        changed = [*heights[:number], narrower[number], *heights[number + 1 :]]
        return sum(map(max, zip(*changed, strict=True))), -widths[number]

    return min(narrower, key=tall)


def _row(row: Row, shown: Sequence[int], widths: Sequence[int], look: Look, to_right: Collection[int]) -> list[str]:
    """One row: as many lines as its tallest cell, each word in its own column."""
    padded = [*row, *[("", "")] * (1 + max(shown) - len(row))]
    cells = [
        (at in to_right, width, padded[at][0], wrapped(padded[at][1], width))
        for at, width in zip(shown, widths, strict=True)
    ]
    lines = []
    for number in range(max((len(pieces) for *_, pieces in cells), default=0)):
        line = ""
        for right, width, style, pieces in cells:
            text = pieces[number].rstrip(" ") if number < len(pieces) else ""
            room, drawn = " " * (width - wide(text)), look.paint(style, text) if text else ""
            line += (room + drawn if right else drawn + room) + " " * GAP
        lines.append(line.rstrip(" "))
    return lines
