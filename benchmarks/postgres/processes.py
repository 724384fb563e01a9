"""Processes that write to one store on a server: keys of their own, and all of them one key."""

from __future__ import annotations

from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.postgres import floors
from benchmarks.postgres.sample import Template
from benchmarks.processes import COUNTER, Work, raced, timed
from benchmarks.rounds import Row, Sizes
from benchmarks.sample import AGENT, TIER
from statedb import Store

WHAT = "the hand-written update, which waits for the lock before it reads"


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows: time per write over all processes, its 99th percentile, the luckless process."""
    own = [Row(f"{sizes.crew} processes update keys of their own, normal: each write", WHAT, floor=[])]
    same = [
        Row(f"{sizes.crew} processes update one key, normal: each write", WHAT, floor=[]),
        Row(f"{sizes.crew} processes, one key, 99th percentile of a write", WHAT, floor=[]),
        Row(f"{sizes.crew} processes, one key, the slowest process: each write", WHAT, floor=[]),
    ]
    keys = [f"{COUNTER}/{number}" for number in range(sizes.crew)]
    return [*_crews(own, keys, made, sizes), *_crews(same, [COUNTER] * sizes.crew, made, sizes)]


def _crews(found: list[Row], keys: list[str], made: Template, sizes: Sizes) -> list[Row]:
    ours, theirs = made.copy(), made.copy()
    for url in (ours, theirs):
        with Store(url) as store:
            store.states.set_many(AGENT, TIER, dict.fromkeys(keys, 0))
    statedb: list[Work] = [partial(_statedb, key) for key in keys]
    floor: list[Work] = [partial(_floor, key) for key in keys]
    return raced(found, (statedb, ours), (floor, theirs), sizes)


def _statedb(key: str, where: str, barrier: Barrier, seconds: float, answers: Queue[list[float]]) -> None:
    with Store(where, durability="normal") as store:
        update = store.states.update
        answers.put(timed(lambda: update(AGENT, TIER, key, _counted), barrier, seconds))


def _floor(key: str, where: str, barrier: Barrier, seconds: float, answers: Queue[list[float]]) -> None:
    with floors.connect(where) as db:
        answers.put(timed(lambda: floors.write(db, AGENT, TIER, key, _counted), barrier, seconds))


def _counted(old: Any) -> Any:
    return old + 1
