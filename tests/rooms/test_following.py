"""Following events: each once, in the order of positions, from wherever one begins, as they are appended."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from statedb import AsyncStore, Event, InTransaction, NoSuchRevision, ReadOnly, RecordedEvent, StaleCursor, Store
from statedb.values.cursor import Bookmark, Cursor
from tests.conftest import Opener
from tests.helpers import HANG, Clock, run
from tests.rooms.test_streams import happened

SORTS = ("file", "postgres", "async postgres")


class Following:
    """A watch of either shell, of which events are taken one by one."""

    def __init__(self, store: Any, *stream: str, **how: Any) -> None:
        self._store = store
        if isinstance(store, Store):
            self.watch: Any = store.streams.watch(*stream, **how)
        else:
            self.watch = store._wait(begun(store._target, stream, how))

    def next(self) -> Any:
        if isinstance(self._store, Store):
            return next(self.watch, None)
        return self._store._wait(anext_of(self.watch))

    def types(self) -> str:
        return "".join(each.type for each in iter(self.next, None))


async def begun(store: AsyncStore, stream: Any, how: Any) -> Any:
    return await store.streams.watch(*stream, **how).__aenter__()


async def anext_of(watch: Any) -> Any:
    return await anext(watch, None)


def test_it_gives_each_event_once_from_wherever_one_begins(store: Store) -> None:
    now = Following(store, timeout=0)
    store.streams.append("s", happened(*"abc"), agent_id="a")
    store.states.set("a", "local", "k", 1)
    store.streams.append("t", happened(*"de"))
    store.streams.append("s", happened(*"f" * 300))
    everything = "abcde" + "f" * 300
    assert now.types() == everything
    for since in (0, 2, 4, 305):
        assert Following(store, since=since, timeout=0).types() == everything[since:]
    assert Following(store, "s", since=1, timeout=0).types() == "bc" + "f" * 300
    assert Following(store, types=["b", "e"], since=0, timeout=0).types() == "be"
    assert Following(store, agent_id="a", types="c", since=0, timeout=0).types() == "c"
    assert Following(store, pattern="t*", since=0, timeout=0).types() == "de"
    going_on = Following(store, since=0, timeout=0)
    for taken in range(1, 5):
        going_on.next()
        assert going_on.watch.cursor.revision == taken
        assert Following(store, since=going_on.watch.cursor, timeout=0).types() == everything[taken:]


def test_others_events_move_it_on_and_it_says_so_where_it_is_asked_to(store: Store, clock: Clock) -> None:
    following = Following(store, "s", bookmarks=True, timeout=0)
    store.streams.append("t", happened(*"ab"))
    assert following.next() == Bookmark(following.watch.cursor, clock.moment)
    assert following.watch.cursor.revision == 2
    assert following.next() is None


def test_what_cannot_be_followed_is_refused(store: Store) -> None:
    store.streams.append("s", happened("a"))
    for since, error in ((2, NoSuchRevision), (Cursor("another", 1), StaleCursor)):
        with pytest.raises(error, match="position"):
            Following(store, since=since, timeout=0).next()
    with pytest.raises(ReadOnly):
        Following(store.at(1))
    with store.transaction() as tx, pytest.raises(InTransaction):
        tx.streams.watch()


def test_a_thread_is_woken_by_this_stores_events_and_by_others(open_store: Opener, where: str) -> None:
    mine, other, found = open_store(), open_store(where), []
    arrived = threading.Semaphore(0)

    def follow() -> None:
        for event in mine.streams.watch("s", since=0):
            found.append(event.type)
            arrived.release()
            if event.type == "last":
                return

    thread = threading.Thread(target=follow)
    thread.start()
    for number, type in enumerate(("a", "b", "c", "last")):
        (mine, other)[number % 2].streams.append("s", happened(type))
        assert arrived.acquire(timeout=HANG)
    thread.join(HANG)
    assert found == ["a", "b", "c", "last"]


def test_a_task_is_woken_by_this_stores_events_and_by_others(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as mine, AsyncStore(where) as other, mine.streams.watch() as watch:
            for number in range(4):
                waiting = asyncio.create_task(anext_of(watch))
                await (mine, other)[number % 2].streams.append("s", [Event("x", number)])
                assert (await waiting).data == number

    run(main())


def test_a_handler_is_told_on_a_thread_and_one_that_fails_is_told_of_the_next(
    open_store: Opener, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, found, errors = open_store(), [], []
    told = threading.Semaphore(0)

    def handler(event: RecordedEvent) -> None:
        found.append(event.data)
        told.release()
        if event.data == 1:
            raise RuntimeError("on purpose")

    store.streams.append("s", [Event("x", 0)])

    def failed(error: Exception, event: Any) -> None:
        errors.append((str(error), event.data))

    subscription = store.streams.subscribe(handler, "s", since=0, on_error=failed)
    store.streams.append("t", [Event("x", "another's")])
    store.streams.append("s", [Event("x", 1), Event("y", 2)])
    assert all(told.acquire(timeout=HANG) for _ in range(3))
    store.streams.unsubscribe(subscription)
    assert not subscription.active
    assert (found, errors) == ([0, 1, 2], [("on purpose", 1)])
    assert "a handler failed" in caplog.text


def test_a_handler_is_told_by_a_task(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            told: asyncio.Queue[RecordedEvent] = asyncio.Queue()
            subscription = await store.streams.subscribe(told.put, types="x")
            await store.streams.append("s", [Event("y", 1), Event("x", 2)])
            assert (await told.get()).data == 2
            await store.streams.unsubscribe(subscription)
            assert not subscription.active

    run(main())
