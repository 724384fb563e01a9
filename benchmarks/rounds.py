"""Timing two contenders side by side.

A machine is never quiet. So the contenders take turns, round by round, each beginning every other round, and what
counts is the median of many rounds: a disturbance hits both, or few rounds of one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

Contender = Callable[[int], float]
"""Given the number of the round, do its work and return microseconds per operation."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured: keys in the store, rounds per row, operations of the cheap kind per round, seconds.

    `crew` is of how many processes, hired `turns` times; `histories` are lengths of history, in versions of a key.
    `steps` are the versions of a document whose storage is measured, beside the real histories where `real`; `crowd`
    is for how many seconds a crew is left alone with a store.
    """

    keys: int = 10_000
    rounds: int = 100
    operations: int = 400
    together: int = 1_000
    seconds: float = 3.0
    crew: int = 8
    turns: int = 2
    histories: tuple[int, ...] = (1_000, 100_000)
    steps: int = 1_000
    real: bool = True
    crowd: float = 30.0


FULL = Sizes()
QUICK = Sizes(
    keys=1_000, rounds=5, operations=100, seconds=0.4, crew=4, turns=1, histories=(200, 2_000), steps=50, real=False,
    crowd=1.0,
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """One line of the report. `floor` is None where nothing raw does the same; `against` says what the floor does.

    `target` is of the ratio, `at_most` of our own microseconds.
    """

    name: str
    against: str
    target: float | None = None
    statedb: list[float] = field(default_factory=list)
    floor: list[float] | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        """The ratio of the medians."""
        return median(self.statedb) / median(self.floor) if self.floor else None

    @property
    def best(self) -> float | None:
        """The ratio of the fastest rounds, which the machine disturbed least."""
        return min(self.statedb) / min(self.floor) if self.floor else None

    @property
    def verdict(self) -> str:
        """Whether the target is met: ok, short, or nothing where there is none."""
        if self.at_most is not None:
            return "ok" if median(self.statedb) <= self.at_most else "short"
        if self.target is None or self.ratio is None:
            return ""
        return "ok" if self.ratio <= self.target else "short"


def race(row: Row, statedb: Contender, floor: Contender | None, rounds: int) -> Row:
    """Let the contenders take turns and return the row with their times."""
    row.floor = None if floor is None else []
    for contender in filter(None, (statedb, floor)):
        contender(0)  # fills caches, opens what opens late
    for turn in range(1, rounds + 1):
        steps = [(statedb, row.statedb)]
        if floor is not None and row.floor is not None:
            steps.insert(turn % 2, (floor, row.floor))
        for contender, times in steps:
            times.append(contender(turn))
    return row


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep the threads of a block on one core, where the system can.

    A hop costs 20 µs where both threads share a core and 65 and more where one wakes the other across cores. Which of
    the two a pair of threads gets is a toss of the scheduler's, and it lasts a whole run.
    """
    if sys.platform != "linux":
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Stopwatch:
    """`with Stopwatch() as watch: …`, then `watch.per(operations)` in microseconds."""

    def __enter__(self) -> Stopwatch:
        self._start = self._end = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = time.perf_counter()

    def per(self, operations: int) -> float:
        return (self._end - self._start) / operations * 1e6


def repeated(call: Callable[[], object], times: int) -> Contender:
    """Return a contender that makes the same call again and again."""

    def contender(_turn: int) -> float:
        with Stopwatch() as watch:
            for _ in range(times):
                call()
        return watch.per(times)

    return contender
