"""A value kept in memory, to be handed out many times: as an object of the caller's own, shared, or as a type.

plain JSON ──▶ own()      a dict or list that nobody else holds
      ├──────▶ shared()   one frozen object for everybody
      └──────▶ as_type()  a pydantic model, made anew
"""

from __future__ import annotations

import sys
from typing import Any

from pydantic_core import from_json, to_json

from statedb.values import codec
from statedb.values.codec import Stored
from statedb.values.copies import Original
from statedb.values.frozen import frozen
from statedb.values.typed import read_plain


class Content:
    """A value in memory, in the forms it has been asked for. It never changes, so any thread may use it.

    `grown` tells that it takes more memory, or less, than when it was last weighed.
    """

    __slots__ = ("_asked", "_original", "_plain", "_shared", "grown", "is_json")

    def __init__(self, plain: str | bytes, *, is_json: bool) -> None:
        self.is_json = is_json
        self._plain: str | bytes | None = plain
        self._original: Original | None = None
        self._shared: list[Any] | None = None
        self._asked, self.grown = 0, False

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
        original = 0 if self._original is None else self._original.size
        return _FIXED + plain + original + (0 if self._shared is None else original or _OBJECTS * plain)

    def shown(self, as_type: type[Any] | None, copy: bool) -> Any:
        """Return the value in the form that was asked for."""
        if as_type is not None:
            return read_plain(self.plain, as_type, is_json=self.is_json)
        return self.own() if copy else self.shared()

    def own(self) -> Any:
        """Return the value as an object of the caller's own.

        Who asks for the first time or the second has the JSON read; for the third there is an original that is copied,
        in a third to a half of that time. To make it takes as long as two or three readings.
        """
        if not self.is_json:
            return self.plain
        original = self._original
        if original is not None:
            return original.copy()
        value = from_json(self.plain, cache_strings="keys")
        self._asked += 1
        if self._asked < _OFTEN or not isinstance(value, dict | list):
            return value
        self._original = original = Original(value)
        self._plain, self.grown = None, True  # made again for who asks for a type, as few do who ask for objects too
        return original.copy()

    def shared(self) -> Any:
        """Return the value as one object for everybody, which cannot be changed."""
        if not self.is_json:
            return self.plain
        if self._shared is None:
            original = self._original
            value = from_json(self.plain, cache_strings="keys") if original is None else original.value
            self._shared, self.grown = [frozen(value)], True
        return self._shared[0]

    @property
    def plain(self) -> str | bytes:
        """The JSON text, or the bytes themselves."""
        plain, original = self._plain, self._original
        if plain is None:
            assert original is not None, "one of the two is there, whoever looks"
            plain, self.grown = to_json(original.value), True
            self._plain = plain
        return plain


_OFTEN = 3
_FIXED = 400
"""Bytes of a content and the entry that holds it."""
_OBJECTS = 5
"""How many times the memory of its JSON a parsed value takes, about: 2 where it is text, 8 where it is numbers."""
