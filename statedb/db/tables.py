"""The schema in code, the one truth: alembic's migrations and `schema.sql` are held equal to it by a test.

Times are integer microseconds since 1970 (UTC), JSON is text made by the codec, and every other column is text, bytes
or an integer: so no column needs a conversion on its way in or out, and statements can run on the driver's own cursor.
`docs/format.md` says what every row and column means.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    CreateView,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.sql.schema import SchemaItem

MAIN = 1
"""The branch every store has."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes a column its row id only where the type is spelt INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def _clustered(name: str, *parts: SchemaItem) -> Table:
    """A table that is its primary key's tree: a range of the key is one run of pages."""
    return Table(name, metadata, *parts, sqlite_with_rowid=False)


def _sparse(column: Any, condition: Any) -> None:
    """Index the rows of a column that fulfil a condition; the others cost nothing."""
    Index(None, column, sqlite_where=condition, postgresql_where=condition)


store_info = Table(
    "store_info",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("ttl", BigInteger),
    Column("expires_at", BigInteger),
    UniqueConstraint("branch_id", "agent_id", "name"),
)
_sparse(sessions.c.expires_at, sessions.c.expires_at.is_not(None))

# Small columns first: SQLite reads a row from its front, and a large value spills to overflow pages behind them.
agent_states = Table(
    "agent_states",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("state_type", Text, nullable=False),
    Column("state_key", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("parent_version", BigInteger),
    Column("revision", BigInteger, nullable=False),
    Column("created_revision", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text),
    Column("updated_at", BigInteger, nullable=False),
    Column("ttl", BigInteger),
    Column("expires_at", BigInteger),
    Column("session_id", BigInteger, ForeignKey("sessions.id")),
    Column("floor", BigInteger, nullable=False, server_default="0"),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", LargeBinary),
    Column("metadata", Text),
    Column("codec", BigInteger),
    Column("value", Text),
    Column("data", LargeBinary),
    UniqueConstraint("branch_id", "agent_id", "state_type", "state_key"),
)
_sparse(agent_states.c.expires_at, agent_states.c.expires_at.is_not(None))
_sparse(agent_states.c.session_id, agent_states.c.session_id.is_not(None))
_sparse(agent_states.c.floor, agent_states.c.floor > 0)

state_commits = Table(
    "state_commits",
    metadata,
    Column("revision", Id, primary_key=True, autoincrement=False),
    Column("branch_id", BigInteger, nullable=False),
    Column("merge_parent", BigInteger),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("origin_at", BigInteger),
    Column("origin", Text),
    Column("origin_revision", BigInteger),
    Column("actor", Text),
    Column("message", Text),
    Column("context", Text),
    Column("token", Text),
    Column("hash", LargeBinary, nullable=False),
)

# Which agents a commit touched: an agent's log, and all that changed for it since a revision, are one range.
commit_agents = _clustered(
    "commit_agents",
    Column("agent_id", BigInteger, ForeignKey("agents.id"), primary_key=True),
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), primary_key=True),
)

# The feed reads this table by revision, history by key: the key order is an index that carries the version number.
state_versions = _clustered(
    "state_versions",
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), primary_key=True),
    Column("state_id", BigInteger, ForeignKey("agent_states.id"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("parent_version", BigInteger),
    Column("source_version", BigInteger),
    Column("created_revision", BigInteger, nullable=False),
    Column("change", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary),
    Column("metadata", Text),
    Column("base", BigInteger),
    Column("codec", BigInteger),
    Column("value", Text),
    Column("data", LargeBinary),
)
Index(
    "ix_state_versions_history",
    state_versions.c.state_id,
    state_versions.c.revision.desc(),
    state_versions.c.version,
)
# What expired between two points and was written since, or recorded as expired, is found by these three alone.
_sparse(state_versions.c.expires_at, state_versions.c.expires_at.is_not(None))

# Expiry moves without a version being made; these two remember when, so that the past stays right.
state_touches = _clustered(
    "state_touches",
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), primary_key=True),
    Column("state_id", BigInteger, ForeignKey("agent_states.id"), primary_key=True),
    Column("ttl", BigInteger),
    Column("expires_at", BigInteger),
)
Index("ix_state_touches_history", state_touches.c.state_id, state_touches.c.revision.desc())
_sparse(state_touches.c.expires_at, state_touches.c.expires_at.is_not(None))

session_touches = _clustered(
    "session_touches",
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), primary_key=True),
    Column("session_id", BigInteger, ForeignKey("sessions.id"), primary_key=True),
    Column("ttl", BigInteger),
    Column("expires_at", BigInteger),
)
Index("ix_session_touches_history", session_touches.c.session_id, session_touches.c.revision.desc())
_sparse(session_touches.c.expires_at, session_touches.c.expires_at.is_not(None))


# ---- views, for people with an SQL shell

_s, _v, _a = agent_states.alias("s"), state_versions.alias("v"), agents.alias("a")
_c, _w = state_commits.alias("c"), sessions.alias("w")

states_view = CreateView(
    select(
        _a.c.name.label("agent_id"),
        _s.c.state_type,
        _s.c.state_key,
        _s.c.version,
        _s.c.parent_version,
        _s.c.revision,
        _s.c.value,
        _s.c.metadata,
        _s.c.created_at,
        _s.c.created_by,
        _s.c.updated_at,
        func.coalesce(_w.c.expires_at, _s.c.expires_at).label("expires_at"),
    )
    .select_from(_s.join(_a, _a.c.id == _s.c.agent_id).outerjoin(_w, _w.c.id == _s.c.session_id))
    .where(_s.c.codec.is_not(None), _s.c.branch_id == MAIN),
    "states",
    metadata=metadata,
)

history_view = CreateView(
    select(
        _a.c.name.label("agent_id"),
        _s.c.state_type,
        _s.c.state_key,
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
    )
    .select_from(
        _v.join(_s, _s.c.id == _v.c.state_id)
        .join(_a, _a.c.id == _s.c.agent_id)
        .join(_c, _c.c.revision == _v.c.revision)
    )
    .where(_s.c.branch_id == MAIN),
    "history",
    metadata=metadata,
)

commits_view = CreateView(
    select(_c.c.revision, _c.c.kind, _c.c.at, _c.c.origin_at, _c.c.actor, _c.c.message, _c.c.context).where(
        _c.c.branch_id == MAIN
    ),
    "commits",
    metadata=metadata,
)
