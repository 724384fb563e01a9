"""Durable readers of the feed: what each asks for, and how far it has acknowledged what it was given.

No commit tells of them: that somebody has read is no history. A row is written by who has the turn to write, so that of
two who acknowledge at the same time the further one stands; one that has ended is used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import bindparam, insert, select, update

from statedb.db.deeds import aside
from statedb.db.points import last_before
from statedb.db.statements import Statement
from statedb.db.tables import branches, feed_consumers
from statedb.db.tx import Tx
from statedb.errors import InvalidKey, InvalidValue, NoSuchRevision
from statedb.times import moment
from statedb.values.changefilter import ConsumerState, StateChangeFilter


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the table; microseconds. `pins_for` None: it keeps nothing from retention."""

    id: int
    name: str
    filter: str
    position: int
    pins_for: int | None
    created_at: int
    acknowledged_at: int
    ended_at: int | None

    @property
    def wanted(self) -> StateChangeFilter:
        """What it asks for."""
        return StateChangeFilter(**from_json(self.filter))


def find(tx: Tx, name: str) -> Standing | None:
    """Return a consumer of this branch that has not ended."""
    found = _row(tx, name)
    return None if found is None or found.ended_at is not None else found


def require(tx: Tx, name: str) -> Standing:
    """Return a consumer of this branch. Raises InvalidKey where there is none."""
    found = find(tx, name)
    if found is None:
        raise InvalidKey(f"there is no consumer {name!r:.80}; store.feed.consumer(name) makes one")
    return found


def make(tx: Tx, name: str, wanted: StateChangeFilter | None, position: int, pins_for: int | None) -> Standing:
    """Return a consumer of this branch, made if need be. InvalidValue where it asks for something else."""
    found = find(tx, name)
    if found is None:
        tx.connection.insist()
        made = to_json((wanted or StateChangeFilter()).as_json()).decode()
        before = _row(tx, name)
        number = tx.connection.new_id(feed_consumers) if before is None else before.id
        found = Standing(number, name, made, position, pins_for, tx.now, tx.now, None)
        _write(tx, found, _INSERT if before is None else _UPDATE)
    elif wanted is not None and wanted != found.wanted:
        raise InvalidValue(
            f"the consumer {name!r:.80} asks for {found.filter}; leave the filter out to go on with it, or delete it "
            "and make another"
        )
    return found


def acknowledge(tx: Tx, name: str, revision: int) -> int:
    """Note that everything up to a revision was dealt with; what was acknowledged before stays so."""
    if revision > tx.revision:
        raise NoSuchRevision(f"there is no revision {revision}: the store is at {tx.revision}")
    if require(tx, name).position >= revision:
        return require(tx, name).position
    tx.connection.insist()
    standing = require(tx, name)
    position = max(standing.position, revision)
    _write(tx, _changed(standing, position=position, acknowledged_at=tx.now), _UPDATE)
    return position


def end(tx: Tx, name: str) -> bool:
    """Forget a consumer; False where there is none."""
    if find(tx, name) is None:
        return False
    tx.connection.insist()
    _write(tx, _changed(require(tx, name), ended_at=tx.now), _UPDATE)
    return True


def every(tx: Tx) -> list[ConsumerState]:
    """Return the consumers of this branch, by name."""
    rows = [Standing(*row) for row in tx.db.all(_OF_BRANCH, {"branch": tx.branch})]
    return [
        ConsumerState(
            name=each.name,
            revision=each.position,
            lag=tx.revision - each.position,
            filter=each.wanted,
            created_at=moment(each.created_at),
            acknowledged_at=moment(each.acknowledged_at),
        )
        for each in rows
    ]


def pin(tx: Tx) -> int | None:
    """Return the revision after which nothing may be cut, since some consumer has not acknowledged it; None: none has.

    What is older than a consumer's limit is not kept for it.
    """
    pins = [
        max(position, last_before(tx, tx.now - pins_for, tx.revision)) for position, pins_for in tx.db.all(_PINNING, {})
    ]
    return min(pins, default=None)


# ---- inside


def _row(tx: Tx, name: str) -> Standing | None:
    row = tx.db.one(_FIND, {"branch": tx.branch, "name": name})
    return None if row is None else Standing(*row)


def _changed(standing: Standing, **changed: Any) -> Standing:
    return Standing(**{name: changed.get(name, getattr(standing, name)) for name in _COLUMNS})


def _write(tx: Tx, standing: Standing, statement: Statement) -> None:
    given = {name: getattr(standing, name) for name in _COLUMNS}
    values = {**given, "row": given.pop("id")} if statement is _UPDATE else {**given, "branch_id": tx.branch}
    aside(tx, lambda tx: tx.connection.run(statement, values))


_c, _b = feed_consumers.c, branches.c
_COLUMNS = ("id", "name", "filter", "position", "pins_for", "created_at", "acknowledged_at", "ended_at")
_rows = select(*(_c[name] for name in _COLUMNS)).where(_c.branch_id == bindparam("branch"))
_FIND = Statement(_rows.where(_c.name == bindparam("name")))
_OF_BRANCH = Statement(_rows.where(_c.ended_at.is_(None)).order_by(_c.name))
_PINNING = Statement(
    select(_c.position, _c.pins_for)
    .join_from(feed_consumers, branches, _b.id == _c.branch_id)
    .where(_c.ended_at.is_(None), _c.pins_for.is_not(None), _b.ended_revision.is_(None))
)
_INSERT = Statement(insert(feed_consumers).values({name: bindparam(name) for name in (*_COLUMNS, "branch_id")}))
_UPDATE = Statement(
    update(feed_consumers)
    .where(_c.id == bindparam("row"))
    .values({name: bindparam(name) for name in _COLUMNS if name not in ("id", "name")})
)
