"""A value that many may hold and nobody can change: dicts and lists whose every changing method refuses.

They are dict and list to whoever reads: equal to plain ones, written by any JSON writer, taken by `set` as they are.
A copy of one, by `copy`, `deepcopy`, `|`, `+`, a slice or pickle, is plain, and its owner's to change.
"""

from __future__ import annotations

from typing import Any, NoReturn


def _refuse(self: object, *_args: object, **_kwargs: object) -> NoReturn:
    raise TypeError("this value is shared and cannot be changed; read it with copy=True for one of your own")


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed."""

    __slots__ = ()
    # `__init__` too: called a second time it would fill a dict anew.
    __init__ = __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, _memo: object) -> Any:
        return thawed(self)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list that cannot be changed."""

    __slots__ = ()
    __init__ = __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, _memo: object) -> Any:
        return thawed(self)

    def __reduce__(self) -> Any:
        return list, (list(self),)


def frozen(value: Any) -> Any:
    """Return a JSON value as one that cannot be changed. Its dicts and lists are made anew."""
    kind = type(value)
    if kind is dict:
        made = FrozenDict.__new__(FrozenDict)
        dict.update(made, {name: frozen(part) if type(part) in _PLAIN else part for name, part in value.items()})
        return made
    if kind is list:
        listed = FrozenList.__new__(FrozenList)
        list.extend(listed, [frozen(part) if type(part) in _PLAIN else part for part in value])
        return listed
    return value


def thawed(value: Any) -> Any:
    """Return a JSON value as plain dicts and lists, made anew where it has any."""
    if isinstance(value, dict):
        return {name: thawed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [thawed(part) for part in value]
    return value


_PLAIN = frozenset({dict, list})
