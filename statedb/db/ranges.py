"""The keys of a range: as the database has them, and over that what the transaction has changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from statedb.db import heads
from statedb.db.heads import Head
from statedb.db.inherited import adopted
from statedb.db.lineage import Level, upto
from statedb.db.statements import Row, Statement
from statedb.models import Address

if TYPE_CHECKING:
    from statedb.db.tx import Tx


class Range(NamedTuple):
    """Keys of one tier, from `low` up to but not including `high`."""

    agent_id: str
    state_type: str
    low: str
    high: str

    def holds(self, at: Address) -> bool:
        """Tell whether a key is among them."""
        return at[:2] == self[:2] and self.low <= at.key < self.high


def members(tx: Tx, within: Range) -> list[Head]:
    """Return the keys of a range that have a value or had one until it expired, in order."""
    found = [tx.seen(within.agent_id, within.state_type, head) for head in _stored(tx, within)]
    overlay = _overlay(tx, within)
    if not overlay:
        return found
    merged = {head.key: head for head in found} | overlay
    return [merged[key] for key in sorted(merged) if merged[key].codec is not None]


def names(tx: Tx, within: Range) -> list[str]:
    """Return the names of the keys with a value in a range of the trunk, in order, by a transaction that only reads."""
    statement = heads.PRESENT_NAMES if tx.point is None else heads.PAST_NAMES
    rows = _rows(tx, statement, within)
    return [key for key, expires_at, newest in rows if expires_at is None or expires_at > tx.moment(newest)]


def _stored(tx: Tx, within: Range) -> list[Head]:
    if tx.footprint is not None:
        tx.footprint.wider.add(within)
    if tx.ancestors:
        return _of_line(tx, within)
    if tx.point is None:
        return [Head(*row) for row in _rows(tx, heads.PRESENT_RANGE, within)]
    return tx.contents.heads(_rows(tx, heads.PAST_RANGE, within))


def _of_line(tx: Tx, within: Range) -> list[Head]:
    """Return the keys of a range from the nearest level that has them; a tombstone hides what lies beneath it."""
    found: dict[str, Head] = {}
    revision = None if tx.point is None else tx.point.revision
    levels = tx.ancestors if revision is None else tuple(upto(tx.line, revision))
    for level in reversed(levels):
        there = tx.contents.heads(_rows(tx, heads.PAST_ALL, within, level))
        if level.branch != tx.branch:
            there = [adopted(tx, within.agent_id, within.state_type, each, revision) for each in there]
        found.update((each.key, each) for each in there)
    if revision is None:
        found.update((row[0], Head(*row)) for row in _rows(tx, heads.PRESENT_ALL, within))
    return [found[key] for key in sorted(found) if found[key].codec is not None]


def _rows(tx: Tx, statement: Statement, within: Range, level: Level | None = None) -> list[Row]:
    given: dict[str, Any] = {
        "agent": within.agent_id,
        "branch": tx.branch if level is None else level.branch,
        "state_type": within.state_type,
        "low": within.low,
        "high": within.high,
    }
    if level is not None:
        given["revision"] = level.top
    elif tx.point is not None:
        given["revision"] = tx.point.revision
    # What is kept back of the branch's own is laid over this; of those beneath it has to be in the database.
    read = tx.connection.all if tx.earlier is None or level is not None else tx.connection.beneath
    return read(statement, given)


def _overlay(tx: Tx, within: Range) -> dict[str, Head]:
    """Return the keys of a range that this transaction, or one before it, has changed."""

    def mine(changed: Iterable[tuple[Address, Head]]) -> dict[str, Head]:
        return {at.key: head for at, head in changed if within.holds(at)}

    found = {} if tx.earlier is None else mine(tx.earlier.on(tx.branch).heads.items())
    found = {key: head.copy() for key, head in found.items()}
    found |= mine((at, expired) for at, (_, expired) in tx.expired.items())
    found |= mine((at, staged.head) for at, staged in tx.staged.items())
    # A tombstone is left as it will be written: a session that has begun since has no part in what expired before it.
    return {key: head if head.codec is None else tx.seen(*within[:2], head) for key, head in found.items()}
