"""The log as one reads on in it: what happened after a place, a page at a time.

    since ─▶ the edge: as many versions as a page holds, or commits of an agent ─▶ what they changed ─▶ filter ─▶ upto

Pages end with a commit. Each tells how far it has looked, so that a reader for whom there was nothing moves on too: he
does not look through the same commits again, and retention need not keep them for him.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, literal_column, select

from statedb.db import changes as log
from statedb.db import cuts
from statedb.db.lineage import Level, upto
from statedb.db.locks import changes as changes_of_locks
from statedb.db.statements import Statement
from statedb.db.tables import agent_states, agents, commit_agents, state_commits, state_versions, store_info
from statedb.db.tx import Tx
from statedb.errors import NoSuchRevision
from statedb.models import Change
from statedb.values.changefilter import StateChangeFilter
from statedb.values.cursor import Cursor, Page

_LEAST = 256
"""Versions a page looks at, at least, where most may be none of those asked for."""
_DENSE = 4
"""An agent's commits are read in one go where they are one in so many; otherwise one by one."""


def standing(tx: Tx) -> Cursor:
    """Return where the store stands, or stood at the point it shows."""
    row = tx.db.one(_INCARNATION, {})
    assert row is not None, "a store has a name"
    return Cursor(row[0], _newest(tx))


def page(tx: Tx, since: int, limit: int, wanted: StateChangeFilter) -> Page[Change]:
    """Return what happened after revision `since`, on this branch and before that on what it was made from.

    It ends with the commit with which `limit` changes are reached, or before: `more` tells whether there is more to
    look at. Raises NoSuchRevision for a place not reached yet, and Compacted where retention has cut what stood at
    `since`, or came after it.
    """
    newest = _newest(tx)
    if since > newest:
        raise NoSuchRevision(f"there is no revision {since}: the store is at {newest}")
    if since == newest:
        return Page([], newest, False, tx.now)
    _refuse_cut(tx, since, wanted)
    for level in reversed(list(upto(tx.line, newest))):
        if level.top > since:
            found = (_all if wanted.agent_id is None else _of_agent)(tx, level, since, limit, wanted)
            if wanted.of_locks:
                found = _with_locks(tx, found, since, limit, wanted)
            if found.found or found.more:
                return found._replace(more=found.upto < newest)
    return Page([], newest, False, tx.now)


def _newest(tx: Tx) -> int:
    return tx.point.revision if tx.point else tx.revision


def _refuse_cut(tx: Tx, since: int, wanted: StateChangeFilter) -> None:
    # As of `since`, though what comes is younger: what the first change of a key took the place of stood there.
    found = cuts.below(tx.db, tx.line, since, wanted.agent_id)
    cuts.settle((cut for cut in found if wanted.takes_key(*cut.at)), since, partial=False)


def _all(tx: Tx, level: Level, since: int, limit: int, wanted: StateChangeFilter) -> Page[Change]:
    # The revision with which the page is full, so that its whole commit is read and nothing beyond it.
    room = limit if wanted.is_plain else max(limit, _LEAST)
    given = {"branch": level.branch, "since": since, "top": level.top, "limit": room}
    if level.top == since + 1:  # who waits is woken by one commit, mostly
        count, edge = 1, level.top
    else:
        count, last = tx.db.one(_EDGE, given) or (0, 0)
        edge = level.top if count < room else int(last)
    taken = None if wanted.is_plain else wanted.takes
    found = log.between(tx, since + 1, edge, branch=level.branch, taken=taken) if count else []
    return _cut(Page(found, edge, count == room, tx.now), limit)


def _of_agent(tx: Tx, level: Level, since: int, limit: int, wanted: StateChangeFilter) -> Page[Change]:
    found: list[Change] = []
    given = {"agent": wanted.agent_id, "branch": level.branch, "top": level.top, "limit": max(limit, _LEAST)}
    revisions = [revision for (revision,) in tx.db.all(_REVISIONS_OF, {**given, "since": since})]
    more = len(revisions) == given["limit"]
    done, step = 0, 1
    while done < len(revisions) and len(found) < limit:
        # Of how many changes a commit of the agent consists is only known once it was read: so a few, then more.
        part = revisions[done : done + step]
        found += _of_revisions(tx, level, part, wanted)
        done, step = done + len(part), 2 * step
    if done < len(revisions) or more:
        return _cut(Page(found, revisions[done - 1], True, tx.now), limit)
    return _cut(Page(found, level.top, False, tx.now), limit)


def _of_revisions(tx: Tx, level: Level, revisions: list[int], wanted: StateChangeFilter) -> list[Change]:
    first, last = revisions[0], revisions[-1]
    dense = last - first < _DENSE * len(revisions)
    ranges = [(first, last)] if dense else [(revision, revision) for revision in revisions]
    return [change for pair in ranges for change in log.between(tx, *pair, branch=level.branch, taken=wanted.takes)]


def _with_locks(tx: Tx, page: Page[Any], since: int, limit: int, wanted: StateChangeFilter) -> Page[Any]:
    """Return a page with what happened to locks meanwhile, which are the branch's own, after the values of a commit."""
    locks = [
        change
        for change in changes_of_locks(tx, since + 1, page.upto, wanted.agent_id)
        if change.change in wanted.chosen and wanted.takes_key(change.agent_id, "", change.key)
    ]
    if not locks:
        return page
    merged = sorted([*page.found, *locks], key=lambda change: change.revision)
    return _cut(page._replace(found=merged), limit)


def _cut(page: Page[Any], limit: int) -> Page[Any]:
    """Return a page up to the commit with which its limit is reached."""
    found = page.found
    if len(found) <= limit or found[limit - 1].revision == found[-1].revision:
        return page
    edge = found[limit - 1].revision
    return Page([change for change in found if change.revision <= edge], edge, True, page.at)


_v, _s, _a, _c, _ca, _i = (
    each.c for each in (state_versions, agent_states, agents, state_commits, commit_agents, store_info)
)
_INCARNATION = Statement(select(func.coalesce(_i.incarnation, _i.id)))
_of_branch_rows = (
    select(_v.revision)
    .join_from(state_versions, agent_states, _s.id == _v.state_id)
    .where(
        _v.revision > bindparam("since"),
        _v.revision <= bindparam("top"),
        _s.branch_id + literal_column("0") == bindparam("branch"),
    )
    .order_by(_v.revision)
)
_REVISIONS_OF = Statement(
    select(_ca.revision)
    .select_from(agents.join(commit_agents, _ca.agent_id == _a.id).join(state_commits, _c.revision == _ca.revision))
    .where(_c.branch_id == bindparam("branch"), _a.name == bindparam("agent"))
    .where(_ca.revision > bindparam("since"), _ca.revision <= bindparam("top"))
    .order_by(_ca.revision)
    .limit(bindparam("limit"))
)
_first = _of_branch_rows.limit(bindparam("limit")).subquery()
_EDGE = Statement(select(func.count(_first.c.revision), func.max(_first.c.revision)))
