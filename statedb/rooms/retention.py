"""Retention: what time does to the store."""

from __future__ import annotations

from statedb.db import expiry, locks
from statedb.db.tx import Tx
from statedb.values.arguments import natural


def sweep(tx: Tx, *, limit: int = 1000) -> int:
    """Record what has expired, at most `limit` keys and leases on locks, and return how many that were.

    Reading needs no sweep: what has expired is gone at once. The sweep makes expiry a change that the log and the feed
    show. Call it again until it returns 0.
    """
    lapsed = locks.lapse(tx, natural(limit, "limit"))
    return lapsed + expiry.record(tx, limit - lapsed)
