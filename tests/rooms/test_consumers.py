"""Durable consumers: what was not acknowledged comes again, what was does not, whoever asks."""

from __future__ import annotations

import asyncio
import math
import threading
from datetime import timedelta
from typing import Any

import pytest

from statedb import AsyncStore, Compacted, InTransaction, InvalidKey, InvalidValue, NoSuchRevision, StaleCursor, Store
from statedb.db import consumers
from statedb.values.changefilter import StateChangeFilter
from statedb.values.cursor import Cursor
from tests.conftest import Opener
from tests.helpers import HANG, Clock, run
from tests.places import only_postgres, raw, tamper


def write(store: Any, *values: int) -> None:
    for value in values:
        store.states.set("a", "local", "k", value)


def values(changes: list[Any]) -> list[Any]:
    return [change.new_value for change in changes]


def test_what_was_acknowledged_does_not_come_again_and_the_rest_does(open_store: Opener, where: str) -> None:
    store = open_store()
    write(store, 1, 2, 3)
    first = store.feed.consumer("indexer")
    assert values(first.fetch(2)) == [1, 2]
    first.ack()
    assert (first.cursor.revision, first.lag) == (2, 1)
    assert values(first.fetch()) == [3]
    assert first.fetch() == []
    again = open_store(where).feed.consumer("indexer")  # after a crash, in another process
    assert values(again.fetch()) == [3]
    again.ack()
    assert (first.lag, again.lag) == (0, 0)
    assert store.feed.consumer("indexer").fetch() == []
    assert store.feed.consumers()[0].revision == 3
    assert [commit.kind for commit in store.history.commits()] == ["write"] * 3  # that somebody reads is no history


def test_a_part_of_a_commit_is_not_acknowledged(filed: Store) -> None:
    filed.states.set_many("a", "local", {"x": 1, "y": 2})
    filed.states.set_many("a", "local", {"x": 3, "y": 4})
    consumer = filed.feed.consumer("indexer")
    x1, y2, x3, y4 = consumer.fetch()
    for change, revision in ((x1, 0), (y2, 1), (x3, 1), (y4, 2), (x1, 2)):
        consumer.ack(change)
        assert consumer.cursor.revision == revision


def test_a_quiet_filter_is_acknowledged_too(filed: Store) -> None:
    write(filed, 1, 2)
    consumer = filed.feed.consumer("indexer", pattern="other", agent_id="a")
    assert consumer.lag == 2
    assert consumer.fetch() == []
    consumer.ack()
    assert (consumer.lag, consumer.cursor.revision) == (0, 2)


def test_acknowledging_never_goes_back_nor_beyond_the_store(filed: Store) -> None:
    write(filed, 1, 2, 3)
    one, other = filed.feed.consumer("indexer"), filed.feed.consumer("indexer")
    one.fetch()
    one.ack()
    other.fetch(1)
    other.ack()
    assert (other.cursor.revision, one.lag) == (3, 0)
    with pytest.raises(NoSuchRevision):
        one.ack(4)
    with pytest.raises(StaleCursor):
        one.ack(Cursor("another", 1))
    stands = one.cursor.incarnation
    wrong: tuple[Any, ...] = ("3", True, -1, Cursor(stands, -1), Cursor(stands, "3"))  # type: ignore[arg-type]
    for each in wrong:
        with pytest.raises(InvalidValue):
            one.ack(each)


def test_a_consumer_keeps_its_filter_until_it_is_deleted(filed: Store, clock: Clock) -> None:
    write(filed, 1)
    consumer = filed.feed.consumer("indexer", pattern="k", since=None)
    assert filed.feed.consumer("indexer").filter == StateChangeFilter(pattern="k")
    with pytest.raises(InvalidValue):
        filed.feed.consumer("indexer", pattern="x")
    with pytest.raises(InvalidKey):
        filed.feed.consumer("")
    clock.advance(5)
    [state] = filed.feed.consumers()
    assert (state.name, state.revision, state.lag, state.created_at) == ("indexer", 1, 0, state.acknowledged_at)
    assert consumer.delete()
    assert not consumer.delete()
    assert filed.feed.consumers() == []
    with pytest.raises(InvalidKey):
        consumer.ack()
    assert values(filed.feed.consumer("indexer", pattern="x", since=0).fetch()) == []
    with filed.transaction() as tx, pytest.raises(InTransaction):
        tx.feed.consumer("indexer")


def test_a_branch_has_consumers_of_its_own(filed: Store) -> None:
    write(filed, 1)
    filed.branches.create("lab")
    lab = filed.branch("lab")
    write(lab, 2)
    ours, theirs = filed.feed.consumer("indexer"), lab.feed.consumer("indexer")
    assert (values(ours.fetch()), values(theirs.fetch())) == ([1], [1])
    assert values(theirs.fetch()) == [2]
    theirs.ack()
    assert (ours.cursor.revision, theirs.cursor.revision) == (0, 3)
    assert len(filed.feed.consumers()) == len(lab.feed.consumers()) == 1


def test_several_that_make_and_acknowledge_at_once_make_one_and_the_furthest_stands(
    open_store: Opener, where: str
) -> None:
    stores = [open_store() for _ in range(4)]
    write(stores[0], *range(8))

    def work(store: Store, upto: int) -> None:
        store.feed.consumer("indexer").ack(upto)

    threads = [threading.Thread(target=work, args=(store, 2 * n + 2)) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert raw(where, "select count(*), max(position) from feed_consumers", by=stores[0]) == [(1, 8)]


def test_what_is_pinned_is_what_no_consumer_has_acknowledged_up_to_its_limit(filed: Store, clock: Clock) -> None:
    def pinned() -> int | None:
        return filed.run(lambda tx: consumers.pin(tx._tx))

    for value in range(1, 5):
        write(filed, value)
        clock.advance(86_400)
    assert pinned() is None
    consumer = filed.feed.consumer("week")
    assert pinned() == 0
    filed.feed.consumer("short", keep=timedelta(days=2)).fetch()
    filed.feed.consumer("none", keep=0)
    consumer.ack(1)
    assert pinned() == 1
    consumer.ack(4)
    assert pinned() == 3  # what "short" has not acknowledged, of the last two days
    clock.advance(3 * 86_400)
    assert pinned() == 4
    filed.feed.consumer("deleted", keep=math.inf).delete()
    assert pinned() == 4
    filed.branches.create("lab")
    filed.branch("lab").feed.consumer("theirs", keep=math.inf)
    assert pinned() == 0
    filed.branches.delete("lab")
    assert pinned() == 4


@only_postgres
def test_an_acknowledgement_that_was_overtaken_sets_nothing_back(open_store: Opener, where: str) -> None:
    mine, other = open_store(), open_store(where)
    write(mine, 1, 2, 3)
    theirs = other.feed.consumer("indexer")
    overtaken: list[int] = []

    def acknowledge(tx: Any) -> None:
        if not overtaken:
            overtaken.append(consumers.require(tx._tx, "indexer").position)
            theirs.ack(3)
        consumers.acknowledge(tx._tx, "indexer", 1)

    mine.run(acknowledge)
    assert (overtaken, theirs.lag) == ([0], 0)


def test_behind_what_retention_cut_a_consumer_goes_on_where_it_is_told_to(open_store: Opener, where: str) -> None:
    store = open_store(check=False)
    write(store, 1, 2, 3)
    consumer = store.feed.consumer("indexer")
    tamper(where, "update agent_states set floor = 2", by=store)
    with pytest.raises(Compacted) as refused:
        consumer.fetch()
    consumer.ack(refused.value.floor)
    assert values(consumer.fetch()) == [3]


def test_fetch_waits_for_what_comes(open_store: Opener, where: str) -> None:
    mine, other = open_store(), open_store(where)
    consumer = mine.feed.consumer("indexer")
    assert consumer.fetch(timeout=0.001) == []
    wrong: tuple[Any, ...] = (-1, True, float("nan"), "1")
    for timeout in wrong:
        with pytest.raises(InvalidValue):
            consumer.fetch(timeout=timeout)
    thread = threading.Thread(target=write, args=(other, 1))
    thread.start()
    assert values(consumer.fetch(timeout=HANG)) == [1]
    thread.join()
    write(other, 2, 3)
    assert [change.new_value for _, change in zip(range(2), consumer, strict=False)] == [2, 3]

    async def main() -> None:
        async with AsyncStore(where) as store:
            consumer = await store.feed.consumer("tasks", since=None)
            waiting = asyncio.create_task(consumer.fetch(timeout=HANG))
            await store.states.set("a", "local", "k", 4)
            assert values(await waiting) == [4]
            await consumer.ack()
            assert (await consumer.lag(), [each.name for each in await store.feed.consumers()]) == (
                0,
                ["indexer", "tasks"],
            )
            await store.states.set("a", "local", "k", 5)
            async for change in consumer:
                assert change.new_value == 5
                break
            assert await consumer.delete()

    run(main())
