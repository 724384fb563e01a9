"""Retention: what time does to the store."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from statedb.db import journal, locks
from statedb.db.statements import Statement
from statedb.db.tables import agent_states, agents, sessions
from statedb.db.tx import Tx
from statedb.models import Address
from statedb.values.arguments import natural


def sweep(tx: Tx, *, limit: int = 1000) -> int:
    """Record what has expired, at most `limit` keys and leases on locks, and return how many that were.

    Reading needs no sweep: what has expired is gone at once. The sweep makes expiry a change that the log and the feed
    show. Call it again until it returns 0.
    """
    recorded = locks.lapse(tx, natural(limit, "limit"))
    for at in _expired(tx, limit - recorded):
        head = tx.head(at)
        if head is not None and head.codec is not None and not tx.alive(head):
            journal.expire(tx, at, head)
            recorded += 1
    return recorded


def _expired(tx: Tx, limit: int) -> list[Address]:
    given = {"now": tx.now, "branch": tx.branch, "limit": limit}
    keys = [Address(*row) for row in tx.db.all(_KEYS, given)]
    if len(keys) < limit:
        keys += [Address(*row) for row in tx.db.all(_SESSION_KEYS, {**given, "limit": limit - len(keys)})]
    return keys


_s, _a, _w = agent_states.c, agents.c, sessions.c

_KEYS = Statement(
    select(_a.name, _s.state_type, _s.state_key)
    .select_from(agent_states.join(agents, _a.id == _s.agent_id))
    .where(_s.expires_at <= bindparam("now"), _s.codec.is_not(None), _s.branch_id == bindparam("branch"))
    .order_by(_s.expires_at)
    .limit(bindparam("limit"))
)
_SESSION_KEYS = Statement(
    select(_a.name, _s.state_type, _s.state_key)
    .select_from(
        sessions.join(agent_states, _s.session_id == _w.id).join(agents, _a.id == _s.agent_id),
    )
    .where(_w.expires_at <= bindparam("now"), _s.codec.is_not(None), _s.branch_id == bindparam("branch"))
    .order_by(_w.expires_at)
    .limit(bindparam("limit"))
)
