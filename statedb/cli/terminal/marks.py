"""What changed, as people read it: + for what was added, ~ for what became something else, - for what went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from statedb.cli.terminal.output import brief
from statedb.models import MISSING, Change, Difference

if TYPE_CHECKING:
    from statedb.values.diff import StateDiff

Line = list[tuple[str, str]]
"""The parts of a line, each with its style."""

ADDED, MODIFIED, REMOVED = ("+", "green"), ("~", "yellow"), ("-", "red")
_MARKS = {"create": ADDED, "update": MODIFIED, "delete": REMOVED, "expire": REMOVED, "erase": REMOVED}


def change_line(found: Change | Difference, indent: str = "") -> Line:
    """Return the line that says which key changed, and how."""
    mark, style = _MARKS[found.change]
    how = [(f" ({found.change}d)", "dim")] if found.change in ("expire", "erase") else []
    return [(f"{indent}{mark} {found.agent_id}/{found.state_type.value}/{found.key}", style), *how]


def change_lines(found: Change | Difference, indent: str = "") -> Iterator[Line]:
    """Return the line that says which key changed, with its values or, below it, the places inside that did."""
    from statedb.values.diff import diff

    old = MISSING if found.change == "create" else found.old_value
    new = MISSING if found.change in ("delete", "expire", "erase") else found.new_value
    if not (isinstance(old, dict | list) and isinstance(new, dict | list)):
        yield [*change_line(found, indent), (": ", ""), *_sides(old, new)]
    else:
        yield change_line(found, indent)
        yield from diff_lines(diff(old, new), f"{indent}    ")


def diff_lines(found: StateDiff, indent: str = "") -> Iterator[Line]:
    """Return a line for each place that differs, in the order of places; at the same one, what went stands first."""
    lines: list[tuple[tuple[Any, ...], Line]] = []
    for pointer, old in found.removed.items():
        lines.append((_order(pointer, 0), _one_sided(REMOVED, pointer, old, indent)))
    for pointer, (old, new) in found.modified.items():
        lines.append((_order(pointer, 1), _modified(pointer, old, new, indent)))
    for pointer, new in found.added.items():
        lines.append((_order(pointer, 2), _one_sided(ADDED, pointer, new, indent)))
    for _, line in sorted(lines, key=lambda each: each[0]):
        yield line


def named(pointer: str) -> str:
    """Return a pointer as people read it; that of the whole value is an empty text."""
    return pointer or "(the value)"


def _one_sided(mark: tuple[str, str], pointer: str, value: Any, indent: str) -> Line:
    sign, style = mark
    return [(f"{indent}{sign} {named(pointer)}: {brief(value)}", style)]


def _modified(pointer: str, old: Any, new: Any, indent: str) -> Line:
    sign, style = MODIFIED
    return [(f"{indent}{sign} {named(pointer)}: ", style), *_sides(old, new)]


def _sides(old: Any, new: Any) -> Line:
    shown = [(brief(each), style) for each, style in ((old, "red"), (new, "green")) if each is not MISSING]
    return [shown[0], (" → ", "dim"), shown[1]] if len(shown) == 2 else shown


def _order(pointer: str, side: int) -> tuple[Any, ...]:
    """Return what sorts places as a reader looks for them: /tabs/2 stands before /tabs/10."""
    parts = [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in pointer.split("/")]
    return parts, side
