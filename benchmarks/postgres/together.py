"""The asynchronous store on a server: one caller that waits, and a thousand at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from pydantic_core import from_json

from benchmarks.postgres import floors
from benchmarks.postgres.floors import Connection, Durability, Write
from benchmarks.postgres.sample import Template
from benchmarks.rounds import Contender, Row, Sizes, Stopwatch, race
from benchmarks.sample import AGENT, TIER, Picks, key, value
from benchmarks.writes import BOTH
from statedb import AsyncStore

Together = Callable[[Connection, str, str, Sequence[Write]], object]

ONE_BY_ONE = "by hand in ONE transaction, a commit row each, statement by statement, not on a loop"
BATCHED = "by hand in ONE transaction, the heads by one select, each table's rows by one executemany"


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows, on one event loop."""
    with asyncio.Runner() as loop, made.server.placed("apart"):
        return [
            _get(loop, made, sizes),
            *(_set(loop, each, made, sizes) for each in BOTH),
            *(_concurrent(loop, each, floors.write_together, ONE_BY_ONE, made, sizes) for each in BOTH),
            _concurrent(loop, "normal", floors.write_together_pipelined, BATCHED, made, sizes),
            *(_beside(loop, each, made, sizes) for each in BOTH),
        ]


def _get(loop: asyncio.Runner, made: Template, sizes: Sizes) -> Row:
    url = made.copy()
    store, db = loop.run(_opened(url, "normal")), loop.run(_connected(url, "normal"))
    picks = Picks(made.keys, max(1, sizes.operations // 4))

    async def raw(name: str) -> Any:
        cursor = await db.execute(floors.VALUE, (AGENT, TIER, name))
        return from_json((await cursor.fetchall())[0][0])

    get = store.states.get
    row = race(
        Row("async get", "psycopg's AsyncConnection, the same select; from_json on the text", 1.5),
        _awaiting(loop, lambda name: get(AGENT, TIER, name), picks.names),
        _awaiting(loop, raw, picks.names),
        sizes.rounds,
    )
    loop.run(db.close())
    loop.run(store.close())
    return row


def _set(loop: asyncio.Runner, durability: Durability, made: Template, sizes: Sizes) -> Row:
    ours, theirs = made.copy(), made.copy()
    store, db = loop.run(_opened(ours, durability)), loop.run(_connected(theirs, durability))
    picks = Picks(made.keys, max(1, sizes.operations // 8))
    set_ = store.states.set
    row = race(
        Row(f"async set, one at a time, {durability}", "the hand-written set on psycopg's AsyncConnection", 1.5),
        _awaiting(loop, lambda write: set_(AGENT, TIER, *write), picks.writes),
        _awaiting(loop, lambda write: floors.write_awaited(db, AGENT, TIER, *write), picks.writes),
        sizes.rounds,
    )
    loop.run(db.close())
    loop.run(store.close())
    assert floors.rows_of(ours) == floors.rows_of(theirs), "the contenders wrote different rows"
    return row


def _concurrent(
    loop: asyncio.Runner, durability: Durability, together: Together, what: str, made: Template, sizes: Sizes
) -> Row:
    ours, theirs = made.copy(), made.copy()
    store = loop.run(_opened(ours, durability))
    with floors.connect(theirs, durability) as db:

        def raw(turn: int) -> float:
            ready = _writes(made, sizes, turn)
            with Stopwatch() as watch:
                together(db, AGENT, TIER, ready)
            return watch.per(len(ready))

        named = ", floor batched" if together is floors.write_together_pipelined else ""
        row = race(
            Row(f"{sizes.together:,} concurrent async sets, {durability}{named}, each", what),
            _gathered(loop, store, made, sizes), raw, max(3, sizes.rounds // 4),
        )  # fmt: skip
    loop.run(store.close())
    assert floors.rows_of(ours) == floors.rows_of(theirs), "the contenders wrote different rows"
    return row


def _beside(loop: asyncio.Runner, durability: Durability, made: Template, sizes: Sizes) -> Row:
    """The one row whose floor is statedb's own: what it gains where a thousand tasks do not wait for one another."""
    store = loop.run(_opened(made.copy(), durability))
    picks = Picks(made.keys, max(1, sizes.operations // 4), series=1)
    set_ = store.states.set
    row = race(
        Row(f"{sizes.together:,} concurrent async sets beside one at a time, {durability}",
            "statedb's own async set, each awaited before the next", 0.2),
        _gathered(loop, store, made, sizes),
        _awaiting(loop, lambda write: set_(AGENT, TIER, *write), picks.writes),
        max(3, sizes.rounds // 4),
    )  # fmt: skip
    loop.run(store.close())
    return row


def _awaiting(
    loop: asyncio.Runner, ask: Callable[[Any], Awaitable[object]], operations: Callable[[int], Sequence[Any]]
) -> Contender:
    """Return a contender that awaits each operation before it begins the next."""

    async def one_at_a_time(turn: int) -> float:
        ready = operations(turn)
        with Stopwatch() as watch:
            for each in ready:
                await ask(each)
        return watch.per(len(ready))

    return lambda turn: loop.run(one_at_a_time(turn))


def _gathered(loop: asyncio.Runner, store: AsyncStore, made: Template, sizes: Sizes) -> Contender:
    """Return a contender that begins all sets at once."""

    async def at_once(turn: int) -> float:
        ready, set_ = _writes(made, sizes, turn), store.states.set
        with Stopwatch() as watch:
            await asyncio.gather(*(set_(AGENT, TIER, name, new) for name, new in ready))
        return watch.per(len(ready))

    return lambda turn: loop.run(at_once(turn))


def _writes(made: Template, sizes: Sizes, turn: int) -> list[Write]:
    n = min(sizes.together, made.keys)
    return [(key(number), value(number, turn * n + number + 1)) for number in range(n)]


async def _opened(url: str, durability: Durability) -> AsyncStore:
    return await AsyncStore(url, durability=durability)


async def _connected(url: str, durability: Durability) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(url, **floors.options(durability))
