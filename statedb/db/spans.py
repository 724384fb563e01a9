"""Two sides that are compared, each a branch at a point: which keys may differ, and what each side has of them.

main  ──●──────────●──            what differs between lab and main lies in the commits that one of them sees
        └─ lab ────●              and the other does not: a span of each branch
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, cast, literal_column, select, union

from statedb.db.context import Point
from statedb.db.heads import Head, past_of
from statedb.db.inherited import session
from statedb.db.lineage import Line, upto
from statedb.db.pairs import select_names
from statedb.db.sessions import Session, SessionName, session_name
from statedb.db.statements import Row, Statement
from statedb.db.tables import (
    MAIN,
    agent_states,
    agents,
    session_touches,
    sessions,
    state_commits,
    state_touches,
    state_versions,
)
from statedb.db.tx import Tx
from statedb.models import Address, StateType


class Side(NamedTuple):
    """A branch at a point."""

    line: Line
    point: Point


class Seen(NamedTuple):
    """A key as of a point, and how its newest version came to be. `visible`: it has a value that has not expired."""

    head: Head
    change: str
    by: str | None
    visible: bool

    @property
    def expired(self) -> bool:
        """Whether its time had passed, noted in a version or not."""
        return self.change == "expire" or (not self.visible and self.head.codec is not None)


class Span(NamedTuple):
    """Commits of one branch: those after revision `low`, up to `high`."""

    branch: int
    low: int
    high: int


def spans(first: Side, second: Side) -> list[Span]:
    """Return what each branch has that one side sees; empty for those of which both see the same."""
    a, b = (dict(upto(side.line, side.point.revision)) for side in (first, second))
    found = [(branch, a.get(branch, 0), b.get(branch, 0)) for branch in sorted({**a, **b})]
    return [Span(branch, min(low, high), max(low, high)) for branch, low, high in found]


def candidates(tx: Tx, within: Iterable[Span], instants: tuple[int, int], agent_id: str | None = None) -> list[Address]:
    """Return the keys that may differ for what was committed in some spans, and for what expired between instants."""
    found: set[Address] = set()
    clocks: set[SessionName] = set()
    since, until = sorted(instants)
    for branch, low, high in within:
        given = {"branch": branch, "low": low, "high": high, "since": since, "until": until}
        if low < high:
            found.update(Address(*row) for row in tx.db.all(_CHANGED[branch == MAIN], given))
            clocks.update(SessionName(*row) for row in tx.db.all(_CLOCKED[branch == MAIN], given))
        if since < until:
            found.update(Address(*row) for row in tx.db.all(_EXPIRED, given))
            clocks.update(SessionName(*row) for row in tx.db.all(_CLOCKS_ENDED, given))
    for clock in clocks:
        members = {"agent": clock.agent_id, "low": clock.low, "high": clock.high}
        found.update(Address(clock.agent_id, StateType.SESSION, key) for (key,) in tx.db.all(_MEMBERS, members))
    return sorted(at for at in found if agent_id is None or at.agent_id == agent_id)


def standing(tx: Tx, side: Side, wanted: list[Address]) -> dict[Address, Seen]:
    """Return what a side has of some keys, each from the nearest level that has it; without those it never had."""
    found: dict[Address, Seen] = {}
    if not wanted:
        return found
    for branch, top in reversed(list(upto(side.line, side.point.revision))):
        told = to_json([(*at, branch) for at in wanted]).decode()
        rows = tx.db.all(_STANDING, {"wanted": told, "branch": branch, "revision": top})
        heads = tx.contents.heads([row[4:] for row in rows])
        found.update(seen_at(side.point, row, head) for row, head in zip(rows, heads, strict=True))
    return _clocked(tx, side, found) if len(side.line) > 1 else found


def seen_at(point: Point, row: Row, head: Head) -> tuple[Address, Seen]:
    """Return a row of `past_of` as a key and what it shows at a point."""
    agent, state_type, change, by = row[:4]
    return Address(agent, state_type, head.key), Seen(head, change, by, _is_visible(head, point))


def _is_visible(head: Head, point: Point) -> bool:
    return head.codec is not None and (head.expires_at is None or head.expires_at > point.instant)


def _clocked(tx: Tx, side: Side, found: dict[Address, Seen]) -> dict[Address, Seen]:
    """Give the keys of sessions the clock that the side has for each session, which may be nearer than the key."""
    levels = list(upto(side.line, side.point.revision))
    clocks: dict[SessionName, Session | None] = {}
    for at, seen in found.items():
        name = session_name(at.agent_id, at.key) if at.state_type == StateType.SESSION else None
        if name is None:
            continue
        if name not in clocks:
            clocks[name] = session(tx, name, levels)
        if (clock := clocks[name]) is not None:
            seen.head.ttl, seen.head.expires_at = clock.ttl, clock.expires_at
            found[at] = seen._replace(visible=_is_visible(seen.head, side.point))
    return found


# ---- statements

_v, _t, _st, _c = state_versions.c, state_touches.c, session_touches.c, state_commits.c
_s, _a, _w = agent_states.c, agents.c, sessions.c


def _of_branch(trunk: bool) -> Select[Any]:
    """Return the select of the commits in a span; those of a branch have an index of their own."""
    rows = select(_c.revision).where(_c.revision > bindparam("low"), _c.revision <= bindparam("high"))
    rows = rows.where(_c.branch_id == bindparam("branch"))
    return rows if trunk else rows.where(_c.branch_id > literal_column(str(MAIN)))


def _changed(trunk: bool) -> Statement:
    commits = _of_branch(trunk)
    ids = union(
        select(_v.state_id).where(_v.revision.in_(commits)), select(_t.state_id).where(_t.revision.in_(commits))
    )
    named = select(_a.name, _s.state_type, _s.state_key).join_from(agent_states, agents, _a.id == _s.agent_id)
    return Statement(named.where(_s.id.in_(ids)))


def _clocked_in(trunk: bool) -> Statement:
    moved = select(_st.session_id).where(_st.revision.in_(_of_branch(trunk)))
    return Statement(select(_a.name, _w.name).join_from(sessions, agents, _a.id == _w.agent_id).where(_w.id.in_(moved)))


def _ending(column: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(column > bindparam("since"), column <= bindparam("until"))


_CHANGED = {trunk: _changed(trunk) for trunk in (False, True)}
_CLOCKED = {trunk: _clocked_in(trunk) for trunk in (False, True)}
_ended = union(
    select(_v.state_id).where(_ending(_v.expires_at)),
    select(_t.state_id).where(_ending(_t.expires_at)),
)
_EXPIRED = Statement(
    select(_a.name, _s.state_type, _s.state_key)
    .join_from(agent_states, agents, _a.id == _s.agent_id)
    .where(_s.id.in_(_ended), _s.branch_id + literal_column("0") == bindparam("branch"))
)
_CLOCKS_ENDED = Statement(
    select(_a.name, _w.name)
    .join_from(sessions, agents, _a.id == _w.agent_id)
    .where(
        _w.id.in_(select(_st.session_id).where(_ending(_st.expires_at))),
        _w.branch_id + literal_column("0") == bindparam("branch"),
    )
)
_MEMBERS = Statement(
    select(_s.state_key)
    .distinct()
    .join_from(agent_states, agents, _a.id == _s.agent_id)
    .where(
        _a.name == bindparam("agent"),
        _s.state_type == StateType.SESSION.value,
        _s.state_key >= bindparam("low"),
        _s.state_key < bindparam("high"),
    )
)
# The branch stands in each row: were it a parameter of its own, SQLite would begin with all keys of the branch and look
# through the wanted ones for each of them, which took a merge of ten keys in a store of 100,000 four seconds.
_wanted = select_names("wanted", "agent", "state_type", "state_key", "branch").subquery()
_STANDING = Statement(
    past_of(
        select(_s.id).select_from(
            _wanted.join(agents, _a.name == _wanted.c.agent).join(
                agent_states,
                and_(
                    _s.branch_id == cast(_wanted.c.branch, BigInteger),
                    _s.agent_id == _a.id,
                    _s.state_type == _wanted.c.state_type,
                    _s.state_key == _wanted.c.state_key,
                ),
            )
        )
    )
)
