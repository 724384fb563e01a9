"""The codec: what goes in comes out, types and member order included, or is refused with its place."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb.errors import Corrupted, InvalidValue, ValueTooLarge
from statedb.values import codec
from statedb.values.codec import COMPRESS_FROM, Stored
from statedb.values.same import same
from tests.strategies import json_values

LIMIT = 1 << 20


@given(json_values())
def test_json_comes_back_as_it_went_in(value: Any) -> None:
    encoded = codec.encode(value, LIMIT)
    assert same(codec.decode(encoded.stored), value)
    assert codec.plain(encoded.stored) == encoded.plain


@given(st.binary())
def test_bytes_come_back_as_they_went_in(value: bytes) -> None:
    assert codec.decode(codec.encode(value, LIMIT).stored) == value


@given(json_values(), json_values())
def test_digests_are_equal_for_the_same_value_only(one: Any, other: Any) -> None:
    salt = b"0" * 16
    digests = [codec.digest(salt, codec.encode(value, LIMIT)) for value in (one, other)]
    assert (digests[0] == digests[1]) == same(one, other)


def test_a_digest_tells_json_from_bytes_and_depends_on_the_salt() -> None:
    salt, pepper = b"0" * 16, b"1" * 16
    as_json, as_bytes = codec.encode(1, LIMIT), codec.encode(b"1", LIMIT)
    assert len({codec.digest(salt, as_json), codec.digest(salt, as_bytes), codec.digest(pepper, as_json)}) == 3


@pytest.mark.parametrize("value", ["x" * COMPRESS_FROM, ["text"] * COMPRESS_FROM, b"x" * COMPRESS_FROM])
def test_a_large_value_is_compressed(value: Any) -> None:
    encoded = codec.encode(value, LIMIT)
    assert encoded.stored.codec in (codec.JSON_ZSTD, codec.BYTES_ZSTD)
    assert len(encoded.stored.data or b"") < len(encoded.plain) / 10
    assert codec.decode(encoded.stored) == value


def test_bytes_that_do_not_compress_stay_as_they_are() -> None:
    value = random.Random(1).randbytes(COMPRESS_FROM)
    encoded = codec.encode(value, LIMIT)
    assert encoded.stored == Stored(codec.BYTES, None, value)


def test_a_small_value_is_text_that_any_tool_reads() -> None:
    assert codec.encode({"a": [1, 1.0, True, None, "ü"]}, LIMIT).stored == Stored(
        codec.JSON_TEXT, '{"a":[1,1.0,true,null,"ü"]}', None
    )


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (math.nan, ""),
        ([0, {"a": math.inf}], "/1/a"),
        ({"a/b": {"~": (1,)}}, "/a~1b/~0"),
        ({1: 2}, ""),
        ([{"x": {None: 1}}], "/0/x"),
        (["\ud800"], "/0"),
        ({"\udfff": 1}, ""),
        ([10**4300], "/0"),
        (["9" * 5000, -(10**4300)], "/1"),
        (["NaN", "Infinity", math.nan], "/2"),
        ([b"bytes"], "/0"),
        ({"a": {1, 2}}, "/a"),
        (object(), ""),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value: Any, path: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        codec.encode(value, LIMIT)
    assert caught.value.path == path


@pytest.mark.parametrize("value", ["NaN", ["Infinity", {"NaN": "-Infinity"}], "9" * 9000, [10**4299, "9" * 5000]])
def test_text_that_looks_like_a_bad_number_is_kept(value: Any) -> None:
    assert codec.decode(codec.encode(value, LIMIT).stored) == value


@pytest.mark.parametrize("value", ["x" * LIMIT, b"x" * (LIMIT + 1), [0] * LIMIT])
def test_a_value_over_the_limit_is_refused(value: Any) -> None:
    with pytest.raises(ValueTooLarge):
        codec.encode(value, LIMIT)


def test_a_value_that_shares_its_parts_without_end_is_refused_soon() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value, value]
    with pytest.raises(ValueTooLarge):
        codec.encode(value, LIMIT)


def test_a_codec_of_the_future_and_a_damaged_value_are_corrupted() -> None:
    for stored in (Stored(99, None, b""), Stored(codec.JSON_ZSTD, None, b"not zstd")):
        with pytest.raises(Corrupted):
            codec.decode(stored)
