"""How often a call goes to the server and back: what a distance costs is counted here, not timed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from statedb import AsyncStore, Store
from statedb.db.postgres import asyncengine, engine
from tests.helpers import Blocking
from tests.places import only_postgres

CALLS: dict[str, tuple[int, Callable[[Any, str], object]]] = {
    "get": (1, lambda store, key: store.states.get("a", "shared", key)),
    "keys": (1, lambda store, key: store.states.keys("a", "shared")),
    "set": (2, lambda store, key: store.states.set("a", "shared", "k", key)),
    "a new key": (2, lambda store, key: store.states.set("a", "shared", key, 1)),
    "update": (2, lambda store, key: store.states.update("a", "shared", "k", lambda value: [value, key])),
    "patch": (2, lambda store, key: store.states.patch("a", "shared", "map", {key: 1})),
    "delete": (2, lambda store, key: store.states.delete("a", "shared", "gone")),
    "the same again": (1, lambda store, key: store.states.set("a", "shared", "same", 1)),
}


def journeys(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what goes to the server from now on, in the one number of a list."""
    found = [0]

    def counted(kind: Any, name: str) -> None:
        real = getattr(kind, name)

        def call(self: Any, *args: Any) -> Any:
            found[0] += 1
            return real(self, *args)

        monkeypatch.setattr(kind, name, call)

    counted(engine.Driver, "fetch")
    counted(engine.Driver, "together")
    counted(asyncengine.Queries, "__call__")
    return found


@only_postgres
@pytest.mark.parametrize("shell", [Store, Blocking])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_so_many_journeys(where: str, shell: Any, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, made = CALLS[call]
    store, names = shell(where), (f"k{number}" for number in count())
    try:
        store.states.set_many("a", "shared", {"k": 0, "map": {}, "same": 1})
        made(store, next(names))  # ids are asked for in blocks, and names of agents once
        store.states.set("a", "shared", "gone", 1)
        found = journeys(monkeypatch)
        made(store, next(names))
        assert found == [expected]
    finally:
        store.close()


@only_postgres
def test_concurrent_writes_share_their_journeys(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with AsyncStore(where, max_batch=50) as store:
            await asyncio.gather(*(store.states.set("a", "shared", f"k{n}", 0) for n in range(50)))
            found = journeys(monkeypatch)
            await asyncio.gather(*(store.states.set("a", "shared", f"k{n}", 1) for n in range(50)))
            # A snapshot, all that is read, and all that is written.
            assert found == [3]

    asyncio.run(main())


@only_postgres
def test_concurrent_writes_of_one_large_key_read_no_chains(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {str(n): "so many words " * n for n in range(20)}

    async def main() -> None:
        async with AsyncStore(where, max_batch=50) as store:
            await asyncio.gather(*(store.states.set("a", "shared", "k", document | {"n": n}) for n in range(9)))
            found = journeys(monkeypatch)
            await asyncio.gather(*(store.states.set("a", "shared", "k", document | {"n": -n}) for n in range(1, 20)))
            assert found == [3]  # two of them begin a run, and are kept whole

    asyncio.run(main())
