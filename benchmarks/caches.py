"""A value that lies in the cache of the process, beside the same read past it, and a read past it beside the floor."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json, to_json

from benchmarks import floors
from benchmarks.rounds import Row, Sizes, race, repeated
from benchmarks.sample import value
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
    with _opened(path, ROOM) as cached, _opened(path, 0) as plain:
        found = [_past(plain, path, sizes)]
        large = {"messages": [value(number, number) for number in range(108)]}
        assert 49_000 < len(to_json(large)) < 52_000
        cached.states.set(*WHERE, large)
        # What a cache adds to get is no part of its type before there is one.
        hit: Any = partial(cached.states.get, *WHERE)
        read = partial(plain.states.get, *WHERE)
        assert hit() == hit(copy=False) == read() == large
        few, what = max(2, sizes.operations // 8), "the same get with cache_bytes=0"
        return [
            *found,
            race(Row("level-1 hit, 50 KB", what, 0.5), repeated(hit, few), repeated(read, few), sizes.rounds),
            race(Row("level-1 hit, 50 KB, copy=False", what, 0.2), repeated(partial(hit, copy=False), few),
                 repeated(read, few), sizes.rounds),
        ]  # fmt: skip


def _past(plain: Store, path: Path, sizes: Sizes) -> Row:
    plain.states.set(*WHERE, value(0, 0))
    db = floors.connect(path)

    def raw() -> Any:
        return from_json(db.execute(floors.VALUE, WHERE).fetchall()[0][0])

    assert plain.states.get(*WHERE) == raw()
    what = "prepared select by agent name, tier and key; from_json on the text"
    row = Row("get with cache_bytes=0", what, 1.5)
    read = partial(plain.states.get, *WHERE)
    race(row, repeated(read, sizes.operations), repeated(raw, sizes.operations), sizes.rounds)
    db.close()
    return row


def _opened(path: Path, room: int) -> Store:
    return Store(path, **cast(Options, {"durability": "normal", "cache_bytes": room}))
