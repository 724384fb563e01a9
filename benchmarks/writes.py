"""Writing, one caller at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from benchmarks import floors
from benchmarks.floors import Durability
from benchmarks.rounds import Contender, Row, Sizes, Stopwatch, race
from benchmarks.sample import AGENT, TIER, Picks, Template
from statedb import Store

BOTH: tuple[Durability, ...] = ("normal", "full")
TEN = 10
_SET = {"normal": 2.0, "full": 1.3}


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows: each durability on two equal files, one for each contender."""
    return [row for durability in BOTH for row in _at(durability, made, sizes)]


def _at(durability: Durability, made: Template, sizes: Sizes) -> list[Row]:
    ours, theirs = made.copy(f"writes-{durability}.db"), made.copy(f"writes-{durability}-floor.db")
    db = floors.connect(theirs, durability)
    with Store(ours, durability=durability) as store:
        found = [_set(store, db, durability, made, sizes)]
        if durability == "normal":
            found += [_update(store, db, made, sizes), _transaction(store, db, made, sizes)]
    db.close()
    assert floors.rows_of(ours) == floors.rows_of(theirs), "the contenders wrote different rows"
    return found


def _set(store: Store, db: sqlite3.Connection, durability: Durability, made: Template, sizes: Sizes) -> Row:
    set_ = store.states.set
    what = "select of head and newest revision, then the same four rows, in one BEGIN IMMEDIATE"
    return race(
        Row(f"set, {durability}", what, _SET[durability]),
        each(lambda key, value: set_(AGENT, TIER, key, value), made.keys, sizes),
        each(lambda key, value: floors.write(db, AGENT, TIER, key, value), made.keys, sizes),
        sizes.rounds,
    )


def _update(store: Store, db: sqlite3.Connection, made: Template, sizes: Sizes) -> Row:
    update = store.states.update

    def turned(old: Any) -> Any:
        return old | {"turn": old["turn"] + 1}

    return race(
        Row("update, normal", "the same with from_json on the old value"),
        each(lambda key, _: update(AGENT, TIER, key, turned), made.keys, sizes),
        each(lambda key, _: floors.update(db, AGENT, TIER, key, turned), made.keys, sizes),
        sizes.rounds,
    )


def _transaction(store: Store, db: sqlite3.Connection, made: Template, sizes: Sizes) -> Row:
    def ours(batch: list[floors.Write]) -> None:
        with store.transaction() as tx:
            for key, value in batch:
                tx.states.set(AGENT, TIER, key, value)

    return race(
        Row("transaction of 10 sets, normal", "one transaction: a commit, ten heads and versions"),
        tens(ours, made.keys, sizes),
        tens(lambda batch: floors.write_one_commit(db, AGENT, TIER, batch), made.keys, sizes),
        sizes.rounds,
    )


def tens(write: Callable[[list[floors.Write]], object], keys: int, sizes: Sizes) -> Contender:
    """Return a contender that writes ten random keys at a time."""
    picks = Picks(keys, max(TEN, sizes.operations // 4 // TEN * TEN), series=1)

    def contender(turn: int) -> float:
        writes = picks.writes(turn)
        # Keys in a commit are distinct, or the contenders would count versions differently.
        batches = [list(dict(writes[first : first + TEN]).items()) for first in range(0, len(writes), TEN)]
        with Stopwatch() as watch:
            for batch in batches:
                write(batch)
        return watch.per(len(batches))

    return contender


def each(write: Callable[[str, Any], Any], keys: int, sizes: Sizes) -> Contender:
    """Return a contender that writes values of its own to random keys."""
    picks = Picks(keys, max(1, sizes.operations // 4))

    def contender(turn: int) -> float:
        writes = picks.writes(turn)
        with Stopwatch() as watch:
            for key, value in writes:
                write(key, value)
        return watch.per(len(writes))

    return contender
