"""A rig that kills a process in the middle of a change of hundreds of keys: all of it is there afterwards, or nothing.

Each round a process opens the store, is told to go, and is killed with SIGKILL a moment later. The moment is drawn
from a span that grows where the change had not been made and shrinks where it had, so that it falls inside.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from statedb import AutoCheckpoint, Store, Trigger
from tests.helpers import HANG
from tests.places import is_url, raw
from tests.rigs.processes import FORKED, until

KEYS = 300
AGENT, TIER = "agent", "persistent"
LAB = "lab"
KILLS_OF_A_STORE = 25
"""How many kills one store sees: each leaves hundreds of versions more, all of which are checked after the next."""

OLD, NEW, HALF = "at the old revision", "at the new one", "at the new one, its checkpoint still to come"

_SESSIONS = (
    "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
)


@dataclass(frozen=True)
class Large:
    """A change of all keys at once, from one side to the other.

    `ready` brings a store to where `make` changes every key to the side of a turn. `marks`: it makes a checkpoint too.
    """

    ready: Callable[[Store, int], object]
    make: Callable[[Store, int], object]
    marks: bool = False


@dataclass
class Torn:
    """What became of so many changes."""

    name: str
    finished: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.found.items()))
        return f"{self.name}: {self.found.total()} kills ({self.finished} of them after its end): {outcomes}"


# ---- the changes


def _write(store: Any, turn: int) -> None:
    store.states.set_many(AGENT, TIER, {f"k{number:03d}": {"side": turn % 2, "n": number} for number in range(KEYS)})


def _mark_both(store: Store, turn: int) -> None:
    if turn == 1:
        store.checkpoints.create("side 0")
        _write(store, 1)
        store.checkpoints.create("side 1")
        store.checkpoints.restore("side 0")


def _restore(store: Store, turn: int) -> object:
    return store.checkpoints.restore(f"side {turn % 2}")


def _fork(store: Store, turn: int) -> None:
    """Write on a branch, and something else on the trunk: so that both sides have something to bring in."""
    if turn == 1:
        store.branches.create(LAB)
    store.states.set("another", TIER, "turn", turn)
    _write(store.branch(LAB), turn)


def _merge(store: Store, _turn: int) -> object:
    return store.branches.merge(LAB)


def _configure(store: Store, turn: int) -> None:
    if turn == 1:
        triggers = [Trigger("state_change_count", KEYS)]
        store.checkpoints.configure(AGENT, AutoCheckpoint(enabled=True, max_checkpoints=5, triggers=triggers))


LARGE = {
    "restore": Large(_mark_both, _restore),
    "merge": Large(_fork, _merge),
    "auto-checkpoint": Large(_configure, _write, marks=True),
}


# ---- killing


def tear(name: str, kills: int, places: Callable[[str], str]) -> Torn:
    """Kill a process in the middle of a change so many times; AssertionError where half of it is there.

    `places` makes the place of a store with a name.
    """
    torn, chance = Torn(name), random.Random(name)
    for first in range(0, kills, KILLS_OF_A_STORE):
        _tear(torn, min(KILLS_OF_A_STORE, kills - first), places(f"{name}{first}"), chance)
    return torn


def _tear(torn: Torn, kills: int, where: str, chance: random.Random) -> None:
    large = LARGE[torn.name]
    with Store(where, durability="normal") as store:
        _write(store, 0)
        large.ready(store, 1)
    span, turn = _timed(where, torn.name, 1), 1
    stands = NEW
    for _ in range(kills):
        with Store(where, durability="normal") as store:
            if stands != OLD:
                turn += 1
                large.ready(store, turn)
            head = store.transfer.head()
        torn.finished += _killed(where, torn.name, turn, chance.uniform(0, span))
        with Store(where, durability="normal") as store:
            stands = _checked(store, large, head, turn)
        torn.found[stands] += 1
        span *= 1.25 if stands == OLD else 0.8


def _timed(where: str, name: str, turn: int) -> float:
    """Have a process make a change, and return how long that took it."""
    with _ready(where, name, turn) as pipe:
        begun = time.perf_counter()
        pipe.send("go")
        assert pipe.poll(HANG)
        return time.perf_counter() - begun


def _killed(where: str, name: str, turn: int, after: float) -> bool:
    """Have a process make a change, and kill it after so many seconds; tell whether it had come to its end by then."""
    with _ready(where, name, turn) as pipe:
        pipe.send("go")
        time.sleep(after)  # the moment of the kill, which is what this is about
    return _has_said(pipe)


@contextmanager
def _ready(where: str, name: str, turn: int) -> Iterator[Connection]:
    """Give the pipe to a process that is ready to make a change. It is killed at the end of the block."""
    sessions = _sessions(where)
    ours, theirs = multiprocessing.Pipe()
    process = FORKED.Process(target=work, args=(where, name, turn, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(HANG)
        ours.recv()
        yield ours
    finally:
        process.kill()
        process.join()
    # On a server its session ends a moment later, and what it was sent before is still carried out.
    until(lambda: _sessions(where) <= sessions, "the killed process's sessions end")


def _sessions(where: str) -> int:
    return int(raw(where, _SESSIONS)[0][0]) if is_url(where) else 0


def _has_said(pipe: Connection) -> bool:
    """Tell whether something was said; the end of who says it is nothing."""
    try:
        return pipe.poll() and bool(pipe.recv())
    except (EOFError, ConnectionResetError):
        return False


def work(where: str, name: str, turn: int, told: Connection) -> None:
    """Open the store, say so, and make the change once told to. For `Process`."""
    with Store(where, durability="normal") as store:
        store.transfer.head()
        told.send("ready")
        told.recv()
        LARGE[name].make(store, turn)
        told.send("done")


def _checked(store: Store, large: Large, head: int, turn: int) -> str:
    """Return which revision the store is at, the one before a change or the one after it; there is no other."""
    assert store.health.check().problems == ()
    now = store.transfer.head()
    held = store.states.items(AGENT, TIER)
    sides = {value["side"] for _, value in held}
    assert len(held) == KEYS
    assert len(sides) == 1, f"half of it is there: {Counter(value['side'] for _, value in held)}"
    changed = sides == {turn % 2}
    made = [each for each in store.checkpoints.list(agent_id=AGENT) if each.revision > head]
    assert len(made) <= large.marks
    assert now - head in ((1, 1 + len(made)) if changed else (0,))
    assert changed or not made, "a checkpoint of what is not there"
    for each in made:
        assert {value["side"] for _, value in store.at(each.revision).states.items(AGENT, TIER)} == {turn % 2}
    return OLD if not changed else HALF if large.marks and not made else NEW
