"""The feed: every change of the store, in the order it happened."""

from __future__ import annotations

from sqlalchemy import bindparam, func, literal_column, select

from statedb.db import changes as log
from statedb.db import cuts
from statedb.db.lineage import Level, upto
from statedb.db.statements import Statement
from statedb.db.tables import agent_states, agents, commit_agents, state_commits, state_versions
from statedb.db.tx import Tx
from statedb.models import Change
from statedb.values.arguments import LARGEST, natural
from statedb.values.names import name


def changes(tx: Tx, since: int = 0, limit: int = 100, *, agent_id: str | None = None) -> list[Change]:
    """Return what happened after revision `since`, on this branch and before that on what it was made from.

    Oldest first, in whole commits: one is never split, and reading stops at the first with which `limit` changes are
    reached. Pass the revision of the last change to go on; an empty list means that nothing has happened since. Raises
    Compacted where retention has cut versions younger than `since`: a gap is never silent. An erased value reads
    UNAVAILABLE.
    """
    since, limit = natural(since, "since"), natural(limit, "limit", 1)
    of = None if agent_id is None else name(agent_id, "agent_id")
    cuts.settle(cuts.below(tx.db, tx.line, since + 1, of), since + 1, partial=False)
    top = tx.point.revision if tx.point else LARGEST
    found: list[Change] = []
    for level in reversed(list(upto(tx.line, top))):
        if len(found) < limit:
            left = limit - len(found)
            found += _all(tx, level, since, left) if of is None else _of_agent(tx, of, level, since, left)
    return found


def _all(tx: Tx, level: Level, since: int, limit: int) -> list[Change]:
    # The revision with which `limit` rows are reached, so that its whole commit is read and nothing beyond it.
    row = tx.db.one(_EDGE, {"branch": level.branch, "since": since, "top": level.top, "limit": limit})
    return [] if row is None or row[0] is None else log.between(tx, since + 1, row[0], branch=level.branch)


def _of_agent(tx: Tx, agent_id: str, level: Level, since: int, limit: int) -> list[Change]:
    found: list[Change] = []
    given = {"agent": agent_id, "branch": level.branch, "top": level.top, "limit": limit}
    # In pages, since a commit that only moved an expiry is among the agent's and has no change to show.
    while page := tx.db.all(_REVISIONS_OF, {**given, "since": since}):
        for (since,) in page:
            found += [change for change in log.between(tx, since, since) if change.agent_id == agent_id]
            if len(found) >= limit:
                return found
    return found


_v, _s, _a, _c, _ca = state_versions.c, agent_states.c, agents.c, state_commits.c, commit_agents.c
_next = (
    select(_v.revision)
    .join_from(state_versions, agent_states, _s.id == _v.state_id)
    .where(
        _v.revision > bindparam("since"),
        _v.revision <= bindparam("top"),
        _s.branch_id + literal_column("0") == bindparam("branch"),
    )
    .order_by(_v.revision)
    .limit(bindparam("limit"))
    .subquery()
)
_EDGE = Statement(select(func.max(_next.c.revision)))
_REVISIONS_OF = Statement(
    select(_ca.revision)
    .select_from(agents.join(commit_agents, _ca.agent_id == _a.id).join(state_commits, _c.revision == _ca.revision))
    .where(_c.branch_id == bindparam("branch"))
    .where(_a.name == bindparam("agent"), _ca.revision > bindparam("since"), _ca.revision <= bindparam("top"))
    .order_by(_ca.revision)
    .limit(bindparam("limit"))
)
