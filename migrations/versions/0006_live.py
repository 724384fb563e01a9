"""Locks, durable consumers of the feed, streams of events, and a store's incarnation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("store_info", sa.Column("incarnation", sa.Text))
    _locks()
    _consumers()
    _streams()


def _locks() -> None:
    op.create_table(
        "state_locks",
        sa.Column("id", Id, nullable=False),
        _refers("state_locks", "branch_id", "branches.id"),
        _refers("state_locks", "agent_id", "agents.id"),
        sa.Column("state_key", Name, nullable=False),
        sa.Column("lock_type", sa.Text, nullable=False),
        sa.Column("locked_by", sa.Text),
        sa.Column("locked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ttl", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text),
        sa.Column("arrived", sa.BigInteger, nullable=False),
        sa.Column("called_at", sa.BigInteger),
        sa.Column("fence", sa.BigInteger),
        sa.Column("changed_revision", sa.BigInteger, nullable=False),
        sa.Column("ended_revision", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_state_locks"),
    )
    op.create_index("ix_state_locks_key", "state_locks", ["branch_id", "agent_id", "state_key"])
    _index("ix_state_locks_fence", "state_locks", ["fence"], where="fence IS NOT NULL")
    standing = "ended_revision IS NULL AND fence IS NOT NULL"
    _index("ix_state_locks_standing", "state_locks", ["expires_at"], where=standing)
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_state_locks_changed_revision", "state_locks", ["changed_revision"])


def _consumers() -> None:
    op.create_table(
        "feed_consumers",
        sa.Column("id", Id, nullable=False),
        _refers("feed_consumers", "branch_id", "branches.id"),
        sa.Column("name", Name, nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("pins_for", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_feed_consumers"),
    )


def _streams() -> None:
    op.create_table(
        "event_streams",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", Name, nullable=False),
        _refers("event_streams", "agent_id", "agents.id", nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_revision", sa.BigInteger, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_streams"),
        sa.UniqueConstraint("name", name="uq_event_streams_name"),
    )
    op.create_table(
        "stream_events",
        _refers("stream_events", "stream_id", "event_streams.id"),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        _refers("stream_events", "revision", "state_commits.revision"),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_type", Name, nullable=False),
        *_content(),
        sa.PrimaryKeyConstraint("stream_id", "version", name="pk_stream_events"),
        sa.UniqueConstraint("position", name="uq_stream_events_position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stream_snapshots",
        _refers("stream_snapshots", "stream_id", "event_streams.id"),
        sa.Column("version", sa.BigInteger, nullable=False),
        _refers("stream_snapshots", "revision", "state_commits.revision"),
        *_content(),
        sa.PrimaryKeyConstraint("stream_id", "version", "revision", name="pk_stream_snapshots"),
        sqlite_with_rowid=False,
    )


def _content() -> list[sa.Column[object]]:
    return [
        sa.Column("digest", sa.LargeBinary),
        sa.Column("metadata", sa.Text),
        sa.Column("codec", sa.BigInteger),
        sa.Column("value", sa.Text),
        sa.Column("data", sa.LargeBinary),
    ]


def _refers(table: str, column: str, to: str, *, nullable: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey(to, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.BigInteger, key, nullable=nullable)


def _index(name: str, table: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
