"""Retention: what time does to the store."""

from __future__ import annotations

from statedb.db import expiry
from statedb.db.tx import Tx
from statedb.values.arguments import natural


def sweep(tx: Tx, *, limit: int = 1000) -> int:
    """Record what has expired, at most `limit` keys, and return how many that were.

    Reading needs no sweep: what has expired is gone at once. The sweep makes expiry a change that the log and the feed
    show. Call it again until it returns 0.
    """
    return expiry.record(tx, natural(limit, "limit"))
