"""A change written as JSON: the merge patch (RFC 7386) and the JSON patch (RFC 6902).

Neither touches what it is given. What a result did not change it shares with the value and the patch it came from: it
is meant to be encoded next, and a caller who would rather alter it in place copies it first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from statedb.errors import InvalidValue
from statedb.values import pointer
from statedb.values.same import equal, is_list, is_object

Path = tuple[str, ...]

# Not str.isdigit, which takes "¹" and "٣", nor int, which takes " 1", "1_0" and "+1".
_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)


# ---- merge patch


def merge_patch(value: Any, patch: Any) -> Any:
    """Return the value with a merge patch applied: members of the patch replace, objects merge, None removes.

    A patch that is no object replaces the value. Members keep their places, new ones come last. RFC 7386, section 2.
    """
    if not is_object(patch):
        return patch
    merged: dict[str, Any] = dict(value) if is_object(value) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), change)
    return merged


# ---- JSON patch


class _Refused(Exception):
    """Why an operation cannot be applied; which operation it was is known further up."""


def json_patch(value: Any, operations: Any) -> Any:
    """Return the value with the operations of a JSON patch applied in turn, all of them or none.

    Raises InvalidValue, naming the operation by its index and pointer, where one does not apply, a `test` fails or the
    patch is malformed; its `path` is the operation's pointer as given. RFC 6902, except that the whole value cannot be
    removed: nothing would be left to return.
    """
    if not is_list(operations):
        raise InvalidValue("a JSON patch is a list of operations, such as {'op': 'remove', 'path': '/a'}")
    draft = _Draft(value)
    for index, operation in enumerate(operations):
        try:
            _apply(draft, operation)
        except _Refused as refused:
            raise _explained(index, operation, refused) from None
    return draft.at(())


def _apply(draft: _Draft, operation: Any) -> None:
    if not is_object(operation):
        raise _Refused("an operation is an object with the members op and path")
    name = operation.get("op")
    # Asked for its type first: a list is no key to look up.
    apply = _OPERATIONS.get(name) if type(name) is str else None
    if apply is None:
        raise _Refused(f"op is one of {', '.join(_OPERATIONS)}")
    apply(draft, _pointer(operation, "path"), operation)


def _add(draft: _Draft, path: Path, operation: dict[str, Any]) -> None:
    draft.add(path, _value(operation))


def _remove(draft: _Draft, path: Path, operation: dict[str, Any]) -> None:
    draft.remove(path)


def _replace(draft: _Draft, path: Path, operation: dict[str, Any]) -> None:
    draft.replace(path, _value(operation))


def _move(draft: _Draft, path: Path, operation: dict[str, Any]) -> None:
    source = _pointer(operation, "from")
    if path == source:
        # Taking a member out and putting it back would make it the last one.
        draft.at(source)
    elif path[: len(source)] == source:
        raise _Refused("a value cannot be moved into itself")
    else:
        draft.add(path, draft.remove(source))


def _copy(draft: _Draft, path: Path, operation: dict[str, Any]) -> None:
    draft.add(path, draft.share(_pointer(operation, "from")))


def _test(draft: _Draft, path: Path, operation: dict[str, Any]) -> None:
    if not equal(draft.at(path), _value(operation)):
        raise _Refused("the value there is not the one the test names")


_OPERATIONS: dict[str, Callable[[_Draft, Path, dict[str, Any]], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


class _Draft:
    """The value while it is being patched: a container is copied when it is first changed, and only then.

    Copying the whole value beforehand would be shorter, but then `copy` must copy too, and forty operations like
    {"op": "copy", "from": "", "path": "/a"}, each under a new name, make 2**40 nodes. Shared, they make forty, and the
    codec, which counts as it walks, refuses the result.
    """

    def __init__(self, value: Any) -> None:
        # The value hangs in an object of ours, as its one member, so that it has a parent like every other place.
        self._top: dict[str, Any] = {"": value}
        # The containers made here, which may be changed in place. By id, and held on to so that no id is used again.
        self._own: dict[int, Any] = {}

    def at(self, path: Path) -> Any:
        """Return what stands at a path."""
        here: Any = self._top
        for part in ("", *path):
            here = here[_existing(here, part)]
        return here

    def share(self, path: Path) -> Any:
        """Return what stands at a path, to stand at a second place too."""
        shared = self.at(path)
        # A container of ours may be inside, and a change at one place must not show at the other.
        self._own.clear()
        return shared

    def add(self, path: Path, value: Any) -> None:
        """Put a value at a path: a new member, a member's new value, or an element before the one there."""
        parent, part = self._parent(path)
        if is_list(parent):
            parent.insert(_slot(parent, part), value)
        elif is_object(parent):
            parent[part] = value
        else:
            raise _nothing(parent, part)

    def remove(self, path: Path) -> Any:
        """Take away and return what stands at a path."""
        if not path:
            raise _Refused("the whole value cannot be removed; replace it, or delete the key")
        parent, part = self._parent(path)
        key = _existing(parent, part)
        return parent.pop(key)

    def replace(self, path: Path, value: Any) -> None:
        """Put a value in the place of the one at a path."""
        parent, part = self._parent(path)
        parent[_existing(parent, part)] = value

    def _parent(self, path: Path) -> tuple[Any, str]:
        """Return the container a path ends in, ours to change, and the last part."""
        *above, last = ("", *path)
        here: Any = self._top
        for part in above:
            key = _existing(here, part)
            here[key] = self._owned(here[key])
            here = here[key]
        return here, last

    def _owned(self, value: Any) -> Any:
        if type(value) not in (dict, list) or id(value) in self._own:
            return value
        copy = value.copy()
        self._own[id(copy)] = copy
        return copy


def _existing(container: Any, part: str) -> Any:
    """Return the name or index of something that is there."""
    if is_object(container) and part in container:
        return part
    if is_list(container) and (index := _index(container, part)) < len(container):
        return index
    raise _nothing(container, part)


def _slot(container: list[Any], part: str) -> int:
    """Return the index at which an element may be put in: up to the end, which is also called "-"."""
    index = len(container) if part == "-" else _index(container, part)
    if index > len(container):
        raise _Refused(f"the list has {len(container)} elements, so {_quoted(part)} would leave a gap")
    return index


def _index(container: list[Any], part: str) -> int:
    if not _INDEX.fullmatch(part):
        raise _Refused(f"{_quoted(part)} is not an index of a list")
    # More digits than the length has are past the end, and int() refuses more than 4300 of them in words of its own.
    return int(part) if len(part) <= len(str(len(container))) else len(container) + 1


def _pointer(operation: dict[str, Any], name: str) -> Path:
    text = operation.get(name)
    if type(text) is not str:
        raise _Refused(f"the operation needs the member {name!r}, a JSON Pointer")
    try:
        return pointer.parse(text)
    except ValueError as error:
        raise _Refused(f"{name!r}: {error}") from None


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise _Refused("the operation needs the member 'value'")
    return operation["value"]


def _nothing(container: Any, part: str) -> _Refused:
    if is_object(container):
        return _Refused(f"there is no member {_quoted(part)}")
    if is_list(container):
        return _Refused(f"the list has {len(container)} elements and none at {_quoted(part)}")
    return _Refused(f"{_quoted(part)} leads into what is neither an object nor a list")


def _explained(index: int, operation: Any, refused: _Refused) -> InvalidValue:
    members: dict[str, Any] = operation if is_object(operation) else {}
    where = members.get("path")
    path = where if type(where) is str else ""
    named = [_quoted(members[name]) for name in ("op", "from", "path") if type(members.get(name)) is str]
    about = f" ({' '.join(named)})" if named else ""
    return InvalidValue(f"operation {index} of the patch{about}: {refused}; nothing was changed", path=path)


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) < 200 else f"{text[:200]}…", ensure_ascii=False)
