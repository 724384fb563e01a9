"""Values as deltas: a mirrored pair for whatever bytes there are, and forms of old that stay readable."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb.errors import Corrupted
from statedb.values import chains, codec, delta
from statedb.values.codec import Encoded, Stored

LIMIT = 1 << 20
WORDS = st.lists(st.sampled_from([b"alpha ", b"beta ", b"gamma ", b"\x00\xff", b"delta "]), min_size=20, max_size=400)
PLAINS = WORDS.map(b"".join)


@pytest.fixture(autouse=True, params=[True, False], ids=["zstandard", "plain"])
def with_or_without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deltas are undone with the library of the extra `fast` and without."""
    assert chains.INSTALLED
    monkeypatch.setattr(chains, "INSTALLED", request.param)


@given(base=PLAINS, plain=PLAINS, far=st.booleans())
def test_a_delta_and_its_base_give_the_bytes_back(base: bytes, plain: bytes, far: bool) -> None:
    whole = codec.pack(plain, json=False)
    made = delta.encode(whole, base, far=far)
    if made is not None:
        assert made.codec == codec.BYTES_DELTA
        assert delta.decode(made, base) == plain


@given(seed=st.integers(0, 1000), size=st.integers(500, 3000), at=st.integers(0), added=st.binary(max_size=20))
def test_what_changes_little_takes_little(seed: int, size: int, at: int, added: bytes) -> None:
    base = random.Random(seed).randbytes(size)  # of which nothing is like anything else in it
    plain = base[: at % size] + added + base[at % size :]
    made = delta.encode(codec.pack(plain, json=False), base)
    assert made is not None
    assert made.data is not None
    assert len(made.data) <= len(added) + 60


@pytest.mark.parametrize(("plain", "base"), [(delta.FROM - 1, 1000), (1000, 63)])
def test_small_values_and_small_bases_are_left_alone(plain: int, base: int) -> None:
    assert delta.encode(codec.pack(b"x" * plain, json=False), b"x" * base) is None


def test_what_a_delta_does_not_make_smaller_stays_whole() -> None:
    plain = random.Random(1).randbytes(2000)
    assert delta.encode(codec.pack(plain, json=False), b"nothing of the kind " * 100) is None


def test_a_delta_on_another_base_is_never_taken_for_the_value() -> None:
    base, plain = b"one thing after another " * 40, b"one thing after another " * 39 + b"the end."
    made = delta.encode(codec.pack(plain, json=False), base)
    assert made is not None
    try:
        found = delta.decode(made, base[::-1])
    except Corrupted:
        return
    assert codec.digest(b"salt", Encoded(made, found)) != codec.digest(b"salt", Encoded(made, plain))


@given(plains=st.lists(PLAINS, min_size=2, max_size=6), large=st.booleans())
def test_a_chain_is_undone_from_its_first_link_to_its_last(plains: list[bytes], large: bool) -> None:
    if large:  # more than a block of zstd's
        plains = [plain + b"and so on, " * 20_000 for plain in plains]
    deltas, wanted = [], [plains[0]]
    for plain in plains[1:]:
        made = delta.encode(codec.pack(plain, json=False), wanted[-1])
        if made is not None:
            deltas.append(made)
            wanted.append(plain)
    if deltas:
        found = delta.undo(plains[0], deltas)
        assert found == wanted[-len(found) :]


@pytest.mark.parametrize("damage", [b"", b"no zstd at all", b"\x28\xb5\x2f\xfd"])
def test_a_damaged_delta_is_corrupted(damage: bytes) -> None:
    base = b"something to build on " * 40
    stored = Stored(codec.BYTES_DELTA, None, damage)
    try:
        found = delta.decode(stored, base)
    except Corrupted:
        return
    assert found == b"", "a frame that is cut off gives nothing"


def test_only_deltas_have_a_base_and_every_delta_has_one() -> None:
    with pytest.raises(Corrupted, match="no delta"):
        delta.decode(Stored(codec.JSON_TEXT, "1", None), b"x" * 100)
    for number in (codec.JSON_DELTA, codec.BYTES_DELTA):
        with pytest.raises(Corrupted, match="no base"):
            codec.plain(Stored(number, None, b""))


BASE = b'{"a":"' + b"0123456789" * 60 + b'"}'
GROWN = b'{"a":"' + b"0123456789" * 60 + b'","b":[1,2,3]}'
ZSTD = base64.b64decode("KLUv/WBsAS0BAPB7ImEiOiIwMTIzNDU2Nzg5IiwiYiI6WzEsMiwzXX0BAJa0Kks=")
DELTA = base64.b64decode("KLUv/WBsAa0AAGgsImIiOlsxLDIsM119AQBcxlQCCA==")
WRITTEN = {
    codec.JSON_TEXT: Stored(codec.JSON_TEXT, GROWN.decode(), None),
    codec.BYTES: Stored(codec.BYTES, None, GROWN),
    codec.JSON_ZSTD: Stored(codec.JSON_ZSTD, None, ZSTD),
    codec.BYTES_ZSTD: Stored(codec.BYTES_ZSTD, None, ZSTD),
    codec.JSON_DELTA: Stored(codec.JSON_DELTA, None, DELTA),
    codec.BYTES_DELTA: Stored(codec.BYTES_DELTA, None, DELTA),
}
"""What a row of each codec looked like when its number was given out."""


@pytest.mark.parametrize("number", WRITTEN)
def test_rows_of_every_codec_there_ever_was_are_read(number: int) -> None:
    stored = WRITTEN[number]
    is_delta = number in (codec.JSON_DELTA, codec.BYTES_DELTA)
    assert (delta.decode(stored, BASE) if is_delta else codec.plain(stored)) == GROWN
    assert codec.is_json(stored) is (number in (codec.JSON_TEXT, codec.JSON_ZSTD, codec.JSON_DELTA))
