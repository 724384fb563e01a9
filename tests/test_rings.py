"""Every commit rings the hub of the store that made it, and nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from statedb import AsyncStore, Store, StoreClosed
from tests.helpers import HANG, Clock, run

SORTS = ("file", "memory", "async file", "postgres", "async postgres")


def transact(store: Any) -> None:
    with store.transaction() as tx:
        tx.states.set("a", "local", "t", 1)


def give_up(store: Any) -> None:
    with contextlib.suppress(ZeroDivisionError), store.transaction() as tx:
        tx.states.set("a", "local", "t", 2)
        raise ZeroDivisionError


WRITES: dict[str, Callable[[Any], object]] = {
    "set": lambda store: store.states.set("a", "local", "k", 2),
    "delete": lambda store: store.states.delete("a", "local", "k"),
    "run": lambda store: store.run(lambda tx: tx.states.set("a", "local", "r", 1)),
    "transaction": transact,
    "branch": lambda store: store.branches.create("lab"),
    "on a branch": lambda store: store.branch("lab").states.set("a", "local", "k", 3),
    "load": lambda store: store.transfer.load_versions("a", "local", "l", [(1.0, 1)]),
}
NO_WRITES: dict[str, Callable[[Any], object]] = {
    "get": lambda store: store.states.get("a", "local", "k"),
    "the same value": lambda store: store.states.set("a", "local", "k", 1),
    "run": lambda store: store.run(lambda tx: tx.states.get("a", "local", "k")),
    "sweep": lambda store: store.retention.sweep(),
    "transaction": give_up,
}


def test_each_write_rings_and_nothing_else_does(store: Store, clock: Clock) -> None:
    hub = store.hub
    store.states.set("a", "local", "k", 1)
    for call in NO_WRITES.values():
        seen = hub.rings
        call(store)
        assert hub.rings == seen, call
    for call in WRITES.values():
        seen = hub.rings
        call(store)
        assert hub.rings != seen, call


def test_views_share_the_hub_and_a_transaction_has_none(store: Store) -> None:
    store.branches.create("lab")
    assert store.at(1).hub is store.hub
    assert store.branch("lab").hub is store.hub
    with store.transaction() as tx:
        assert tx.hub is None
    store.run(lambda tx: _has_none(tx.hub))


def _has_none(hub: object) -> None:
    assert hub is None


def test_a_commit_is_there_to_be_read_when_it_rings(where: str) -> None:
    with Store(where) as store:
        hub = store.hub

        def look() -> None:
            seen = hub.rings
            while store.states.get("a", "local", "k") != 20:
                seen = hub.wait(seen)

        thread = threading.Thread(target=look)
        thread.start()
        for number in range(1, 21):
            store.states.set("a", "local", "k", number)
        thread.join(HANG)
        assert not thread.is_alive()


def test_closing_a_store_wakes_who_waits(where: str) -> None:
    async def main() -> None:
        store = await AsyncStore(where)
        task = asyncio.create_task(store.hub.wait(store.hub.rings))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreClosed):
            await task
        with pytest.raises(StoreClosed):
            assert store.hub

    run(main())
    store = Store(where)
    store.close()
    with pytest.raises(StoreClosed):
        store.hub.wait(store.hub.rings)
