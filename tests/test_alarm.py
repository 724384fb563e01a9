"""The alarm: what it is told to look at, when, and that it keeps nobody from leaving. No test waits for a time."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import subprocess
import sys
import threading
from typing import Any

import pytest

from statedb import AsyncStore, AutoCheckpoint, Store, StoreBusy, StoreClosed, Trigger
from statedb.alarm import Alarm, AsyncAlarm
from statedb.db import automatic
from tests.helpers import HANG, Clock, run
from tests.places import only_sqlite

SOON = AutoCheckpoint(triggers=[Trigger("time_interval", 0.0001)])
LATE = AutoCheckpoint(triggers=[Trigger("time_interval", 60)])


def alarms() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "statedb-alarm"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statedb.alarm.REST", 0.0)
    monkeypatch.setattr("statedb.alarm.AGAIN", 0.0)


def test_it_looks_when_something_is_due_and_not_before(clock: Clock) -> None:
    looked = threading.Semaphore(0)
    alarm = Alarm(clock, looked.release)
    assert alarms() == []
    alarm.set(clock.micros + 10**12)
    assert len(alarms()) == 1
    alarm.set(clock.micros)
    assert looked.acquire(timeout=HANG)
    alarm.stop()
    alarm.stop()
    alarm.set(clock.micros)
    assert alarms() == []
    assert not looked.acquire(blocking=False)


def test_what_fails_is_looked_at_again(clock: Clock) -> None:
    failures, done = [StoreBusy("somebody else writes"), StoreBusy("still")], threading.Event()

    def look() -> None:
        if failures:
            raise failures.pop()
        done.set()

    alarm = Alarm(clock, look)
    alarm.set(clock.micros)
    assert done.wait(HANG)
    alarm.stop()


def test_it_ends_with_its_store(clock: Clock) -> None:
    def look() -> None:
        raise StoreClosed("closed")

    alarm = Alarm(clock, look)
    alarm.set(clock.micros)
    for thread in alarms():
        thread.join(HANG)
    assert alarms() == []


def test_on_a_loop_it_is_the_same(clock: Clock) -> None:
    async def main() -> None:
        looked, failures = asyncio.Semaphore(0), [StoreBusy("somebody else writes")]

        async def look() -> None:
            if failures:
                raise failures.pop()
            looked.release()

        alarm = AsyncAlarm(clock, look)
        alarm.set(clock.micros + 10**12)
        alarm.set(clock.micros)
        await looked.acquire()
        await alarm.stop()
        alarm.set(clock.micros)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert looked.locked()

    run(main())


def test_on_a_loop_it_is_idle_while_it_looks(clock: Clock) -> None:
    async def main() -> None:
        asked, looked, going_on = 0, asyncio.Semaphore(0), asyncio.Event()

        def counting() -> float:
            nonlocal asked
            asked += 1
            return clock()

        async def look() -> None:
            looked.release()
            await going_on.wait()

        alarm = AsyncAlarm(counting, look)
        alarm.set(clock.micros)
        await looked.acquire()
        alarm.set(clock.micros)
        before = asked
        for _ in range(50):
            await asyncio.sleep(0)
        assert asked - before < 5
        going_on.set()
        await looked.acquire()
        await alarm.stop()

    run(main())


# ---- in a store


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Is set once a checkpoint was made by time alone."""
    found, run_due = threading.Event(), automatic.run_due

    def telling(tx: Any) -> Any:
        result = run_due(tx)
        if result:
            found.set()
        return result

    monkeypatch.setattr("statedb.db.automatic.run_due", telling)
    return found


def test_a_store_where_nobody_writes_any_more_gets_its_last_checkpoint(anywhere: str, made: threading.Event) -> None:
    with Store(anywhere, durability="normal") as store:
        store.checkpoints.configure("a", SOON)
        assert alarms() == []
        store.states.set("b", "local", "k", 1)
        assert alarms() == [], "nobody waits who has written nothing that a policy is for"
        store.states.set("a", "local", "k", 1)
        assert made.wait(HANG)
        while not store.checkpoints.list("a"):  # it is on its way into the log
            pass
        [checkpoint] = store.checkpoints.list("a")
        assert (checkpoint.revision, checkpoint.metadata) == (3, {"trigger": "time_interval"})
    assert alarms() == []


def test_so_does_one_on_a_loop(anywhere: str) -> None:
    async def main() -> None:
        async with AsyncStore(anywhere, durability="normal") as store:
            await store.checkpoints.configure("a", SOON)
            async with store.transaction() as tx:
                await tx.states.set("a", "local", "k", 1)
            while not await store.checkpoints.list("a"):
                await asyncio.sleep(0)
            assert [each.revision for each in await store.checkpoints.list("a")] == [2]

    run(main())
    assert alarms() == []


def test_it_looks_after_branches_too_until_they_end(where: str, made: threading.Event) -> None:
    with Store(where, durability="normal") as store:
        for name in ("over", "lab"):
            store.branches.create(name)
            store.branch(name).checkpoints.configure("a", SOON if name == "lab" else LATE)
            store.branch(name).states.set("a", "local", "k", 1)
            if name == "over":
                store.branches.delete(name)
        assert made.wait(HANG)
        while not (found := store.branch("lab").checkpoints.list("a")):
            pass  # what is made is told before it is committed
        assert [each.branch for each in found] == ["lab"]
        assert store.checkpoints.list() == []
    assert alarms() == []


def test_on_a_loop_it_looks_after_branches_too(anywhere: str) -> None:
    async def main() -> None:
        async with AsyncStore(anywhere, durability="normal") as store:
            await store.branches.create("lab")
            lab = store.branch("lab")
            await lab.checkpoints.configure("a", SOON)
            await lab.states.set("a", "local", "k", 1)
            while not await lab.checkpoints.list("a"):
                await asyncio.sleep(0)

    run(main())


@only_sqlite
def test_two_may_close_a_store_whose_alarm_looks(clock: Clock, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        looking, going_on = asyncio.Event(), asyncio.Event()

        async def look() -> None:
            looking.set()
            await going_on.wait()

        monkeypatch.setattr("statedb.aio._weakly", lambda store: look)
        store = await AsyncStore(where, clock=clock)
        assert store._schedule.alarm is not None
        store._schedule.alarm(clock.micros)
        await looking.wait()
        closing = [asyncio.ensure_future(store.close()) for _ in range(2)]
        await asyncio.sleep(0)
        going_on.set()
        await asyncio.gather(*closing)

    run(main())


@only_sqlite
def test_a_store_that_is_forgotten_takes_its_alarm_along(where: str) -> None:
    store = Store(where, durability="normal")
    store.checkpoints.configure("a", LATE)
    store.states.set("a", "local", "k", 1)
    [alarm] = alarms()
    del store
    gc.collect()
    alarm.join(HANG)
    assert alarms() == []


LEFT_OPEN = """
import sys
from statedb import *
store = Store(sys.argv[1])
store.checkpoints.configure("a", AutoCheckpoint(triggers=[Trigger("time_interval", 60)]))
store.states.set("a", "local", "k", 1)
"""


def test_it_keeps_no_program_from_its_end(anywhere: str) -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT_OPEN, anywhere], timeout=HANG, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def in_a_child(store: Store) -> None:
    with pytest.raises(StoreClosed):
        store.states.set("a", "local", "k", 2)
    store.close()


@only_sqlite
def test_a_forked_child_leaves_it_alone(where: str) -> None:
    with Store(where, durability="normal") as store:
        store.checkpoints.configure("a", LATE)
        store.states.set("a", "local", "k", 1)
        child = multiprocessing.get_context("fork").Process(target=in_a_child, args=(store,))
        child.start()
        child.join(HANG)
        assert child.exitcode == 0
        assert len(alarms()) == 1
