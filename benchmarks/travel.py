"""How the costs of checkpoints, restores, branches and merges grow: with keys beside, others' commits, and depth.

What is measured changes the store, so before each call something is written that is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.axis import AGENT, TIER, Axis, Curve, Lengths, name_of, value, write
from benchmarks.rounds import Stopwatch
from statedb import Store

CHANGED = 10
"""Keys that a restore brings back, and a merge brings in."""
LAB = "lab"
DEPTHS = (0, 1, 5)
OTHERS = 4
"""Agents who share the commits that are not the restored agent's."""

Prepared = Callable[[Random], Callable[[], object]]
"""Given chance, write what is to be changed and return the call that is measured."""


@dataclass(frozen=True, slots=True)
class Side:
    """A filled store: its size along the axis, the agent's keys, and the revision at which those had been written."""

    store: Any
    size: int
    keys: int
    point: int


def keys(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """Ever more keys beside those concerned."""
    sides = []
    for size in lengths.beside:
        store = opened.enter_context(Store(folder / f"{size}.db", durability="normal"))
        write(store, size, 0)
        sides.append(Side(store, size, size, store.transfer.head()))
    asked: dict[str, tuple[Callable[[Side], Prepared], float | None]] = {
        "checkpoints.create": (_checkpoint, 1.5),
        f"restore of {CHANGED} changed keys": (_restore, 3.0),
        "branches.create": (_branch, None),
        f"branches.merge of {CHANGED} changed keys": (_merge, None),
    }
    curves = [_curve(Curve(name, lengths.beside, most), sides, ask, lengths) for name, (ask, most) in asked.items()]
    about = f"Stores of so many keys; {CHANGED} of them were written since the point gone back to, or on the branch."
    return Axis("time travel beside keys", about, "keys", curves)


def commits(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """Ever more commits of other agents between the point gone back to and now."""
    sides = []
    for size in lengths.others:
        store = opened.enter_context(Store(folder / f"{size}.db", durability="normal"))
        write(store, CHANGED, 0)
        sides.append(Side(store, size, CHANGED, store.transfer.head()))
        for other in range(OTHERS if size else 0):
            made = ((float(at), value(at)) for at in range(1, size // OTHERS + 1))
            store.transfer.load_versions(f"other-{other}", TIER, name_of(0), made)
    name = f"restore of one agent's {CHANGED} changed keys"
    curve = _curve(Curve(name, lengths.others, 3.0), sides, _restore_agent, lengths)
    about = "The agent goes back to before all of them, each time anew."
    return Axis("time travel beside other agents' commits", about, "commits", [curve])


def depth(folder: Path, opened: ExitStack, lengths: Lengths) -> Axis:
    """The trunk, a branch of it, and a branch of a branch of a branch."""
    trunk = opened.enter_context(Store(folder / "store.db", durability="normal"))
    size = min(lengths.beside[-1], 1_000)
    write(trunk, size, 0)
    levels: list[Any] = [trunk]
    for level in range(1, DEPTHS[-1] + 1):
        levels[-1].branches.create(f"{LAB}-{level}")
        levels.append(trunk.branch(f"{LAB}-{level}"))
        levels[-1].states.set(AGENT, TIER, f"own/{level}", value(level))
    sides = [Side(levels[level], level, size, 0) for level in DEPTHS]
    curves = [_curve(Curve(name, DEPTHS), sides, ask, lengths, lengths.calls)
              for name, ask in (("get of an inherited key", _get), ("set", _set))]  # fmt: skip
    about = f"Each level is a branch of the one before it, with a key of its own beside {size:,} inherited."
    return Axis("depth of a branch", about, "depth", curves)


# ---- what is asked


def _checkpoint(side: Side) -> Prepared:
    numbers = count()
    return lambda _: lambda: side.store.checkpoints.create(f"point {next(numbers)}")


def _branch(side: Side) -> Prepared:
    numbers = count()
    return lambda _: lambda: side.store.branches.create(f"branch {next(numbers)}")


def _restore(side: Side) -> Prepared:
    def prepared(chance: Random) -> Callable[[], object]:
        point = side.store.transfer.head()
        _change(side.store, side, chance)
        return lambda: side.store.restore(point)

    return prepared


def _restore_agent(side: Side) -> Prepared:
    def prepared(chance: Random) -> Callable[[], object]:
        _change(side.store, side, chance)
        return lambda: side.store.restore(side.point, agent_id=AGENT)

    return prepared


def _merge(side: Side) -> Prepared:
    side.store.branches.create(LAB)
    lab = side.store.branch(LAB)

    def prepared(chance: Random) -> Callable[[], object]:
        _change(lab, side, chance)
        return lambda: side.store.branches.merge(LAB)

    return prepared


def _get(side: Side) -> Prepared:
    get = side.store.states.get
    return lambda chance: lambda: get(AGENT, TIER, name_of(chance.randrange(side.keys)))


def _set(side: Side) -> Prepared:
    set_, numbers = side.store.states.set, count()
    return lambda chance: lambda: set_(AGENT, TIER, name_of(chance.randrange(side.keys)), value(next(numbers)))


def _change(store: Any, side: Side, chance: Random) -> None:
    numbers = chance.sample(range(side.keys), min(CHANGED, side.keys))
    store.states.set_many(AGENT, TIER, {name_of(number): value(chance.getrandbits(60)) for number in numbers})


def _curve(
    curve: Curve, sides: Sequence[Side], asked: Callable[[Side], Prepared], lengths: Lengths, calls: int = 1
) -> Curve:
    """Let the stores take turns, each beginning as often; `calls` are made of each prepared call."""
    prepared = [asked(side) for side in sides]
    curve.times = {side.size: [] for side in sides}
    for turn in range(lengths.rounds + 1):
        for at in range(len(sides)):
            at = (at + turn) % len(sides)
            call = prepared[at](Random(turn))
            with Stopwatch() as watch:
                for _ in range(calls):
                    call()
            if turn:  # the first round fills caches
                curve.times[sides[at].size].append(watch.per(calls))
    return curve
