"""Many append at once: to one stream and to several, in tasks, threads and stores, beside who writes states."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from statedb import AsyncStore, Event, RecordedEvent, Store, TransactionAborted, VersionConflict
from tests.conftest import Opener
from tests.helpers import Clock, run
from tests.places import only_postgres

TASKS, EACH, STREAMS = 6, 4, ("s", "t", "u")


def check(store: Any, made: list[RecordedEvent]) -> None:
    """Hold what the calls were answered against what is there: nothing lost, nothing twice, no number left out."""
    there = store.streams.read_all(limit=len(made) + 1)
    assert sorted(made, key=lambda each: each.position) == there
    assert [each.position for each in there] == list(range(1, len(made) + 1))
    for stream in STREAMS:
        versions = [each.version for each in there if each.stream_id == stream]
        assert versions == list(range(1, len(versions) + 1))
    revisions = [each.revision for each in there]
    assert revisions == sorted(revisions)
    assert store.health.check().problems == ()


def some(task: int, turn: int) -> tuple[str, list[Event]]:
    return STREAMS[(task + turn) % len(STREAMS)], [Event("x", [task, turn, n]) for n in range(1 + turn % 2)]


def test_tasks_that_append_at_once_are_numbered_one_after_another(where: str, clock: Clock) -> None:
    async def main() -> list[RecordedEvent]:
        async with AsyncStore(where, clock=clock, durability="normal") as store:

            async def work(task: int) -> list[RecordedEvent]:
                made = []
                for turn in range(EACH):
                    stream, events = some(task, turn)
                    made += await store.streams.append(stream, events)
                    await store.states.set("a", "local", f"k{task}", turn)
                return made

            async def first(task: int) -> list[RecordedEvent]:
                try:
                    return await store.streams.append("first", [Event("x", task)], "no_stream")
                except VersionConflict:
                    return []

            answers = await asyncio.gather(
                *(work(task) for task in range(TASKS)), *(first(task) for task in range(TASKS))
            )
            won = [made for made in answers[TASKS:] if made]
            assert len(won) == 1, "of those that expect no stream only one makes it"
            return [each for made in answers for each in made]

    made = run(main())
    with Store(where, clock=clock) as store:
        check(store, made)


def test_stores_that_append_at_once_are_numbered_one_after_another(open_store: Opener, where: str) -> None:
    stores = [open_store(where) for _ in range(2)]

    def work(task: int) -> list[RecordedEvent]:
        store, made = stores[task % 2], []
        for turn in range(EACH):
            stream, events = some(task, turn)
            made += store.run(one_of_each, stream, events, f"k{task}", turn)
        return made

    with ThreadPoolExecutor(TASKS) as threads:
        made = [each for several in threads.map(work, range(TASKS)) for each in several]
    check(stores[0], made)


def one_of_each(tx: Any, stream: str, events: list[Event], key: str, value: int) -> list[RecordedEvent]:
    tx.states.set("a", "local", key, value)
    made: list[RecordedEvent] = tx.streams.append(stream, events, tx.streams.version(stream))
    return made


def test_appends_that_arrive_together_do_not_wait_for_one_another(where: str, clock: Clock) -> None:
    count, calls = 40, 0

    def append(tx: Any, stream: str) -> list[RecordedEvent]:
        nonlocal calls
        calls += 1
        made: list[RecordedEvent] = tx.streams.append(stream, [Event("x")], agent_id="a")
        return made

    async def main() -> list[list[RecordedEvent]]:
        async with AsyncStore(where, clock=clock, durability="normal") as store:
            return await asyncio.gather(*(store.run(append, f"s{task % 30}") for task in range(count)))

    made = [each for several in run(main()) for each in several]
    assert calls <= 3 * count, "once, and once more over what came before; each in its turn would be some 800 times"
    with Store(where, clock=clock) as store:
        assert store.streams.read_all() == sorted(made, key=lambda each: each.position)
        versions = {each.stream_id: each.version for each in store.streams.list("a")}
        assert versions == {f"s{n}": 2 if n < 10 else 1 for n in range(30)}
        assert store.health.check().problems == ()


@only_postgres
def test_only_another_append_stands_in_the_way_of_one(open_store: Opener, where: str) -> None:
    mine, other = open_store(), open_store(where)

    def append(tx: Any) -> None:
        tx.streams.append("s", [Event("x")])

    def read_and_append(tx: Any) -> None:
        assert len(tx.streams.read("s")) == 2
        append(tx)

    def append_while(beside: Callable[[], Any], fn: Callable[[Any], None] = append) -> None:
        with mine.transaction() as tx:
            fn(tx)
            beside()

    append_while(lambda: other.states.set("a", "local", "k", 1))
    append_while(lambda: other.streams.save_snapshot("s", 1, "so far"))
    with pytest.raises(TransactionAborted):
        append_while(lambda: other.streams.append("t", [Event("x")]))
    with pytest.raises(TransactionAborted):
        append_while(lambda: other.states.set("a", "local", "k", 2), read_and_append)
    found = [(event.stream_id, event.position, event.revision) for event in mine.streams.read_all()]
    assert found == [("s", 1, 2), ("s", 2, 4), ("t", 3, 5)]
