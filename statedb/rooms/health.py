"""Health: whether the store is what it says, and how much it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, or_, select

from statedb.db import verify
from statedb.db.heads import expires
from statedb.db.points import newest_point
from statedb.db.statements import Row, Statement
from statedb.db.tables import agent_states, agents, sessions, state_commits, state_versions
from statedb.db.tx import Tx
from statedb.errors import InvalidValue
from statedb.models import CacheStats, Health, StateType, Stats
from statedb.times import maybe

CHECKS: tuple[Callable[[Tx, int], Iterator[str]], ...] = (
    verify.chain,
    verify.versions,
    verify.heads,
    verify.sessions,
    verify.agents_of_commits,
    verify.names,
)
"""What is compared, in order; each yields a line for whatever does not agree."""

_SHOWN = 100


def check(tx: Tx) -> Health:
    """Compare the store with itself, and return what does not agree.

    The file as the database sees it, the chain of hashes, every value against its digest, version numbers without a
    gap, every head and session against its history, times that never go back. Cost follows the whole history.
    """
    last = tx.db.newest().revision
    problems = list(tx.db.faults())
    if not problems:
        for compare in CHECKS:
            problems += compare(tx, last)
    return Health(tuple(problems[:_SHOWN]), last, verify.count(tx))


def stats(tx: Tx) -> Stats:
    """Return how much the store holds: keys with a value, versions of all times, bytes. Every version is counted.

    Raises InvalidValue for a store that shows the past: bytes are of the present alone.
    """
    if tx.point is not None:
        raise InvalidValue("this store shows the past, and how much there is can be asked of the present alone")
    now = newest_point(tx)
    given = {"branch": tx.branch, "now": now.instant}
    versions = tx.db.all(_VERSIONS, given)
    [[agents_there, sessions_there, oldest, newest]] = tx.db.all(_STORE, given)
    return Stats(
        revision=now.revision,
        agents=agents_there,
        sessions=sessions_there,
        keys=_by_tier(tx.db.all(_KEYS, given)),
        versions=_by_tier((tier, count) for tier, count, _ in versions),
        value_bytes=sum(int(size) for _, _, size in versions),  # a server may sum integers up to a decimal
        size=tx.db.size(),
        oldest=maybe(oldest),
        newest=maybe(newest),
        cache=CacheStats() if tx.cache is None else tx.cache.stats(),
    )


def _by_tier(rows: Iterable[Row]) -> dict[StateType, int]:
    found = {str(tier): count for tier, count in rows}
    return {tier: found.get(tier.value, 0) for tier in StateType}


_s, _v, _w, _c, _a = agent_states.c, state_versions.c, sessions.c, state_commits.c, agents.c


def _made(revision: ColumnElement[int]) -> ScalarSelect[int]:
    """Return the time of the commit at an end of the log; of times themselves there is no index."""
    return select(_c.at).where(_c.revision == select(revision).scalar_subquery()).scalar_subquery()


_alive = (_w.expires_at.is_(None), _w.expires_at > bindparam("now"))
_KEYS = Statement(
    select(_s.state_type, func.count())
    .select_from(agent_states.outerjoin(sessions, _w.id == _s.session_id))
    .where(
        _s.codec.is_not(None),
        _s.branch_id == bindparam("branch"),
        or_(expires.is_(None), expires > bindparam("now")),
    )
    .group_by(_s.state_type)
)
_VERSIONS = Statement(
    select(_s.state_type, func.count(), func.sum(_v.size))
    .select_from(state_versions.join(agent_states, _s.id == _v.state_id))
    .where(_s.branch_id == bindparam("branch"))
    .group_by(_s.state_type)
)
_STORE = Statement(
    select(
        select(func.count()).select_from(agents).scalar_subquery(),
        select(func.count()).select_from(sessions).where(or_(*_alive)).scalar_subquery(),
        _made(func.min(_c.revision)),
        _made(func.max(_c.revision)),
    )
)
