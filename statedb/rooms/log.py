"""The log: commits, newest first, and what each changed."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Literal

from sqlalchemy import Select, bindparam, literal_column, select

from statedb.db import changes, cuts
from statedb.db.branches import head_of
from statedb.db.changes import COMMIT_COLUMNS
from statedb.db.entries import json_object
from statedb.db.lineage import Level, line_by_id, upto
from statedb.db.points import Named, span
from statedb.db.statements import Row, Statement
from statedb.db.tables import MAIN, agents, commit_agents, state_commits
from statedb.db.tables import branches as branch_rows
from statedb.db.tx import Tx
from statedb.errors import NoSuchRevision
from statedb.models import Change, Commit, Listing
from statedb.times import moment
from statedb.values.arguments import LARGEST, natural, natural_or_all, said
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
    branches: bool = False,
) -> Listing[Commit]:
    """Return commits of this branch, and of what it was made from, newest first: at most `limit`, below `before`.

    With `branches` they are those of every branch, ended ones too, in the order in which they were made.
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
    filters = agent_id is not None, by is not None
    rows = _found(tx, given, filters, branches=branches)
    if not rows:
        return Listing()
    line = _levels(rows) if branches else tx.line
    missing = cuts.settle(cuts.below(tx.db, line, rows[-1][0], agent_id), rows[-1][0], partial=partial)
    parents = _parents(tx, rows, has_gaps=any(filters))
    found = zip(rows, parents, strict=True)
    return Listing([_commit(tx, row, parent, agent_id, values) for row, parent in found], missing)


def commit(tx: Tx, revision: int, *, partial: bool = False) -> Commit:
    """Return one commit, of whatever branch, and all it changed. NoSuchRevision where there is none.

    Raises Compacted where retention has cut versions that young, unless `partial` is enough.
    """
    row = tx.db.one(_COMMIT, {"revision": natural(revision, "revision")})
    if row is None or (tx.point and revision > tx.point.revision):
        raise NoSuchRevision(f"there is no revision {revision}")
    [parent] = _parents(tx, [row], has_gaps=True)
    found = _commit(tx, row, parent, None, True)
    cuts.settle(cuts.below(tx.db, tx.line, revision), revision, partial=partial)
    return found


# ---- inside


def _found(tx: Tx, given: dict[str, Any], filters: tuple[bool, bool], *, branches: bool) -> list[Row]:
    if branches:
        return list(tx.db.all(_COMMITS[*filters, "any"], given))
    rows: list[Row] = []
    for branch, seen in upto(tx.line, given["top"]):
        within = given | {"branch": branch, "top": seen, "limit": given["limit"] - len(rows)}
        rows += tx.db.all(_COMMITS[*filters, "trunk" if branch == MAIN else "branch"], within)
    return rows


def _levels(rows: Sequence[Row]) -> tuple[Level, ...]:
    """Return the branches that commits belong to, each whole."""
    return tuple(Level(branch, LARGEST) for branch in dict.fromkeys(row[-1] for row in rows))


def _parents(tx: Tx, rows: Sequence[Row], *, has_gaps: bool) -> Iterator[int | None]:
    """Yield the commit that each was made on; it is looked up where it is not among them, or need not be (gaps)."""
    lines = {level.branch: line_by_id(tx.db, level.branch) for level in _levels(rows)}
    known: dict[int, list[int]] = defaultdict(list)
    for row in () if has_gaps else reversed(rows):
        known[row[-1]].append(row[0])
    for revision, *_, branch in rows:
        line = tuple(upto(lines[branch], revision - 1))
        among = (known[level.branch][: bisect_right(known[level.branch], level.top)][-1:] for level in line)
        yield next((found[0] for found in among if found), None) or head_of(tx, line) or None


def _commit(tx: Tx, row: Row, parent: int | None, agent_id: str | None, values: bool) -> Commit:
    revision, kind, at, origin_at, actor, message, context, branch, merged, _ = row
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
        parent=parent,
    )


def _of(found: Iterable[Change], agent_id: str | None) -> Iterable[Change]:
    return (each for each in found if agent_id is None or each.agent_id == agent_id)


_c, _a, _ca = state_commits.c, agents.c, commit_agents.c


_named = state_commits.join(branch_rows, branch_rows.c.id == _c.branch_id)
_COLUMNS = (*COMMIT_COLUMNS, _c.branch_id)
_Which = Literal["trunk", "branch", "any"]
_WHICH: tuple[_Which, ...] = ("trunk", "branch", "any")


def _listed(of_agent: bool, by_actor: bool, which: _Which) -> Statement:
    found: Select[*tuple[Any, ...]] = select(*_COLUMNS)
    column = _c.revision
    joined: Any = _named
    if of_agent:
        column = _ca.revision
        joined = agents.join(commit_agents, _ca.agent_id == _a.id).join(_named, _c.revision == _ca.revision)
        found = found.where(_a.name == bindparam("agent"))
    found = found.select_from(joined)
    if which != "any":
        found = found.where(_c.branch_id == bindparam("branch"))
    if which == "branch":
        found = found.where(_c.branch_id > literal_column(str(MAIN)))
    if by_actor:
        found = found.where(_c.actor == bindparam("by"))
    within = found.where(column > bindparam("since"), column <= bindparam("top"))
    return Statement(within.order_by(column.desc()).limit(bindparam("limit")))


_COMMITS = {each: _listed(*each) for each in product((False, True), (False, True), _WHICH)}
_COMMIT = Statement(select(*_COLUMNS).select_from(_named).where(_c.revision == bindparam("revision")))
