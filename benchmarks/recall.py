"""An old version at random, of a document of 10 KB that has changed a little a thousand times."""

from __future__ import annotations

from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from pydantic_core import to_json

from benchmarks.peers.langgraph_saver import Saver
from benchmarks.peers.peer import missing
from benchmarks.rounds import Row, Sizes, Stopwatch, race
from statedb import Store

WHERE = "agent-1", "persistent", "document"
MOST = 150.0
"""What half of all such reads may take at the most, in microseconds."""


def rows(folder: Path, sizes: Sizes) -> list[Row]:
    """Measure and return the row: the median of single reads in each round, beside a langgraph checkpoint by its id."""
    folder.mkdir()
    why = missing(Saver)
    what = why or f"{Saver.name}, a checkpoint by its id"
    row = Row(f"a random version of {sizes.steps:,} of 10 KB, p50", what, at_most=MOST)
    with Store(folder / "statedb.db", durability="normal") as store:
        store.transfer.load_versions(*WHERE, ((float(at), each) for at, each in enumerate(documents(sizes.steps), 1)))
        get = store.history.get
        if why:
            return [race(row, lambda turn: _p50(lambda n: get(*WHERE, n).value, turn, sizes), None, sizes.rounds)]
        saver = Saver(folder, "normal")
        names = [saver.set(WHERE[2], each) for each in documents(sizes.steps)]
        assert get(*WHERE, 1).value == saver.at(WHERE[2], names[0])
        race(
            row, lambda turn: _p50(lambda n: get(*WHERE, n).value, turn, sizes),
            lambda turn: _p50(lambda n: saver.at(WHERE[2], names[n - 1]), turn, sizes), sizes.rounds,
        )  # fmt: skip
        saver.close()
    return [row]


def documents(count: int) -> list[dict[str, Any]]:
    """Return versions of a document: 10 KB of words, of which a paragraph of 80 letters is another one each time."""
    chance = Random(2)
    document = {f"paragraph {number:03d}": _paragraph(chance) for number in range(102)}
    found = []
    for _ in range(count):
        document[f"paragraph {chance.randrange(102):03d}"] = _paragraph(chance)
        found.append(dict(document))
    assert 9_500 < len(to_json(document)) < 11_000
    return found


def _paragraph(chance: Random) -> str:
    words = ("".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(24))
    return " ".join(words)[:80]


def _p50(read: Any, turn: int, sizes: Sizes) -> float:
    chance, taken = Random(turn), []
    for _ in range(max(5, sizes.operations // 4)):
        number = chance.randint(1, sizes.steps)
        with Stopwatch() as watch:
            read(number)
        taken.append(watch.per(1))
    return median(taken)
