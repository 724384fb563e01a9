"""A value kept in memory, to be handed out many times: as an object of the caller's own, shared, or as a type.

plain JSON ──▶ own()      a dict or list that nobody else holds
      ├──────▶ shared()   one frozen object for everybody
      └──────▶ as_type()  a pydantic model, made anew
"""

from __future__ import annotations

import marshal
import sys
from typing import Any

from pydantic_core import from_json, to_json

from statedb.values import codec
from statedb.values.codec import Stored
from statedb.values.frozen import frozen
from statedb.values.typed import read_plain

# What a dict or list of a parsed value takes beside the text it was parsed from, about: 47 KB of chat take 190 KB.
_OBJECTS = 4


class Content:
    """A value in memory, in the forms it has been asked for. It never changes, so any thread may use it.

    Reading JSON of 47 KB takes 91 µs, and copying the objects by `deepcopy` 546, by a comprehension for each level 123,
    by pickle 63, by marshal 54 (and 32 to prepare, once). So the first to ask for an object of his own has the JSON
    read, the second has it prepared, and the others get theirs by marshal: which is safe here, since what it reads was
    written by this very process and never left it. It keeps shared parts shared, but nothing read from JSON has any.
    `grown` tells that it takes more or less memory since it was last weighed.
    """

    __slots__ = ("_asked", "_made", "_plain", "_shared", "grown", "is_json")

    def __init__(self, plain: str | bytes, *, is_json: bool) -> None:
        self.is_json = is_json
        self._plain: str | bytes | None = plain
        self._made: bytes | None = None
        self._shared: list[Any] | None = None
        self._asked = self.grown = False

    @classmethod
    def of(cls, stored: Stored) -> Content:
        """Return the content of a stored form that has a value. Raises Erased."""
        if stored.codec == codec.JSON_TEXT:
            return cls(stored.text or "", is_json=True)
        return cls(codec.plain(stored), is_json=codec.is_json(stored))

    @property
    def size(self) -> int:
        """The bytes it takes in memory, about."""
        plain = 0 if self._plain is None else sys.getsizeof(self._plain)
        made = 0 if self._made is None else sys.getsizeof(self._made)
        return _FIXED + plain + made + (0 if self._shared is None else _OBJECTS * max(plain, made))

    def shown(self, as_type: type[Any] | None, copy: bool) -> Any:
        """Return the value in the form that was asked for."""
        if as_type is not None:
            return self.as_type(as_type)
        return self.own() if copy else self.shared()

    def own(self) -> Any:
        """Return the value as an object of the caller's own."""
        made = self._made
        if made is not None:
            return marshal.loads(made)
        value = from_json(self.plain, cache_strings="keys") if self.is_json else self.plain
        if self._asked and self.is_json:
            self._made, self.grown = marshal.dumps(value), True
            self._plain = None  # most ask for objects only; it is made again for who asks for a type
        self._asked = True
        return value

    def shared(self) -> Any:
        """Return the value as one object for everybody, which cannot be changed."""
        if not self.is_json:
            return self.plain
        if self._shared is None:
            self._shared, self.grown = [frozen(self.own())], True
        return self._shared[0]

    def as_type(self, as_type: type[Any]) -> Any:
        """Return the value as a pydantic model, or as any type pydantic knows. InvalidValue where it does not fit."""
        return read_plain(self.plain, as_type, is_json=self.is_json)

    @property
    def plain(self) -> str | bytes:
        """The JSON text, or the bytes themselves."""
        plain, made = self._plain, self._made
        if plain is None:
            assert made is not None, "one of the two is there, whoever looks"
            plain, self.grown = to_json(marshal.loads(made)), True
            self._plain = plain
        return plain


_FIXED = 400
"""Bytes of a content and the entry that holds it."""
