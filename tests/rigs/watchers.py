"""A rig that holds watchers to their guarantees: they are killed and resume, while many write and old versions are cut.

Each watcher writes down what it receives and where it is, and goes on from there when another begins in its place. The
validators of `tests/guarantees` compare what all its lives saw with the log.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from statedb import Address, AsyncStore, Change, Compacted, StateDBError, StateType, Store
from tests.guarantees.recording import KINDS, Filter, Life, Log, Marked, Noted, as_json, of_json
from tests.guarantees.validators import violations
from tests.rigs import cutter
from tests.rigs.cutter import LAB
from tests.rigs.either import Doing, drive, drive_async, next_of
from tests.rigs.processes import Board, Processes, until
from tests.rigs.replay import replayable

MAIN = "main"
WRITERS = 8
AGENTS = ("a", "b", "c")
KEYS = [*(f"k{number}" for number in range(6)), *(f"n{number}" for number in range(6))]
TIERS = ("shared", "persistent")
PAUSE = 0.004
"""Seconds between a writer's writes, on average: watchers have one core to keep up on."""
EVERY = 0.15
"""Seconds from one kill to the next, on average."""

WATCHERS = {
    "main": (MAIN, Filter()),
    "lab": (LAB, Filter()),
    "part": (LAB, Filter(agent_id="a", pattern="k*", state_type="shared")),
    "ends": (LAB, Filter(kinds=frozenset({"delete", "expire"}))),
}

ASYNC = {"lab", "part"}
"""Those that watch through an asynchronous store."""


# ---- writers


def write(where: str, folder: Path, name: str, seed: int) -> None:
    """Write until told to stop. For `Process`."""
    board, chance = Board(folder), random.Random(f"{seed} {name}")
    with Store(where, durability="normal") as store:
        branches, log = [store, store.branch(LAB)], board.log(name)
        while board.told("stop") is None:
            try:
                _write(chance.choice(branches), chance)
            except StateDBError as error:
                log.say("failed", repr(error))
            time.sleep(chance.expovariate(1 / PAUSE))


def write_async(where: str, folder: Path, name: str, seed: int) -> None:
    """Write until told to stop, through an asynchronous store. For `Process`."""
    board, chance = Board(folder), random.Random(f"{seed} {name}")

    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            branches, log = [store, store.branch(LAB)], board.log(name)
            while board.told("stop") is None:
                try:
                    await _write(chance.choice(branches), chance)
                except StateDBError as error:
                    log.say("failed", repr(error))
                await asyncio.sleep(chance.expovariate(1 / PAUSE))

    asyncio.run(main())


def _write(store: Any, chance: random.Random) -> Any:
    """Write something, or begin to through an asynchronous store."""
    agent, tier, key = chance.choice(AGENTS), chance.choice(TIERS), chance.choice(KEYS)
    value = {"n": chance.getrandbits(32)}
    match chance.randrange(8):
        case 0 | 1:
            return store.states.set(agent, tier, key, value)
        case 2:
            return store.states.set_many(agent, tier, dict.fromkeys(chance.sample(KEYS, 4), value))
        case 3:
            return store.states.update(agent, tier, key, lambda was: {"n": 1 if was is None else was["n"] + 1})
        case 4:
            return store.states.set(agent, "session", key, value, ttl=0.02)
        case 5:
            return store.run(_some, agent, chance.sample(KEYS, 3), value)
    return store.states.delete(agent, tier, key)


def _some(tx: Any, agent: str, keys: list[str], value: Any) -> None:
    """Write something of two agents and tiers, some of which is taken away again."""
    for key in keys:
        tx.states.set(agent, "shared", key, value)
    tx.states.delete(agent, "shared", keys[0])
    tx.states.delete("a", "persistent", keys[1])


# ---- watchers


def watch(where: str, folder: Path, name: str, seed: int) -> None:
    """Go on from where the one before it was, and follow until told how far. For `Process`."""
    branch, _ = WATCHERS[name]

    async def main() -> None:
        async with AsyncStore(where) as store:
            await drive_async(live(store.branch(branch), Board(folder), name))

    if name in ASYNC:
        asyncio.run(main())
    else:
        with Store(where) as store:
            drive(live(store.branch(branch), Board(folder), name))


def live(store: Any, board: Board, name: str) -> Doing:
    branch, wanted = WATCHERS[name]
    lives = recorded(board, name) if name in board.names() else []
    log = board.log(name)

    def say(what: str, *values: Any) -> None:
        log.say(json.dumps([what, *values]))

    refused = bool(lives) and lives[-1].floor is not None
    noted = lives[-1].cursor if lives else 0
    while True:
        if refused:
            noted = yield from _begin_anew(store, wanted, say)
        else:
            say("life", noted)
        try:
            watching = store.watch(**_asked(wanted), since=noted, bookmarks=True)
            while not _is_end(board, branch, noted):
                item = yield next_of(watching)
                say("got", as_json(item)) if isinstance(item, Change) else say("marked", item.cursor.revision)
                if watching.cursor.revision != noted:
                    noted = watching.cursor.revision
                    say("noted", noted)
            watching.close()
            say("until", noted)
            return
        except Compacted as error:
            say("refused", error.floor)
            refused = True


def _asked(wanted: Filter) -> dict[str, Any]:
    kinds = None if wanted.kinds == KINDS else sorted(wanted.kinds)
    return {**vars(wanted), "kinds": kinds}


def _is_end(board: Board, branch: str, noted: int) -> bool:
    end = board.told("end")
    return end is not None and noted >= end[branch]


def _begin_anew(store: Any, wanted: Filter, say: Callable[..., None]) -> Generator[Any, Any, int]:
    """Ask for all that stands now but sessions, and return as of when."""
    head: int = yield store.transfer.head()
    past = store.at(head)
    listing = []
    for agent, tier in product(AGENTS, TIERS):
        items = yield past.states.items(agent, tier)
        covered = [(key, value) for key, value in items if wanted.covers(Address(agent, StateType(tier), key))]
        listing += [[agent, tier, key, value] for key, value in covered]
    say("life", head, listing)
    return head


def recorded(board: Board, name: str) -> list[Life]:
    """Return the lives of a watcher, as far as it wrote them down."""
    lives: list[dict[str, Any]] = []
    for line in board.lines(name):
        what, *values = json.loads(line)
        match what, values:
            case "life", [since, *listing]:
                stood = {
                    Address(agent, StateType(tier), key): value for agent, tier, key, value in next(iter(listing), [])
                }
                lives.append({"since": since, "items": [], "listing": stood if listing else None})
            case "got", [change]:
                lives[-1]["items"].append(of_json(change))
            case "marked", [revision]:
                lives[-1]["items"].append(Marked(revision))
            case "noted", [revision]:
                lives[-1]["items"].append(Noted(revision))
            case "refused", [floor]:
                lives[-1]["floor"] = floor
            case "until", [revision]:
                lives[-1]["until"] = revision
    return [Life(**each) for each in lives]


# ---- all of them


@dataclass
class Watched:
    """What came of it, in figures."""

    seconds: float
    commits: int
    lives: dict[str, list[Life]]
    failed: int
    cuts: int

    def __str__(self) -> str:
        each = [
            f"{name}: {sum(len(life.changes) for life in lives):,} changes in {len(lives)} lives, "
            f"{sum(life.floor is not None for life in lives)} of them refused"
            for name, lives in self.lives.items()
        ]
        return (
            f"{self.commits:,} commits in {self.seconds:.0f} s ({self.commits / self.seconds:,.0f}/s), {self.failed} "
            f"writes failed, {self.cuts} cuts; what each watcher saw is what it should: {'; '.join(each)}"
        )


def keep_watch(where: str, folder: Path, seconds: float, seed: int | None = None) -> Watched:
    """Have watchers be killed for so many seconds; AssertionError where a guarantee does not hold."""
    with replayable("watchers", seconds, seed, folder) as seed:
        board = Board(folder)
        with Store(where) as store:
            store.branches.create(LAB)
        begun = time.monotonic()
        _run(where, folder, seconds, seed)
        taken = time.monotonic() - begun
        logs = _logs(where, board)
        lives = {name: recorded(board, name) for name in WATCHERS}
        wrong = {
            name: found
            for name, (branch, wanted) in WATCHERS.items()
            if (found := violations(lives[name], logs[branch], wanted))
        }
        assert not wrong, "\n".join(_told(name, found) for name, found in wrong.items())
        for name, each in lives.items():
            assert each[-1].until is not None, f"{name} never got to the end"
        failed = sum(line.startswith("failed") for name in board.names() for line in board.lines(name))
        commits = len({change.revision for log in logs.values() for change in log.changes})
        return Watched(taken, commits, lives, failed, len(cutter.floors(board)))


def _told(name: str, found: dict[str, list[str]]) -> str:
    return f"{name}: " + ", ".join(f"not {which}: {each[:3]} of {len(each)}" for which, each in found.items())


def _run(where: str, folder: Path, seconds: float, seed: int) -> None:
    chance, board, processes = random.Random(seed), Board(folder), Processes()
    count = 0

    def begin_writer() -> None:
        nonlocal count
        count += 1
        processes.start(f"w{count}", write if count % 2 else write_async, where, folder, f"w{count}", seed)

    def begin_watcher(name: str) -> None:
        processes.start(name, watch, where, folder, name, seed)

    try:
        for _ in range(WRITERS):
            begin_writer()
        for name in WATCHERS:
            begin_watcher(name)
        until(lambda: len(board.names()) >= WRITERS + len(WATCHERS), "all are at work")
        end, cuts = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, chance.expovariate(1 / EVERY)))
            match chance.randrange(6):
                case 0:
                    processes.kill(chance.choice([name for name in processes.names() if name not in WATCHERS]))
                    begin_writer()
                case 1 | 2 | 3:
                    name = chance.choice([*WATCHERS])
                    processes.kill(name)
                    time.sleep(chance.uniform(0, 3 * EVERY))  # so that what it comes back to is more than a page
                    begin_watcher(name)
                case _:
                    cuts += 1
                    name = chance.choice([*WATCHERS])
                    processes.stop(name)
                    _cut(processes, where, folder, f"{cutter.NAME}{cuts}", seed)
                    processes.go_on(name)
        board.tell("stop")
        processes.join(*(name for name in processes.names() if name not in WATCHERS))
        with Store(where) as store:
            board.tell("end", {branch.name: branch.head for branch in store.branches.list()})
            for branch in (MAIN, LAB):  # a watch that has nothing to say would not look whether it is the end
                store.branch(branch).states.set("a", TIERS[0], "end", branch)
        processes.join(*WATCHERS)
    finally:
        processes.kill_all()


def _cut(processes: Processes, where: str, folder: Path, name: str, seed: int) -> None:
    """Have old versions be cut, to the end or half way."""
    processes.start(name, cutter.cut, where, folder, name, seed)
    until(lambda: processes.ended(name), "the cut ends")
    processes.forget(name, 0, -signal.SIGKILL)


def _logs(where: str, board: Board) -> dict[str, Log]:
    """Return all there ever was on each branch: what was cut, as it was noted before, and what is there."""
    kept = cutter.cut_off(board)
    with Store(where) as store:
        head = store.transfer.head()
        lab = [*kept, *cutter.all_after(store.branch(LAB), cutter.kept_to(board))]
        main = cutter.all_after(store, 0)
    return {MAIN: Log(main, head), LAB: Log(lab, head, max(cutter.floors(board), default=0))}
