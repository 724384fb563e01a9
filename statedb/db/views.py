"""The views `states`, `history` and `commits`: as a file shows them to any SQL tool, and as a query meets them.

A file's own views cannot know what time it is or which revision is asked for, and show a value only where it is stored
as text. A query's have the same columns, and beside them what a value is stored as; `:revision` and `:instant` say
where in the log they stand. Whoever needs the whole schema imports `metadata` from here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CreateView, Select, and_, bindparam, cast, func, null, or_, select
from sqlalchemy.sql.elements import ColumnElement

from statedb.db.heads import BORN, MADE, VERSION, newest_at, past_expires, past_keys
from statedb.db.statements import Statement
from statedb.db.tables import MAIN, agent_states, agents, metadata, sessions, state_commits, state_versions

__all__ = ["NAMES", "VIEWS", "View", "metadata"]

_s, _v, _a = agent_states.alias("s"), state_versions.alias("v"), agents.alias("a")
_c, _w = state_commits.alias("c"), sessions.alias("w")

Reading = Select[*tuple[Any, ...]]

# ---- in the file


def _names(agent: Any, state: Any) -> tuple[ColumnElement[Any], ...]:
    return agent.name.label("agent_id"), state.state_type, state.state_key


def _held(version: Any) -> tuple[ColumnElement[Any], ...]:
    return version.version, version.parent_version, version.revision, version.value, version.metadata


_expires = func.coalesce(_w.c.expires_at, _s.c.expires_at, type_=BigInteger)

_states = (
    select(
        *_names(_a.c, _s.c),
        *_held(_s.c),
        _s.c.created_at,
        _s.c.created_by,
        _s.c.updated_at,
        _expires.label("expires_at"),
    )
    .select_from(_s.join(_a, _a.c.id == _s.c.agent_id).outerjoin(_w, _w.c.id == _s.c.session_id))
    .where(_s.c.codec.is_not(None), _s.c.branch_id == MAIN)
)

_all_history = select(
    *_names(_a.c, _s.c),
    _v.c.version,
    _v.c.parent_version,
    _v.c.source_version,
    _v.c.revision,
    _v.c.change,
    _v.c.value,
    _v.c.metadata,
    _v.c.size,
    _c.c.at,
    _c.c.actor,
    _c.c.message,
    _v.c.expires_at,
).select_from(
    _v.join(_s, _s.c.id == _v.c.state_id).join(_a, _a.c.id == _s.c.agent_id).join(_c, _c.c.revision == _v.c.revision)
)
_history = _all_history.where(_s.c.branch_id == MAIN)

_all_commits = select(_c.c.revision, _c.c.kind, _c.c.at, _c.c.origin_at, _c.c.actor, _c.c.message, _c.c.context)
_commits = _all_commits.where(_c.c.branch_id == MAIN)

for _select, _name in ((_states, "states"), (_history, "history"), (_commits, "commits")):
    CreateView(_select, _name, metadata=metadata)

# ---- as a query meets them

_revision, _instant = bindparam("revision", type_=BigInteger), bindparam("instant", type_=BigInteger)


def _lasts(expires: ColumnElement[Any], *moments: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether an expiry lies beyond every one of some moments, of which the latest counts."""
    return or_(expires.is_(None), and_(*(expires > moment for moment in moments)))


def _kept(holder: Any, state: Any, base: Any) -> tuple[ColumnElement[Any], ...]:
    """Return how a row keeps its value, beside what is shown of it."""
    return holder.codec, holder.data, state.label("state"), base.label("base")


_states_now = _states.add_columns(*_kept(_s.c, _s.c.id, cast(null(), BigInteger)), _s.c.floor).where(
    _lasts(_expires, _instant, newest_at)
)
_all_states_then = select(
    *_names(agents.c, agent_states.c),
    *_held(VERSION.c),
    BORN.c.at.label("created_at"),
    BORN.c.actor.label("created_by"),
    MADE.c.at.label("updated_at"),
    past_expires.label("expires_at"),
    *_kept(VERSION.c, agent_states.c.id, VERSION.c.base),
    agent_states.c.floor,
).select_from(past_keys(even_cut=True))
_states_then = _all_states_then.where(
    agent_states.c.branch_id == MAIN,
    # What was cut is among them: what it was cannot be told, which is not to say that it was not there.
    or_(agent_states.c.floor > _revision, and_(VERSION.c.codec.is_not(None), _lasts(past_expires, _instant))),
)
_history_until = _history.add_columns(*_kept(_v.c, _s.c.id, _v.c.base)).where(_v.c.revision <= _revision)
_commits_until = _commits.where(_c.c.revision <= _revision)

# ---- one level of a branch: what it has as of a revision, tombstones and what has expired among it

_branch: Any = bindparam("branch", type_=BigInteger)
_states_level = _all_states_then.where(agent_states.c.branch_id == _branch)
_history_level = _all_history.add_columns(*_kept(_v.c, _s.c.id, _v.c.base)).where(
    _s.c.branch_id == _branch, _v.c.revision <= _revision
)
_commits_level = _all_commits.where(_c.c.branch_id == _branch, _c.c.revision <= _revision)


NAMES = ("agent_id", "state_type", "state_key")


class View(NamedTuple):
    """A view of a query: its columns as a file shows them, and what reads it now and as of a point.

    Reading gives the columns shown and after them `codec`, `data`, `state`, `base` and `floor`, as far as the view has
    them. It may be narrowed by some columns; not by what a key that was cut no longer tells, lest it be passed over.
    """

    shown: tuple[str, ...]
    narrowed: tuple[str, ...]
    now: Statement
    then: Statement
    level: Statement
    """What reads it as of a revision from one branch of a line; nothing is left out for being gone."""

    @property
    def columns(self) -> list[tuple[str, Any]]:
        """The name and type of each column that reading gives."""
        clause = self.now.clause
        assert isinstance(clause, Select)
        return [(column.name, column.type) for column in clause.selected_columns]


def _view(shown: Reading, narrowed: tuple[str, ...], level: Reading, now: Reading, then: Reading | None = None) -> View:
    read_now = Statement(now)
    read_then = read_now if then is None else Statement(then)
    return View(tuple(shown.selected_columns.keys()), narrowed, read_now, read_then, Statement(level))


VIEWS = {
    "states": _view(_states, NAMES, _states_level, _states_now, _states_then),
    "history": _view(_history, (*NAMES, "revision"), _history_level, _history_until),
    "commits": _view(_commits, ("revision",), _commits_level, _commits_until),
}
"""The views by name; `history` and `commits` reach up to `:revision`, which now is above every revision there is."""
