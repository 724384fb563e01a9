"""Many append at once: to one stream and to several, in tasks, threads and stores, beside who writes states."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from statedb import AsyncStore, Event, RecordedEvent, Store, VersionConflict
from tests.conftest import Opener
from tests.helpers import Clock, run

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
