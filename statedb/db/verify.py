"""What a store must agree with itself on, each as a function that yields what does not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, case, except_, func, literal_column, null, or_, select, union, union_all

from statedb.db import named
from statedb.db.chain import CommitRow, Line, content_of, link
from statedb.db.contents import Kept, kept
from statedb.db.statements import Row, Statement
from statedb.db.tables import (
    MAIN,
    agent_states,
    agents,
    branches,
    commit_agents,
    commit_deeds,
    event_streams,
    session_touches,
    state_commits,
    state_touches,
    state_versions,
    stream_events,
    stream_snapshots,
)
from statedb.db.tables import sessions as clocks
from statedb.db.tx import Tx
from statedb.errors import Corrupted
from statedb.models import StateType
from statedb.times import LATEST
from statedb.values import codec
from statedb.values.codec import Encoded, Stored

_PAGE = 500


def count(tx: Tx) -> int:
    """Return how many versions the store holds."""
    [[found]] = tx.db.all(_COUNT, {})
    return int(found)


# ---- the chain of hashes


def chain(tx: Tx, last: int) -> Iterator[str]:
    """Compare every commit's hash with what it says, its number and time with those of the one before."""
    previous, before, expected = b"", None, 1
    for given in _pages(last):
        lines, moved = _by_revision(tx.db.all(_LINES, given)), _by_revision(tx.db.all(_CLOCKS, given))
        for touch in tx.db.all(_TOUCHES, given):
            lines.setdefault(touch[0], []).append(touch)
        for *row, stored, deeds in tx.db.all(_COMMITS, given):
            commit = CommitRow(*row)
            if commit.revision != expected:
                yield f"revision {expected} is missing from the log"
            if before is not None and commit.at < before:
                yield f"revision {commit.revision} is older than the one before it"
            said = _in_order(lines.get(commit.revision, []))
            content = content_of(commit, said, [row[1:] for row in moved.get(commit.revision, [])], deeds)
            if link(previous, commit.at, content) != stored:
                yield f"revision {commit.revision} is not what was written: its hash differs"
            previous, before, expected = stored, commit.at, commit.revision + 1


def _in_order(rows: list[Row]) -> list[Line]:
    """Return a commit's lines as they were hashed: versions, then touches, each in the order of their names."""
    digests = (None if row[8] is None else row[8].hex() for row in rows)
    made = [Line._make((*row[1:8], digest, *row[9:])) for row, digest in zip(rows, digests, strict=True)]
    return sorted(made, key=lambda line: (line.change == "touch", line[:3]))


def _by_revision(rows: list[Row]) -> dict[int, list[Row]]:
    return {revision: list(group) for revision, group in groupby(rows, itemgetter(0))}


def _pages(last: int) -> Iterator[dict[str, int]]:
    for first in range(1, last + 1, _PAGE):
        yield {"first": first, "last": first + _PAGE - 1}


# ---- versions


class _Seen(NamedTuple):
    version: int
    created: int
    alive: bool


def versions(tx: Tx, last: int) -> Iterator[str]:
    """Compare every version with the one before it, and its value with its digest."""
    seen: dict[int, _Seen] = {}
    for given in _pages(last):
        rows = [(row[:6], Kept(*row[6:])) for row in tx.db.all(_VALUES, given)]
        try:
            tx.contents.prepare(kept_as for _, kept_as in rows)
        except Corrupted as error:
            yield str(error)
        for (branch, floor, parent, created, change, size), kept_as in rows:
            state, revision, key, version = kept_as.state, kept_as.revision, kept_as.key, kept_as.version
            # What the first one follows was cut, or lies on the branch beneath.
            is_cut = floor or branch != MAIN
            before = seen.get(state, _Seen(version - 1 if is_cut else 0, created if is_cut else 0, change != "create"))
            seen[state] = _Seen(version, created, change in ("create", "update"))
            born = revision if change == "create" else before.created
            where = f"{key} version {version} (revision {revision})"
            if (version, parent, created) != (before.version + 1, before.version or None, born):
                yield f"{where} does not follow from version {before.version}"
            if before.alive == (change == "create"):
                yield f"{where} is a {change} of a key that {'has' if before.alive else 'has not'} a value"
            yield from _value(tx, where, kept_as, size)


def _value(tx: Tx, where: str, kept_as: Kept, size: int) -> Iterator[str]:
    if kept_as.codec in (None, codec.ERASED):
        return
    try:
        plain = tx.contents.plain(kept_as)
    except Corrupted as error:
        yield f"{where}: {error}"
        return
    if codec.digest(kept_as.salt, Encoded(kept_as.stored, plain)) != kept_as.digest or len(plain) != size:
        yield f"{where} is not what was written: its digest differs"


# ---- heads, sessions, agents


def heads(tx: Tx, last: int) -> Iterator[str]:
    """Compare every head with its newest version and touch, and its value with its digest."""
    for key, version in tx.db.all(_WRONG_HEADS, {}):
        yield f"{key} shows version {version}, which is not as its history has it"
    for key, found, newest in tx.db.all(_GAPS, {}):
        yield f"{key} has {found} versions in its history and is at {newest}"
    after = 0
    while rows := tx.db.all(_HEAD_VALUES, {"after": after, "limit": _PAGE}):
        after = rows[-1][0]
        for _, key, version, salt, digest, *stored in rows:
            if not _is_sound(Stored(*stored), salt, digest):
                yield f"{key} shows a value that is not what version {version} was given: its digest differs"


def _is_sound(stored: Stored, salt: bytes, digest: bytes | None) -> bool:
    if stored.codec in (None, codec.ERASED):
        return True
    try:
        return codec.digest(salt, Encoded(stored, codec.plain(stored))) == digest
    except Corrupted:
        return False


def sessions(tx: Tx, last: int) -> Iterator[str]:
    """Compare every session with its newest entry in the log, and with the keys that belong to it."""
    for (name,) in tx.db.all(_WRONG_CLOCKS, {}):
        yield f"session {name} is not as its history has it"
    for key, name in tx.db.all(_WRONG_MEMBERS, {}):
        yield f"{key} belongs to session {name} by its name alone, or by its row alone"


def agents_of_commits(tx: Tx, last: int) -> Iterator[str]:
    """Compare the agents a commit is listed for with those it changed."""
    for agent, revision in tx.db.all(_UNLISTED, {}) + tx.db.all(_LISTED_IN_VAIN, {}):
        yield f"revision {revision} and the log of agent {agent} do not agree"


def names(tx: Tx, last: int) -> Iterator[str]:
    """Compare what has a name with what the log says was done to it, and what a branch has with the commits of it."""
    yield from named.differing(tx, last)
    for name, base in tx.db.all(_UNFOUNDED, {}):
        yield f"the branch {name} lies on revision {base}, which its parent had not reached"
    for revision, name in tx.db.all(_LATE, {}):
        yield f"revision {revision} is of the branch {name}, which had ended"
    for revision, name in tx.db.all(_ASTRAY, {}):
        yield f"revision {revision} is of another branch than what it did to {name}"


# ---- statements

_c, _v, _s, _a = state_commits.c, state_versions.c, agent_states.c, agents.c
_t, _st, _w, _ca = state_touches.c, session_touches.c, clocks.c, commit_agents.c
_x, _tx, _stx = state_versions.alias("x").c, state_touches.alias("tx").c, session_touches.alias("stx").c
_born = state_commits.alias("born").c


def _within(column: Any) -> Any:
    return and_(column >= bindparam("first"), column <= bindparam("last"))


_of_key = (_a.name, _s.state_type, _s.state_key)
_COUNT = Statement(select(func.count()).select_from(state_versions))
_COMMITS = Statement(
    select(*(_c[name] for name in CommitRow._fields), _c.hash, commit_deeds.c.said)
    .select_from(state_commits.outerjoin(commit_deeds, commit_deeds.c.revision == _c.revision))
    .where(_within(_c.revision))
    .order_by(_c.revision)
)
_LINES = Statement(
    select(
        _v.revision, *_of_key, _v.version, _v.parent_version, _v.source_version, _v.change, _v.digest, _v.metadata,
        null(), _v.expires_at,
    )
    .select_from(state_versions.join(agent_states, _s.id == _v.state_id).join(agents, _a.id == _s.agent_id))
    .where(_within(_v.revision))
    .order_by(_v.revision)
)  # fmt: skip
# The version a touch was for: the newest at or before its revision.
_touched = select(func.max(_x.version)).where(_x.state_id == _t.state_id, _x.revision <= _t.revision).scalar_subquery()
_TOUCHES = Statement(
    select(
        _t.revision, *_of_key, _touched, null(), null(), literal_column("'touch'"), null(), null(), _t.ttl,
        _t.expires_at,
    )
    .select_from(state_touches.join(agent_states, _s.id == _t.state_id).join(agents, _a.id == _s.agent_id))
    .where(_within(_t.revision))
)  # fmt: skip
_CLOCKS = Statement(
    select(_st.revision, _a.name, _w.name, _st.ttl, _st.expires_at)
    .select_from(session_touches.join(clocks, _w.id == _st.session_id).join(agents, _a.id == _w.agent_id))
    .where(_within(_st.revision))
    .order_by(_st.revision, _a.name, _w.name)
)
_VALUES = Statement(
    select(_s.branch_id, _s.floor, _v.parent_version, _v.created_revision, _v.change, _v.size, *kept())
    .select_from(state_versions.join(agent_states, _s.id == _v.state_id))
    .where(_within(_v.revision))
    .order_by(_v.revision, _v.state_id)
)
_HEAD_VALUES = Statement(
    select(_s.id, _s.state_key, _s.version, _s.salt, _s.digest, _s.codec, _s.value, _s.data)
    .where(_s.id > bindparam("after"))
    .order_by(_s.id)
    .limit(bindparam("limit"))
)

_newest = select(func.max(_x.revision)).where(_x.state_id == _s.id).scalar_subquery()
_newest_touch = select(func.max(_tx.revision)).where(_tx.state_id == _s.id).scalar_subquery()
_newest_clock = select(func.max(_stx.revision)).where(_stx.session_id == _w.id).scalar_subquery()
_is_touched = func.coalesce(_t.revision, 0) > _v.revision
_own = _s.session_id.is_(None)
# A ttl is not stored with a version: it is what lies between its time and its expiry, unless the calendar ended first.
_ttl = case((_v.expires_at == LATEST, _s.ttl), else_=_v.expires_at - func.coalesce(_c.origin_at, _c.at))
_SAME = [
    (_s.revision, _v.revision),
    (_s.version, _v.version),
    (_s.parent_version, _v.parent_version),
    (_s.created_revision, _v.created_revision),
    (_s.created_at, _born.at),
    (_s.created_by, _born.actor),
    (_s.updated_at, _c.at),
    (_s.expires_at, case((_own, case((_is_touched, _t.expires_at), else_=_v.expires_at)))),
    (_s.ttl, case((_own, case((_is_touched, _t.ttl), else_=_ttl)))),
    (_s.digest, _v.digest),
    (_s.metadata, _v.metadata),
    # The head is whole where the version may be a delta: that both hold the same is what their digests say.
    (_s.codec.is_(None), _v.codec.is_(None)),
]
_WRONG_HEADS = Statement(
    select(_s.state_key, _s.version)
    .select_from(
        agent_states.outerjoin(state_versions, and_(_v.state_id == _s.id, _v.revision == _newest))
        .outerjoin(state_commits, _c.revision == _v.revision)
        .outerjoin(_born.revision.table, _born.revision == _v.created_revision)
        .outerjoin(state_touches, and_(_t.state_id == _s.id, _t.revision == _newest_touch))
    )
    .where(or_(_v.revision.is_(None), *(head.is_distinct_from(made) for head, made in _SAME)))
)
_GAPS = Statement(
    select(_s.state_key, func.count(_v.version), _s.version)
    .select_from(agent_states.outerjoin(state_versions, _v.state_id == _s.id))
    .group_by(_s.id, _s.branch_id, _s.state_key, _s.version, _s.floor)
    .having(
        or_(
            and_(_s.branch_id == MAIN, (_s.floor == 0) != (func.count(_v.version) == _s.version)),
            and_(
                _s.branch_id != MAIN,
                _s.floor == 0,
                func.count(_v.version) != _s.version - func.min(_v.version) + literal_column("1"),
            ),
        )
    )
)
_WRONG_CLOCKS = Statement(
    select(_w.name)
    .select_from(clocks.outerjoin(session_touches, and_(_st.session_id == _w.id, _st.revision == _newest_clock)))
    .where(
        or_(
            _st.revision.is_(None), _w.ttl.is_distinct_from(_st.ttl), _w.expires_at.is_distinct_from(_st.expires_at)
        )
    )
)  # fmt: skip
_is_called = and_(
    _s.state_type == StateType.SESSION.value,
    _s.agent_id == _w.agent_id,
    _s.branch_id == _w.branch_id,
    _s.state_key >= _w.name + "/",
    _s.state_key < _w.name + "0",
)
_WRONG_MEMBERS = Statement(
    select(_s.state_key, _w.name)
    .select_from(agent_states.join(clocks, or_(_s.session_id == _w.id, _is_called)))
    .where(or_(_s.session_id.is_distinct_from(_w.id), ~_is_called))
)


_b = branches.c
_UNFOUNDED = Statement(
    select(_b.name, _b.base).where(_b.id != MAIN, or_(_b.parent_id.is_(None), _b.base > _b.created_revision))
)


_LATE = Statement(
    select(_c.revision, _b.name)
    .join_from(state_commits, branches, _b.id == _c.branch_id)
    .where(_c.branch_id > literal_column(str(MAIN)), _c.revision > _b.ended_revision)
)


def _astray(log: Any, owner: Any, called: Any, of: Any) -> Any:
    """Return the select of what lies in the log under a commit of another branch than its owner's."""
    joined = log.join(owner, owner.c.id == of).join(state_commits, _c.revision == log.c.revision)
    return select(_c.revision, called).select_from(joined).where(owner.c.branch_id != _c.branch_id)


_ASTRAY = Statement(
    union_all(
        _astray(state_versions, agent_states, _s.state_key, _v.state_id),
        _astray(state_touches, agent_states, _s.state_key, _t.state_id),
        _astray(session_touches, clocks, _w.name, _st.session_id),
    )
)


def _appended(rows: Any) -> Any:
    found = select(event_streams.c.agent_id, rows.c.revision)
    joined = rows.join(event_streams, event_streams.c.id == rows.c.stream_id)
    return found.select_from(joined).where(event_streams.c.agent_id.is_not(None))


_changed = union(
    select(_s.agent_id, _v.revision).select_from(state_versions.join(agent_states, _s.id == _v.state_id)),
    select(_s.agent_id, _t.revision).select_from(state_touches.join(agent_states, _s.id == _t.state_id)),
    select(_w.agent_id, _st.revision).select_from(session_touches.join(clocks, _w.id == _st.session_id)),
    _appended(stream_events),
    _appended(stream_snapshots),
)
_listed = select(_ca.agent_id, _ca.revision)
_changed_once = select(_changed.subquery())
_UNLISTED = Statement(except_(_changed_once, _listed))
_LISTED_IN_VAIN = Statement(except_(_listed, _changed_once))
