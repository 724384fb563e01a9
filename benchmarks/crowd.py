"""Processes that write to one file for a while: what one told is there, and what they make together, each its share."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from benchmarks.rounds import Sizes
from benchmarks.sample import TIER
from statedb import Store

_PATIENCE = 60.0
"""Seconds after which a crew is given up."""
Done = tuple[int, int, str]
"""Who it was, how many writes were acknowledged, and what went wrong, if anything."""


@dataclass(slots=True)
class Crowd:
    """What processes together wrote a second, runs of one process before and after, and what came of it."""

    processes: int
    seconds: float
    together: float = 0.0
    alone: list[float] = field(default_factory=list)
    share: float = 0.0
    """The slowest process's writes, as a part of the fastest's."""
    errors: list[str] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0

    @property
    def ratio(self) -> float:
        """What they write together, as a part of what one writes."""
        return self.together / median(self.alone)

    def facts(self) -> list[tuple[str, str, str, str]]:
        """Return what was measured, what was promised and whether it holds."""
        return [
            ("writes a second, one process", f"{median(self.alone):,.0f}", "", ""),
            (f"writes a second, {self.processes} processes", f"{self.together:,.0f}", "", ""),
            ("all of them, to one process", f"{self.ratio:.2f}", "≥ 0.8", _ok(self.ratio >= 0.8)),
            ("the slowest, to the fastest", f"{self.share:.2f}", "≥ 0.5", _ok(self.share >= 0.5)),
            ("errors", str(len(self.errors)), "0", _ok(not self.errors)),
            (f"of {self.acknowledged:,} acknowledged, not there", str(self.lost), "0", _ok(not self.lost)),
        ]


def _ok(holds: bool) -> str:
    return "ok" if holds else "short"


def measure(folder: Path, sizes: Sizes) -> Crowd:
    """Let one process write, then the crew, then one again, each on a store of its own, and count what is there."""
    folder.mkdir()
    found = Crowd(sizes.crew, sizes.crowd)
    for turn in range(sizes.turns):
        [(_, count, _)] = run(folder / f"alone-{turn}.db", 1, sizes.crowd / 3)
        found.alone.append(count / (sizes.crowd / 3))
        if not turn:
            _together(folder / "together.db", found)
    return found


def _together(path: Path, found: Crowd) -> None:
    done = run(path, found.processes, found.seconds)
    written = [count for _, count, _ in done]
    found.acknowledged = sum(written)
    found.together = found.acknowledged / found.seconds
    found.share = min(written) / max(1, max(written))
    found.errors = [error for *_, error in done if error]
    with Store(path) as store:
        for who, count, _ in done:
            there = store.states.entry(f"agent-{who}", TIER, "count")
            kept = 0 if there is None else there.version
            found.lost += max(0, count - kept)
            assert there is None or there.value == {"count": kept}


def run(path: Path, processes: int, seconds: float) -> list[Done]:
    """Return what each process did: it sets a key of its own, again and again, from the moment all are ready."""
    Store(path).close()
    spawn = multiprocessing.get_context("spawn")  # a fork would carry the parent's connections along
    barrier, answers = spawn.Barrier(processes), spawn.Queue()
    crew = [
        spawn.Process(target=_write, args=(str(path), who, barrier, seconds, answers), daemon=True)
        for who in range(processes)
    ]
    for each in crew:
        each.start()
    done: list[Done] = sorted(answers.get(timeout=seconds + _PATIENCE) for _ in crew)
    for each in crew:
        each.join()
    return done


def _write(path: str, who: int, barrier: Barrier, seconds: float, answers: Queue[Done]) -> None:
    count, wrong = 0, ""
    with Store(path, durability="normal") as store:
        set_ = store.states.set
        barrier.wait()
        end = time.perf_counter() + seconds
        try:
            while time.perf_counter() < end:
                set_(f"agent-{who}", TIER, "count", {"count": count + 1})
                count += 1
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
    answers.put((who, count, wrong))
