"""When two values are the same: as statedb means it, and as JSON does.

Python's == will not do for either: to it 1, 1.0 and True are equal, and the order of members counts for nothing.
"""

from __future__ import annotations

from math import copysign
from typing import Any, TypeGuard

# Both walks keep a list of pairs instead of calling themselves: they run below callbacks and merges, where nobody knows
# how much of the interpreter's stack is left for 200 levels.


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are the same in all that reading them shows: types, signs, order of members.

    1, 1.0 and True differ, and so do 0.0 and -0.0. Takes bytes and MISSING as well as JSON.
    """
    pending = [(a, b)]
    while pending:
        a, b = pending.pop()
        if a is b:
            continue
        if type(a) is not type(b):
            return False
        if is_object(a):
            if list(a) != list(b):
                return False
            pending.extend(zip(a.values(), b.values(), strict=True))
        elif is_list(a):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif a != b or (type(a) is float and copysign(1.0, a) != copysign(1.0, b)):
            return False
    return True


def equal(a: Any, b: Any) -> bool:
    """Tell whether two JSON values are equal: numbers by their worth, objects without regard to order.

    1 and 1.0 are equal, 1 and True are not. RFC 6902, section 4.6.
    """
    pending = [(a, b)]
    while pending:
        a, b = pending.pop()
        if json_type(a) is not json_type(b):
            return False
        if is_object(a):
            if a.keys() != b.keys():
                return False
            pending.extend((member, b[name]) for name, member in a.items())
        elif is_list(a):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True


def alike(a: Any, b: Any) -> bool:
    """Tell whether two values are the same but for the order of members."""
    return same(_sorted(a), _sorted(b))


def _sorted(value: Any) -> Any:
    """Return the value with the members of its objects in one agreed order."""
    if is_object(value):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if is_list(value):
        return [_sorted(element) for element in value]
    return value


def json_type(value: object) -> type:
    """Return the type of a value as JSON knows it, where every number is a float and no bool is a number."""
    return float if type(value) is int else type(value)


# Exactly these types: a subclass would come back from the store as its base, so it is none of ours.


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell a JSON object."""
    return type(value) is dict


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Tell a JSON list."""
    return type(value) is list
