"""Three versions of a value become one: what each side changed since the base, by JSON path.

    base     {"theme": "dark", "size": 12}
    ours     {"theme": "dark", "size": 14}
    theirs   {"theme": "light", "size": 12, "tab": 4}
    merged   {"theme": "light", "size": 14, "tab": 4}

Where both sides changed one place to different things one of them stands there, theirs unless told, and a `Clash` tells
of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from statedb.models import MISSING as MISSING
from statedb.values import pointer
from statedb.values.same import alike, is_list, is_object, json_type, same
from statedb.values.sequence import Run, runs

ConflictKind = Literal["concurrent_modification", "deleted_modified", "type_mismatch"]
Side = Literal["ours", "theirs"]
Id = str | int
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """A place that both sides changed to different things; a side that has no value there is MISSING.

    `path` is a JSON Pointer in which an element of a list merged by id goes by its id: `/tasks/[id="t1"]/done`. An
    index would be right in one of the three lists and silently name another element in the rest; this names the same
    element in all three, and whoever follows it as a plain pointer finds nothing rather than the wrong thing. In any
    other list it is a run of elements, by where it lies in the base: `/tags/[2:4]`, and each side is the list of what
    stands there in place of those.
    """

    path: str
    kind: ConflictKind
    base: Any
    ours: Any
    theirs: Any


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge made: the value (MISSING where none is left) and what it could not decide."""

    value: Any
    conflicts: tuple[Clash, ...]


def merge(base: Any, ours: Any, theirs: Any, *, prefer: Side = "theirs") -> Merge:
    """Merge two sides' changes of one base; each of the three is a value or MISSING.

    A place that one side changed takes that side's value, deletions included; objects merge member by member, lists of
    objects with a unique `id` element by element, any other lists as sequences of whole elements. Where both changed a
    place to different things, the side to `prefer` stands there. Order belongs to the side that changed it, to the one
    to prefer where both did. Nothing in the result is shared with what was given. diff3's rule with JSON paths for
    lines; elements by id as in Kubernetes' lists of type map.
    """
    if prefer == "ours":
        found = merge(base, theirs, ours)
        return Merge(found.value, tuple(replace(each, ours=each.theirs, theirs=each.ours) for each in found.conflicts))
    clashes: list[Clash] = []
    value = _merged(base, ours, theirs, (), clashes)
    return Merge(value, tuple(clashes))


# Every level asks `same` up to three times, so a value of n nodes and depth d costs n·d at worst. Digests made from the
# leaves up would bring that to n, at the price of hashing all of three values where `same` stops at a difference.


def _merged(base: Any, ours: Any, theirs: Any, path: Path, clashes: list[Clash]) -> Any:
    if same(ours, theirs) or same(base, ours):
        return _copied(theirs)
    if same(base, theirs):
        return _copied(ours)
    if is_object(ours) and is_object(theirs):
        return _each(base if is_object(base) else {}, ours, theirs, path, str, clashes)
    if is_list(ours) and is_list(theirs):
        if (
            (base_by_id := by_id(base)) is not None
            and (ours_by_id := by_id(ours)) is not None
            and (theirs_by_id := by_id(theirs)) is not None
        ):
            return _elements(base_by_id, ours_by_id, theirs_by_id, path, clashes)
        if alike(ours, theirs):
            # They differ in the order of members alone, which is never a conflict.
            return _copied(theirs)
        if is_list(base) and (found := runs(base, ours, theirs)) is not None:
            return _sequence(base, ours, theirs, found, path, clashes)
    clashes.append(whole_clash(base, ours, theirs, path))
    return _copied(theirs)


def whole_clash(base: Any, ours: Any, theirs: Any, path: Path = ()) -> Clash:
    """Return the clash of two values as wholes."""
    kind: ConflictKind = "concurrent_modification"
    if ours is MISSING or theirs is MISSING:
        kind = "deleted_modified"
    elif json_type(ours) is not json_type(theirs):
        kind = "type_mismatch"
    return Clash(pointer.render(path), kind, _copied(base), _copied(ours), _copied(theirs))


# ---- named parts: the members of an object, and the elements of a list by their ids

Parts = dict[Any, Any]


def _each(
    base: Parts, ours: Parts, theirs: Parts, path: Path, called: Callable[[Any], str], clashes: list[Clash]
) -> Parts:
    """Merge part by part; return those that are left, the leading side's first, then what only the other has."""
    merged: Parts = {}
    lead, other = _leading(base, ours, theirs)
    for name in {**lead, **other}:
        sides = base.get(name, MISSING), ours.get(name, MISSING), theirs.get(name, MISSING)
        part = _merged(*sides, (*path, called(name)), clashes)
        if part is not MISSING:
            merged[name] = part
    return merged


def _leading(base: Parts, ours: Parts, theirs: Parts) -> tuple[Parts, Parts]:
    """Return the side whose order of parts holds, and the other: order too belongs to the side that changed it."""
    if _reordered(base, ours) and not _reordered(base, theirs):
        return ours, theirs
    return theirs, ours


def _reordered(base: Parts, side: Parts) -> bool:
    return [name for name in base if name in side] != [name for name in side if name in base]


def by_id(value: Any) -> Parts | None:
    """Return the elements of a list by their ids, None where they have none or share one; MISSING is an empty list."""
    if value is MISSING:
        return {}
    if not is_list(value):
        return None
    found: Parts = {}
    for element in value:
        name = element.get("id") if is_object(element) else None
        # With bool and float ruled out, no two ids of different types are one key of a dict.
        if type(name) not in (str, int) or name in found:
            return None
        found[name] = element
    return found


def _selector(name: Id) -> str:
    return f"[id={json.dumps(name, ensure_ascii=False)}]"


def _elements(base: Parts, ours: Parts, theirs: Parts, path: Path, clashes: list[Clash]) -> list[Any]:
    merged = _each(base, ours, theirs, path, _selector, clashes)
    return _woven(merged, *_leading(base, ours, theirs))


def _woven(merged: Parts, lead: Parts, other: Parts) -> list[Any]:
    """Return the elements in the leading side's order, each that only the other has after the one it followed there.

    Where both put something after the same element, the leading side's comes first, as it does among members:
    lead [a, y, b] and other [a, x, b] make [a, y, x, b]. Two appends come out in the order they reached the store.
    """
    followers: dict[Id | None, list[Id]] = {}
    anchor: Id | None = None
    for name in other:
        if name in lead:
            anchor = name
        elif name in merged:
            followers.setdefault(anchor, []).append(name)
    order: list[Id] = []
    waiting = followers.get(None, [])
    for name in lead:
        if name in other:
            order += [*waiting, name]
            waiting = followers.get(name, [])
        elif name in merged:
            order.append(name)
    return [merged[name] for name in [*order, *waiting]]


# ---- any other list: whole elements that come, go and stay


def _sequence(
    base: list[Any], ours: list[Any], theirs: list[Any], cut: list[Run], path: Path, clashes: list[Clash]
) -> list[Any]:
    """Merge run by run.

    An element without an id is nobody in particular: two that stand at one place in both sides may be two changes of
    one thing or two things, so elements are taken whole, and no element comes out that neither side had.
    """
    merged: list[Any] = []
    for run in cut:
        parts = base[run.base], ours[run.ours], theirs[run.theirs]
        merged += parts[1] if run.taken == "ours" else parts[2]
        # That they differ in the order of members alone is never a conflict.
        if run.taken is None and not alike(parts[1], parts[2]):
            gone = bool(parts[0]) and not (parts[1] and parts[2])
            kind: ConflictKind = "deleted_modified" if gone else "concurrent_modification"
            where = pointer.render((*path, f"[{run.base.start}:{run.base.stop}]"))
            clashes.append(Clash(where, kind, *map(_copied, parts)))
    return [_copied(element) for element in merged]


# ---- copies


def _copied(value: Any) -> Any:
    """Return the same value in containers of its own.

    Not copy.deepcopy, which is three times slower and keeps a part that stands at two places one part.
    """
    if is_object(value):
        return {name: _copied(member) for name, member in value.items()}
    if is_list(value):
        return [_copied(element) for element in value]
    return value
