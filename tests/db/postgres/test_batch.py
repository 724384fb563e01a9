"""Writes of one batch that meet: the later one sees what the earlier one leaves behind, as if that were committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from statedb import AsyncStore, LockHeld, Store
from statedb.db.postgres import connection, landing
from statedb.db.postgres.batch import Together
from statedb.rooms.locks import Ask
from tests.helpers import Clock
from tests.places import only_postgres

pytestmark = only_postgres


def on(where: str, clock: Clock, work: Callable[[AsyncStore], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with AsyncStore(where, clock=clock) as store:
            await store.states.set("a", "shared", "first", 0)  # so that its agent and connection are there
            found = await work(store)
            assert (await store.health.check()).problems == ()
            return found

    return asyncio.run(run())


def ends(tx: Any, key: str) -> Any:
    return tx.states.entry("a", "session", key).expires_at


def test_a_session_begun_before_it_takes_in_what_was_written_before_that(where: str, clock: Clock) -> None:
    async def work(store: AsyncStore) -> Any:
        return await asyncio.gather(
            store.states.set("a", "session", "c/y", 1, ttl=5),
            store.run(lambda tx: tx.agent("a").session("c", ttl=60).set("x", 1)),
            store.run(lambda tx: (ends(tx, "c/y"), tx.states.set("a", "local", "after", 1))),
        )

    begun = clock.moment
    *_, (seen, entry) = on(where, clock, work)
    assert (seen, entry.revision) == (begun + timedelta(seconds=60), 4)


def test_a_session_moved_before_it_moves_when_its_keys_end(where: str, clock: Clock) -> None:
    async def work(store: AsyncStore) -> Any:
        await store.run(lambda tx: [tx.agent("a").session("c", ttl=60).set(key, 1) for key in "xy"])
        return await asyncio.gather(
            store.states.touch("a", "session", "c/x", ttl=90),
            store.run(lambda tx: (ends(tx, "c/y"), tx.states.set("a", "local", "after", 1))),
        )

    begun = clock.moment
    _, (seen, entry) = on(where, clock, work)
    assert (seen, entry.revision) == (begun + timedelta(seconds=90), 4)


def test_a_batch_is_of_one_moment(where: str, clock: Clock) -> None:
    async def work(store: AsyncStore) -> Any:
        def moves(tx: Any) -> None:
            clock.advance(10)
            tx.states.update("a", "shared", "x", lambda x: x + 1)

        await asyncio.gather(
            store.states.set("a", "shared", "x", 1),
            store.run(moves),  # is run again, since it reads what the first one writes
            store.run(lambda tx: tx.states.update("a", "shared", "new", lambda _: 1)),
        )
        return await store.history.commits(limit=3)

    found = on(where, clock, work)
    assert len({commit.at for commit in found}) == 1
    assert [commit.at for commit in found] == [commit.origin_at for commit in found]


def test_what_was_made_in_a_batch_and_changed_in_its_next_part_keeps_its_time(where: str, clock: Clock) -> None:
    def again(tx: Any) -> Any:
        tx.states.keys("a", "persistent")  # not read before: the rows written so far are sent first
        tx.states.get("a", "shared", "made")
        return tx.states.set("a", "shared", "made", 2, ttl=60)

    def moves(tx: Any) -> None:
        clock.advance(1)
        tx.states.set("a", "shared", "other", 1)

    async def work(store: AsyncStore) -> Any:
        *_, entry = await asyncio.gather(
            store.run(moves),
            store.states.set("a", "shared", "made", 1),
            store.run(again),
        )
        return entry, await store.states.entry("a", "shared", "made")

    told, found = on(where, clock, work)
    assert told == found


def test_each_function_has_the_variables_of_its_caller(
    where: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where something that none of them raised has each be tried by itself."""
    who = ContextVar[str]("who")
    failed = []

    def fails(self: Together, waiting: Any) -> None:
        failed.append(waiting)
        raise ValueError("something that none of them raised")

    async def call(store: AsyncStore, name: str) -> str:
        who.set(name)
        return await store.run(lambda tx: (tx.states.set("a", "shared", name, 1), who.get("nobody"))[1])

    async def work(store: AsyncStore) -> list[str]:
        as_it_is = await asyncio.gather(*(call(store, name) for name in "xyz"))
        monkeypatch.setattr(Together, "_flush", fails)
        return as_it_is + await asyncio.gather(*(call(store, name) for name in "uvw"))

    assert on(where, clock, work) == list("xyzuvw")
    assert failed


def test_concurrent_writes_that_are_much_together_go_in_several_batches(
    where: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LADEN", 5_000)
    monkeypatch.setattr(landing, "_LARGEST", 100_000)

    async def work(store: AsyncStore) -> list[int]:
        made = await asyncio.gather(*(store.states.set("a", "shared", f"k{n}", bytes(1000)) for n in range(100)))
        return [entry.revision for entry in made]

    found = sorted(on(where, clock, work))
    assert found == list(range(found[0], found[0] + 100))


def test_deltas_of_one_batch_are_on_each_other_where_they_land(where: str, clock: Clock) -> None:
    document = {str(n): "so many words " * n for n in range(20)}

    async def work(store: AsyncStore) -> Any:
        await store.states.set("a", "shared", "k", document)
        tries: list[int] = []

        def first(tx: Any) -> None:
            tx.states.set("a", "shared", "k", document | {"by": 1})
            tries.append(1)
            with Store(where, clock=clock) as other:  # whose commit comes in between: the batch lands one further on
                other.states.set("b", "shared", "elsewhere", len(tries))

        await asyncio.gather(
            store.run(first), *(store.states.set("a", "shared", "k", document | {"by": n}) for n in range(2, 20))
        )
        return [(await store.history.get("a", "shared", "k", version)).value["by"] for version in range(2, 21)], tries

    assert on(where, clock, work) == (list(range(1, 20)), [1])


# ---- locks, and what makes no commit

ASK = Ask("a", "k", "exclusive", 30, None, None)


def test_a_key_that_was_locked_is_refused_to_who_finds_it_when_he_is_run_again(where: str, clock: Clock) -> None:
    def write_where_it_points(tx: Any) -> None:
        tx.states.set("a", "shared", tx.states.get("a", "shared", "pointer"), "written")

    async def work(store: AsyncStore) -> Any:
        await store.states.set("a", "shared", "pointer", "free")
        *_, found = await asyncio.gather(
            store.locks._take(ASK, 0),
            store.states.set("a", "shared", "pointer", "k"),
            store.run(write_where_it_points),
            return_exceptions=True,
        )
        return found, await store.states.keys("a", "shared")

    found, keys = on(where, clock, work)
    assert isinstance(found, LockHeld)
    assert keys == ["first", "pointer"]


def test_each_has_a_place_of_his_own_in_a_line(where: str, clock: Clock) -> None:
    async def work(store: AsyncStore) -> Any:
        await store.locks.acquire("a", "k")
        for _ in range(2):  # in new rows, and in those that are used again
            places: Any = await asyncio.gather(*(store.locks._take(ASK, None) for _ in range(3)))
            assert len({each.id for each in places}) == len({each.arrived for each in places}) == 3
            assert len(await store.locks.list(waiting=True)) == 4
            await asyncio.gather(*(store.locks._give_up(ASK, each) for each in places))
            assert len(await store.locks.list(waiting=True)) == 1

    on(where, clock, work)


def test_a_consumer_is_made_once_and_what_it_has_acknowledged_stays_so(where: str, clock: Clock) -> None:
    async def work(store: AsyncStore) -> Any:
        await asyncio.gather(*(store.feed.consumer("c") for _ in range(3)))
        for number in range(5):
            await store.states.set("a", "shared", "k", number)
        await asyncio.gather(*(store.feed._acknowledge("c", revision) for revision in (6, 4, 2)))
        return [(each.name, each.revision) for each in await store.feed.consumers()]

    assert on(where, clock, work) == [("c", 6)]


def test_what_has_to_be_put_off_is_not_run_each_time_that_one_is_made(where: str, clock: Clock) -> None:
    ran: list[str] = []

    def lock(tx: Any, key: str) -> int:
        ran.append(key)
        return int(tx.locks.acquire("a", key).fence)

    async def work(store: AsyncStore) -> Any:
        keys = [f"k{number}" for number in range(30)]
        return await asyncio.gather(*(store.run(lock, key) for key in keys))

    assert sorted(on(where, clock, work)) == list(range(1, 31))
    assert len(ran) < 30 * 4
