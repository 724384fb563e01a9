"""Writing to a server, one caller at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.postgres import floors
from benchmarks.postgres.floors import Connection, Durability
from benchmarks.postgres.sample import Template
from benchmarks.postgres.server import Where
from benchmarks.rounds import Row, Sizes, race
from benchmarks.sample import AGENT, TIER
from benchmarks.writes import each, tens
from statedb import Store

Race = Callable[[Store, Connection, Row, Template, Sizes], Row]

PLAIN = "begin, lock, select of the newest revision, select of the head for update, four rows, commit: nine journeys"
TENFOLD = "a commit, then for each key a select of the head for update, its new head and its version"
PIPELINED = (
    "the same by psycopg's pipeline: two journeys, one that reads under the lock and one that writes and commits"
)


def rows(made: Template, sizes: Sizes) -> list[Row]:
    """Measure and return the rows, each on two equal databases, one for each contender."""
    plain, pipelined = _set(floors.write), _set(floors.write_pipelined)
    measured: list[tuple[Row, Where, Durability, Race]] = [
        (Row("set, full, apart", PLAIN, 1.5), "apart", "full", plain),
        (Row("set, normal, apart", PLAIN, 1.5), "apart", "normal", plain),
        (Row("set, full, on one core", PLAIN, 1.5), "on one core", "full", plain),
        (Row("set, normal, on one core", PLAIN, 1.5), "on one core", "normal", plain),
        (Row("set, full, floor pipelined", PIPELINED), "apart", "full", pipelined),
        (Row("set, normal, floor pipelined", PIPELINED), "apart", "normal", pipelined),
        (Row("update, normal", "the same as set's with from_json on the old value"), "apart", "normal", _update),
        (Row("transaction of 10 sets, normal", f"one transaction: {TENFOLD}"), "apart", "normal", _transaction),
    ]
    return [_on_equals(*each, made, sizes) for each in measured]


def _on_equals(row: Row, where: Where, durability: Durability, run: Race, made: Template, sizes: Sizes) -> Row:
    ours, theirs = made.copy(), made.copy()
    with (
        made.server.placed(where),
        floors.connect(theirs, durability) as db,
        Store(ours, durability=durability) as store,
    ):
        run(store, db, row, made, sizes)
    assert floors.rows_of(ours) == floors.rows_of(theirs), "the contenders wrote different rows"
    return row


def _set(floor: Callable[[Connection, str, str, str, Any], object]) -> Race:
    def run(store: Store, db: Connection, row: Row, made: Template, sizes: Sizes) -> Row:
        set_ = store.states.set
        return race(
            row,
            each(lambda key, value: set_(AGENT, TIER, key, value), made.keys, sizes),
            each(lambda key, value: floor(db, AGENT, TIER, key, value), made.keys, sizes),
            sizes.rounds,
        )

    return run


def _update(store: Store, db: Connection, row: Row, made: Template, sizes: Sizes) -> Row:
    update = store.states.update

    def turned(old: Any) -> Any:
        return old | {"turn": old["turn"] + 1}

    return race(
        row,
        each(lambda key, _: update(AGENT, TIER, key, turned), made.keys, sizes),
        each(lambda key, _: floors.write(db, AGENT, TIER, key, turned), made.keys, sizes),
        sizes.rounds,
    )


def _transaction(store: Store, db: Connection, row: Row, made: Template, sizes: Sizes) -> Row:
    def ours(batch: list[floors.Write]) -> None:
        with store.transaction() as tx:
            for key, value in batch:
                tx.states.set(AGENT, TIER, key, value)

    return race(
        row,
        tens(ours, made.keys, sizes),
        tens(lambda batch: floors.write_one_commit(db, AGENT, TIER, batch), made.keys, sizes),
        sizes.rounds,
    )
