"""Reading, one caller at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from benchmarks import floors
from benchmarks.rounds import Contender, Row, Sizes, Stopwatch, race, repeated
from benchmarks.sample import AGENT, DEEP, LISTED, TIER, Picks, Template
from statedb import Store


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows, all on one store file."""
    path = made.copy("reads.db")
    db = floors.connect(made.copy("reads-floor.db", by_hand=True))
    with Store(path, durability="normal") as store:
        found = [
            *_keyed(store, db, made, sizes),
            *_whole(store, db, made, sizes),
            _opening(path, sizes),
        ]
    db.close()
    return found


def _keyed(store: Store, db: sqlite3.Connection, made: Template, sizes: Sizes) -> list[Row]:
    def raw(name: str) -> Any:
        return from_json(db.execute(floors.VALUE, (AGENT, TIER, name)).fetchall()[0][0])

    def bare(name: str) -> Any:
        return db.execute(floors.VALUE, (AGENT, TIER, name)).fetchall()[0][0]

    def entry(name: str) -> Any:
        text, *rest = db.execute(floors.ENTRY, (AGENT, TIER, name)).fetchall()[0]
        return from_json(text), rest

    get, whole = store.states.get, store.states.entry
    assert get(AGENT, TIER, "task/000001") == raw("task/000001")
    ours = each(lambda name: get(AGENT, TIER, name), made.keys, sizes)
    entries = each(lambda name: whole(AGENT, TIER, name), made.keys, sizes)
    what = "prepared select by agent name, tier and key; from_json on the text"
    return [
        race(Row("get", what, 1.5), ours, each(raw, made.keys, sizes), sizes.rounds),
        race(Row("get, floor not decoding", "the same select; the JSON text is left as it is"), ours,
             each(bare, made.keys, sizes), sizes.rounds),
        race(Row("entry", "select of the entry's columns; from_json, the rest as the row has it"), entries,
             each(entry, made.keys, sizes), sizes.rounds),
    ]  # fmt: skip


def _whole(store: Store, db: sqlite3.Connection, made: Template, sizes: Sizes) -> list[Row]:
    states, history = store.states, store.history
    past = store.at(made.middle)

    def items() -> list[tuple[str, Any]]:
        return [(name, from_json(text)) for name, text in db.execute(floors.ITEMS, (LISTED, TIER)).fetchall()]

    def as_of() -> Any:
        return from_json(db.execute(floors.AS_OF, (AGENT, TIER, DEEP, made.middle)).fetchall()[0][0])

    assert items() == states.items(LISTED, TIER)
    assert as_of() == past.states.get(AGENT, TIER, DEEP)
    listed, few = max(1, sizes.operations // 100), max(1, sizes.operations // 8)
    raced: list[tuple[Row, Callable[[], Any], Callable[[], Any], int]] = [
        (Row("keys, 1,000 of them", "select of the names, sorted"),
         lambda: states.keys(LISTED, TIER),
         lambda: [row[0] for row in db.execute(floors.KEYS, (LISTED, TIER)).fetchall()], listed),
        (Row("items, 1,000 of them", "select of names and texts, sorted; from_json on each"),
         lambda: states.items(LISTED, TIER), items, listed),
        (Row("at(R).get, view kept", "newest version at or below R by index; from_json"),
         lambda: past.states.get(AGENT, TIER, DEEP), as_of, few),
        (Row("at(R).get, view made anew", "the same"),
         lambda: store.at(made.middle).states.get(AGENT, TIER, DEEP), as_of, few),
        (Row("versions(limit=20) of 200", "one select over versions and commits; rows left as tuples"),
         lambda: history.versions(AGENT, TIER, DEEP, limit=20),
         lambda: db.execute(floors.VERSIONS, (AGENT, TIER, DEEP)).fetchall(), few),
    ]  # fmt: skip
    return [race(row, repeated(ours, n), repeated(raw, n), sizes.rounds) for row, ours, raw, n in raced]


def _opening(path: Any, sizes: Sizes) -> Row:
    def ours() -> None:
        Store(path, durability="normal").close()

    def raw() -> None:
        db = floors.connect(path)
        db.execute("select version_num from alembic_version").fetchall()
        db.close()

    row = Row("open and close a current file", "sqlite3.connect, the same pragmas, one select, close")
    return race(row, repeated(ours, 3), repeated(raw, 3), sizes.rounds)


def each(read: Callable[[str], Any], keys: int, sizes: Sizes) -> Contender:
    """Return a contender that reads random keys."""
    picks = Picks(keys, sizes.operations)

    def contender(turn: int) -> float:
        names = picks.names(turn)
        with Stopwatch() as watch:
            for name in names:
                read(name)
        return watch.per(len(names))

    return contender
