"""A value as what it adds to an earlier one, as a mirrored pair: `encode` and `decode`.

    value ──┐                        ┌──▶ Stored, whole again
    base  ──┴─▶ zstd ──▶ Stored ─────┴── base

zstd takes the plain bytes of the base for a prefix of the value's own, from which it may copy. That is as good as a
format of differences and better where parts move, it knows nothing of JSON, and bytes are kept the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from statedb.errors import Corrupted
from statedb.values import chains, codec
from statedb.values.codec import BYTES_DELTA, JSON_DELTA, Encoded, Stored, zstd

FROM = 384
"""Plain bytes from which a value may be kept as a delta. Below, one saves less than it costs: no SQLite tool reads it,
and it takes some 20 µs to make. What is smaller stays in its page of 2 KB as it is; of 465 bytes a version would not,
and takes 200 bytes of the file as a delta where it took 690 in pages of 4 KB."""

_LEAST_BASE = 64
"""Plain bytes a base has at least; zstd itself refuses less than 8."""

_WORTH = 0.75
"""A delta larger than this share of the whole saves less than the chain to its base costs every reader."""

_NEAR, _FAR = codec.LEVEL, 6
"""Levels of zstd, for a delta on the version right before and on one that lies further back: there is more to find.

520 versions of 150 KB take 232 KB at level 3 with long-distance matching (178 µs each), 353 KB without, 1.3 MB at level
1 without; level 6 takes 400 µs and saves 5 KB on the seven of eight that are near, 15 KB on the eighth."""


def encode(encoded: Encoded, base: bytes, *, far: bool = False) -> Stored | None:
    """Return a value as a delta on the plain bytes of another, None where that is not worth it.

    `far`: the other is not the version right before.
    """
    plain, stored = encoded.plain, encoded.stored
    if len(plain) < FROM or len(base) < _LEAST_BASE:
        return None
    options = _OPTIONS[_FAR if far else _NEAR]
    delta = zstd.compress(plain, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)
    if len(delta) > _WORTH * len(stored.data or plain):
        return None
    return Stored(JSON_DELTA if codec.is_json(stored) else BYTES_DELTA, None, delta)


def decode(stored: Stored, base: bytes) -> bytes:
    """Return the plain bytes of a delta, given its base's. Raises Corrupted, or on another base gives other bytes."""
    return undo(base, [stored])[-1]


def undo(plain: bytes, deltas: Sequence[Stored]) -> list[bytes]:
    """Return the plain bytes to which deltas lead, each on what the one before it gives; maybe those on the way too.

    Raises Corrupted, or on another base gives other bytes.
    """
    for each in deltas:
        if each.codec not in (JSON_DELTA, BYTES_DELTA):
            raise Corrupted(f"a value with codec {each.codec} is no delta, and has a base; run a check of the store")
    try:
        return _undone(plain, [each.data or b"" for each in deltas])
    except (zstd.ZstdError, chains.Error, ValueError) as error:
        raise Corrupted(f"a delta does not fit its base ({error}); run a check of the store") from error


def _undone(plain: bytes, deltas: list[bytes]) -> list[bytes]:
    if chains.INSTALLED:
        return [chains.last(plain, deltas)]
    found = []
    for each in deltas:
        plain = zstd.ZstdDecompressor(zstd_dict=zstd.ZstdDict(plain, is_raw=True).as_prefix).decompress(each)
        found.append(plain)
    return found


_OPTIONS: dict[int, dict[int, int]] = {
    level: {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    for level in (_NEAR, _FAR)
}
