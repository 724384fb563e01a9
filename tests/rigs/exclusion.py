"""A rig that holds locks to excluding: holders are stopped, so that they outlive their leases, and killed.

Each holder counts on what it reads in the key it has locked, with its fence, and notes when it came in and went out by
the clock that all processes of a machine share. Afterwards the log of locks is held against what was written.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statedb import AsyncStore, Fenced, LockHeld, Store, VersionConflict
from tests.guarantees.exclusion import Stay, Wait, deeds_right, none_lost, one_inside, overtaken, writes_right
from tests.rigs.either import Doing, drive, drive_async, enter, leave
from tests.rigs.processes import Board, Processes, until
from tests.rigs.replay import replayable

PROCESSES = 8
TASKS = 2
"""How many of an asynchronous process ask at a time."""
AGENT, TIER = "agent", "shared"
KEYS = ("x", "y")
TTL = 0.4
WAITS = (0, 0.3, 3, None)
STAY = 0.004
"""Seconds between the writes of a holder, on average."""
EVERY = 0.3
"""Seconds from one blow to the next, on average."""
FEW = 20
"""Of fewer locks that others waited for, nothing is said of their order."""
STOPPED = (0.02, 1.0)
"""Seconds that a process stands still: some longer than a lease."""

# ---- who asks


def stint(
    store: Any, say: Callable[..., None], chance: random.Random, owner: str, sleep: Callable[[float], Any]
) -> Doing:
    """Ask for a lock, write while it is held, and give it back."""
    key = chance.choice(KEYS)
    if chance.random() < 0.1:
        yield from _intrude(store, say, key)
        return
    type = chance.choices(["exclusive", "write", "read"], [5, 2, 1])[0]
    asked = {"ttl": TTL, "wait": chance.choice(WAITS), "owner": owner}
    say("ask", owner, time.monotonic_ns(), key, type)
    holding = store.locks.hold(AGENT, key, type, **asked) if chance.random() < 0.5 else None
    try:
        lock = yield store.locks.acquire(AGENT, key, type, **asked) if holding is None else enter(holding)
    except LockHeld:
        say("gave up", owner, time.monotonic_ns())
        return
    say("got", owner, time.monotonic_ns(), lock.fence)
    for _ in range(chance.randrange(1, 5) if type != "read" else 0):
        yield sleep(chance.expovariate(1 / STAY))
        try:
            was = yield store.states.get(AGENT, TIER, key)
            value = {"count": (was or {"count": 0})["count"] + 1, "fence": lock.fence}
            if chance.random() < 0.5:
                made = yield lock.states.set(AGENT, TIER, key, value)
            else:
                made = yield store.states.set(AGENT, TIER, key, value, fence=lock.fence)
        except Fenced:
            say("fenced", owner)
            break
        say("wrote", made.revision, key, value["count"])
    at = time.monotonic_ns()
    try:
        released = (yield store.locks.release(lock)) if holding is None else (yield leave(holding)) is None
    except Fenced:
        released = False
    if released:
        say("out", owner, at)


def _intrude(store: Any, say: Callable[..., None], key: str) -> Doing:
    """Write without a lock."""
    was = yield store.states.entry(AGENT, TIER, key)
    count = 1 if was is None else was.value["count"] + 1
    try:
        yield store.states.set(
            AGENT, TIER, key, {"count": count, "fence": None}, expected_version=was.version if was else 0
        )
    except LockHeld:
        say("kept out")
    except VersionConflict:
        return


def work(where: str, folder: Path, name: str, seed: int, options: dict[str, Any]) -> None:
    """Ask for locks until told to stop, one at a time. For `Process`."""
    board, chance = Board(folder), random.Random(f"{seed} {name}")
    say, number = _voice(board, name), 0
    with Store(where, **options) as store:
        while board.told("stop") is None:
            number += 1
            drive(stint(store, say, chance, f"{name}:{number}", time.sleep))


def work_tasks(where: str, folder: Path, name: str, seed: int, options: dict[str, Any]) -> None:
    """Ask for locks until told to stop, several at a time. For `Process`."""
    board = Board(folder)
    say = _voice(board, name)

    async def ask(store: AsyncStore, task: int) -> None:
        chance, number = random.Random(f"{seed} {name} {task}"), 0
        while board.told("stop") is None:
            number += 1
            await drive_async(stint(store, say, chance, f"{name}:{task}.{number}", asyncio.sleep))

    async def main() -> None:
        async with AsyncStore(where, **options) as store:
            await asyncio.gather(*(ask(store, task) for task in range(TASKS)))

    asyncio.run(main())


def _voice(board: Board, name: str) -> Callable[..., None]:
    log = board.log(name)
    return lambda *said: log.say(json.dumps(said))


# ---- what they said


class Said:
    """What holders and those who waited said of themselves."""

    def __init__(self, board: Board) -> None:
        self.stays: list[Stay] = []
        self.waits: list[Wait] = []
        self.wrote: set[tuple[int, str, int]] = set()
        self.counts: Counter[str] = Counter()
        for name in board.names():
            self._hear([json.loads(line) for line in board.lines(name)], name)

    def _hear(self, lines: list[list[Any]], name: str) -> None:
        asked: dict[str, tuple[int, str, str]] = {}
        inside: dict[str, tuple[int, int]] = {}
        for word, *said in lines:
            self.counts[word] += 1
            match word, said:
                case "ask", [owner, at, key, type]:
                    asked[owner] = at, key, type
                case "gave up", [owner, at]:
                    since, key, type = asked[owner]
                    self.waits.append(Wait(key, type, since, at, None, name))
                case "got", [owner, at, fence]:
                    since, key, type = asked[owner]
                    inside[owner] = fence, at
                    self.waits.append(Wait(key, type, since, at, fence, name))
                case "out", [owner, at]:
                    (_, key, type), (fence, since) = asked[owner], inside[owner]
                    self.stays.append(Stay(key, type, fence, since, at))
                case "wrote", [revision, key, count]:
                    self.wrote.add((revision, key, count))


# ---- all of them


@dataclass
class Excluded:
    """What came of it, in figures."""

    seconds: float
    locks: int
    ended: Counter[str]
    counts: Counter[str]
    writes: int
    blows: Counter[str]
    in_order: float

    def __str__(self) -> str:
        return (
            f"{self.locks:,} locks in {self.seconds:.0f} s ({self.locks / self.seconds:,.0f}/s), "
            f"{self.ended['unlock']:,} given back and {self.ended['lapse']:,} lapsed, while {self.blows['stop']} "
            f"holders were stopped and {self.blows['kill']} killed; {self.counts['gave up']:,} gave up waiting; "
            f"{self.writes:,} writes, none lost, {self.counts['fenced']:,} refused for a lease that had ended, "
            f"{self.counts['kept out']:,} for want of a fence; of the locks others waited for, {self.in_order:.1%} "
            "went to who had come first"
        )


def exclude(where: str, folder: Path, seconds: float, seed: int | None = None) -> Excluded:
    """Have processes lock and write for so many seconds; AssertionError where two hold what excludes the other."""
    with replayable("exclusion", seconds, seed, folder) as seed:
        board = Board(folder)
        begun = time.monotonic()
        blows, stopped = _run(where, folder, seconds, seed)
        taken = time.monotonic() - begun
        said = Said(board)
        with Store(where) as store:
            assert store.health.check().problems == ()
            deeds = list(_all(store.feed.locks))
            writes = list(_all(store.feed.changes))
        wrong = [
            *deeds_right(deeds, TTL),
            *writes_right(deeds, writes, TTL),
            *none_lost(writes),
            *one_inside(said.stays),
        ]
        assert not wrong, f"{len(wrong)} violations: {'; '.join(wrong[:5])}"
        there = {(change.revision, change.key, change.new_value["count"]) for change in writes}
        assert said.wrote <= there, f"acknowledged and lost: {said.wrote - there}"
        ended = Counter(deed.change for deed in deeds)
        return Excluded(taken, ended["lock"], ended, said.counts, len(writes), blows, _in_order(said.waits, stopped))


def _in_order(waits: list[Wait], stopped: list[tuple[str, int, int]]) -> float:
    """Return the share of locks that went to who had come first. Who was stopped while it waited could not come."""
    able = [
        wait
        for wait in waits
        if not any(wait.by == name and since < wait.until and wait.since < until for name, since, until in stopped)
    ]
    found = [not before for _, before in overtaken(able)]
    share = sum(found) / len(found) if found else 1.0
    # It is 76 to 98 %: who asks stands in line a moment later, and is measured from when it asked. From the end: 5 %.
    assert share > 0.5 or len(found) < FEW, f"{share:.1%} of {len(found)} locks went to who had come first"
    return share


def _run(where: str, folder: Path, seconds: float, seed: int) -> tuple[Counter[str], list[tuple[str, int, int]]]:
    """Have processes lock and write, and now and then a holder be stopped or killed; return how many, and who when."""
    chance, board, processes = random.Random(seed), Board(folder), Processes()
    blows: Counter[str] = Counter()
    stopped: list[tuple[str, int, int]] = []
    still: dict[str, tuple[float, int]] = {}
    count = 0

    def begin() -> None:
        nonlocal count
        count += 1
        name, how = f"p{count}", work if count % 2 else work_tasks
        processes.start(name, how, where, folder, name, seed, {"durability": "full" if count % 4 < 2 else "normal"})

    def go_on(until: float) -> None:
        for name in [name for name, (end, _) in still.items() if end <= until]:
            processes.go_on(name)
            stopped.append((name, still.pop(name)[1], time.monotonic_ns()))

    try:
        with Store(where) as store:
            for _ in range(PROCESSES):
                begin()
            until(lambda: len(board.names()) >= PROCESSES, "the processes are at work")
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(left, chance.expovariate(1 / EVERY)))
                go_on(time.monotonic())
                holders = {str(lock.owner).partition(":")[0] for lock in store.locks.list()} & {*processes.names()}
                name = chance.choice(sorted(holders - still.keys()) or [None])
                if name is None:
                    continue
                if chance.random() < 0.7:
                    processes.stop(name)
                    still[name] = time.monotonic() + chance.uniform(*STOPPED), time.monotonic_ns()
                    blows["stop"] += 1
                else:
                    processes.kill(name)
                    blows["kill"] += 1
                    begin()
            go_on(math.inf)
        board.tell("stop")
        processes.join(*processes.names())
    finally:
        processes.kill_all()
    return blows, stopped


def _all(read: Callable[..., list[Any]]) -> Iterator[Any]:
    since = 0
    while page := read(since, 10_000):
        yield from page
        since = page[-1].revision
