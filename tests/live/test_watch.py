"""A watch: each change once, in order, whole commits, from where one stands, as they are committed."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb import (
    AsyncStore,
    Compacted,
    InTransaction,
    InvalidValue,
    NoSuchRevision,
    ReadOnly,
    StaleCursor,
    Store,
    StoreBusy,
    StoreClosed,
)
from statedb.live.hub import AsyncHub, Hub
from statedb.live.watch import AsyncWatch, Delivery, Watch
from statedb.values.cursor import Bookmark, Cursor, Page
from tests.conftest import Opener
from tests.helpers import HANG, Clock, run
from tests.places import tamper
from tests.rooms.test_feed import busy, read

# ---- what was read is given out


@given(st.lists(st.lists(st.integers(1, 3), max_size=4), max_size=6), st.booleans())
def test_whatever_is_read_is_given_out_once_and_the_cursor_is_behind_no_whole_commit(
    pages: list[list[int]], bookmarks: bool
) -> None:
    delivery: Delivery[Any] = Delivery(Cursor("store", 10), lambda item: item[0], bookmarks=bookmarks)
    revision, made, given_out = 10, [], []
    for number, sizes in enumerate(pages):
        found = []
        for size in sizes:
            revision += 2
            found += [(revision, each) for each in range(size)]
        made += found
        last = number == len(pages) - 1
        again = delivery.take(Page(found, revision + 1, not last, 0))
        assert again or (last and not found)
        while (item := delivery.next()) is not None:
            if isinstance(item, Bookmark):
                assert item.cursor == delivery.cursor
                assert bookmarks
                assert last
                assert not found
                continue
            given_out.append(item)
            behind = delivery.cursor.revision
            assert all(each in given_out for each in made if each[0] <= behind)  # nothing is lost by going on there
            assert all(each[0] <= behind for each in given_out if each[0] < item[0])  # and only this one comes again
    assert given_out == made
    assert delivery.cursor == Cursor("store", delivery.read)


@pytest.mark.parametrize("sort", ["thread", "task"])
def test_where_the_log_is_busy_a_watch_says_so_and_the_next_goes_on(sort: str) -> None:
    answers: list[Any] = [Page([1, 2], 2, True, 0), StoreBusy("later"), Page([3], 3, False, 0)]
    asked: list[int] = []
    start = Cursor("store", 0)

    def fetch(read: int) -> Page[int]:
        asked.append(read)
        answer = answers.pop(0)
        if isinstance(answer, StoreBusy):
            raise answer
        return answer  # type: ignore[no-any-return]

    async def fetch_later(read: int) -> Page[int]:
        return fetch(read)

    async def begin() -> Delivery[int]:
        return Delivery[int](start, int)

    async def main() -> None:
        watch = AsyncWatch(AsyncHub(), fetch_later, begin())
        assert [await anext(watch) for _ in range(2)] == [1, 2]
        with pytest.raises(StoreBusy):
            await anext(watch)
        assert await anext(watch) == 3

    if sort == "task":
        run(main())
    else:
        watch = Watch(Hub(), fetch, Delivery[int](start, int))
        assert [next(watch) for _ in range(2)] == [1, 2]
        with pytest.raises(StoreBusy):
            next(watch)
        assert next(watch) == 3
    assert asked == [0, 2, 2]


# ---- through a store, whichever


class Watching:
    """A watch of either shell, of which items are taken one by one."""

    def __init__(self, store: Any, **how: Any) -> None:
        self._store = store
        if isinstance(store, Store):
            self.watch = store.watch(**how)
        else:
            self.watch = store._wait(begun(store._target, how))

    def take(self, count: int) -> list[Any]:
        return [self.next() for _ in range(count)]

    def next(self) -> Any:
        if isinstance(self._store, Store):
            return next(self.watch, None)
        return self._store._wait(anext_of(self.watch))

    def rest(self) -> list[Any]:
        return list(iter(self.next, None))


async def begun(store: AsyncStore, how: dict[str, Any]) -> Any:
    return await store.watch(**how).__aenter__()


async def anext_of(watch: Any) -> Any:
    return await anext(watch, None)


def keys(changes: list[Any]) -> list[str]:
    return [change.key for change in changes]


def test_it_gives_what_the_feed_gives_from_wherever_one_begins(store: Store, clock: Clock) -> None:
    busy(store, clock)
    everything = [change for answer in read(store, 1000) for change in answer]
    assert Watching(store, since=0, timeout=0).rest() == everything
    for since in (1, 7, everything[-1].revision):
        found = Watching(store, since=since, timeout=0).rest()
        assert found == [change for change in everything if change.revision > since]
    assert Watching(store, agent_id="a1", pattern="k?", since=0, timeout=0).rest() == [
        change for change in everything if change.agent_id == "a1"
    ]


def test_without_a_beginning_it_begins_now(store: Store) -> None:
    store.states.set("a", "local", "before", 1)
    watching = Watching(store, timeout=0)
    store.states.set("a", "local", "after", 1)
    assert keys(watching.rest()) == ["after"]


def test_going_on_from_any_cursor_loses_nothing(store: Store) -> None:
    for number in range(3):
        store.states.set_many("a", "local", {f"{number}.{each}": each for each in range(3)})
    watching = Watching(store, since=0, timeout=0)
    for count in range(1, 10):
        change = watching.next()
        after = Watching(store, since=watching.watch.cursor, timeout=0).rest()
        assert len(after) == 9 - count // 3 * 3
        assert change.key == f"{(count - 1) // 3}.{(count - 1) % 3}"
    assert watching.next() is None
    assert watching.watch.cursor.revision == 3


def test_a_quiet_filter_moves_on_and_says_so_where_it_is_asked_to(store: Store, clock: Clock) -> None:
    watching = Watching(store, pattern="mine", bookmarks=True, timeout=0)
    store.states.set("a", "local", "another", 1)
    store.states.set("a", "local", "another", 2)
    bookmark = watching.next()
    assert bookmark == Bookmark(watching.watch.cursor, clock.moment)
    assert bookmark.cursor.revision == 2
    assert watching.next() is None
    quiet = Watching(store, pattern="mine", since=0, timeout=0)
    assert quiet.next() is None
    assert quiet.watch.cursor.revision == 2


def test_it_watches_its_branch_and_what_that_was_made_from(store: Store) -> None:
    store.states.set("a", "local", "before", 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    store.states.set("a", "local", "on main", 1)
    lab.states.set("a", "local", "on lab", 1)
    assert keys(Watching(store, since=0, timeout=0).rest()) == ["before", "on main"]
    assert keys(Watching(lab, since=0, timeout=0).rest()) == ["before", "on lab"]


def test_what_cannot_be_watched_is_refused(store: Store) -> None:
    store.states.set("a", "local", "k", 1)
    [change] = Watching(store, since=0, timeout=0).rest()
    here = Watching(store, since=0, timeout=0).watch.cursor
    for since, error in (
        (2, NoSuchRevision),
        (Cursor(here.incarnation if here else "", 2), NoSuchRevision),
        (Cursor("another", 1), StaleCursor),
        (-1, InvalidValue),
        (Cursor(here.incarnation if here else "", -1), InvalidValue),
        ("1", InvalidValue),
    ):
        with pytest.raises(error):
            Watching(store, since=since, timeout=0).next()
    with pytest.raises(InvalidValue):
        Watching(store, timeout=-1)
    with pytest.raises(ReadOnly):
        Watching(store.at(1))
    assert change.revision == 1


def test_below_what_retention_kept_it_refuses(open_store: Opener, where: str) -> None:
    filed = open_store(check=False)
    filed.states.set("a", "local", "k", 1)
    filed.states.set("a", "local", "k", 2)
    filed.states.set("a", "local", "k", 3)
    tamper(where, "update agent_states set floor = 2", by=filed)
    for since in (0, 1):  # what was before revision 2 is not kept, and so not what that took the place of
        with pytest.raises(Compacted):
            next(filed.watch(since=since))
    assert next(filed.watch(since=2)).new_value == 3


# ---- asleep


def test_a_thread_is_woken_by_this_stores_commits_and_by_others(open_store: Opener, where: str) -> None:
    mine, other = open_store(), open_store(where)
    found: list[Any] = []
    watch = mine.watch()

    def follow() -> None:
        for change in watch:
            found.append(change.key)
            arrived.release()

    arrived, thread = threading.Semaphore(0), threading.Thread(target=follow)
    thread.start()
    for number in range(4):
        (mine, other)[number % 2].states.set("a", "local", f"k{number}", 1)
        assert arrived.acquire(timeout=HANG)
    watch.close()
    thread.join(HANG)
    assert not thread.is_alive()
    assert found == ["k0", "k1", "k2", "k3"]


def test_a_task_is_woken_by_this_stores_commits_and_by_others(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as mine, AsyncStore(where) as other, mine.watch() as watch:
            for number in range(4):
                waiting = asyncio.create_task(anext(watch))
                await (mine, other)[number % 2].states.set("a", "local", f"k{number}", 1)
                assert (await waiting).key == f"k{number}"
            waiting = asyncio.create_task(anext(watch, None))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            watch.close()
            assert await waiting is None

    run(main())


def test_what_is_written_after_a_task_asked_to_watch_is_seen(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            for number in range(10):
                watch = store.watch(timeout=HANG)
                if number % 2:
                    await store.states.set("a", "local", "k", number)
                else:
                    async with store.transaction() as tx:
                        await tx.states.set("a", "local", "k", number)
                assert (await anext(watch)).new_value == number
                watch.close()
            async with store.transaction() as tx:
                await tx.states.set("a", "local", "k", "inside")
                watch = store.watch(timeout=HANG)
            assert (await anext(watch)).new_value == "inside"

    run(main())


def test_a_wait_that_is_cancelled_loses_nothing(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            watch, found = store.watch(), []
            for number in range(30):
                task = asyncio.create_task(anext(watch))
                await store.states.set("a", "local", "k", number)
                for _ in range(random.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    found.append((await task).new_value)
                except asyncio.CancelledError:
                    continue
            while len(found) < 30:
                found.append((await anext(watch)).new_value)
            assert found == list(range(30))

    run(main())


def test_of_several_tasks_that_share_a_watch_each_change_comes_to_one(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store, store.watch() as watch:
            waiting = {asyncio.create_task(anext(watch)) for _ in range(3)}
            found: list[Any] = []
            for number in range(12):
                await store.states.set("a", "local", "k", number)
                if number % 3 == 2:
                    while len(found) <= number:
                        done, waiting = await asyncio.wait(waiting, timeout=HANG, return_when="FIRST_COMPLETED")
                        found += [task.result().new_value for task in done]
                        waiting |= {asyncio.create_task(anext(watch)) for _ in done}
            assert sorted(found) == list(range(12))
            watch.close()
            await asyncio.wait(waiting)
            for task in waiting:
                assert isinstance(task.exception(), StopAsyncIteration)

    run(main())


def test_a_watch_that_was_cancelled_before_it_began_stands_nowhere(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            watch = store.watch()
            watch._begun.cancel()
            await asyncio.sleep(0)
            assert watch.cursor is None
            await store.states.set("a", "local", "k", 1)

    run(main())


def test_closing_the_store_ends_a_watch_with_a_word(where: str) -> None:
    store = Store(where)
    watch = store.watch()
    raised: list[BaseException] = []

    def follow() -> None:
        try:
            next(watch)
        except StoreClosed as error:
            raised.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    while not store.hub._waiting:
        pass
    store.close()
    thread.join(HANG)
    assert len(raised) == 1
    assert next(watch, None) is None

    async def main() -> None:
        store = await AsyncStore(where)
        waiting = asyncio.create_task(anext(store.watch()))
        while not store.hub._waiting:
            await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreClosed):
            await waiting

    run(main())


def test_a_watch_nobody_refers_to_listens_no_more(filed: Store) -> None:
    watch = filed.watch(timeout=0.001)
    assert next(watch, None) is None
    assert filed.hub._attendance._count == 0
    watch = filed.watch()
    filed.states.set("a", "local", "k", 1)
    threading.Timer(0, filed.states.set, ("a", "local", "k", 2)).start()
    assert [change.new_value for _, change in zip(range(2), watch, strict=False)] == [1, 2]
    del watch
    assert filed.hub._attendance._count == 0


def test_a_watch_is_of_a_store_and_not_of_a_transaction(filed: Store) -> None:
    with filed.transaction() as tx, pytest.raises(InTransaction):
        tx.watch()
