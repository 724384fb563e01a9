"""The tables in code, with `views.py` the one truth: a test holds alembic's migrations and `schema.sql` equal to it.

Times are integer microseconds since 1970 (UTC), JSON is text made by the codec, and every other column is text, bytes
or an integer: so no column needs a conversion on its way in or out, and statements can run on the driver's own cursor.
`docs/format.md` says what every row and column means.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
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
# Names are in the order of their code points everywhere, whatever language a server speaks.
Name = Text().with_variant(Text(collation="C"), "postgresql")


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
    Column("incarnation", Text),
)

agents = Table(
    "agents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("name", Name, nullable=False),
    Column("ttl", BigInteger),
    Column("expires_at", BigInteger),
    UniqueConstraint("branch_id", "agent_id", "name"),
)
_sparse(sessions.c.expires_at, sessions.c.expires_at.is_not(None))

# A branch sees its parent as of `base`, and what has its own id. Its name may be another's once it has ended.
branches = Table(
    "branches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("parent_id", BigInteger, ForeignKey("branches.id")),
    Column("base", BigInteger, nullable=False),
    Column("created_revision", BigInteger, nullable=False),
    Column("ended_revision", BigInteger),
)
Index(
    "ix_branches_name",
    branches.c.name,
    unique=True,
    sqlite_where=branches.c.ended_revision.is_(None),
    postgresql_where=branches.c.ended_revision.is_(None),
)

# Small columns first: SQLite reads a row from its front, and a large value spills to overflow pages behind them.
agent_states = Table(
    "agent_states",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("state_type", Name, nullable=False),
    Column("state_key", Name, nullable=False),
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

# A branch's own commits, which are few among those of the trunk.
Index(
    "ix_state_commits_branch_id_revision",
    state_commits.c.branch_id,
    state_commits.c.revision,
    sqlite_where=state_commits.c.branch_id > MAIN,
    postgresql_where=state_commits.c.branch_id > MAIN,
)
_sparse(state_commits.c.merge_parent, state_commits.c.merge_parent.is_not(None))

# What a commit did to things with a name: checkpoints, branches, conflicts. Few commits do.
commit_deeds = _clustered(
    "commit_deeds",
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), primary_key=True),
    Column("said", Text, nullable=False),
)

# Tokens of writes whose answer was lost, and that were given up: what still comes with one of these is refused.
aborted_writes = Table(
    "aborted_writes",
    metadata,
    Column("token", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
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

# A name for a point: `revision` and `instant` say where, the others what it is called and since and until when.
state_checkpoints = Table(
    "state_checkpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, ForeignKey("branches.id"), nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id")),
    Column("checkpoint_name", Name, nullable=False),
    Column("checkpoint_type", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("instant", BigInteger, nullable=False),
    Column("metadata", Text),
    Column("created_revision", BigInteger, ForeignKey("state_commits.revision"), nullable=False),
    Column("ended_revision", BigInteger),
)
# In the order they were made, which that of their ids is not where several make them.
Index("ix_state_checkpoints_agent", state_checkpoints.c.agent_id, state_checkpoints.c.created_revision)
Index("ix_state_checkpoints_name", state_checkpoints.c.checkpoint_name)

# When an agent's automatic checkpoints are made.
checkpoint_policies = Table(
    "checkpoint_policies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, ForeignKey("branches.id"), nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("config", Text, nullable=False),
    Column("created_revision", BigInteger, ForeignKey("state_commits.revision"), nullable=False),
    UniqueConstraint("branch_id", "agent_id"),
)
# By which every write learns whether any policy has changed.
Index("ix_checkpoint_policies_created_revision", checkpoint_policies.c.created_revision)

# What two sides did to one key that nobody could make one of, until somebody says what it is to be.
state_conflicts = Table(
    "state_conflicts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, ForeignKey("branches.id"), nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("state_type", Name, nullable=False),
    Column("state_key", Name, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text),
    Column("created_revision", BigInteger, ForeignKey("state_commits.revision"), nullable=False),
    Column("ended_revision", BigInteger),
    Column("resolution", Text),
)
_sparse(state_conflicts.c.branch_id, state_conflicts.c.ended_revision.is_(None))

# The three sides of a conflict: what each held, and as which version on which branch; no codec: nothing.
conflict_sides = _clustered(
    "conflict_sides",
    Column("conflict_id", BigInteger, ForeignKey("state_conflicts.id"), primary_key=True),
    Column("side", Text, primary_key=True),
    Column("branch_id", BigInteger),
    Column("version", BigInteger),
    Column("revision", BigInteger),
    Column("codec", BigInteger),
    Column("value", Text),
    Column("data", LargeBinary),
)

# Who holds a key, and who waits for it: one row each. An ended row is used again, so that there are as many as ever
# stood at one key together. `fence` NULL: it waits.
state_locks = Table(
    "state_locks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, ForeignKey("branches.id"), nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("state_key", Name, nullable=False),
    Column("lock_type", Text, nullable=False),
    Column("locked_by", Text),
    Column("locked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ttl", BigInteger, nullable=False),
    Column("metadata", Text),
    Column("arrived", BigInteger, nullable=False),
    Column("called_at", BigInteger),
    Column("fence", BigInteger),
    Column("changed_revision", BigInteger, nullable=False),
    Column("ended_revision", BigInteger),
)
_k = state_locks.c
Index("ix_state_locks_key", _k.branch_id, _k.agent_id, _k.state_key)
# Fences are one counter of the store.
_sparse(_k.fence, _k.fence.is_not(None))
# By its end every write learns whether any lease stands at all.
Index(
    "ix_state_locks_standing",
    _k.expires_at,
    sqlite_where=and_(_k.ended_revision.is_(None), _k.fence.is_not(None)),
    postgresql_where=and_(_k.ended_revision.is_(None), _k.fence.is_not(None)),
)
# A file has one writer at a time, who need not ask what has changed since.
Index("ix_state_locks_changed_revision", _k.changed_revision).ddl_if(dialect="postgresql")

# How far each durable reader of the feed has come.
feed_consumers = Table(
    "feed_consumers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("branch_id", BigInteger, ForeignKey("branches.id"), nullable=False),
    Column("name", Name, nullable=False),
    Column("filter", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("pins_for", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)

# Streams of events: what happened, in the order it did. They are the store's, whatever branch somebody stands on.
event_streams = Table(
    "event_streams",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("agent_id", BigInteger, ForeignKey("agents.id")),
    Column("version", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created_revision", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
)
stream_events = _clustered(
    "stream_events",
    Column("stream_id", BigInteger, ForeignKey("event_streams.id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Name, nullable=False),
    Column("digest", LargeBinary),
    Column("metadata", Text),
    Column("codec", BigInteger),
    Column("value", Text),
    Column("data", LargeBinary),
    UniqueConstraint("position"),
)
# What somebody made of a stream's events up to a version, so that it need not be made again. Saved once more it is one
# more row, so that the past shows what it showed.
stream_snapshots = _clustered(
    "stream_snapshots",
    Column("stream_id", BigInteger, ForeignKey("event_streams.id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("revision", BigInteger, ForeignKey("state_commits.revision"), primary_key=True),
    Column("digest", LargeBinary),
    Column("metadata", Text),
    Column("codec", BigInteger),
    Column("value", Text),
    Column("data", LargeBinary),
)
