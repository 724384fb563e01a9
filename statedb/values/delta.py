"""A value as what it adds to an earlier one, as a mirrored pair: `encode` and `decode`.

    value ──┐                        ┌──▶ Stored, whole again
    base  ──┴─▶ zstd ──▶ Stored ─────┴── base

zstd takes the plain bytes of the base for a prefix of the value's own, from which it may copy. That is as good as a
format of differences and better where parts move, it knows nothing of JSON, and bytes are kept the same way.
"""

from __future__ import annotations

from statedb.errors import Corrupted
from statedb.values import codec
from statedb.values.codec import BYTES_DELTA, JSON_DELTA, Encoded, Stored, zstd

FROM = 512
"""Plain bytes from which a value may be kept as a delta. Below, a delta saves less than it costs: no SQLite tool reads
it, and it takes 15 µs to make."""

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
    if stored.codec not in (JSON_DELTA, BYTES_DELTA):
        raise Corrupted(f"a value with codec {stored.codec} is no delta, and has a base; run a check of the store")
    try:
        decompressor = zstd.ZstdDecompressor(zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)
        return decompressor.decompress(stored.data or b"")
    except (zstd.ZstdError, ValueError) as error:
        raise Corrupted(f"a delta does not fit its base ({error}); run a check of the store") from error


_OPTIONS: dict[int, dict[int, int]] = {
    level: {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    for level in (_NEAR, _FAR)
}
