"""Processes that update one key."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks import floors
from benchmarks.rounds import Row, Sizes
from benchmarks.sample import AGENT, TIER, Template
from statedb import Store

COUNTER = "counter"
_PATIENCE = 300.0
"""Seconds after which a crew is given up of which one has failed."""
Work = Callable[[str, "Barrier", float, "Queue[list[float]]"], None]
"""What one process does, given where the store is: open it, and hand what `timed` returns to the queue."""


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows: time per write over all processes, its 99th percentile, the luckless process."""
    ours, theirs = made.copy("processes.db"), made.copy("processes-floor.db")
    for path in (ours, theirs):
        with Store(path) as store:
            store.states.set(AGENT, TIER, COUNTER, 0)
    what = "the hand-written update; SQLite's own busy handler waits for the lock"
    found = [
        Row(f"{sizes.crew} processes update one key, normal: each write", what, floor=[]),
        Row(f"{sizes.crew} processes, 99th percentile of a write", what, floor=[]),
        Row(f"{sizes.crew} processes, the slowest process: each write", what, floor=[]),
    ]
    return raced(found, ([_statedb] * sizes.crew, str(ours)), ([_floor] * sizes.crew, str(theirs)), sizes)


def raced(found: list[Row], ours: tuple[list[Work], str], floor: tuple[list[Work], str], sizes: Sizes) -> list[Row]:
    """Let two crews, each with its store, take turns, and return the rows with their times; see `_run`."""
    for _ in range(sizes.turns):
        for row, mine, raw in zip(found, _run(*ours, sizes.seconds), _run(*floor, sizes.seconds), strict=False):
            assert row.floor is not None
            row.statedb.append(mine)
            row.floor.append(raw)
    return found


def _run(works: list[Work], where: str, seconds: float) -> tuple[float, float, float]:
    """Return, in microseconds: time per write of all together, the 99th percentile, time per write of the slowest."""
    spawn = multiprocessing.get_context("spawn")  # a fork would carry the parent's connections along
    barrier, answers = spawn.Barrier(len(works)), spawn.Queue()
    crew = [spawn.Process(target=work, args=(where, barrier, seconds, answers), daemon=True) for work in works]
    for each in crew:
        each.start()
    taken = [answers.get(timeout=seconds + _PATIENCE) for _ in crew]
    for each in crew:
        each.join()
    every = sorted(time for times in taken for time in times)
    rarest = max(1, min(len(times) for times in taken))
    return seconds / len(every) * 1e6, every[len(every) * 99 // 100] * 1e6, seconds / rarest * 1e6


def _statedb(where: str, barrier: Barrier, seconds: float, answers: Queue[list[float]]) -> None:
    with Store(where, durability="normal") as store:
        update = store.states.update
        answers.put(timed(lambda: update(AGENT, TIER, COUNTER, lambda n: n + 1), barrier, seconds))


def _floor(where: str, barrier: Barrier, seconds: float, answers: Queue[list[float]]) -> None:
    db = floors.connect(Path(where))
    answers.put(timed(lambda: floors.update(db, AGENT, TIER, COUNTER, lambda n: n + 1), barrier, seconds))
    db.close()


def timed(write: Callable[[], object], barrier: Barrier, seconds: float) -> list[float]:
    """Write again and again, from the moment all are ready, and return the seconds of each."""
    write()
    barrier.wait()
    times = []
    begun = last = time.perf_counter()
    while last - begun < seconds:
        write()
        now = time.perf_counter()
        times.append(now - last)
        last = now
    return times
