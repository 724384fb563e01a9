"""Handlers: told after the commit, one by one and in order, and whatever they do is nobody else's trouble."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from typing import Any

import pytest

from statedb import AsyncStore, Change, InTransaction, InvalidValue, NoSuchRevision, Store, StoreBusy
from statedb.live.hub import Hub
from statedb.live.subscription import Subscription
from statedb.live.watch import Delivery, Watch
from statedb.values.changefilter import StateChangeFilter
from statedb.values.cursor import Cursor, Page
from tests.conftest import Opener
from tests.helpers import HANG, run
from tests.places import tamper


def test_a_handler_is_told_of_everybodys_changes_in_order(open_store: Opener, where: str) -> None:
    mine, other = open_store(), open_store(where)
    told: queue.Queue[Change] = queue.Queue()
    subscription = mine.feed.subscribe(told.put, agent_id="a", kinds=("create", "update"))
    for number in range(6):
        (mine, other)[number % 2].states.set("a", "local", "k", number)
        mine.states.set("b", "local", "k", number)
    mine.states.delete("a", "local", "k")
    assert [told.get(timeout=HANG).new_value for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    assert subscription.active
    mine.feed.unsubscribe(subscription)
    assert not subscription.active
    mine.states.set("a", "local", "k", 7)
    assert told.empty()


def test_a_failing_handler_is_reported_and_neither_stops_the_writer_nor_the_rest(
    filed: Store, caplog: pytest.LogCaptureFixture
) -> None:
    told: queue.Queue[Any] = queue.Queue()
    errors: queue.Queue[Any] = queue.Queue()

    def handler(change: Change) -> None:
        if change.new_value == 2:
            raise ZeroDivisionError("two")
        told.put(change.new_value)

    def on_error(error: Exception, change: Change) -> None:
        errors.put((str(error), change.new_value))
        raise RuntimeError("this one fails too")

    with caplog.at_level(logging.ERROR, "statedb"):
        subscription = filed.feed.subscribe(handler, on_error=on_error)
        for number in (1, 2, 3):
            filed.states.set("a", "local", "k", number)
        assert [told.get(timeout=HANG) for _ in range(2)] == [1, 3]
        assert errors.get(timeout=HANG) == ("two", 2)
        subscription.close()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError, RuntimeError]


def test_what_is_no_subscription_cannot_be_ended(filed: Store) -> None:
    async def main() -> None:
        async with AsyncStore(":memory:") as store:
            forgotten = store.feed.subscribe(print)
            with pytest.raises(InvalidValue, match="what subscribe has returned, and not <coroutine"):
                await store.feed.unsubscribe(forgotten)  # type: ignore[arg-type]
            forgotten.close()

    with pytest.raises(InvalidValue, match="and not None"):
        filed.feed.unsubscribe(None)  # type: ignore[arg-type]
    run(main())


def test_a_handler_may_write_and_end_its_own_subscription(filed: Store) -> None:
    done = threading.Event()

    def handler(change: Change) -> None:
        filed.states.set("a", "local", "seen", change.key)
        filed.feed.unsubscribe(subscription)
        done.set()

    subscription = filed.feed.subscribe(handler, pattern="k*")
    filed.states.set("a", "local", "k", 1)
    assert done.wait(HANG)
    subscription._thread.join(HANG)
    assert not subscription.active
    assert filed.states.get("a", "local", "seen") == "k"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_handler_that_ends_its_thread_listens_no_more(filed: Store) -> None:
    def handler(_: Change) -> None:
        raise SystemExit

    subscription = filed.feed.subscribe(handler)
    filed.states.set("a", "local", "k", 1)
    subscription._thread.join(HANG)
    assert not subscription.active
    assert filed.hub._attendance._count == 0


def test_a_task_that_waited_for_what_was_cancelled_is_reported_and_goes_on_until_it_is_cancelled_itself(
    where: str,
) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            told: asyncio.Queue[Any] = asyncio.Queue()
            errors: list[Any] = []

            async def handler(change: Change) -> None:
                if change.new_value == 1:
                    cancelled = asyncio.get_running_loop().create_future()
                    cancelled.cancel()
                    await cancelled
                told.put_nowait(change.new_value)
                if change.new_value == 3:
                    await asyncio.Event().wait()

            def on_error(error: Exception, change: Change) -> None:
                errors.append((type(error.__cause__), change.new_value))

            subscription = await store.feed.subscribe(handler, on_error=on_error)
            for number in (1, 2, 3):
                await store.states.set("a", "local", "k", number)
            assert [await told.get() for _ in range(2)] == [2, 3]
            assert errors == [(asyncio.CancelledError, 1)]
            subscription._task.cancel()
            await asyncio.wait([subscription._task], timeout=HANG)
            assert not subscription.active
            assert store.hub._attendance._count == 0

    run(main())


@pytest.mark.parametrize("closes", [False, True])
def test_closing_a_store_waits_for_its_tasks_and_one_of_them_may_close_it(where: str, closes: bool) -> None:
    async def main() -> None:
        store = await AsyncStore(where)
        entered, done = asyncio.Event(), []

        async def handler(change: Change) -> None:
            if closes:
                await store.close()
            entered.set()
            for _ in range(20):
                await asyncio.sleep(0)
            done.append(change.key)

        subscription = await store.feed.subscribe(handler)
        await store.states.set("a", "local", "k", 1)
        await entered.wait()
        await store.close()
        if closes:
            await asyncio.wait([subscription._task], timeout=HANG)
        assert (done, subscription.active) == (["k"], False)

    run(main())


def test_what_it_begins_with_and_what_is_refused(filed: Store) -> None:
    filed.states.set("a", "local", "k", 1)
    told: queue.Queue[Change] = queue.Queue()
    subscription = filed.feed.subscribe(told.put, StateChangeFilter(pattern="k"), since=0)
    assert told.get(timeout=HANG).revision == 1
    subscription.close()
    assert subscription.cursor.revision == 1

    async def later(_change: Change) -> None: ...

    for handler, how, error in (
        (None, {}, InvalidValue),
        (later, {}, InvalidValue),
        (told.put, {"since": 9}, NoSuchRevision),
        (told.put, {"filter": StateChangeFilter(), "agent_id": "a"}, InvalidValue),
        (told.put, {"filter": "a"}, InvalidValue),
    ):
        with pytest.raises(error):
            filed.feed.subscribe(handler, **how)  # type: ignore[arg-type]
    with filed.transaction() as tx, pytest.raises(InTransaction):
        tx.feed.subscribe(told.put)


def test_where_the_log_cannot_be_read_any_more_it_says_so_and_ends(open_store: Opener, where: str) -> None:
    store = open_store(check=False)
    store.states.set("a", "local", "k", 1)
    store.states.set("a", "local", "k", 2)
    tamper(where, "update agent_states set floor = 2", by=store)
    errors: queue.Queue[Any] = queue.Queue()
    subscription = store.feed.subscribe(print, since=0, on_error=lambda *told: errors.put(told))
    error, change = errors.get(timeout=HANG)
    assert (error.floor, change) == (2, None)
    subscription._thread.join(HANG)
    assert not subscription.active


def test_where_the_log_is_busy_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statedb.live.subscription._AGAIN", 0)
    answers: list[Any] = [StoreBusy("later"), Page([1], 1, True, 0)]
    told: queue.Queue[Any] = queue.Queue()
    hub = Hub()

    def fetch(read: int) -> Page[int]:
        answer = answers.pop(0) if answers else Page([], read, False, 0)
        if isinstance(answer, StoreBusy):
            raise answer
        return answer

    watch = Watch(hub, fetch, Delivery[int](Cursor("store", 0), int))
    subscription = Subscription(watch, told.put, lambda error, item: told.put((type(error), item)))
    assert [told.get(timeout=HANG) for _ in range(2)] == [(StoreBusy, None), 1]
    subscription.close()
    assert not subscription.active


def test_closing_a_store_ends_its_subscriptions(where: str) -> None:
    before = set(threading.enumerate())
    store = Store(where)
    subscription = store.feed.subscribe(print)
    store.close()
    assert not subscription.active
    assert set(threading.enumerate()) <= before


def test_tasks_are_told_too_by_functions_of_either_kind(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store, AsyncStore(where) as other:
            told: asyncio.Queue[Any] = asyncio.Queue()
            errors: list[Any] = []

            async def handler(change: Change) -> None:
                await asyncio.sleep(0)
                if change.new_value == 2:
                    raise ZeroDivisionError
                told.put_nowait(change.new_value)

            first = await store.feed.subscribe(handler, on_error=lambda error, change: errors.append(change.new_value))
            second = await store.feed.subscribe(lambda change: told.put_nowait(-change.new_value), pattern="k")
            for number in (1, 2, 3):
                await (store, other)[number % 2].states.set("a", "local", "k", number)
            assert sorted([await told.get() for _ in range(5)]) == [-3, -2, -1, 1, 3]
            assert errors == [2]
            await store.feed.unsubscribe(first)
            assert (first.active, second.active) == (False, True)
            with pytest.raises(NoSuchRevision):
                await store.feed.subscribe(handler, since=99)
        assert not second.active

    run(main())
