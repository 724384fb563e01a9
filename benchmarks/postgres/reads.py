"""Reading from a server, one caller at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from pydantic_core import from_json

from benchmarks.postgres import floors
from benchmarks.postgres.floors import Connection
from benchmarks.postgres.sample import Template
from benchmarks.postgres.server import Where
from benchmarks.reads import each
from benchmarks.rounds import Row, Sizes, race, repeated
from benchmarks.sample import AGENT, DEEP, LISTED, TIER
from statedb import Store


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows, all on one database."""
    url, plain, found = made.copy(), made.copy(by_hand=True), []
    for where in get_args(Where):
        with made.server.placed(where), floors.connect(plain) as db, Store(url, durability="normal") as store:
            found.append(_get(store, db, where, made, sizes))
            if where == "apart":
                found += [_entry(store, db, made, sizes), *_whole(store, db, made, sizes)]
    return found


def _get(store: Store, db: Connection, where: Where, made: Template, sizes: Sizes) -> Row:
    def raw(name: str) -> Any:
        return from_json(db.execute(floors.VALUE, (AGENT, TIER, name)).fetchall()[0][0])

    get = store.states.get
    assert get(AGENT, TIER, "task/000001") == raw("task/000001")
    what = "prepared select by agent name, tier and key; from_json on the text"
    ours = each(lambda name: get(AGENT, TIER, name), made.keys, sizes)
    return race(Row(f"get, {where}", what, 1.5), ours, each(raw, made.keys, sizes), sizes.rounds)


def _entry(store: Store, db: Connection, made: Template, sizes: Sizes) -> Row:
    def raw(name: str) -> Any:
        text, *rest = db.execute(floors.ENTRY, (AGENT, TIER, name)).fetchall()[0]
        return from_json(text), rest

    entry = store.states.entry
    row = Row("entry", "select of the entry's columns; from_json, the rest as the row has it")
    ours = each(lambda name: entry(AGENT, TIER, name), made.keys, sizes)
    return race(row, ours, each(raw, made.keys, sizes), sizes.rounds)


def _whole(store: Store, db: Connection, made: Template, sizes: Sizes) -> list[Row]:
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
