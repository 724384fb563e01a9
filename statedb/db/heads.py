"""A key as it stands: how a head is read, now or as of a point.

Both readings return the same columns, so that whoever reads a head need not know which moment it shows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import FromClause, Select, and_, bindparam, case, func, literal_column, null, select
from sqlalchemy.sql.elements import ColumnElement

from statedb.db.clock import Later
from statedb.db.statements import Statement
from statedb.db.tables import (
    agent_states,
    agents,
    session_touches,
    sessions,
    state_commits,
    state_touches,
    state_versions,
)
from statedb.values.codec import Stored


@dataclass(slots=True)
class Head:
    """A key at its newest version, or its newest as of a point. Times are microseconds; `codec` None is a tombstone.

    `expires_at` and `ttl` are those of the session where the key belongs to one. `newest` is the time of the newest
    commit, read with the row because only both together tell whether the value has expired; None where it cannot.
    """

    key: str
    id: int | None
    agent: int | None
    version: int
    parent_version: int | None
    revision: int
    created_revision: int
    created_at: int
    created_by: str | None
    updated_at: int
    ttl: int | None
    expires_at: int | None
    session_id: int | None
    floor: int
    salt: bytes
    digest: bytes | None
    metadata: str | None
    codec: int | None
    text: str | None
    data: bytes | None
    newest: int | None

    @property
    def stored(self) -> Stored:
        return Stored(self.codec, self.text, self.data)

    def copy(self) -> Head:
        """Return a head of its own with the same fields; copy.copy would take the long way, through pickling."""
        return Head(*_fields_of(self))


_fields_of = attrgetter(*(field.name for field in fields(Head)))


# ---- now

_s, _a, _w, _c = agent_states.c, agents.c, sessions.c, state_commits.c

newest_at = select(_c.at).where(_c.revision == select(func.max(_c.revision)).scalar_subquery()).scalar_subquery()
expires = case((_s.session_id.is_(None), _s.expires_at), else_=_w.expires_at)
"""When a key of `agent_states`, joined to its session if it has one, expires."""
_newest = case((expires.is_not(None), Later(newest_at)))


def _present(*columns: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .select_from(
            agents.join(agent_states, _s.agent_id == _a.id).outerjoin(sessions, _w.id == _s.session_id),
        )
        .where(
            _a.name == bindparam("agent"),
            _s.branch_id == bindparam("branch"),
            _s.state_type == bindparam("state_type"),
        )
    )


_PRESENT_HEAD = (
    _s.state_key,
    _s.id,
    _s.agent_id,
    _s.version,
    _s.parent_version,
    _s.revision,
    _s.created_revision,
    _s.created_at,
    _s.created_by,
    _s.updated_at,
    case((_s.session_id.is_(None), _s.ttl), else_=_w.ttl),
    expires,
    _s.session_id,
    _s.floor,
    _s.salt,
    _s.digest,
    _s.metadata,
    _s.codec,
    _s.value,
    _s.data,
    _newest,
)

# ---- as of a revision

VERSION = state_versions.alias("v")
_v = VERSION.c
_x = state_versions.alias("x").c
_t, _tx = state_touches.alias("t").c, state_touches.alias("tx").c
_st, _stx = session_touches.alias("st").c, session_touches.alias("stx").c
MADE, BORN = state_commits.alias("made"), state_commits.alias("born")
_asked: ColumnElement[Any] = bindparam("revision")


def _newest_of(column: Any, owner: Any, of: Any) -> ColumnElement[Any]:
    return select(func.max(column)).where(owner == of, column <= _asked).scalar_subquery()


def _in_force(of_session: Any, of_touch: Any, of_version: Any) -> ColumnElement[Any]:
    """Return the one of three that counts.

    A session's clock counts from the moment the key joined it, which is the clock's first entry; the key's own touches
    count while no newer version has come since.
    """
    return case(
        (_st.revision.is_not(None), of_session),
        (_t.revision > _v.revision, of_touch),
        else_=of_version,
    )


past_expires = _in_force(_st.expires_at, _t.expires_at, _v.expires_at)
# A version's own ttl is the time from when it was first made, here or elsewhere, to its expiry.
_past_ttl = _in_force(_st.ttl, _t.ttl, _v.expires_at - func.coalesce(MADE.c.origin_at, MADE.c.at))


def past_keys(*, even_cut: bool = False) -> FromClause:
    """Return every key beside its newest version as of a revision, its clocks, and the commits that made it.

    With `even_cut`, also keys that have no version left there, since retention cut it; those have NULLs beside them.
    """
    newest_then = _newest_of(_x.revision, _x.state_id, _s.id)
    return (
        agents.join(agent_states, _s.agent_id == _a.id)
        .join(VERSION, and_(_v.state_id == _s.id, _v.revision == newest_then), isouter=even_cut)
        .outerjoin(
            _t.revision.table, and_(_t.state_id == _s.id, _t.revision == _newest_of(_tx.revision, _tx.state_id, _s.id))
        )
        .outerjoin(
            _st.revision.table,
            and_(
                _st.session_id == _s.session_id,
                _st.revision == _newest_of(_stx.revision, _stx.session_id, _s.session_id),
            ),
        )
        .join(MADE, MADE.c.revision == _v.revision, isouter=even_cut)
        .join(BORN, BORN.c.revision == _v.created_revision, isouter=even_cut)
    )


def _past(*columns: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .select_from(past_keys())
        .where(
            _a.name == bindparam("agent"),
            _s.branch_id == bindparam("branch"),
            _s.state_type == bindparam("state_type"),
        )
    )


_PAST_HEAD = (
    _s.state_key,
    _s.id,
    _s.agent_id,
    _v.version,
    _v.parent_version,
    _v.revision,
    _v.created_revision,
    BORN.c.at,
    BORN.c.actor,
    MADE.c.at,
    _past_ttl,
    past_expires,
    _s.session_id,
    _s.floor,
    _s.salt,
    _v.digest,
    _v.metadata,
    _v.codec,
    _v.value,
    _v.data,
    null(),
)

# ---- the statements: one key, a range of keys, the names in a range

_one = _s.state_key == bindparam("key")
_range = and_(_s.state_key >= bindparam("low"), _s.state_key < bindparam("high"))
_alive_head = _s.codec.is_not(None)
_alive_version = _v.codec.is_not(None)

PRESENT_VALUE = Statement(_present(_s.codec, _s.value, _s.data, expires, _newest, _s.digest).where(_one))


def _present_unless(left_out: ColumnElement[bool], *more: Any) -> Statement:
    """Return PRESENT_VALUE without the value where that is so."""
    value, data = case((left_out, null()), else_=_s.value), case((left_out, null()), else_=_s.data)
    return Statement(_present(_s.codec, value, data, expires, _newest, _s.digest, *more).where(_one))


PRESENT_UNLESS_KNOWN = _present_unless(_s.digest == bindparam("known"))
_length = func.coalesce(func.length(_s.value), 0) + func.coalesce(func.length(_s.data), 0)
PRESENT_IF_SMALL = _present_unless(_length >= bindparam("worth"), _s.salt)
PRESENT_ONE = Statement(_present(*_PRESENT_HEAD).where(_one))
PRESENT_RANGE = Statement(_present(*_PRESENT_HEAD).where(_range, _alive_head).order_by(_s.state_key))
# Tombstones as well, since on a branch they hide what lies beneath.
PRESENT_ALL = Statement(_present(*_PRESENT_HEAD).where(_range))
PRESENT_NAMES = Statement(_present(_s.state_key, expires, _newest).where(_range, _alive_head).order_by(_s.state_key))

PAST_ONE = Statement(_past(*_PAST_HEAD, _v.base).where(_one))
PAST_RANGE = Statement(_past(*_PAST_HEAD, _v.base).where(_range, _alive_version).order_by(_s.state_key))
PAST_ALL = Statement(_past(*_PAST_HEAD, _v.base).where(_range))
PAST_NAMES = Statement(
    _past(_s.state_key, past_expires, literal_column("0")).where(_range, _alive_version).order_by(_s.state_key)
)


def past_of(states: Any) -> Select[*tuple[Any, ...]]:
    """Return the select of a selection of keys, by id, as of a revision: names, change, author, head and base."""
    # The sum keeps SQLite from the index that begins with the branch, by which it would look at every key there is.
    return (
        select(_a.name, _s.state_type, _v.change, MADE.c.actor, *_PAST_HEAD, _v.base)
        .select_from(past_keys())
        .where(_s.id.in_(states), _s.branch_id + literal_column("0") == bindparam("branch"))
    )
