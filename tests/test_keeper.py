"""The keeper: it does what falls due with time, one does it of any number, and while nothing is due it does nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from statedb import AsyncStore, AutoCheckpoint, LockHeld, Store, StoreBusy, Trigger
from statedb.keeper import AGENT, KEY, Duty, _made
from statedb.times import moment
from tests.conftest import Opener
from tests.helpers import HANG, Clock

SORTS = ("file", "postgres", "async postgres")
SOON = AutoCheckpoint(triggers=[Trigger("time_interval", 1)])


def until(store: Store, holds: Callable[[], bool]) -> None:
    """Wait for commits until something holds."""
    end = time.monotonic() + HANG
    while True:
        seen = store.hub.rings
        if holds():
            return
        assert time.monotonic() < end, "it never came"
        store.hub.wait(seen, 1.0)


# ---- by hand


def test_by_hand_it_does_what_is_due_and_tells_what_comes_next(store: Any, clock: Clock) -> None:
    assert store.upkeep.look().left is None
    store.checkpoints.configure("a", SOON)
    store.states.set("a", "session", "k", 1, ttl=10)
    store.states.set("a", "session", "s/k", 1, ttl=20)
    store.locks.acquire("a", "plan", ttl=30)
    assert store.upkeep.look().left == 10
    assert store.upkeep.run().done == 0
    clock.advance(10)
    first = store.upkeep.run()
    assert (first.expired, first.lapsed, first.checkpoints, first.left) == (1, 0, 0, 10)
    clock.advance(60)
    second = store.upkeep.run()
    assert (second.expired, second.lapsed, second.checkpoints, second.left) == (1, 1, 1, None)
    assert [change.change for change in store.feed.changes()] == ["create", "create", "expire", "expire"]
    assert [change.change for change in store.feed.locks()] == ["lock", "lapse"]
    assert store.upkeep.run().done == 0


def test_what_is_left_out_is_not_looked_for(store: Any, clock: Clock) -> None:
    for number in range(3):
        store.states.set("a", "session", f"k{number}", 1, ttl=10 * (number + 1))
    clock.advance(25)
    assert store.upkeep.run(after=moment(clock.micros - 10_000_000)).expired == 1
    assert store.upkeep.look(after=moment(clock.micros)).left == 5
    assert store.upkeep.run(limit=1).expired == 1
    assert store.upkeep.run(limit=1).done == 0
    for key in ("k", "s/k"):
        store.states.set("a", "session", key, 1, ttl=10)
    for name in ("t", "u"):
        store.agent("a").session(name, ttl=10).set("k", 1)
    clock.advance(10)
    assert [store.upkeep.run(limit=2).expired for _ in range(4)] == [2, 2, 1, 0]


def test_each_branch_has_its_own(store: Any, clock: Clock) -> None:
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set("a", "session", "k", 1, ttl=10)
    assert store.upkeep.look().left is None
    assert lab.upkeep.look().left == 10
    clock.advance(10)
    assert store.upkeep.run().expired == 0
    assert lab.upkeep.run().expired == 1


# ---- by itself


def test_it_wakes_for_what_others_write_and_when_it_falls_due(where: str) -> None:
    with Store(where, durability="normal") as store, Store(where, durability="normal") as other, store.keep() as keeper:
        until(store, lambda: store.locks.list(AGENT) != [])
        other.states.set("a", "session", "k", 1, ttl=0.05)
        other.locks.acquire("a", "plan", ttl=0.05)
        until(store, lambda: keeper.expired == 1 and keeper.lapsed == 1)
        store.branches.create("lab")
        other.branch("lab").states.set("a", "session", "k", 1, ttl=0.05)
        until(store, lambda: keeper.expired == 2)
    with Store(where) as store:
        assert store.locks.list() == []
        assert [change.by for change in store.feed.changes() if change.change == "expire"] == [None]


def test_one_of_several_works_and_another_takes_over(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statedb.keeper.PATIENCE", 0.01)
    with Store(where, durability="normal") as store, Store(where, durability="normal") as other:
        first, second = store.keep().start(), other.keep()
        until(store, lambda: store.locks.list(AGENT) != [])
        second.start()
        store.states.set("a", "session", "k", 1, ttl=0.02)
        until(store, lambda: first.expired == 1)
        assert second.expired == 0
        first.stop()
        store.states.set("a", "session", "k", 1, ttl=0.02)
        until(other, lambda: second.expired == 1)
        second.stop()
        assert first.expired == 1


def test_a_task_keeps_as_a_thread_does(where: str) -> None:
    told: list[tuple[str, int]] = []

    async def main() -> None:
        keeping = AsyncStore(where, durability="normal")
        async with keeping as store, store.keep(lambda *found: told.append((found[0], found[1].expired))) as keeper:
            await store.states.set("a", "session", "k", 1, ttl=0.05)
            seen = store.hub.rings
            while keeper.expired == 0:
                seen = await store.hub.wait(seen, 0.1)
            assert told == [("main", 1)]
        async with AsyncStore(where) as store:
            assert await store.locks.list() == []

    asyncio.run(main())


def test_a_killed_keeper_is_followed_by_another_when_its_lease_has_ended(open_store: Opener, clock: Clock) -> None:
    store = open_store()
    first, second = Duty(store), Duty(store)
    drive(first)
    drive(second)
    assert (works(first), works(second)) == (True, False)
    clock.advance(61)
    drive(second)
    first.renew_at = 0.0
    drive(first)
    assert (works(first), works(second)) == (False, True), "one that was stopped for a while learns of the other"


def test_what_fails_is_tried_again(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    duty = Duty(store)

    def fail(*_: Any, **__: Any) -> Any:
        raise StoreBusy("somebody else writes")

    monkeypatch.setattr(store.branches, "list", fail)
    assert [drive(duty) for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert duty.rest == 60.0, "and no sooner, whoever writes: a file that cannot be written fills no log"
    monkeypatch.undo()
    assert drive(duty) > 1.0
    monkeypatch.setattr(store.branches, "list", fail)
    assert drive(duty) == 1.0


def test_one_who_is_told_and_fails_is_reported_and_the_keeper_goes_on(
    open_store: Opener, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()

    def fail(*_: object) -> None:
        raise ValueError("on purpose")

    duty = Duty(store, fail)
    for number in range(2):
        store.states.set("a", "session", "k", 1, ttl=0.01)
        clock.advance(1)
        drive(duty)
        assert (duty.expired, works(duty)) == (number + 1, True)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["on purpose"] * 2


def test_what_is_no_error_of_the_store_does_not_end_it(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    monkeypatch.setattr(store.branches, "list", lambda: 1 // 0)
    assert drive(Duty(store)) == pytest.approx(1.0)


def test_who_cannot_work_is_not_woken_by_every_commit(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store, now, took = open_store(), 0.0, 0.0
    monkeypatch.setattr("statedb.keeper.time", SimpleNamespace(monotonic=lambda: now))
    first, second = Duty(store), Duty(store)
    branches = store.branches.list

    def slow() -> Any:
        nonlocal now
        now += took
        return branches()

    monkeypatch.setattr(store.branches, "list", slow)
    for long, rest in ((0.0, 0.05), (0.03, 0.3), (7.0, 1.0)):
        took = long
        drive(first)
        assert first.rest == pytest.approx(rest), "a tenth of the time, and a second at most"
    drive(second)
    assert (works(second), second.rest) == (False, 1.0)
    monkeypatch.setattr(store.branches, "list", lambda: 1 // 0)
    drive(first)
    assert first.rest == 1.0, "what fails is not tried 20 times a second because others write"


def test_what_an_import_brings_that_ended_long_ago_is_found_within_the_hour(
    open_store: Opener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now = open_store(), 0.0
    monkeypatch.setattr("statedb.keeper.time", SimpleNamespace(monotonic=lambda: now))
    with Store(":memory:", clock=clock) as other:
        other.states.set("b", "session", "k", 1, ttl=10)
        records = list(other.transfer.export())
    store.states.set("a", "session", "k", 1, ttl=50)
    clock.advance(55)
    duty = Duty(store)
    found = []
    for seconds in (0, 1, 3600):
        now += seconds
        drive(duty)
        found.append(duty.expired)
        if not seconds:
            store.transfer.load(records)
    assert found == [1, 1, 2]


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_nobody_wakes_it_while_it_rests(path: Path, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    waits: list[float] = []
    keeper: Any = None
    monkeypatch.setattr(Duty, "look", lambda duty: _looked(duty, 5.0))

    async def rested(event: Any, timeout: float) -> None:
        event.close()
        rests.append(timeout)

    async def waited(seen: int, timeout: float) -> int:
        waits.append(timeout)
        keeper._stopped = True
        return seen

    async def main() -> None:
        nonlocal keeper
        async with AsyncStore(path) as store:
            keeper = store.keep()
            monkeypatch.setattr("statedb.keeper.asyncio.wait_for", rested)
            monkeypatch.setattr(store.hub, "wait", waited)
            await keeper.run()
            monkeypatch.undo()

    if shell == "async":
        asyncio.run(main())
    else:
        with Store(path) as store:
            keeper = store.keep()
            monkeypatch.setattr(keeper._rest, "wait", rests.append)
            monkeypatch.setattr(store.hub, "wait", lambda seen, timeout: _made_at_once(waited(seen, timeout)))
            keeper.run()
    assert (rests, waits) == ([0.25], [4.75])


def test_it_may_be_started_again(where: str) -> None:
    with Store(where, durability="normal") as store:
        keeper = store.keep()
        for number in range(2):
            with keeper:
                store.states.set("a", "session", "k", 1, ttl=0.01)
                until(store, lambda number=number: keeper.expired == number + 1)  # type: ignore[misc]
            assert store.locks.list(AGENT) == []


def test_while_nothing_is_due_it_only_looks(open_store: Opener, clock: Clock) -> None:
    store = open_store()
    duty = Duty(store)
    drive(duty)
    store.states.set("a", "session", "k", 1, ttl=100)
    before = store.transfer.head()
    assert 0 < drive(duty) <= 20, "it looks after its lease"
    duty.renew_at += 1000
    assert drive(duty) == 60, "its own lease is the next to end"
    assert store.transfer.head() == before


def test_its_lock_is_one_like_any_other(open_store: Opener) -> None:
    store = open_store()
    drive(Duty(store))
    with pytest.raises(LockHeld):
        store.locks.acquire(AGENT, KEY)


def test_it_ends_with_its_store(where: str) -> None:
    store = Store(where)
    keeper = store.keep().start()
    until(store, lambda: store.locks.list(AGENT) != [])
    store.close()
    keeper.stop()
    assert [thread for thread in threading.enumerate() if thread.name == "statedb-keeper"] == []


def _looked(duty: Duty, wait: float) -> Generator[Any, Any, float]:
    duty.rest = 0.25
    yield from ()
    return wait


def _made_at_once(coroutine: Any) -> Any:
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def drive(duty: Duty) -> float:
    """Have a keeper look once, and return how long it would wait."""
    return _made(duty.look())


def works(duty: Duty) -> bool:
    return duty.lock is not None
