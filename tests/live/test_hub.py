"""The hub: whoever waits is woken by each ring after what he has seen, and by the end."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from statedb import StoreClosed
from statedb.live.hub import AsyncHub, Hub
from statedb.live.watch import Delivery, Watch
from statedb.values.cursor import Cursor, Page
from tests.helpers import HANG, run


class Ear:
    """A listener that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ring: Callable[[], None] = lambda: None

    def start(self, ring: Callable[[], None]) -> None:
        self.asked.append("start")
        self.ring = ring

    def stop(self) -> None:
        self.asked.append("stop")


def asleep(hub: Hub, count: int) -> None:
    """Wait until so many threads wait on a hub."""
    while hub._waiting < count:
        pass


@pytest.mark.parametrize("make", [Hub, AsyncHub])
def test_every_ring_is_another_number(make: Callable[[], Hub | AsyncHub]) -> None:
    hub, seen = make(), []
    for _ in range(5):
        seen.append(hub.rings)
        hub.ring()
    assert len(set(seen)) == 5


def test_a_ring_before_the_wait_is_not_missed() -> None:
    hub = Hub()
    seen = hub.rings
    hub.ring()
    assert hub.wait(seen) != seen


def test_a_ring_wakes_every_thread_that_waits() -> None:
    hub = Hub()
    seen = hub.rings
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(hub.wait, seen) for _ in range(4)]
        asleep(hub, 4)
        hub.ring()
        assert {each.result(HANG) for each in waiting} == {hub.rings}


def test_rings_of_many_threads_are_never_set_back_to_what_was_seen() -> None:
    hub, seen = Hub(), []

    def ring() -> None:
        for _ in range(500):
            hub.ring()
            seen.append(hub.rings)

    with ThreadPoolExecutor(4) as threads:
        wait([threads.submit(ring) for _ in range(4)])
    last = hub.rings
    hub.ring()
    assert hub.rings == 2001
    assert hub.rings not in seen
    assert last <= 2000


def test_a_wait_ends_with_its_time() -> None:
    hub = Hub()
    assert hub.wait(hub.rings, timeout=0) == hub.rings

    async def main() -> None:
        hub = AsyncHub()
        assert await hub.wait(hub.rings, timeout=0) == hub.rings
        assert not hub._waiting

    run(main())


def test_closing_wakes_threads_and_refuses_those_who_come_later() -> None:
    hub = Hub()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(hub.wait, hub.rings)
        asleep(hub, 1)
        hub.close("gone")
        with pytest.raises(StoreClosed, match="gone"):
            waiting.result(HANG)
    for late in (lambda: hub.wait(hub.rings), hub.attend):
        with pytest.raises(StoreClosed, match="gone"):
            late()


def test_a_ring_wakes_every_task_that_waits_and_closing_refuses() -> None:
    async def main() -> None:
        hub = AsyncHub()
        tasks = [asyncio.create_task(hub.wait(hub.rings)) for _ in range(3)]
        await asyncio.sleep(0)
        hub.ring()
        assert await asyncio.gather(*tasks) == [hub.rings] * 3
        task = asyncio.create_task(hub.wait(hub.rings))
        await asyncio.sleep(0)
        hub.close("gone")
        with pytest.raises(StoreClosed, match="gone"):
            await task
        with pytest.raises(StoreClosed, match="gone"):
            await hub.wait(-1)

    run(main())


def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    async def main() -> None:
        hub = AsyncHub()
        task = asyncio.create_task(hub.wait(hub.rings, timeout=HANG))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not hub._waiting

    run(main())


@pytest.mark.parametrize("make", [Hub, AsyncHub])
def test_a_listener_works_while_anybody_attends(make: Callable[[Ear], Hub | AsyncHub]) -> None:
    run(attending(make))


async def attending(make: Callable[[Ear], Hub | AsyncHub]) -> None:
    ear = Ear()
    hub = make(ear)
    with hub.attended():
        with hub.attended():
            assert ear.asked == ["start"]
        seen = hub.rings
        await asyncio.to_thread(ear.ring)
        await asyncio.sleep(0)
        assert hub.rings != seen
    assert ear.asked == ["start", "stop"]
    hub.attend()
    hub.close("gone")
    hub.close("gone again")
    hub.leave()
    assert ear.asked == ["start", "stop", "start", "stop"]
    idle = Ear()
    make(idle).close("gone")
    assert idle.asked == []


def test_a_listener_that_could_not_start_is_started_for_the_next() -> None:
    class Starved(Ear):
        def start(self, ring: Callable[[], None]) -> None:
            super().start(ring)
            if len(self.asked) == 1:
                raise OSError("too many open files")

    ear = Starved()
    hub = Hub(ear)
    with pytest.raises(OSError, match="too many"):
        hub.attend()
    with hub.attended():
        assert ear.asked == ["start", "start"]
    assert ear.asked == ["start", "start", "stop"]


def test_a_watch_closed_by_a_signal_while_it_begins_to_listen_does_not_hang() -> None:
    class Interrupted(Ear):
        def start(self, ring: Callable[[], None]) -> None:
            super().start(ring)
            watch.close()  # as a handler of signals does, on this very thread

    ear = Interrupted()
    start = Cursor("store", 0)
    watch: Watch[Any] = Watch(Hub(ear), lambda _: Page([], 0, False, 0), Delivery(start, int))
    follower = threading.Thread(target=next, args=(watch, None), daemon=True)
    follower.start()
    follower.join(HANG)
    assert not follower.is_alive()
    assert ear.asked == ["start", "stop"]


def test_one_leaves_by_a_signal_while_another_begins_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear()
    hub = Hub(ear)
    hub.attend()
    monkeypatch.setattr(hub._attendance, "check", hub.leave)  # as a handler of signals does, at this moment
    thread = threading.Thread(target=hub.attend, daemon=True)
    thread.start()
    thread.join(HANG)
    assert not thread.is_alive()
    assert ear.asked == ["start", "stop", "start"]


@pytest.mark.parametrize("timeout", [1e10, math.inf])
def test_a_wait_may_be_as_long_as_one_likes(timeout: float) -> None:
    hub, raised = Hub(), []

    def wait() -> None:
        try:
            hub.wait(hub.rings, timeout)
        except StoreClosed as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not hub._waiting and thread.is_alive():
        pass
    hub.close("gone")
    thread.join(HANG)
    assert raised


def test_a_forked_child_finds_it_closed_whatever_a_thread_of_the_parent_held() -> None:
    hub = Hub()
    held = threading.Thread(target=hub._changed.acquire)  # a thread that died with the lock, as one not forked has
    held.start()
    held.join()
    hub.forsake()
    with pytest.raises(StoreClosed, match="forked"):
        hub.wait(hub.rings)
