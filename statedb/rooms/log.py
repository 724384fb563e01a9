"""The log: commits, newest first, and what each changed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from sqlalchemy import Select, bindparam, literal_column, select

from statedb.db import changes, cuts
from statedb.db.changes import COMMIT_COLUMNS
from statedb.db.entries import json_object
from statedb.db.lineage import upto
from statedb.db.points import Named, span
from statedb.db.statements import Row, Statement
from statedb.db.tables import MAIN, agents, branches, commit_agents, state_commits
from statedb.db.tx import Tx
from statedb.errors import NoSuchRevision
from statedb.models import Change, Commit, Listing
from statedb.times import moment
from statedb.values.arguments import natural, natural_or_all, said
from statedb.values.names import name


def commits(
    tx: Tx,
    *,
    agent_id: str | None = None,
    limit: int | None = 50,
    before: int | None = None,
    by: str | None = None,
    since: Named | None = None,
    until: Named | None = None,
    values: bool = True,
    partial: bool = False,
) -> Listing[Commit]:
    """Return commits of this branch, and of what it was made from, newest first: at most `limit`, below `before`.

    `agent_id` picks those that changed one agent, `by` those of one actor, `since` and `until` those after one point
    and up to another. `values=False` leaves the values of their changes out (None), which spares reading them. Where
    retention has cut versions as young as these commits, raises Compacted, or with `partial` names the keys in
    `missing`.
    """
    of = None if agent_id is None else name(agent_id, "agent_id")
    after, top = span(tx, since, until, of)
    given: dict[str, Any] = {
        "since": after,
        "top": top if before is None else min(top, natural(before, "before") - 1),
        "limit": natural_or_all(limit, "limit"),
        "agent": of,
        "by": said(by, "by"),
    }
    rows: list[Row] = []
    for branch, seen in upto(tx.line, given["top"]):
        within = given | {"branch": branch, "top": seen, "limit": given["limit"] - len(rows)}
        rows += tx.db.all(_COMMITS[agent_id is not None, by is not None, branch == MAIN], within)
    if not rows:
        return Listing()
    missing = cuts.settle(cuts.below(tx.db, tx.line, rows[-1][0], agent_id), rows[-1][0], partial=partial)
    return Listing([_commit(tx, row, agent_id, values) for row in rows], missing)


def commit(tx: Tx, revision: int, *, partial: bool = False) -> Commit:
    """Return one commit, of whatever branch, and all it changed. NoSuchRevision where there is none.

    Raises Compacted where retention has cut versions that young, unless `partial` is enough.
    """
    row = tx.db.one(_COMMIT, {"revision": natural(revision, "revision")})
    if row is None or (tx.point and revision > tx.point.revision):
        raise NoSuchRevision(f"there is no revision {revision}")
    found = _commit(tx, row, None, True)
    cuts.settle(cuts.below(tx.db, tx.line, revision), revision, partial=partial)
    return found


# ---- inside


def _commit(tx: Tx, row: Row, agent_id: str | None, values: bool) -> Commit:
    revision, kind, at, origin_at, actor, message, context, branch, merged = row
    return Commit(
        revision=revision,
        kind=kind,
        at=moment(at),
        origin_at=moment(at if origin_at is None else origin_at),
        by=actor,
        message=message,
        context=json_object(context),
        changes=tuple(_of(changes.between(tx, revision, revision, values=values), agent_id)),
        branch=branch,
        merged=merged,
    )


def _of(found: Iterable[Change], agent_id: str | None) -> Iterable[Change]:
    return (each for each in found if agent_id is None or each.agent_id == agent_id)


_c, _a, _ca = state_commits.c, agents.c, commit_agents.c


_named = state_commits.join(branches, branches.c.id == _c.branch_id)


def _listed(of_agent: bool, by_actor: bool, of_trunk: bool) -> Statement:
    found: Select[*tuple[Any, ...]] = select(*COMMIT_COLUMNS)
    column = _c.revision
    joined: Any = _named
    if of_agent:
        column = _ca.revision
        joined = agents.join(commit_agents, _ca.agent_id == _a.id).join(_named, _c.revision == _ca.revision)
        found = found.where(_a.name == bindparam("agent"))
    found = found.select_from(joined).where(_c.branch_id == bindparam("branch"))
    if not of_trunk:
        found = found.where(_c.branch_id > literal_column(str(MAIN)))
    if by_actor:
        found = found.where(_c.actor == bindparam("by"))
    within = found.where(column > bindparam("since"), column <= bindparam("top"))
    return Statement(within.order_by(column.desc()).limit(bindparam("limit")))


_COMMITS = {each: _listed(*each) for each in product((False, True), repeat=3)}
_COMMIT = Statement(select(*COMMIT_COLUMNS).select_from(_named).where(_c.revision == bindparam("revision")))
