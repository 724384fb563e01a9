"""The plain way to say what the library says fast: what its answers are held against."""

from __future__ import annotations

from typing import Any

from statedb import MISSING
from statedb.values import pointer
from statedb.values.same import is_list, is_object


def alike(a: Any, b: Any) -> bool:
    """Tell whether two values are the same but for the order of members."""
    if type(a) is not type(b):
        return False
    if is_object(a):
        return a.keys() == b.keys() and all(alike(member, b[name]) for name, member in a.items())
    if is_list(a):
        return len(a) == len(b) and all(map(alike, a, b))
    return repr(a) == repr(b)


def sayable(old: Any, new: Any) -> bool:
    """Tell whether a merge patch can say this change: it must put no null into an object."""
    if not is_object(new):
        return True
    before = old if is_object(old) else {}
    return all(
        (name in before and alike(before[name], member)) or (member is not None and sayable(before.get(name), member))
        for name, member in new.items()
    )


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[str, str]:
    """Return every scalar and empty container by its pointer, as a text that tells 1, 1.0 and True apart."""
    if isinstance(value, dict) and value:
        parts = value.items()
    elif isinstance(value, list) and value:
        parts = {str(index): element for index, element in enumerate(value)}.items()
    else:
        return {} if value is MISSING else {pointer.render(path): repr(value)}
    return {at: leaf for name, part in parts for at, leaf in leaves(part, (*path, name)).items()}
