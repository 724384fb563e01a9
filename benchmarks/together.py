"""The asynchronous store: one caller that waits, and a thousand at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiosqlite

from benchmarks import floors
from benchmarks.floors import Durability
from benchmarks.rounds import Row, Sizes, Stopwatch, on_one_core, race
from benchmarks.sample import AGENT, TIER, Picks, Template, key, value
from benchmarks.writes import BOTH
from statedb import AsyncStore

_TOGETHER = {"normal": 3.0, "full": 2.0}


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows, on one event loop."""
    with asyncio.Runner() as loop:
        with on_one_core():
            close = [_get(loop, "on one core", 1.6, made, sizes), _set(loop, made, sizes)]
        return [
            *close,
            _get(loop, "across cores", None, made, sizes),
            *(_concurrent(loop, durability, made, sizes) for durability in BOTH),
        ]


def _get(loop: asyncio.Runner, where: str, target: float | None, made: Template, sizes: Sizes) -> Row:
    path = made.copy(f"async-reads {where}.db")
    store = loop.run(_opened(path, "normal"))
    db = loop.run(_connected(path))
    picks = Picks(made.keys, max(1, sizes.operations // 4))

    async def ours(turn: int) -> float:
        names, get = picks.names(turn), store.states.get
        with Stopwatch() as watch:
            for name in names:
                await get(AGENT, TIER, name)
        return watch.per(len(names))

    async def raw(turn: int) -> float:
        names = picks.names(turn)
        with Stopwatch() as watch:
            for name in names:
                await db.execute_fetchall(floors.VALUE, (AGENT, TIER, name))
        return watch.per(len(names))

    what = "aiosqlite's execute_fetchall, the same select, one hop; the JSON text is left as it is"
    if target is None:
        what += ". Threads lie where the scheduler puts them, which is luck: 1 to 4 from run to run"
    row = race(
        Row(f"async get, {where}", what, target),
        lambda turn: loop.run(ours(turn)), lambda turn: loop.run(raw(turn)), sizes.rounds,
    )  # fmt: skip
    loop.run(db.close())
    loop.run(store.close())
    return row


def _set(loop: asyncio.Runner, made: Template, sizes: Sizes) -> Row:
    ours, theirs = made.copy("async-set.db"), made.copy("async-set-floor.db")
    store = loop.run(_opened(ours, "normal"))
    db = floors.connect(theirs)
    picks = Picks(made.keys, max(1, sizes.operations // 8))

    async def awaited(turn: int) -> float:
        writes, set_ = picks.writes(turn), store.states.set
        with Stopwatch() as watch:
            for name, new in writes:
                await set_(AGENT, TIER, name, new)
        return watch.per(len(writes))

    async def hopped(turn: int) -> float:
        writes = picks.writes(turn)
        with Stopwatch() as watch:
            for name, new in writes:
                await asyncio.to_thread(floors.write, db, AGENT, TIER, name, new)
        return watch.per(len(writes))

    row = race(
        Row("async set, one at a time, normal", "the hand-written set by asyncio.to_thread, on one core too"),
        lambda turn: loop.run(awaited(turn)), lambda turn: loop.run(hopped(turn)), sizes.rounds,
    )  # fmt: skip
    loop.run(store.close())
    db.close()
    return row


def _concurrent(loop: asyncio.Runner, durability: Durability, made: Template, sizes: Sizes) -> Row:
    ours, theirs = made.copy(f"together-{durability}.db"), made.copy(f"together-{durability}-floor.db")
    store = loop.run(_opened(ours, durability))
    db = floors.connect(theirs, durability)
    n = sizes.together

    def writes(turn: int) -> list[floors.Write]:
        return [(key(number % made.keys), value(number, turn * n + number + 1)) for number in range(n)]

    async def gathered(turn: int) -> float:
        ready, set_ = writes(turn), store.states.set
        with Stopwatch() as watch:
            await asyncio.gather(*(set_(AGENT, TIER, name, new) for name, new in ready))
        return watch.per(n)

    def raw(turn: int) -> float:
        ready = writes(turn)
        with Stopwatch() as watch:
            floors.write_together(db, AGENT, TIER, ready)
        return watch.per(n)

    row = race(
        Row(f"{n:,} concurrent async sets, {durability}, each", "by hand in ONE transaction, a commit row each",
            _TOGETHER[durability]),
        lambda turn: loop.run(gathered(turn)), raw, max(3, sizes.rounds // 2),
    )  # fmt: skip
    loop.run(store.close())
    db.close()
    assert floors.rows_of(ours) == floors.rows_of(theirs), "the contenders wrote different rows"
    return row


async def _opened(path: Path, durability: Durability) -> AsyncStore:
    return await AsyncStore(path, durability=durability)


async def _connected(path: Path) -> aiosqlite.Connection:
    return await aiosqlite.connect(path, isolation_level=None)
