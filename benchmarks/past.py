"""Asking the past of a short history and of a long one: the cost must follow the answer, not the history."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic_core import from_json

from benchmarks import floors
from benchmarks.rounds import Row, Sizes, race, repeated
from benchmarks.sample import AGENT, TIER, Template, value, whole_versions
from statedb import Store

WHERE = "old", TIER, "doc"
"""A key whose versions differ in one member: the others are as old as the key."""
YOUNG = "young", TIER, "doc"
"""A key whose every leaf has been set within the last LEAVES versions."""
LEAVES = 16
QUERY = "select state_key, value ->> '$.turn' from states where agent_id = ?"


class Question(NamedTuple):
    """What is asked, what the floor does for it, and how often in a round."""

    name: str
    against: str
    ours: Callable[[], Any]
    floor: Callable[[], Any]
    times: int


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows: every question of each length of history, the lengths side by side."""
    found: list[list[Row]] = []
    for length in sizes.histories:
        path, plain = made.copy(f"past-{length}.db"), made.copy(f"past-{length}-floor.db", by_hand=True)
        with whole_versions(), Store(plain, durability="normal") as store:
            _fill(store, length)
        with Store(path, durability="normal") as store:
            _fill(store, length)
            db = floors.connect(plain)
            found.append([_row(each, length, sizes) for each in _questions(store, db, length, sizes)])
            db.close()
    return [row for same in zip(*found, strict=True) for row in same]


def _fill(store: Store, length: int) -> None:
    store.transfer.load_versions(*WHERE, ((float(turn), value(0, turn)) for turn in range(1, length + 1)))
    young = {f"field {each}": 0 for each in range(LEAVES)}
    for first in range(1, length + 1, 10_000):
        turns = range(first, min(first + 10_000, length + 1))
        store.transfer.load_versions(*YOUNG, ((float(turn), _turned(young, turn)) for turn in turns))


def _turned(young: dict[str, int], turn: int) -> dict[str, int]:
    young[f"field {turn % LEAVES}"] = turn
    return dict(young)


def _questions(store: Store, db: sqlite3.Connection, length: int, sizes: Sizes) -> list[Question]:
    history, few = store.history, max(1, sizes.operations // 40)
    middle = length // 2
    pair = [history.get(*WHERE, version).revision for version in (middle, middle + 1)]
    changed = store.transfer.head()
    assert history.blame(*YOUNG).keys() == {f"/field {each}" for each in range(LEAVES)}
    assert len(store.query(QUERY, [AGENT])) == len(db.execute(QUERY, (AGENT,)).fetchall())
    return [
        Question(
            "diff of two versions", "two selects by primary key; from_json on both, no diff",
            lambda: history.diff(*WHERE, middle, middle + 1),
            lambda: [from_json(db.execute(floors.VALUE_AT, (at, *WHERE)).fetchall()[0][0]) for at in pair], few,
        ),
        Question(
            "versions(limit=20)", "one select over versions and commits; rows left as tuples",
            lambda: history.versions(*WHERE, limit=20), lambda: db.execute(floors.VERSIONS, WHERE).fetchall(), few,
        ),
        Question(
            f"blame, every leaf set in the last {LEAVES}", "select of the versions it takes, newest first; from_json",
            lambda: history.blame(*YOUNG), lambda: _values(db, YOUNG, LEAVES + 1), few,
        ),
        Question(
            "blame, leaves as old as the key", "select of all versions, newest first; from_json on each",
            lambda: history.blame(*WHERE), lambda: _values(db, WHERE, length), 1,
        ),
        Question(
            "bisect", "a select by primary key and from_json for each step of a binary search",
            lambda: history.bisect(*WHERE, lambda found: found["turn"] > 1_000_000_000 + middle),
            lambda: _search(db, pair[0] - middle + 1, length, middle), few,
        ),
        Question(
            "changes between two points, 10 apart", "select of the versions between by revision; from_json",
            lambda: history.changes(changed - 10, changed),
            lambda: [from_json(row[0]) for row in db.execute(floors.BETWEEN, (changed - 10, changed)).fetchall()], few,
        ),
        Question(
            f"query over {sizes.keys:,} rows", "the same select over the file's own view",
            lambda: store.query(QUERY, [AGENT]), lambda: db.execute(QUERY, (AGENT,)).fetchall(), 1,
        ),
    ]  # fmt: skip


def _values(db: sqlite3.Connection, where: tuple[str, str, str], count: int) -> list[Any]:
    return [from_json(row[0]) for row in db.execute(floors.VALUES, (*where, count)).fetchall()]


def _search(db: sqlite3.Connection, first: int, length: int, middle: int) -> int:
    low, high = first, first + length - 1
    while low < high:
        at = (low + high) // 2
        found = from_json(db.execute(floors.VALUE_AT, (at, *WHERE)).fetchall()[0][0])
        low, high = (low, at) if found["turn"] > 1_000_000_000 + middle else (at + 1, high)
    return low


def _row(asked: Question, length: int, sizes: Sizes) -> Row:
    row = Row(f"{asked.name}, of {length:,}", asked.against)
    rounds = max(2, sizes.rounds // (20 if asked.times == 1 else 5))  # what is asked once in a round takes a second
    return race(row, repeated(asked.ours, asked.times), repeated(asked.floor, asked.times), rounds)
