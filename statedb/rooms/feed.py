"""The feed: every change of the store, in the order it happened."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from statedb.db import changes as log
from statedb.db import cuts
from statedb.db.statements import Statement
from statedb.db.tables import agents, commit_agents, state_versions
from statedb.db.tx import Tx
from statedb.models import Change
from statedb.values.arguments import LARGEST, natural
from statedb.values.names import name


def changes(tx: Tx, since: int = 0, limit: int = 100, *, agent_id: str | None = None) -> list[Change]:
    """Return what happened after revision `since`, oldest first, in whole commits.

    A commit is never split: reading stops at the first one with which `limit` changes are reached. Pass the revision of
    the last change to go on; an empty list means that nothing has happened since. Raises Compacted where retention has
    cut versions younger than `since`: a gap is never silent. An erased value reads UNAVAILABLE.
    """
    since, limit = natural(since, "since"), natural(limit, "limit", 1)
    of = None if agent_id is None else name(agent_id, "agent_id")
    cuts.settle(cuts.below(tx.db, tx.line, since + 1, of), since + 1, partial=False)
    top = tx.point.revision if tx.point else LARGEST
    return _all(tx, since, top, limit) if of is None else _of_agent(tx, of, since, top, limit)


def _all(tx: Tx, since: int, top: int, limit: int) -> list[Change]:
    # The revision with which `limit` rows are reached, so that its whole commit is read and nothing beyond it.
    row = tx.db.one(_EDGE, {"since": since, "top": top, "limit": limit})
    return [] if row is None or row[0] is None else log.between(tx, since + 1, row[0])


def _of_agent(tx: Tx, agent_id: str, since: int, top: int, limit: int) -> list[Change]:
    found: list[Change] = []
    # In pages, since a commit that only moved an expiry is among the agent's and has no change to show.
    while page := tx.db.all(_REVISIONS_OF, {"agent": agent_id, "since": since, "top": top, "limit": limit}):
        for (since,) in page:
            found += [change for change in log.between(tx, since, since) if change.agent_id == agent_id]
            if len(found) >= limit:
                return found
    return found


_v, _a, _ca = state_versions.c, agents.c, commit_agents.c
_next = (
    select(_v.revision)
    .where(_v.revision > bindparam("since"), _v.revision <= bindparam("top"))
    .order_by(_v.revision)
    .limit(bindparam("limit"))
    .subquery()
)
_EDGE = Statement(select(func.max(_next.c.revision)))
_REVISIONS_OF = Statement(
    select(_ca.revision)
    .select_from(agents.join(commit_agents, _ca.agent_id == _a.id))
    .where(_a.name == bindparam("agent"), _ca.revision > bindparam("since"), _ca.revision <= bindparam("top"))
    .order_by(_ca.revision)
    .limit(bindparam("limit"))
)
