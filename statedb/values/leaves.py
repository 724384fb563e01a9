"""The leaves of a value: what stands at the ends of its branches, scalars and empty containers.

A `Leaves` is the shape of a value with its leaves still to be accounted for. Going back through older values, those an
older one does not hold at the same place are taken out; the rest goes on.
"""

from __future__ import annotations

from typing import Any

from statedb.models import MISSING
from statedb.values import pointer
from statedb.values.same import is_list, is_object, same

Path = tuple[str | int, ...]
Shape = dict[str | int, Any]
"""The parts of a container that hold leaves still to be accounted for: a shape below each, or None for a leaf."""


class Leaves:
    """The leaves of a value that no older value has been seen to lack."""

    def __init__(self, value: Any) -> None:
        # The value hangs in a list of its own, so that a value that is a leaf itself needs no rule of its own.
        self._value: list[Any] = [value]
        self._open: Shape = {0: _shape(value)}

    @property
    def places(self) -> list[str]:
        """The JSON Pointers of the leaves, in the order of the value."""
        return [pointer.render(map(str, path[1:])) for path in _ends(self._open, ())]

    def __bool__(self) -> bool:
        return bool(self._open)

    def take(self, older: Any) -> list[str]:
        """Take out the leaves that an older value (MISSING: none) does not hold alike; return their JSON Pointers."""
        taken = _take(self._open, self._value, [older], ())
        return [pointer.render(map(str, path[1:])) for path in taken]


def _shape(value: Any) -> Shape | None:
    if is_object(value) and value:
        return {name: _shape(member) for name, member in value.items()}
    if is_list(value) and value:
        return {index: _shape(element) for index, element in enumerate(value)}
    return None


def _take(shape: Shape, newer: Any, older: Any, path: Path) -> list[Path]:
    taken: list[Path] = []
    for part in list(shape):
        below, value, was = shape[part], newer[part], _at(older, part)
        if below is None:
            found = [] if same(value, was) else [(*path, part)]
        elif type(value) is type(was):
            found = _take(below, value, was, (*path, part))
        else:
            found = _ends(below, (*path, part))
            below.clear()
        if found and not below:
            del shape[part]
        taken += found
    return taken


def _at(container: Any, part: str | int) -> Any:
    """Return a part of a container of the same kind as the one that names it, MISSING where it is not there."""
    if isinstance(part, str):
        return container.get(part, MISSING)
    return container[part] if part < len(container) else MISSING


def _ends(shape: Shape, path: Path) -> list[Path]:
    """Return the places of all leaves of a shape."""
    ends: list[Path] = []
    for part, below in shape.items():
        ends += [(*path, part)] if below is None else _ends(below, (*path, part))
    return ends
