"""What is live: from a commit to whoever waits for it, and what waiting costs; locks; streams of events."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from benchmarks.rounds import Row, Sizes, Stopwatch, race
from benchmarks.sample import AGENT, TIER
from statedb import Event, Store

_PATIENCE = 60.0
_FAR = "a commit here, {}, to a change in hand in another process that watches"


def rows(where: str, sizes: Sizes) -> list[Row]:
    """Measure and return the rows, on an empty store."""
    with Store(where, durability="normal") as store:
        found = [*_far(store, where, sizes), _near(store, sizes), _idle(where, sizes), *_replayed(store, sizes)]
        found += [_lock(store, sizes), _fenced(store, sizes), _append(store, sizes)]
    return found


# ---- latency


def _far(store: Store, where: str, sizes: Sizes) -> list[Row]:
    with _watcher(where) as pipe:
        apart = _taken(store, pipe, sizes.operations, 0.003)
        dense = _taken(store, pipe, sizes.operations, 0.0)
    quiet = _FAR.format("one each 3 ms")
    return [
        Row("to another process, p50", quiet, statedb=[median(apart)], at_most=5_000),
        Row("to another process, p99", quiet, statedb=[_p99(apart)], at_most=25_000),
        Row("to another process, one after another, p99", _FAR.format("as fast as it goes"), statedb=[_p99(dense)]),
    ]


def _taken(store: Store, pipe: Connection, times: int, pause: float) -> list[float]:
    """Commit times, and return how long each was on its way, in microseconds."""
    pipe.send(times)
    for _ in range(times):
        store.states.set(AGENT, TIER, "ping", time.monotonic_ns())
        time.sleep(pause)
    assert pipe.poll(_PATIENCE), "the watcher does not answer"
    taken: list[float] = pipe.recv()
    return taken


@contextmanager
def _watcher(where: str) -> Iterator[Connection]:
    """Have a process that watches, and tells what it has measured when it is told of how many."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_watch, args=(where, theirs), daemon=True)
    process.start()
    assert ours.poll(_PATIENCE), "the watcher does not start"
    ours.recv()
    yield ours
    process.kill()
    process.join()


def _watch(where: str, pipe: Connection) -> None:
    with Store(where, durability="normal") as store, store.watch(pattern="ping") as watch:
        pipe.send("ready")
        while True:
            times = pipe.recv()
            pipe.send([(time.monotonic_ns() - change.new_value) / 1_000 for change in islice(watch, times)])


def _near(store: Store, sizes: Sizes) -> Row:
    what = "a commit on one thread to a handler on another, of the same store object"
    row = Row("within a process, p50", what, at_most=300)
    taken: list[float] = []
    arrived = multiprocessing.get_context("spawn").Semaphore(0)

    def handler(change: Any) -> None:
        taken.append((time.monotonic_ns() - change.new_value) / 1_000)
        arrived.release()

    subscription = store.feed.subscribe(handler, pattern="near")
    for _ in range(sizes.operations):
        store.states.set(AGENT, TIER, "near", time.monotonic_ns())
        assert arrived.acquire(timeout=_PATIENCE)
    store.feed.unsubscribe(subscription)
    row.statedb.append(median(taken))
    return row


def _idle(where: str, sizes: Sizes) -> Row:
    """Measure what a process does while it waits for what does not come: microseconds of a core a second."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_wait, args=(where, theirs, 2 * sizes.seconds), daemon=True)
    process.start()
    assert ours.poll(_PATIENCE + 2 * sizes.seconds), "the watcher does not answer"
    spent = ours.recv()
    process.join()
    return Row("an idle watcher, CPU a second", "1 % of a core is 10,000", statedb=[spent], at_most=10_000)


def _wait(where: str, pipe: Connection, seconds: float) -> None:
    with Store(where, durability="normal") as store, store.hub.attended():
        list(store.watch(timeout=1.0))  # what starting to listen costs is not waiting
        began = time.process_time()
        list(store.watch(timeout=seconds))
        pipe.send((time.process_time() - began) / seconds * 1e6)


def _p99(taken: list[float]) -> float:
    return sorted(taken)[len(taken) * 99 // 100]


# ---- replay


def _replayed(store: Store, sizes: Sizes) -> list[Row]:
    keys = 50
    for turn in range(max(2, sizes.keys // keys)):
        store.states.set_many("replay", TIER, {f"k{n}": {"turn": turn, "n": n} for n in range(keys)})
    row = Row("replay, each change", "a watch from the beginning of 10,000 changes, 50 a commit", at_most=20)
    start = store.history.commits(agent_id="replay", limit=100_000)[-1].revision - 1

    def replay(_turn: int) -> float:
        with Stopwatch() as watch:
            number = sum(1 for _ in store.watch("replay", since=start, timeout=0))
        return watch.per(number)

    return [race(row, replay, None, max(3, sizes.rounds // 20))]


# ---- locks and streams


def _some(sizes: Sizes) -> int:
    """Return how many of the dear kind of operations a round has."""
    return max(2, sizes.operations // 10)


def _lock(store: Store, sizes: Sizes) -> Row:
    def pair(_turn: int) -> float:
        with Stopwatch() as watch:
            for _ in range(_some(sizes)):
                store.locks.release(store.locks.acquire(AGENT, "key"))
        return watch.per(_some(sizes))

    def two(_turn: int) -> float:
        with Stopwatch() as watch:
            for number in range(_some(sizes)):
                store.states.set(AGENT, TIER, "floor", {"held": number})
                store.states.set(AGENT, TIER, "floor", {"free": number})
        return watch.per(_some(sizes))

    return race(Row("acquire and release a lock", "two sets of a small value"), pair, two, max(3, sizes.rounds // 5))


def _fenced(store: Store, sizes: Sizes) -> Row:
    numbers = count()

    def plain(_turn: int) -> float:
        with Stopwatch() as watch:
            for _ in range(_some(sizes)):
                store.states.set(AGENT, TIER, "free", next(numbers))
        return watch.per(_some(sizes))

    def fenced(_turn: int) -> float:
        with store.locks.hold(AGENT, "held") as lock, Stopwatch() as watch:
            for _ in range(_some(sizes)):
                lock.states.set(AGENT, TIER, "held", next(numbers))
        return watch.per(_some(sizes))

    row = Row("set with a fence", "the same set of a key that nobody has locked, in a store without locks")
    return race(row, fenced, plain, max(3, sizes.rounds // 5))


def _append(store: Store, sizes: Sizes) -> Row:
    events = [Event("placed", {"item": f"i{n}", "count": n}) for n in range(10)]
    numbers = count()

    def append(_turn: int) -> float:
        with Stopwatch() as watch:
            for _ in range(_some(sizes)):
                store.streams.append(f"order-{next(numbers)}", events, expected_version=0)
        return watch.per(_some(sizes) * len(events))

    def write(_turn: int) -> float:
        with Stopwatch() as watch:
            for _ in range(_some(sizes)):
                values = {f"{next(numbers)}": event.data for event in events}
                store.states.set_many("floor", TIER, values)
        return watch.per(_some(sizes) * len(events))

    row = Row("append 10 events to a new stream, each", "set_many of 10 new keys with the same data, each")
    return race(row, append, write, max(3, sizes.rounds // 5))
