"""An axis along which something grows, the curves of what operations cost along it, and what stores are filled with."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from statedb import Store

AGENT, TIER = "agent-1", "persistent"
BATCH = 100
"""Keys written in a commit when a store is filled."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """The sizes along each axis, the rounds, and the calls of each round."""

    versions: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    keys: tuple[int, ...] = (1, 10, 100, 1_000, 10_000, 100_000)
    changed: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    beside: tuple[int, ...] = (100, 100_000)
    others: tuple[int, ...] = (0, 100_000)
    processes: tuple[int, ...] = (1, 2, 4, 8)
    rounds: int = 60
    calls: int = 40
    seconds: float = 4.0


FULL = Lengths()
QUICK = Lengths(
    versions=(100, 1_000), keys=(10, 100), changed=(1, 10), beside=(20, 100), others=(0, 100), processes=(1, 2),
    rounds=3, calls=5, seconds=0.5,
)  # fmt: skip


@dataclass(slots=True)
class Curve:
    """What an operation costs at each size, in microseconds. `most` is what the largest may cost, to the smallest."""

    name: str
    sizes: tuple[int, ...]
    most: float | None = None
    times: dict[int, list[float]] = field(default_factory=dict)

    @property
    def medians(self) -> list[float]:
        return [median(self.times[size]) for size in self.sizes]

    @property
    def ratio(self) -> float:
        """What the largest costs, to the smallest."""
        return self.medians[-1] / self.medians[0]

    @property
    def verdict(self) -> str:
        if self.most is None:
            return ""
        return "ok" if self.ratio <= self.most else "short"


@dataclass(slots=True)
class Axis:
    """One thing that grows, and the curves along it."""

    name: str
    about: str
    unit: str
    curves: list[Curve]


def value(turn: int) -> dict[str, Any]:
    """Return a value of 100 bytes of JSON."""
    return {"turn": 1_000_000_000 + turn, "status": "waiting for the reviewer", "owner": "planner", "cost": 12.5,
            "labels": ["a", "b"]}  # fmt: skip


def write(store: Store, keys: int, turn: int) -> None:
    """Write a version of so many keys."""
    for first in range(0, keys, BATCH):
        numbers = range(first, min(first + BATCH, keys))
        store.states.set_many(AGENT, TIER, {name_of(number): value(turn) for number in numbers})


def name_of(number: int) -> str:
    """Return the name of a key."""
    return f"task/{number:06d}"
