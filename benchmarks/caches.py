"""A value of 50 KB that lies in the cache of the process, beside the same read past it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

from benchmarks.rounds import Row, Sizes, race, repeated
from benchmarks.storage import growing
from statedb import Settings, Store
from statedb.config import Options

WHERE = "agent-1", "persistent", "state"
ROOM = 64 * 1024 * 1024


def rows(folder: Path, sizes: Sizes) -> list[Row]:
    """Measure and return the rows; none where the store has no cache."""
    if "cache_bytes" not in Settings.model_fields:
        return []
    folder.mkdir()
    path = folder / "cached.db"
    [(_, value)] = growing(1)
    what = "the same get with cache_bytes=0"
    with _opened(path, ROOM) as cached, _opened(path, 0) as plain:
        cached.states.set(*WHERE, value)
        # What a cache adds to get is no part of its type before there is one.
        hit: Any = partial(cached.states.get, *WHERE)
        read = partial(plain.states.get, *WHERE)
        assert hit() == hit(copy=False) == read() == value
        few = max(2, sizes.operations // 8)
        return [
            race(Row("level-1 hit, 50 KB", what, 0.5), repeated(hit, few), repeated(read, few), sizes.rounds),
            race(Row("level-1 hit, 50 KB, copy=False", what, 0.2), repeated(partial(hit, copy=False), few),
                 repeated(read, few), sizes.rounds),
        ]  # fmt: skip


def _opened(path: Path, room: int) -> Store:
    return Store(path, **cast(Options, {"durability": "normal", "cache_bytes": room}))
