"""Locks as they are waited for and held: in order of arrival, by threads, tasks and stores side by side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from statedb import AsyncStore, Fenced, InvalidValue, LockHeld, Store, StoreBusy, StoreClosed
from statedb.live.leases import AsyncLeases, Lease, Leases
from statedb.rooms.locks import Ask
from statedb.transaction import Joined
from tests.conftest import Opener
from tests.helpers import HANG, Clock, calls, run
from tests.places import APART

ASK = Ask("a", "k", "exclusive", 30, None, None)


def soon(is_so: Callable[[], Any]) -> Any:
    """Wait until something is so, which it will be soon."""
    end = time.monotonic() + HANG
    while not (found := is_so()):
        assert time.monotonic() < end, "it has not come to be"
        time.sleep(0.002)
    return found


def nudged(store: Any) -> bool:
    """Have what renews leases look at the clock, which it does by itself once a second."""
    with store._leases._changed:
        store._leases._changed.notify_all()
    return True


def waiting(store: Any) -> int:
    return len([each for each in store.locks.list(waiting=True) if each.fence is None])


def is_waited_for(store: Any, number: int) -> bool:
    return waiting(store) == number


@contextmanager
def apart() -> Iterator[Callable[..., Future[Any]]]:
    """Run calls beside the test, and wait for them at the end."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


# ---- in order of arrival


def test_a_lock_is_had_in_the_order_of_arrival_across_stores(open_store: Opener, where: str) -> None:
    stores = [open_store(where), open_store(where)]
    first = stores[0].locks.acquire("a", "k")
    came: list[int] = []

    def hold(number: int) -> None:
        with stores[number % 2].locks.hold("a", "k", wait=None) as lock:
            came.append(number)
            lock.states.set("a", "local", "k", number)

    with apart() as call:
        ended = []
        for number in range(5):
            ended.append(call(hold, number))
            soon(partial(is_waited_for, stores[0], number + 1))
        assert stores[1].locks.release(first)
        for each in ended:
            each.result(HANG)
    assert came == list(range(5))
    fences = [each.fence for each in stores[0].feed.locks() if each.change == "lock"]
    assert fences == sorted(fences)


def test_tasks_come_in_the_order_of_arrival_too(where: str, clock: Clock) -> None:
    came: list[int] = []

    async def main() -> None:
        async with AsyncStore(where, clock=clock) as one, AsyncStore(where, clock=clock) as two:
            first = await one.locks.acquire("a", "k")

            async def hold(number: int) -> None:
                async with (one, two)[number % 2].locks.hold("a", "k", wait=None):
                    came.append(number)

            tasks = []
            for number in range(5):
                tasks.append(asyncio.create_task(hold(number)))
                while len(await one.locks.list(waiting=True)) < number + 2:
                    await asyncio.sleep(0.001)
            tasks[2].cancel()
            await asyncio.wait([tasks[2]])
            assert len(await one.locks.list(waiting=True)) == 5  # the place is given up
            await one.locks.release(first)
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    assert came == [0, 1, 3, 4]


def test_who_comes_later_waits_behind_whom_he_would_not_share_with(filed: Any) -> None:
    filed.locks.acquire("a", "k", "read")
    line_up(filed, "exclusive")
    with pytest.raises(LockHeld):
        filed.locks.acquire("a", "k", "read")
    filed.locks.acquire("a", "l", "write")
    line_up(filed, "write", key="l")
    assert filed.locks.acquire("a", "l", "read").fence == 3


# ---- the end of waiting


def line_up(store: Any, type: str = "exclusive", wait: float | None = None, key: str = "k") -> Any:
    """Wait for a lock as somebody does who will never come: he was killed."""
    return store.locks._take(ASK._replace(type=type, key=key), wait)


def test_who_is_called_and_does_not_come_is_passed_by(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "k")
    place = line_up(store)
    store.locks.release(lock)
    with pytest.raises(LockHeld, match="whose turn it is") as refused:
        store.locks.acquire("a", "k")
    assert refused.value.holders == ()
    clock.advance(1.999999)
    with pytest.raises(LockHeld):
        store.locks.acquire("a", "k")
    clock.advance(0.000001)
    assert store.locks.acquire("a", "k").fence == 2
    assert store.locks._look(ASK, place).id == 0


def test_a_lease_that_ends_by_time_calls_the_next_by_itself(store: Any, clock: Clock) -> None:
    store.locks.acquire("a", "k", ttl=10)
    line_up(store)
    second = line_up(store)
    clock.advance(10)
    with pytest.raises(LockHeld):
        store.locks.acquire("a", "k")
    clock.advance(2)
    assert store.locks._look(ASK, second).is_ready
    with pytest.raises(LockHeld):  # it is the second's turn
        store.locks.acquire("a", "k")
    clock.advance(2)
    assert store.locks.acquire("a", "k").fence == 2


def test_who_waits_no_longer_stands_in_nobodys_way(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "k", "read")
    line_up(store, wait=5)
    with pytest.raises(LockHeld):
        store.locks.acquire("a", "k", "read")
    clock.advance(5)
    assert store.locks.acquire("a", "k", "read").fence == lock.fence + 1


def test_waiting_ends_by_the_stores_clock(open_store: Opener, clock: Clock) -> None:
    store = open_store()
    store.locks.acquire("a", "k", ttl=100, owner="other")
    with apart() as call:
        acquiring = call(store.locks.acquire, "a", "k", wait=10)
        soon(lambda: waiting(store))
        clock.advance(10)
        store.hub.ring()
        with pytest.raises(LockHeld, match="other"):
            acquiring.result(HANG)
    assert waiting(store) == 0


def test_a_lease_that_ends_lets_who_waits_have_the_lock(open_store: Opener, clock: Clock) -> None:
    store = open_store()
    store.locks.acquire("a", "k", ttl=10)
    with apart() as call:
        acquiring = call(store.locks.acquire, "a", "k", wait=60)
        soon(lambda: waiting(store))
        clock.advance(10)
        store.hub.ring()
        assert acquiring.result(HANG).fence == 2


def test_who_was_passed_by_lines_up_again(open_store: Opener, clock: Clock) -> None:
    store = open_store()
    lock = store.locks.acquire("a", "k")
    place = line_up(store)
    store.locks.release(lock)
    clock.advance(2)
    lock = store.locks.acquire("a", "k")
    again = store.locks._take(ASK, None, store.locks._look(ASK, place))
    assert again.id
    assert again.arrived
    assert again.deadline == place.deadline
    store.locks.release(lock)
    assert store.locks._take(ASK, None, again).fence == 3


def test_who_was_passed_by_has_not_got_the_place_of_who_came_after_him(store: Any, clock: Clock) -> None:
    lock = store.locks.acquire("a", "k")
    gone = line_up(store)
    store.locks.release(lock)
    clock.advance(2)
    store.locks.release(store.locks.acquire("a", "k"))
    store.locks.acquire("a", "k")
    line_up(store)  # in the row of who is gone
    assert store.locks._look(ASK, gone).id == 0


def test_an_interrupted_wait_gives_its_place_up(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    store.locks.acquire("a", "k")

    def interrupted(seen: int, timeout: float | None = None) -> int:
        assert waiting(store) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(store.hub, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.locks.acquire("a", "k", wait=None)
    assert waiting(store) == 0


def test_closing_the_store_gives_the_places_up(open_store: Opener, where: str, clock: Clock) -> None:
    store, closed = open_store(where), Store(where, clock=clock)
    store.locks.acquire("a", "k")
    with apart() as call:
        acquiring = call(closed.locks.acquire, "a", "k", wait=None)
        soon(lambda: waiting(store))
        closed.close()
        with pytest.raises(StoreClosed):
            acquiring.result(HANG)
    assert waiting(store) == 0

    async def main() -> None:
        other = await AsyncStore(where, clock=clock)
        task = asyncio.create_task(other.locks.acquire("a", "k", wait=None))
        while len(await other.locks.list(waiting=True)) < 2:
            await asyncio.sleep(0.001)
        await other.close()
        with pytest.raises(StoreClosed):
            await task

    run(main())
    assert waiting(store) == 0


def test_who_is_cancelled_twice_leaves_nothing_behind_either(where: str, clock: Clock) -> None:
    """As one is who waits under a time limit and whose group of tasks is given up meanwhile."""

    async def main() -> None:
        async with AsyncStore(where, clock=clock) as store:

            async def hold() -> None:
                async with store.locks.hold("a", "k", wait=None):
                    await asyncio.sleep(HANG)

            left = []
            for steps in range(16):
                task = asyncio.create_task(hold())
                for several in (steps, 2, 1):
                    for _ in range(several):
                        await asyncio.sleep(0)
                    task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()
                left += await store.locks.list(waiting=True)
            assert left == []

    run(main())


# ---- holding


def test_a_lock_that_is_held_is_renewed_and_given_back(open_store: Opener, clock: Clock) -> None:
    store = open_store()
    with store.locks.hold("a", "k", ttl=9) as lock:
        for _ in range(4):
            clock.advance(3)
            soon(lambda: nudged(store) and lock.expires_at == clock.moment + timedelta(seconds=9))
        assert lock.states.set("a", "local", "k", 1).version == 1
        [listed] = store.locks.list()
        assert listed.expires_at == lock.expires_at
    assert (store.locks.list(), lock.lost) == ([], False)
    assert [commit.kind for commit in store.history.commits()] == ["lock", "write", "lock"]


def test_a_task_renews_what_tasks_hold(where: str, clock: Clock) -> None:
    async def main() -> None:
        async with AsyncStore(where, clock=clock) as store, store.locks.hold("a", "k", ttl=9) as lock:
            async with store.locks.hold("a", "l", ttl=9):
                clock.advance(3)
                while lock.expires_at != clock.moment + timedelta(seconds=9):
                    store._leases._changed.set()
                    await asyncio.sleep(0.001)
                assert (await lock.states.set("a", "local", "k", 1)).version == 1
            assert [each.key for each in await store.locks.list()] == ["k"]

    run(main())


def test_a_lease_that_was_lost_is_heard_of(open_store: Opener, clock: Clock) -> None:
    store = open_store()

    def lose(key: str, error: Exception | None) -> None:
        with store.locks.hold("a", key, ttl=9) as lock:
            clock.advance(9)
            store.locks.acquire("a", key)
            soon(lambda: nudged(store) and lock.lost)
            for call in calls(
                lambda: lock.states.set("a", "local", "k", 1), lambda: lock.states.get("a", "local", "k")
            ):
                with pytest.raises(Fenced):
                    call()
            if error is not None:
                raise error

    with pytest.raises(Fenced):
        lose("k", None)
    with pytest.raises(KeyError):
        lose("l", KeyError("the block's own comes first"))


def test_a_task_hears_of_a_lease_that_was_lost(where: str, clock: Clock) -> None:
    async def lose(store: AsyncStore, key: str, error: Exception | None) -> None:
        async with store.locks.hold("a", key, ttl=9) as lock:
            clock.advance(9)
            await store.locks.acquire("a", key)
            while not lock.lost:
                store._leases._changed.set()
                await asyncio.sleep(0.001)
            with pytest.raises(Fenced):
                await lock.states.keys("a", "local")
            if error is not None:
                raise error

    async def main() -> None:
        async with AsyncStore(where, clock=clock) as store:
            with pytest.raises(Fenced):
                await lose(store, "k", None)
            with pytest.raises(KeyError):
                await lose(store, "l", KeyError("the block's own comes first"))

    run(main())


def test_the_end_of_a_block_finds_a_lost_lease_that_no_renewal_did(open_store: Opener, clock: Clock) -> None:
    store = open_store(APART)
    hold = store.locks.hold("a", "k", ttl=9)
    hold.__enter__()
    store._leases.stop()
    clock.advance(9)
    with pytest.raises(Fenced):
        hold.__exit__(None, None, None)


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_block_holds_one_lock_at_a_time(open_store: Opener, shell: str) -> None:
    store = open_store(shell=shell)
    hold = store.locks.hold("a", "k", "read")
    for _ in range(2):
        with hold:
            with pytest.raises(InvalidValue, match="already"):
                hold.__enter__()
            assert len(store.locks.list()) == 1
        assert store.locks.list() == []


class Failing:
    """A renewal that fails as it is told."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.lost = threading.Event()
        self.done = threading.Event()
        self.lease = Lease(9_000_000, self.renew, self.lost.set)

    def renew(self) -> None:
        error = self.errors.pop(0)
        if not self.errors:
            self.done.set()
        if error is not None:
            raise error

    async def renew_async(self) -> None:
        self.renew()


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_renewal_that_fails_is_tried_again_until_the_lease_has_ended(shell: str, clock: Clock) -> None:
    busy = [StoreBusy("busy"), StoreBusy("busy"), None]
    passing, ending, fenced = Failing(*busy), Failing(*busy[:2], StoreBusy("busy")), Failing(Fenced("over"))

    def step(seconds: float, count: int) -> Callable[[], bool]:
        clock.advance(seconds)
        return lambda: len(passing.errors) == count and len(ending.errors) == count

    def ended() -> bool:
        return ending.lost.is_set() and not ending.errors

    async def main() -> None:
        leases = AsyncLeases(clock, lambda: None)
        for each in (passing, ending, fenced):
            each.lease.renew = each.renew_async
            leases.keep(each.lease)

        async def until(is_so: Callable[[], bool]) -> None:
            while not is_so():
                leases._changed.set()
                await asyncio.sleep(0.001)

        await until(step(3, 2))
        await until(step(1, 1))
        leases.drop(passing.lease)
        clock.advance(5)
        await until(ended)
        await leases.stop()

    def plain() -> None:
        leases = Leases(clock, lambda: None)
        for each in (passing, ending, fenced):
            leases.keep(each.lease)

        def until(is_so: Callable[[], bool]) -> None:
            def look() -> bool:
                with leases._changed:
                    leases._changed.notify_all()
                return is_so()

            soon(look)

        until(step(3, 2))
        until(step(1, 1))
        leases.drop(passing.lease)
        clock.advance(5)
        until(ended)
        leases.stop()

    run(main()) if shell == "async" else plain()
    assert fenced.lost.is_set()
    assert not passing.lost.is_set()


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_a_clock_that_goes_back_puts_no_renewal_off(shell: str, clock: Clock) -> None:
    """The lease ends by the store's clock, which on a server is not this machine's."""
    passing = Failing(None)

    def is_put_right() -> bool:
        return passing.lease.due == clock.micros + 3_000_000

    async def main() -> None:
        leases = AsyncLeases(clock, lambda: None)
        passing.lease.renew = passing.renew_async
        leases.keep(passing.lease)
        for seconds, is_so in ((-3600, is_put_right), (3, passing.done.is_set)):
            clock.advance(seconds)
            while not is_so():
                leases._changed.set()
                await asyncio.sleep(0.001)
        await leases.stop()

    def plain() -> None:
        leases = Leases(clock, lambda: None)
        leases.keep(passing.lease)
        for seconds, is_so in ((-3600, is_put_right), (3, passing.done.is_set)):
            clock.advance(seconds)
            soon(partial(looked_at, leases, is_so))
        leases.stop()

    run(main()) if shell == "async" else plain()


def looked_at(leases: Leases, is_so: Callable[[], bool]) -> bool:
    """Have the clock looked at, and tell whether something is so."""
    with leases._changed:
        leases._changed.notify_all()
    return is_so()


def test_a_write_in_the_same_batch_as_the_lock_is_refused(where: str, clock: Clock) -> None:
    """What is committed together is one after the other all the same."""

    async def main() -> None:
        async with AsyncStore(where, clock=clock) as store:
            await store.states.set("a", "local", "k", 0)
            done: Any = await asyncio.gather(
                store.locks._take(ASK, 0),
                store.states.set("a", "local", "k", 1),
                store.states.set("a", "local", "other", 1),
                store.states.set("a", "local", "k", 2),
                store.states.delete("a", "persistent", "k"),
                return_exceptions=True,
            )
            [taken] = await store.feed.locks()
            assert all(isinstance(done[place], LockHeld) for place in (1, 3, 4))
            assert done[2].version == 1
            wrote = await store.states.set("a", "local", "k", 3, fence=done[0].fence)
            assert (taken.fence, wrote.version) == (done[0].fence, 2)

    run(main())


def test_writers_and_holders_side_by_side_respect_each_other(where: str, clock: Clock) -> None:
    """Of a counter that is written by holders alone nothing is lost, whatever shell and store they come by."""

    def add(tx: Joined, fence: int) -> None:
        tx.states.update("a", "local", "n", lambda n: n + 1, default=0, fence=fence)

    def work(store: Store) -> None:
        for _ in range(4):
            with store.locks.hold("a", "n", wait=None) as lock:
                seen = lock.states.get("a", "local", "n", 0)
                lock.states.set("a", "local", "n", seen + 1)
                store.run(add, lock.fence)

    async def tasks() -> None:
        async def work_async(store: AsyncStore) -> None:
            for _ in range(4):
                async with store.locks.hold("a", "n", wait=None) as lock:
                    seen = await lock.states.get("a", "local", "n", 0)
                    await lock.states.set("a", "local", "n", seen + 1)

        async with AsyncStore(where) as store:
            await asyncio.gather(*(work_async(store) for _ in range(3)))

    with Store(where) as one, Store(where) as two, apart() as call:
        for each in [call(work, one), call(work, one), call(work, two), call(asyncio.run, tasks())]:
            each.result(HANG)
        assert one.states.get("a", "local", "n") == 3 * 4 * 2 + 3 * 4
