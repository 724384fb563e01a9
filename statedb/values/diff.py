"""What lies between two values: the places added, modified and removed, and the patches that say so.

    old   {"theme": "dark", "tabs": ["a", "b"]}
    new   {"theme": "light", "tabs": ["x", "a"], "size": 12}
    diff  added /tabs/0 and /size, modified /theme, removed /tabs/1

Lists are aligned, so that an element put in front is one addition, not a change of all that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from statedb.errors import InvalidValue
from statedb.models import MISSING
from statedb.values import pointer
from statedb.values.align import common, tokens
from statedb.values.merge import by_id
from statedb.values.same import is_list, is_object, same

Path = tuple[str, ...]


class Modified(NamedTuple):
    """What a place held, and what it holds."""

    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class StateDiff:
    """What differs between two values, by JSON Pointer; false where nothing does.

    Pointers in `added` and `modified` lead into the new value, those in `removed` into the old one: in a list that got
    an element in front, the same element stands at another index in each. The order of an object's members is no
    difference. An absent side is MISSING, and then the whole value is added or removed at "".
    """

    added: dict[str, Any]
    modified: dict[str, Modified]
    removed: dict[str, Any]
    old: Any = field(repr=False, compare=False)
    new: Any = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)

    def json_patch(self) -> list[dict[str, Any]]:
        """Return the JSON patch (RFC 6902) that turns the old value into the new one.

        Raises InvalidValue for bytes, which JSON cannot hold.
        """
        self._check_json()
        # Removed back to front, each pointer still means what it meant in the old value; added front to back, each
        # means already what it means in the new one; and then all others stand where the new value has them.
        removals = [{"op": "remove", "path": path} for path in reversed(self.removed)]
        additions = [{"op": "add", "path": path, "value": value} for path, value in self.added.items()]
        changes = [{"op": "replace", "path": path, "value": new} for path, (_, new) in self.modified.items()]
        return removals + additions + changes

    def merge_patch(self) -> Any:
        """Return the merge patch (RFC 7386) that turns the old value into the new one.

        Raises InvalidValue with the path of what no merge patch can say: there null means removal, so it cannot be put
        into an object, and a value as a whole cannot be taken away.
        """
        self._check_json()
        if self.new is MISSING:
            raise InvalidValue("a merge patch cannot take the whole value away", path="")
        return _merge_patch(self.old, self.new, ())

    def _check_json(self) -> None:
        if isinstance(self.old, bytes) or isinstance(self.new, bytes):
            raise InvalidValue("the value is opaque bytes, which no JSON can hold", path="")


def diff(old: Any, new: Any) -> StateDiff:
    """Return what differs between two values, each JSON, bytes or MISSING. 1, 1.0 and True differ."""
    found = StateDiff({}, {}, {}, old, new)
    _compare(old, new, (), (), found)
    return found


# ---- comparing


def _compare(old: Any, new: Any, was: Path, now: Path, found: StateDiff) -> None:
    if old is MISSING or new is MISSING:
        if old is not MISSING:
            found.removed[pointer.render(was)] = old
        if new is not MISSING:
            found.added[pointer.render(now)] = new
    elif is_object(old) and is_object(new):
        _compare_members(old, new, was, now, found)
    elif is_list(old) and is_list(new):
        _compare_elements(old, new, was, now, found)
    elif not same(old, new):
        found.modified[pointer.render(now)] = Modified(old, new)


def _compare_members(old: dict[str, Any], new: dict[str, Any], was: Path, now: Path, found: StateDiff) -> None:
    for name in old:
        _compare(old[name], new.get(name, MISSING), (*was, name), (*now, name), found)
    for name in new:
        if name not in old:
            _compare(MISSING, new[name], (*was, name), (*now, name), found)


def _compare_elements(old: list[Any], new: list[Any], was: Path, now: Path, found: StateDiff) -> None:
    for i, j in _aligned(old, new):
        before = MISSING if i is None else old[i]
        after = MISSING if j is None else new[j]
        _compare(before, after, (*was, str(i)), (*now, str(j)), found)


# ---- aligning


def _aligned(old: list[Any], new: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Yield which elements correspond, as indexes in the order of both lists; None where there is no counterpart.

    Between elements that stayed, those that went and those that came are matched one by one: a changed element is a
    modification, not a removal and an addition. In lists of objects with ids, elements correspond by id alone.
    """
    named = by_id(old), by_id(new)
    by_name = named[0] is not None and named[1] is not None
    left, right = [[each["id"] for each in side] if by_name else tokens(side) for side in (old, new)]
    i = j = 0
    for kept_i, kept_j in [*common(left, right), (len(old), len(new))]:
        matched = 0 if by_name else min(kept_i - i, kept_j - j)
        yield from zip(range(i, i + matched), range(j, j + matched), strict=True)
        yield from ((gone, None) for gone in range(i + matched, kept_i))
        yield from ((None, come) for come in range(j + matched, kept_j))
        if by_name and kept_i < len(old):  # known by their text they are equal, known by their id they need not be
            yield kept_i, kept_j
        i, j = kept_i + 1, kept_j + 1


# ---- merge patches


def _merge_patch(old: Any, new: Any, path: Path) -> Any:
    if not is_object(new):
        if new is None and path:
            raise InvalidValue(
                f"no merge patch can put null at {pointer.render(path)}: there it means removal; use a JSON patch",
                path=pointer.render(path),
            )
        return new
    before = old if is_object(old) else {}
    patch: dict[str, Any] = {name: None for name in before if name not in new}
    for name, member in new.items():
        if not same(before.get(name, MISSING), member):
            patch[name] = _merge_patch(before.get(name, MISSING), member, (*path, name))
    return patch
