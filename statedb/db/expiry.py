"""What has expired and is not recorded as that yet, and what will expire next.

Reading needs none of it: what has expired is gone at once. A recorded expiry is a version, which the feed shows.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, literal_column, select

from statedb.db import journal
from statedb.db.statements import Statement
from statedb.db.tables import agent_states, agents, sessions, state_locks
from statedb.db.tx import Tx
from statedb.models import Address
from statedb.times import EARLIEST


def record(tx: Tx, limit: int, *, after: int = EARLIEST) -> int:
    """Stage the expiry of at most `limit` keys whose time has passed, after an instant, and return how many."""
    recorded = 0
    for at in _expired(tx, limit, after):
        head = tx.head(at)
        if head is not None and head.codec is not None and not tx.alive(head):
            journal.expire(tx, at, head)
            recorded += 1
    return recorded


def next_end(tx: Tx, after: int) -> int | None:
    """Return when the first key, session or lease ends of those that end after an instant, in microseconds."""
    given = {"after": after, "branch": tx.branch}
    ends = [row[0] for statement in (_NEXT_KEY, _NEXT_SESSION, _NEXT_LEASE) for row in tx.db.all(statement, given)]
    return min((end for end in ends if end is not None), default=None)


def _expired(tx: Tx, limit: int, after: int) -> list[Address]:
    given = {"now": tx.now, "after": after, "branch": tx.branch, "limit": limit}
    keys = [Address(*row) for row in tx.db.all(_KEYS, given)]
    if len(keys) < limit:
        keys += [Address(*row) for row in tx.db.all(_SESSION_KEYS, {**given, "limit": limit - len(keys)})]
    return keys


_s, _a, _w = agent_states.c, agents.c, sessions.c


def _passed(column: Any) -> list[ColumnElement[bool]]:
    return [column <= bindparam("now"), column > bindparam("after")]


_KEYS = Statement(
    select(_a.name, _s.state_type, _s.state_key)
    .select_from(agent_states.join(agents, _a.id == _s.agent_id))
    .where(*_passed(_s.expires_at), _s.codec.is_not(None), _s.branch_id == bindparam("branch"))
    .order_by(_s.expires_at)
    .limit(bindparam("limit"))
)
_SESSION_KEYS = Statement(
    select(_a.name, _s.state_type, _s.state_key)
    .select_from(
        sessions.join(agent_states, _s.session_id == _w.id).join(agents, _a.id == _s.agent_id),
    )
    .where(*_passed(_w.expires_at), _s.codec.is_not(None), _s.branch_id == bindparam("branch"))
    .order_by(_w.expires_at)
    .limit(bindparam("limit"))
)
# The sum keeps SQLite from the index that begins with the branch, which holds every key and no order of time.
_NEXT_KEY = Statement(
    select(func.min(_s.expires_at)).where(
        _s.expires_at > bindparam("after"), _s.branch_id + literal_column("0") == bindparam("branch")
    )
)
_holds = exists().where(_s.session_id == _w.id, _s.codec.is_not(None))
_NEXT_SESSION = Statement(
    select(_w.expires_at)
    .where(_w.expires_at > bindparam("after"), _w.branch_id + literal_column("0") == bindparam("branch"), _holds)
    .order_by(_w.expires_at)
    .limit(literal_column("1"))
)
_k = state_locks.c
_NEXT_LEASE = Statement(
    select(func.min(_k.expires_at)).where(
        _k.expires_at > bindparam("after"), _k.ended_revision.is_(None), _k.fence.is_not(None)
    )
)
