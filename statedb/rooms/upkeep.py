"""Upkeep: what falls due with time, done at once, and when the next of it does."""

from __future__ import annotations

from datetime import datetime

from statedb.db import automatic, expiry, locks
from statedb.db.tx import Tx
from statedb.times import EARLIEST, maybe, micros, moment
from statedb.values.arguments import natural
from statedb.values.upkeep import Upkeep


def run(tx: Tx, *, limit: int = 1000, after: datetime | None = None) -> Upkeep:
    """Do what has fallen due by now on this branch, `limit` expiries and leases at most; again, until nothing is done.

    `after` leaves out what had ended by then, where that is known to be recorded.
    """
    most, since = natural(limit, "limit", 1), _micros(after)
    lapsed = locks.lapse(tx, most)
    expired = expiry.record(tx, most, after=since)
    made = len(automatic.run_due(tx))
    # Of checkpoints it is known from having looked: in the log those that are made here are not there yet.
    due = _first(expiry.next_end(tx, max(since, tx.now)), tx.due)
    return Upkeep(moment(tx.now), maybe(due), expired, lapsed, made)


def look(tx: Tx, *, after: datetime | None = None) -> Upkeep:
    """Tell when something falls due next on this branch, which may be past, and do nothing.

    `after` leaves out what had ended by then, where that is known to be recorded.
    """
    return Upkeep(moment(tx.now), maybe(_due(tx, _micros(after))))


def _due(tx: Tx, after: int) -> int | None:
    return _first(expiry.next_end(tx, after), automatic.next_due(tx))


def _first(*instants: int | None) -> int | None:
    return min((each for each in instants if each is not None), default=None)


def _micros(after: datetime | None) -> int:
    return EARLIEST if after is None else micros(after)
