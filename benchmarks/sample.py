"""The data that is measured: stores made once and copied, values of 465 bytes of JSON that differ every time."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from statedb import Store
from statedb.values import delta

AGENT, TIER = "agent-1", "persistent"
LISTED = "agent-2"
"""An agent whose keys are listed, LISTED_KEYS of them."""
LISTED_KEYS = 1_000
DEEP = "deep"
"""A key with DEEP_VERSIONS versions."""
DEEP_VERSIONS = 200

_TRANSCRIPT = (
    "user: please compare the figures of the third quarter with those of last year and tell me what stands out. "
    "assistant: revenue rose by 4.2 percent, mostly in the north; costs rose by 6.1 percent, two thirds of that for "
    "freight. The margin fell from 11.3 to 9.8 percent. user: which customers left? assistant: three of the first "
    "forty, all in the south, all after the price change in July. I have listed them with their last orders. user: ok, "
    "draft a note to the sales team, short and friendly, and leave the prices out of it for now, please."
)


def key(number: int) -> str:
    return f"task/{number:06d}"


def value(number: int, turn: int) -> dict[str, Any]:
    """Return a value of 465 bytes of JSON, another one for each turn: the same again would write nothing."""
    return {
        "id": f"task-{number:06d}",
        "turn": 1_000_000_000 + turn,
        "status": "waiting for the reviewer",
        "owner": {"name": "planner", "team": "research", "active": True, "score": 0.8125},
        "labels": ["urgent", "customer", "quarterly", "needs-review"],
        "steps": [
            {"name": "collect sources", "done": True, "cost": 12.5},
            {"name": "compare figures", "done": True, "cost": 7.25},
            {"name": "write summary", "done": False, "cost": None},
        ],
        "notes": "Figures for the third quarter are late; ask accounting, then go on with the draft for now",
    }


def kilobyte(number: int, turn: int) -> dict[str, Any]:
    """Return a value of 1,024 bytes of JSON, another one for each turn."""
    return value(number, turn) | {"transcript": _TRANSCRIPT}


@dataclass(frozen=True, slots=True)
class Template:
    """A closed store to copy. `middle` is a revision at which DEEP had half its versions."""

    path: Path
    plain: Path
    keys: int
    middle: int

    def copy(self, name: str, *, by_hand: bool = False) -> Path:
        """Return a copy of the file, equal in every byte and so in its layout; `by_hand` one of whole versions."""
        path = self.path.with_name(name)
        shutil.copyfile(self.plain if by_hand else self.path, path)
        return path


def template(folder: Path, keys: int) -> Template:
    """Make the store that every measurement starts from."""
    path, plain = folder / "template.db", folder / "plain.db"
    with whole_versions(), Store(plain, durability="normal") as store:
        fill(store, keys)
    with Store(path, durability="normal") as store:
        return Template(path, plain, keys, fill(store, keys))


@contextmanager
def whole_versions() -> Iterator[None]:
    """Have every version kept whole, as somebody would by hand: what a floor reads."""
    least, delta.FROM = delta.FROM, sys.maxsize
    try:
        yield
    finally:
        delta.FROM = least


def fill(store: Store, keys: int) -> int:
    """Write what every measurement starts from, and return a revision at which DEEP had half its versions."""
    middle = 0
    for first in range(0, keys, 500):
        numbers = range(first, min(first + 500, keys))
        store.states.set_many(AGENT, TIER, {key(number): value(number, 0) for number in numbers})
    store.states.set_many(LISTED, TIER, {key(number): value(number, 0) for number in range(LISTED_KEYS)})
    for turn in range(DEEP_VERSIONS):
        made = store.states.set(AGENT, TIER, DEEP, value(0, turn))
        middle = made.revision if turn == DEEP_VERSIONS // 2 else middle
    return middle


class Picks:
    """Random keys, the same for both contenders in a round. Two series never write the same value."""

    def __init__(self, keys: int, operations: int, series: int = 0) -> None:
        self._keys, self._operations, self._first = keys, operations, series * 10_000_000 + 1

    def names(self, turn: int) -> list[str]:
        """Return keys to read."""
        return [key(number) for number in self._numbers(turn)]

    def writes(self, turn: int) -> list[tuple[str, dict[str, Any]]]:
        """Return keys to write, each with a value it has not had."""
        numbers = self._numbers(turn)
        first = self._first + turn * len(numbers)
        return [(key(number), value(number, first + i)) for i, number in enumerate(numbers)]

    def _numbers(self, turn: int) -> list[int]:
        random = Random(turn)
        return [random.randrange(self._keys) for _ in range(self._operations)]
