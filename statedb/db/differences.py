"""What differs between two points: the keys that hold something else at the second than at the first.

Looked at are the keys with a version between the two revisions, and those with an expiry between the two instants; so
the cost follows what changed, however many keys and versions there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, bindparam, select, union

from statedb.db import cuts
from statedb.db.context import Point
from statedb.db.entries import shown
from statedb.db.heads import Head, past_of
from statedb.db.spans import Seen, Side, candidates, seen_at, spans, standing
from statedb.db.statements import Statement
from statedb.db.tables import (
    agent_states,
    agents,
    commit_agents,
    session_touches,
    state_touches,
    state_versions,
)
from statedb.db.tx import Tx
from statedb.models import Address, ChangeKind, Difference, Listing, StateType
from statedb.times import moment
from statedb.values import codec


def listed(tx: Tx, first: Point, second: Point, agent_id: str | None, *, partial: bool) -> Listing[Difference]:
    """Return what differs between two points. Raises Compacted, or with `partial` names what cannot be told."""
    lower = min(first, second).revision
    missing = cuts.settle(cuts.below(tx.db, tx.line, lower, agent_id), lower, partial=partial)
    known = set(missing)
    found = between(tx, first, second, agent_id)
    return Listing([each for each in found if (each.agent_id, each.state_type, each.key) not in known], missing)


def between(tx: Tx, first: Point, second: Point, agent_id: str | None) -> Iterator[Difference]:
    """Yield the keys, of one agent or all, that differ from the first point to the second, in order of their names."""
    return _compared(*sides(tx, first, second, agent_id))


def across(tx: Tx, first: Side, second: Side, agent_id: str | None) -> Iterator[Difference]:
    """Yield the keys that differ from one branch at a point to another at another."""
    return _compared(*_sides(tx, first, second, agent_id))


def _compared(before: dict[Address, Seen], after: dict[Address, Seen]) -> Iterator[Difference]:
    for at in sorted({**before, **after}):
        found = _difference(at, before.get(at), after.get(at))
        if found is not None:
            yield found


def sides(tx: Tx, first: Point, second: Point, agent_id: str | None) -> tuple[dict[Address, Seen], dict[Address, Seen]]:
    """Return the keys that may differ, as they were at one point and at the other; one that was never there is not."""
    if tx.ancestors:
        return _sides(tx, Side(tx.line, first), Side(tx.line, second), agent_id)
    return _seen(tx, first, first, second, agent_id), _seen(tx, second, first, second, agent_id)


def _sides(tx: Tx, first: Side, second: Side, agent_id: str | None) -> tuple[dict[Address, Seen], dict[Address, Seen]]:
    may_differ = candidates(tx, spans(first, second), (first.point.instant, second.point.instant), agent_id)
    return standing(tx, first, may_differ), standing(tx, second, may_differ)


def _seen(tx: Tx, point: Point, first: Point, second: Point, agent_id: str | None) -> dict[Address, Seen]:
    """Return the keys that may differ, as of one of the two points."""
    earlier, later = sorted((first, second))
    given = {
        "branch": tx.branch,
        "revision": point.revision,
        "agent": agent_id,
        "after": earlier.revision,
        "last": later.revision,
        "since": earlier.instant,
        "until": later.instant,
    }
    rows = tx.db.all(_SEEN if agent_id is None else _SEEN_OF_AGENT, given)
    heads = tx.contents.heads([row[4:] for row in rows])
    return dict(seen_at(point, row, head) for row, head in zip(rows, heads, strict=True))


def _difference(at: Address, before: Seen | None, after: Seen | None) -> Difference | None:
    old, new = _visible(before), _visible(after)
    if old is new or (old and new and _alike(old, new)):
        return None
    version, revision, made, by = (0, 0, None, None) if after is None else _standing(after)
    return Difference(
        agent_id=at.agent_id,
        state_type=StateType(at.state_type),
        key=at.key,
        change=_change(old, new, after),
        old_value=shown(old.stored) if old else None,
        new_value=shown(new.stored) if new else None,
        version=version,
        revision=revision,
        at=made,
        by=by,
    )


def _alike(old: Head, new: Head) -> bool:
    """Tell whether two heads hold the same; digests tell it of those with one salt, as a branch inherits it."""
    if old.salt == new.salt or old.codec == codec.ERASED or new.codec == codec.ERASED:
        return (old.digest, old.metadata) == (new.digest, new.metadata)
    kinds = codec.is_json(old.stored) == codec.is_json(new.stored)
    return kinds and old.metadata == new.metadata and codec.plain(old.stored) == codec.plain(new.stored)


def _standing(seen: Seen) -> tuple[int, int, datetime, str | None]:
    """Return the version and revision a key stands at, since when, and who made it so."""
    head = seen.head
    if head.codec is not None and not seen.visible and head.expires_at is not None:
        return head.version, head.revision, moment(head.expires_at), None
    return head.version, head.revision, moment(head.updated_at), seen.by


def _visible(seen: Seen | None) -> Head | None:
    return seen.head if seen is not None and seen.visible else None


def _change(old: Head | None, new: Head | None, after: Seen | None) -> ChangeKind:
    if new is not None:
        return "create" if old is None else "update"
    return "expire" if after is not None and after.expired else "delete"


# ---- statements

_v, _t, _st = state_versions.c, state_touches.c, session_touches.c
_s, _a, _ca = agent_states.c, agents.c, commit_agents.c


def _expiring(column: ColumnElement[int], revision: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(column > bindparam("since"), column <= bindparam("until"), revision <= bindparam("last"))


def _candidates(made: Select[tuple[int]]) -> CompoundSelect[tuple[int]]:
    """Return the ids of keys that may differ, `made` being those with a version between the revisions.

    Of expiries the one in force counts, and another that a later touch has moved does no harm. Whatever was alive at
    the first point and is not at the second, without a version between, ended by an expiry between the instants.
    """
    clocked = select(_s.id).join_from(session_touches, agent_states, _s.session_id == _st.session_id)
    return union(
        made,
        select(_v.state_id).where(_expiring(_v.expires_at, _v.revision)),
        select(_t.state_id).where(_expiring(_t.expires_at, _t.revision)),
        clocked.where(_expiring(_st.expires_at, _st.revision)),
    )


def _within(column: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(column > bindparam("after"), column <= bindparam("last"))


_made = select(_v.state_id).where(_within(_v.revision))
# An agent's part of the log is a range of its own, so that the others' commits are not looked at.
_made_of_agent = (
    select(_v.state_id)
    .select_from(agents.join(commit_agents, _ca.agent_id == _a.id).join(state_versions, _v.revision == _ca.revision))
    .where(_a.name == bindparam("agent"), _within(_ca.revision))
)
_SEEN = Statement(past_of(_candidates(_made)))
_SEEN_OF_AGENT = Statement(past_of(_candidates(_made_of_agent)).where(_a.name == bindparam("agent")))
