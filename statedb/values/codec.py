"""A value and its stored form, as a mirrored pair: `encode` and `decode`.

    value ── check ── plain bytes ── compress ──▶ Stored ──▶ decompress ── parse ──▶ the same value

JSON text of moderate size stays text, so that any SQLite tool reads it; what is larger is zstd. What a version adds to
an earlier one is `delta`'s. The codec number is stored with each row: a new form gets a new number, and old rows stay
readable.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, from_json, to_json

from statedb.errors import Corrupted, Erased, InvalidValue, ValueTooLarge
from statedb.values import pointer
from statedb.values.frozen import FrozenDict, FrozenList

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

JSON_TEXT, BYTES, JSON_ZSTD, BYTES_ZSTD, ERASED, JSON_DELTA, BYTES_DELTA = 0, 1, 2, 3, 4, 5, 6

# From here on a value is compressed. 16 KiB of JSON costs 60 µs to compress and 15 µs to read back, against some
# 4 fewer overflow pages per row in head and history alike; below it, being readable by any SQLite tool is worth more.
COMPRESS_FROM = 16 * 1024
# Level 1 is a trap on large documents: a third larger for no time saved worth having.
LEVEL = 3

# The JSON parser (jiter) reads 200 levels: nesting it would refuse to read back must not be written. The rest is room
# for what a value travels in, such as a record of an export.
MAX_DEPTH = 192
# CPython's own limit for turning text into an integer, and the parser's.
MAX_DIGITS = 4300
_LARGEST = 10**MAX_DIGITS - 1


class Stored(NamedTuple):
    """A value as a row holds it: JSON text in `text`, everything else in `data`; `codec` None is no value at all."""

    codec: int | None
    text: str | None
    data: bytes | None


NOTHING = Stored(None, None, None)


class Encoded(NamedTuple):
    """A value on its way in: what will be stored, and the plain bytes that size and digest are taken of."""

    stored: Stored
    plain: bytes


def encode(value: Any, limit: int) -> Encoded:
    """Return the stored form of a value.

    `limit` is in plain bytes. Raises InvalidValue with the JSON Pointer of what could not come back as it went in, and
    ValueTooLarge.
    """
    if type(value) is not bytes:
        return pack(json_text(value, limit), json=True)
    if len(value) > limit:
        raise ValueTooLarge(_too_large(limit))
    return pack(value, json=False)


def pack(plain: bytes, *, json: bool) -> Encoded:
    """Return the stored form of plain bytes: the text of some JSON, or opaque."""
    if len(plain) >= COMPRESS_FROM:
        packed = zstd.compress(plain, LEVEL)
        if json or len(packed) < len(plain):
            return Encoded(Stored(JSON_ZSTD if json else BYTES_ZSTD, None, packed), plain)
    return Encoded(unpacked(plain, json=json), plain)


def unpacked(plain: bytes, *, json: bool) -> Stored:
    """Return plain bytes as a stored form that is quick to read, and may be large."""
    return Stored(JSON_TEXT, plain.decode(), None) if json else Stored(BYTES, None, plain)


def decode(stored: Stored) -> Any:
    """Return the value of a stored form, None for no value."""
    codec, text, _ = stored
    if codec == JSON_TEXT:
        return from_json(text or "", cache_strings="keys")
    if codec is None:
        return None
    raw = plain(stored)
    return raw if codec in (BYTES, BYTES_ZSTD) else from_json(raw, cache_strings="keys")


def parse(encoded: Encoded) -> Any:
    """Return the value of an encoded one, as an object of its own."""
    return from_json(encoded.plain, cache_strings="keys") if is_json(encoded.stored) else encoded.plain


def plain(stored: Stored) -> bytes:
    """Return the plain bytes of a stored form: JSON text in UTF-8, or the bytes themselves. Raises Erased."""
    codec, text, data = stored
    if codec == JSON_TEXT:
        return (text or "").encode()
    if codec == BYTES:
        return data or b""
    if codec in (JSON_ZSTD, BYTES_ZSTD):
        try:
            return zstd.decompress(data or b"")
        except zstd.ZstdError as error:
            raise Corrupted(f"a stored value does not decompress ({error}); run a check of the store") from error
    if codec == ERASED:
        raise Erased("the value was erased; that the version was there is all that is kept")
    if codec in (JSON_DELTA, BYTES_DELTA):
        raise Corrupted("a value is a delta, and its row names no base; run a check of the store")
    raise Corrupted(f"a stored value has codec {codec}, which this statedb does not know; is the library too old?")


def is_json(stored: Stored) -> bool:
    """Tell JSON from opaque bytes and from no value."""
    return stored.codec in (JSON_TEXT, JSON_ZSTD, JSON_DELTA)


def digest(salt: bytes, encoded: Encoded) -> bytes:
    """Return the keyed digest of a value, 16 bytes of BLAKE2b.

    Keyed by the key's own salt, it tells nothing about the value to somebody who has not the salt, so digests may stay
    in the log when a value is erased. The kind of value is part of it: b"1" and 1 differ.
    """
    kind = b"json" if is_json(encoded.stored) else b"bytes"
    return hashlib.blake2b(encoded.plain, digest_size=16, key=salt, person=kind).digest()


def json_text(value: Any, limit: int) -> bytes:
    """Return compact JSON in UTF-8, refusing what is not exactly JSON."""
    room = [limit]
    try:
        _check(value, MAX_DEPTH - 1, room)
        text = to_json(value)
        _check_numbers(value, text, limit)
    except (_Fault, PydanticSerializationError) as error:
        raise (ValueTooLarge(_too_large(limit)) if room[0] < 0 else _explain(value, error, limit)) from None
    if len(text) > limit:
        raise ValueTooLarge(_too_large(limit))
    return text


# ---- what is exactly JSON

# A walk of our own, because to_json is generous: it turns tuples, sets, dates and integer keys into JSON that would
# come back as something else. Types are compared exactly, since a subclass would come back as its base; what `get` with
# copy=False handed out is let in, since it is equal to what comes back.


class _Fault(Exception):
    """Something in the value is not JSON; where and why is worked out once it matters."""


_SCALARS = frozenset({str, int, float, bool, type(None)})
_LONG_NUMBER = re.compile(rb"\d{%d}" % (MAX_DIGITS + 1))


def _check(value: Any, depth: int, room: list[int]) -> None:
    """Refuse what is not of JSON's own types.

    Brackets, names and texts are counted on the way: a value that shares its parts over and over (2**100 leaves from a
    hundred lists, a long text a thousand times) is refused by its size, before it is written out.
    """
    kind = type(value)
    if kind is dict or kind is FrozenDict:
        size = 2 + len(value)
        for name, member in value.items():
            if type(name) is not str:
                raise _Fault
            size += len(name)
            if (kind := type(member)) is str:
                size += len(member)
            elif kind not in _SCALARS:
                if not depth:
                    raise _Fault
                _check(member, depth - 1, room)
    elif kind is list or kind is FrozenList:
        size = 2 + len(value)
        for member in value:
            if (kind := type(member)) is str:
                size += len(member)
            elif kind not in _SCALARS:
                if not depth:
                    raise _Fault
                _check(member, depth - 1, room)
    elif kind in _SCALARS:
        return
    else:
        raise _Fault
    room[0] -= size
    if room[0] < 0:
        raise _Fault


def _check_numbers(value: Any, text: bytes, limit: int) -> None:
    """Refuse numbers that would not be read back: not finite, or with too many digits.

    The text tells at a glance that there are none, and only a hint of one (be it in a string) is worth a walk.
    """
    hint = b"NaN" in text or b"Infinity" in text or (len(text) > MAX_DIGITS and _LONG_NUMBER.search(text))
    if hint and _find(value, (), [limit]):
        raise _Fault


def _explain(value: Any, error: Exception, limit: int) -> InvalidValue:
    room = [limit]
    fault = _find(value, (), room)
    if fault is None:
        return InvalidValue(f"this value is not JSON: {error}", path="")
    why, path = fault
    if room[0] < 0:
        return ValueTooLarge(_too_large(limit))
    where = pointer.render(path)
    shown = where if len(where) < 200 else f"{where[:200]}…"
    return InvalidValue(f"at {shown or 'the top'}: {why}", path=where)


def _find(value: Any, path: tuple[str, ...], room: list[int]) -> tuple[str, tuple[str, ...]] | None:
    """Return why and where a value is not JSON; the first place in reading order."""
    kind = type(value)
    if kind is str:
        return _find_in_text(value, path, room)
    if kind in (dict, list, FrozenDict, FrozenList):
        return _find_inside(value, path, room)
    if kind is int and not -_LARGEST <= value <= _LARGEST:
        return f"an integer of more than {MAX_DIGITS:,} digits", path
    if kind is float and not math.isfinite(value):
        return f"{value} is no JSON number; store None or text instead", path
    if kind in (int, float, bool, type(None)):
        return None
    hint: dict[type[Any], str] = {
        tuple: "; make it a list",
        set: "; make it a sorted list",
        bytes: "; bytes are a value of their own, not a part of one",
    }
    return f"{kind.__name__} is not JSON{hint.get(kind, '; convert it first')}", path


def _find_inside(value: Any, path: tuple[str, ...], room: list[int]) -> tuple[str, tuple[str, ...]] | None:
    if len(path) >= MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH} levels (or part of itself)", path
    room[0] -= len(value)
    if room[0] < 0:
        return "too large", path
    named = isinstance(value, dict)
    members = value.items() if named else enumerate(value)
    for name, member in members:
        if named and type(name) is not str:
            return f"the member name {name!r:.80} is {type(name).__name__}, and JSON has only text", path
        found = _find_in_text(name, path, room) if type(name) is str else None
        found = found or _find(member, (*path, str(name)), room)
        if found:
            return found
    return None


def _find_in_text(text: str, path: tuple[str, ...], room: list[int]) -> tuple[str, tuple[str, ...]] | None:
    room[0] -= len(text)
    if room[0] < 0:
        return "too large", path
    try:
        text.encode()
    except UnicodeEncodeError:
        return "the text holds a lone surrogate, which UTF-8 cannot carry", path
    return None


@lru_cache
def _too_large(limit: int) -> str:
    return f"the value takes more than {limit:,} bytes; split it, or raise Settings.max_value_bytes"
