"""What changed, as people read it: + for what was added, ~ for what became something else, - for what went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from statedb.cli.terminal.output import brief, when
from statedb.models import MISSING, Change, Difference

if TYPE_CHECKING:
    from statedb.values.diff import StateDiff
    from statedb.values.event import RecordedEvent
    from statedb.values.lock import LockChange

Line = list[tuple[str, str]]
"""The parts of a line, each with its style."""

ADDED, MODIFIED, REMOVED = ("+", "green"), ("~", "yellow"), ("-", "red")
_MARKS = {"create": ADDED, "update": MODIFIED, "delete": REMOVED, "expire": REMOVED, "erase": REMOVED}
_LOCK_MARKS = {"lock": ADDED, "unlock": REMOVED, "lapse": REMOVED}
_PLACES = 3
"""Places inside a value that one line names."""


def change_line(found: Change | Difference, indent: str = "") -> Line:
    """Return the line that says which key changed, and how."""
    mark, style = _MARKS[found.change]
    how = [(f" ({found.change}d)", "dim")] if found.change in ("expire", "erase") else []
    return [(f"{indent}{mark} {found.agent_id}/{found.state_type.value}/{found.key}", style), *how]


def change_lines(found: Change | Difference, indent: str = "") -> Iterator[Line]:
    """Return the line that says which key changed, with its values or, below it, the places inside that did."""
    from statedb.values.diff import diff

    old, new = _ends(found)
    if _have_places(old, new):
        yield change_line(found, indent)
        yield from diff_lines(diff(old, new), f"{indent}    ")
    else:
        yield [*change_line(found, indent), (": ", ""), *_sides(old, new)]


def brief_line(found: Change) -> Line:
    """Return one line that says which key changed, with its values or the first of the places inside that did."""
    from statedb.values.diff import diff

    old, new = _ends(found)
    if not _have_places(old, new):
        return [*change_line(found), (": ", ""), *_sides(old, new)]
    places = list(diff_lines(diff(old, new)))
    parts = [part for place in places[:_PLACES] for part in ((", ", ""), *place)]
    more = [(f" and {len(places) - _PLACES:,} more", "dim")] if len(places) > _PLACES else []
    return [*change_line(found), (": ", ""), *parts[1:], *more]


def lock_line(found: LockChange) -> Line:
    """Return the line that says what happened to a lock."""
    mark, style = _LOCK_MARKS[found.change]
    owner = [(f" of {found.owner}", "green")] if found.owner else []
    how = [(" (its lease ended)", "dim")] if found.change == "lapse" else []
    said = f"{mark} {found.agent_id}/{found.key}: {found.type.value} lock {found.fence}"
    return [(said, style), *owner, *how]


def event_line(found: RecordedEvent) -> Line:
    """Return the line that says what happened in a stream."""
    return [
        (f"{found.stream_id}/{found.version}", "bold"),
        (f" {found.type}", "yellow"),
        (f": {brief(found.data)}", ""),
    ]


def stamp(found: Change | LockChange | RecordedEvent) -> Line:
    """Return what stands before such a line: the commit, when it was made, and by whom."""
    by = [(f"{found.by}  ", "green")] if found.by else []
    return [(f"{found.revision}", "yellow"), (f"  {when(found.at)}  ", "dim"), *by]


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


def _ends(found: Change | Difference) -> tuple[Any, Any]:
    """Return what was there and what is, MISSING for nothing."""
    old = MISSING if found.change == "create" else found.old_value
    return old, MISSING if found.change in ("delete", "expire", "erase") else found.new_value


def _have_places(old: Any, new: Any) -> bool:
    return isinstance(old, dict | list) and isinstance(new, dict | list)


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
