"""Tables, as wide as the terminal; where that leaves columns too little, a block for each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from statedb.cli.terminal import output
from statedb.cli.terminal.texts import one_line, shortened

if TYPE_CHECKING:
    from rich.console import JustifyMethod

_GAP = 2
"""Blanks between two columns."""
_LEAST = 12
"""Characters that are left of a column, at least; fewer tell nothing."""

_NUMBERS = frozenset(
    {"version", "revision", "size", "keys", "versions", "id", "places", "base", "head", "position", "fence", "lag"}
)
_WHOLE = _NUMBERS | {"at", "origin at", "type", "kind", "change"}
"""What is of no use if it is cut."""
_STYLES = {
    "version": "yellow",
    "revision": "yellow",
    "at": "dim",
    "origin at": "dim",
    "by": "green",
    "key": "bold",
    "stream": "bold",
    "name": "bold",
    "old": "red",
    "new": "green",
    "pointer": "bold",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, as wide as the terminal at most, or as it needs where there is none."""
    from rich.table import Table

    cells = [[_cell(each) for each in row] for row in rows]
    shown = output.console(output.WIDE)
    if shown.is_terminal:
        headings, cells = _filled(headings, cells)
    widths = _widths(headings, cells, shown.width)
    if widths is None:
        return _blocks(headings, cells)
    made = Table(box=None, header_style="bold cyan", pad_edge=False, padding=(0, _GAP, 0, 0))
    for heading, width in zip(headings, widths, strict=True):
        justify: JustifyMethod = "right" if heading in _NUMBERS else "left"
        style = _STYLES.get(heading)
        made.add_column(heading, no_wrap=True, overflow="ellipsis", width=width, justify=justify, style=style)
    for row in cells:
        made.add_row(*row)
    output.show(shown, made)


def _filled(headings: Sequence[str], cells: list[list[str]]) -> tuple[Sequence[str], list[list[str]]]:
    """Return the columns that have something in them, all of them where there are no rows."""
    kept = [place for place in range(len(headings)) if not cells or any(row[place] for row in cells)]
    return [headings[place] for place in kept], [[row[place] for place in kept] for row in cells]


def _widths(headings: Sequence[str], cells: list[list[str]], room: int) -> list[int] | None:
    """Return how wide each column is to be: the widest give way first. None where they would not leave enough."""
    from rich.cells import cell_len

    wide = [max(map(cell_len, (heading, *column))) for heading, *column in zip(headings, *cells, strict=True)]
    least = [each if name in _WHOLE else min(each, _LEAST) for name, each in zip(headings, wide, strict=True)]
    room -= _GAP * (len(wide) - 1)
    if sum(least) > room:
        return None
    while sum(wide) > room:
        widest = max((width, place) for place, width in enumerate(wide) if width > least[place])[1]
        wide[widest] -= 1
    return wide


def _blocks(headings: Sequence[str], cells: list[list[str]]) -> None:
    """Print each row as lines of a name and what stands under it, with an empty line between two rows."""
    longest = max(map(len, headings))
    for number, row in enumerate(cells):
        filled = [(name, each) for name, each in zip(headings, row, strict=True) if each]
        gap = [[("", "")]] if number else []
        output.styled([*gap, *([(f"{name:<{longest}}  ", "bold cyan"), (each, "")] for name, each in filled)])


def _cell(said: object) -> str:
    return "" if said is None else one_line(shortened(str(said), output.CELL))
