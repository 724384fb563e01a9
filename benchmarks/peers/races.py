"""Each peer beside us: the same values of 1 KB under the same keys, the same durability, turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from benchmarks import floors
from benchmarks.peers.agenthold import AgentHold
from benchmarks.peers.continuum import Continuum
from benchmarks.peers.diskcache import DiskCache
from benchmarks.peers.doltlite import DoltLite
from benchmarks.peers.eventsourcing import EventSourcing
from benchmarks.peers.langgraph_saver import AsyncSaver, Saver
from benchmarks.peers.langgraph_store import AsyncItems, Items
from benchmarks.peers.peer import AsyncPeer, Durability, Named, Peer, Write, missing, version
from benchmarks.rounds import Row, Sizes, Stopwatch, on_one_core, race
from benchmarks.sample import AGENT, TIER, key, kilobyte
from benchmarks.writes import BOTH
from statedb import AsyncStore, Store


class Floor(Peer):
    """Our own rows, written by hand with sqlite3."""

    name = "raw sqlite3, our rows by hand"
    package = "statedb"
    keeps = "every version, each with the whole value"
    same = "the pragmas of a store"

    def __init__(self, folder: Path, durability: Durability) -> None:
        path = folder / "floor.db"
        with Store(path, durability="normal") as store:
            _fill(store)
        self._db = floors.connect(path, durability)

    def set(self, key: str, value: Any) -> int:
        return floors.write(self._db, AGENT, TIER, key, value)

    def get(self, key: str) -> Any:
        return from_json(self._db.execute(floors.VALUE, (AGENT, TIER, key)).fetchall()[0][0])

    def close(self) -> None:
        self._db.close()


PEERS: tuple[type[Peer], ...] = (
    Floor, Saver, Items, DiskCache, Continuum, EventSourcing, AgentHold, DoltLite,
)  # fmt: skip
ASYNC: tuple[type[AsyncPeer], ...] = (AsyncSaver, AsyncItems)
KEYS = 1_000
"""Keys in each store, all there before the first round; as many as are set at once, since a peer that keeps no history
writes a key that is put twice in a batch but once."""


@dataclass(slots=True)
class PeerRow(Row):
    """A row of one peer. `faster` is how many times faster than it we must be, where that was promised."""

    peer: str = ""
    faster: float | None = None
    missing: str = ""
    """Why there are no times, where there are none."""

    @property
    def times(self) -> float | None:
        """How many times faster than the peer we are."""
        return None if self.ratio is None else 1 / self.ratio

    @property
    def verdict(self) -> str:
        if self.faster is None or self.times is None:
            return ""
        return "ok" if self.times >= self.faster else "short"


Measure = Callable[[AsyncPeer, "Turns", int], Coroutine[Any, Any, float]]


class Turns:
    """Values that no store has had, `many` of them for each round."""

    def __init__(self, many: int) -> None:
        self.many = many

    def writes(self, turn: int) -> list[Write]:
        first = (turn + 1) * self.many
        numbers = range(first, first + self.many)
        return [(key(number % KEYS), kilobyte(number % KEYS, number + KEYS)) for number in numbers]

    def keys(self, turn: int) -> list[str]:
        return [key(number * 7919 % KEYS) for number in range(turn * self.many, (turn + 1) * self.many)]


def facts() -> list[str]:
    """Return each peer's version."""
    everyone: tuple[type[Named], ...] = (*PEERS, *ASYNC)
    packages = dict.fromkeys(peer.package for peer in everyone if peer is not Floor)
    return [f"{package} {version(package) or 'not installed'}" for package in packages]


def rows(folder: Path, sizes: Sizes) -> list[PeerRow]:
    """Measure and return the rows of every peer."""
    found = [row for peer in PEERS for row in _apart(peer, folder, sizes)]
    with asyncio.Runner() as loop:
        found += [row for peer in ASYNC for row in _awaited(loop, peer, folder, sizes)]
    order = list(dict.fromkeys(row.name for row in found))
    return sorted(found, key=lambda row: order.index(row.name))


def _fill(store: Store) -> None:
    store.states.set_many(AGENT, TIER, dict(_first()))


def _first() -> list[Write]:
    return [(key(number), kilobyte(number, number)) for number in range(KEYS)]


# ---- one caller


_SYNC_PROMISED: dict[tuple[str, type[Named]], float] = {("set, normal", Continuum): 20.0}


def _apart(peer: type[Peer], folder: Path, sizes: Sizes) -> list[PeerRow]:
    names = ["set, normal", "set, full", "get"]
    found = [_row(f"{name}, 1 KB", peer, _SYNC_PROMISED.get((name, peer))) for name in names]
    if peer is not Floor and (why := missing(peer)):
        return [_without(row, why) for row in found]
    normal, full, get = found
    _sync(peer, "normal", [normal, get], folder, sizes)
    _sync(peer, "full", [full], folder, sizes)
    return found


def _sync(peer: type[Peer], durability: Durability, asked: Sequence[PeerRow], folder: Path, sizes: Sizes) -> None:
    place = _place(folder, peer, durability)
    theirs = peer(place, durability)
    with Store(place / "statedb.db", durability=durability) as store:
        _fill(store)
        if peer is not Floor:
            theirs.write(_first())
        turns, reads = Turns(max(2, sizes.operations // 8)), Turns(sizes.operations)
        set_, get = store.states.set, store.states.get

        def written(turn: int) -> float:
            writes = turns.writes(turn)
            with Stopwatch() as watch:
                for name, value in writes:
                    set_(AGENT, TIER, name, value)
            return watch.per(len(writes))

        def read(turn: int) -> float:
            names = reads.keys(turn)
            with Stopwatch() as watch:
                for name in names:
                    get(AGENT, TIER, name)
            return watch.per(len(names))

        race(asked[0], written, lambda turn: theirs.write(turns.writes(turn)), _rounds(sizes))
        assert get(AGENT, TIER, key(1)) == theirs.get(key(1)), "the contenders hold different values"
        for row in asked[1:]:
            race(row, read, lambda turn: theirs.read(reads.keys(turn)), _rounds(sizes))
    theirs.close()


# ---- many callers on one loop


_ONE, _ANY = "on one core", "across cores"
"""Where the threads of both run. On one core a hop costs least; across them is where most programs leave it."""
_ASYNC_PROMISED: dict[tuple[str, type[Named]], float] = {
    (f"async set, normal, {_ONE}", AsyncSaver): 8.0,
    (f"async set, normal, {_ANY}", AsyncSaver): 8.0,
    (f"async get, {_ONE}", AsyncSaver): 8.0,
    (f"async get, {_ANY}", AsyncSaver): 8.0,
    ("concurrent async sets, normal, each", AsyncItems): 1.0,
    ("concurrent async sets, full, each", AsyncItems): 1.0,
}


def _awaited(loop: asyncio.Runner, peer: type[AsyncPeer], folder: Path, sizes: Sizes) -> list[PeerRow]:
    names = [
        *(f"async {what}, {where}" for what in ("set, normal", "set, full", "get") for where in (_ONE, _ANY)),
        *(f"concurrent async {what}, each" for what in ("sets, normal", "sets, full", "gets")),
    ]
    found = {name: _row(_counted(name, sizes), peer, _ASYNC_PROMISED.get((name, peer))) for name in names}
    if why := missing(peer):
        return [_without(row, why) for row in found.values()]
    for durability in BOTH:
        with on_one_core():
            _async(loop, peer, durability, _ONE, found, folder, sizes)
        _async(loop, peer, durability, _ANY, found, folder, sizes)
    return list(found.values())


def _counted(name: str, sizes: Sizes) -> str:
    return f"{sizes.together:,} {name}, 1 KB" if name.startswith("concurrent") else f"{name}, 1 KB"


def _async(
    loop: asyncio.Runner, peer: type[AsyncPeer], durability: Durability, where: str, found: dict[str, PeerRow],
    folder: Path, sizes: Sizes,
) -> None:  # fmt: skip
    place = _place(folder, peer, f"{durability}-{where}")
    few, many, rounds = Turns(max(2, sizes.operations // 8)), Turns(sizes.together), _rounds(sizes)
    ours, theirs = Ours(), peer()
    for each in (ours, theirs):
        loop.run(each.open(place, durability))
        loop.run(_gathered(each, _first()))

    def raced(name: str, measure: Measure, turns: Turns, rounds: int) -> None:
        race(
            found[name], lambda turn: loop.run(measure(ours, turns, turn)),
            lambda turn: loop.run(measure(theirs, turns, turn)), rounds,
        )  # fmt: skip

    raced(f"async set, {durability}, {where}", _one_by_one, few, rounds)
    if durability == "normal":
        raced(f"async get, {where}", _read_one_by_one, few, rounds)
    if where == _ANY:
        raced(f"concurrent async sets, {durability}, each", _at_once, many, max(2, rounds // 4))
        if durability == "normal":
            raced("concurrent async gets, each", _read_at_once, many, max(2, rounds // 4))
    assert loop.run(ours.get(key(1))) == loop.run(theirs.get(key(1))), "the contenders hold different values"
    for each in (ours, theirs):
        loop.run(each.close())


class Ours(AsyncPeer):
    """A store of ours, asked as the peers are."""

    async def open(self, folder: Path, durability: Durability) -> None:
        self._store = await AsyncStore(folder / "statedb.db", durability=durability)
        self._states = self._store.states

    async def set(self, key: str, value: Any) -> None:
        await self._states.set(AGENT, TIER, key, value)

    async def get(self, key: str) -> Any:
        return await self._states.get(AGENT, TIER, key)

    async def close(self) -> None:
        await self._store.close()


async def _gathered(contender: AsyncPeer, writes: Sequence[Write]) -> None:
    await asyncio.gather(*(contender.set(name, value) for name, value in writes))


async def _one_by_one(contender: AsyncPeer, turns: Turns, turn: int) -> float:
    writes = turns.writes(turn)
    with Stopwatch() as watch:
        for name, value in writes:
            await contender.set(name, value)
    return watch.per(len(writes))


async def _at_once(contender: AsyncPeer, turns: Turns, turn: int) -> float:
    writes = turns.writes(turn)
    with Stopwatch() as watch:
        await _gathered(contender, writes)
    return watch.per(len(writes))


async def _read_one_by_one(contender: AsyncPeer, turns: Turns, turn: int) -> float:
    names = turns.keys(turn)
    with Stopwatch() as watch:
        for name in names:
            await contender.get(name)
    return watch.per(len(names))


async def _read_at_once(contender: AsyncPeer, turns: Turns, turn: int) -> float:
    names = turns.keys(turn)
    with Stopwatch() as watch:
        await asyncio.gather(*(contender.get(name) for name in names))
    return watch.per(len(names))


# ---- what both need


def _row(name: str, peer: type[Named], faster: float | None) -> PeerRow:
    return PeerRow(name, f"keeps {peer.keeps}; {peer.same}", peer=peer.name, faster=faster)


def _without(row: PeerRow, why: str) -> PeerRow:
    row.missing = why
    return row


def _place(folder: Path, peer: type[Named], durability: str) -> Path:
    place = folder / f"{peer.__name__}-{durability}"
    place.mkdir()
    return place


def _rounds(sizes: Sizes) -> int:
    return max(3, sizes.rounds // 3)
