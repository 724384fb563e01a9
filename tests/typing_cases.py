"""What type checkers must say of the public surface. It is checked, by mypy and pyright, and never run.

A line with an ignore is a wrong call: both checkers report an ignore that hides nothing, so each such line is a test.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, assert_type

from statedb import (
    Address,
    AsyncStore,
    AsyncSubscription,
    CacheStats,
    Change,
    Commit,
    Entry,
    Event,
    EventStream,
    Health,
    Listing,
    RecordedEvent,
    Row,
    Rows,
    SessionInfo,
    Store,
    StreamSnapshot,
    Subscription,
    Transaction,
    Version,
)
from statedb.caching import AsyncWriteBehind, WriteBehind
from statedb.transaction import Joined


def sync_calls_are_values(store: Store) -> None:
    assert_type(store.states.set("a", "local", "k", {"x": 1}, expected_version=0, ttl=5), Entry)
    assert_type(store.states.entry("a", "local", "k"), Entry | None)
    assert_type(store.states.update("a", "local", "k", lambda v: v + 1, default=0), Entry)
    assert_type(store.states.delete("a", "local", "k"), bool)
    assert_type(store.states.keys("a", "local", "x*"), Listing[str])
    assert_type(store.states.items("a", "local"), Listing[tuple[str, Any]])
    assert_type(store.states.set_many("a", "local", {"x": 1}), dict[str, Entry])
    assert_type(store.history.versions("a", "local", "k", limit=3), Listing[Version])
    assert_type(store.history.commits(agent_id="a"), Listing[Commit])
    assert_type(store.feed.changes(since=12, limit=100), list[Change])
    assert_type(next(store.watch("a", since=12)), Change)
    assert_type(store.feed.subscribe(print, agent_id="a"), Subscription[Change])
    assert_type(store.feed.consumer("indexer").fetch(10), list[Change])
    assert_type(store.health.check(), Health)
    assert_type(store.at(3).states.entry("a", "local", "k"), Entry | None)
    assert_type(store.query("select 1", [1], partial=True), Rows)
    assert_type(store.at(3).query("select :a", {"a": 1})[0], Row)


async def async_calls_are_awaitables(store: AsyncStore) -> None:
    assert_type(await store.states.set("a", "local", "k", 1), Entry)
    deleting: Coroutine[Any, Any, bool] = store.states.delete("a", "local", "k")
    assert_type(await deleting, bool)
    assert_type(await store.at(3).history.versions("a", "local", "k"), Listing[Version])
    task = asyncio.create_task(store.states.keys("a", "local"))
    assert_type(await task, Listing[str])
    assert_type(await asyncio.wait_for(store.health.check(), 1), Health)
    assert_type(await store.feed.changes(), list[Change])
    assert_type(await anext(store.watch("a", since=12)), Change)
    assert_type(await store.feed.subscribe(print), AsyncSubscription[Change])
    assert_type(await (await store.feed.consumer("indexer")).fetch(10), list[Change])
    asking: Coroutine[Any, Any, Rows] = store.query("select 1")
    assert_type((await asking).columns, tuple[str, ...])


def handles_know_their_first_arguments(store: Store) -> None:
    agent = store.agent("a")
    assert_type(agent.persistent.set("k", 1, message="m"), Entry)
    assert_type(agent.local.keys("x*"), Listing[str])
    assert_type(agent.session("c7", ttl=60).entry("k"), Entry | None)
    assert_type(agent.session("c7").close(), bool)
    assert_type(agent.shared.update("n", lambda v: v + 1, default=0), Entry)
    agent.shared.update({"x": 1}, y=2)
    agent.persistent["k"] = {"any": ["json", None]}
    del agent.persistent["k"]
    assert_type(dict(agent.persistent), dict[str, Any])


async def async_handles_too(store: AsyncStore) -> None:
    agent = store.agent("a")
    assert_type(await agent.persistent.set("k", 1), Entry)
    assert_type(await agent.session("c7").items(), Listing[tuple[str, Any]])
    assert_type(await agent.shared.update("n", lambda v: v + 1, default=0), Entry)


def streams(store: Store, tx: Transaction) -> None:
    assert_type(store.streams.append("s", [Event("placed", 1)], expected_version="no_stream"), list[RecordedEvent])
    assert_type(tx.streams.append("s", [Event("placed", 1)], 3, agent_id="a"), list[RecordedEvent])
    assert_type(store.streams.read("s", 1, 10, backward=True), list[RecordedEvent])
    assert_type(store.at(3).streams.list("a"), Listing[EventStream])
    assert_type(store.streams.load_snapshot("s"), StreamSnapshot | None)
    assert_type(store.streams.aggregate("s", lambda state, event: state + event.version, 0), Any)
    for _ in store.streams.watch("s", since=3):
        pass
    assert_type(store.agent("a").session("c7", ttl=5, sliding=False).info(), SessionInfo | None)
    store.streams.append("s", [Event("placed")], expected_version="never")  # type: ignore[arg-type]


async def async_streams(store: AsyncStore) -> None:
    assert_type(await store.streams.append("s", [Event("placed", b"raw")]), list[RecordedEvent])
    assert_type(await store.streams.read_all(1, types=["placed"]), list[RecordedEvent])
    assert_type(await store.streams.aggregate("s", lambda state, event: state, 0, snapshot_every=9), Any)
    async for _ in store.streams.watch():
        pass
    assert_type(await store.agent("a").session("c7").touch(), bool)


def missed(at: Address) -> None: ...


def caches(store: Store) -> None:
    assert_type(store.states.get("a", "local", "k", copy=False), Any)
    assert_type(store.agent("a").session("c").get("k", copy=False), Any)
    assert_type(store.cache.warm("a", keys=["k"]), int)
    assert_type(store.cache.stats(), CacheStats)
    assert_type(store.health.stats().cache.hit_rate, float)
    store.cache.on_cache_miss(missed)(Address("a", "local", "k"))
    with WriteBehind(store, interval=0.5) as behind:
        assert_type(behind.set("a", "local", "k", 1), Entry | None)
        assert_type(behind.get("a", "local", "k", copy=False), Any)
        assert_type(behind.flush(("a", "local", "k")), int)
        assert_type(behind.pending, int)
        behind.on_flush_error(lambda error, at, value: print(error, at.key, value))


async def async_caches(store: AsyncStore) -> None:
    value: dict[str, Any] = await store.states.get("a", "local", "k", copy=False)
    assert_type(await store.cache.warm("a", "local", str(value)), int)
    handler = await store.cache.on_cache_miss(missed)
    handler(Address("a", "local", "k"))
    async with AsyncWriteBehind(store) as behind:
        assert_type(await behind.set("a", "local", "k", 1), Entry | None)
        assert_type(await behind.delete("a", "local", "k"), bool)


def transactions_join(store: Store) -> None:
    with store.transaction(message="m", actor="me") as tx:
        assert_type(tx, Transaction)
        assert_type(tx.states.set("a", "local", "k", 1), Entry)
    assert_type(tx.revision, int | None)

    def move(tx: Joined, amount: int) -> str:
        return tx.states.set("a", "local", "k", amount).key

    assert_type(store.run(move, 3), str)


async def async_transactions_join(store: AsyncStore) -> None:
    async with store.transaction() as tx:
        assert_type(await tx.states.delete("a", "local", "k"), bool)

    def count(tx: Joined) -> int:
        return len(tx.states.keys("a", "local"))

    assert_type(await store.run(count), int)


def wrong_calls_are_errors(store: Store) -> None:
    store.states.set("a", "local")  # type: ignore[call-arg]
    store.states.set("a", "local", "k", 1, message=3)  # type: ignore[arg-type]
    store.states.set("a", "local", "k", 1, nonsense=True)  # type: ignore[call-arg]
    store.states.keys(1, "local")  # type: ignore[arg-type]
    store.states.nothing()  # type: ignore[attr-defined]
    store.agent("a").persistent.set("a", "persistent", "k", 1)  # type: ignore[call-arg, arg-type]
    store.history.commits("a")  # type: ignore[call-arg]
    store.query("select ?", 5)  # type: ignore[arg-type]
    Store("app.db", durability="some")  # type: ignore[arg-type]
    Store("app.db", nonsense=1)  # type: ignore[call-arg]
    Store("app.db", cache_policy="mru")  # type: ignore[arg-type]
    AsyncWriteBehind(store)  # type: ignore[arg-type]


async def wrong_async_calls_are_errors(store: AsyncStore) -> None:
    _ = (await store.states.entry("a", "local", "k")).version  # type: ignore[union-attr]
    _ = store.states.set("a", "local", "k", 1).version  # type: ignore[attr-defined]
    with store.transaction():  # type: ignore[attr-defined]
        pass
    WriteBehind(store)  # type: ignore[arg-type]


def a_sync_call_cannot_be_awaited(store: Store) -> None:
    async def inside() -> None:
        await store.states.delete("a", "local", "k")  # type: ignore[misc]

    del inside
