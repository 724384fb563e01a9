"""The tables: one commit log, the newest state of every key, every version, and how expiry moved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQLite makes a column its row id only where the type is spelt INTEGER.
Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# Names are in the order of their code points everywhere, whatever language a server speaks.
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "store_info",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store_info"),
    )
    op.create_table(
        "agents",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("name", name="uq_agents_name"),
    )
    op.create_table(
        "state_commits",
        sa.Column("revision", Id, nullable=False, autoincrement=False),
        sa.Column("branch_id", sa.BigInteger, nullable=False),
        sa.Column("merge_parent", sa.BigInteger),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("origin_at", sa.BigInteger),
        sa.Column("origin", sa.Text),
        sa.Column("origin_revision", sa.BigInteger),
        sa.Column("actor", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("context", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_state_commits"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", Id, nullable=False),
        sa.Column("branch_id", sa.BigInteger, nullable=False),
        sa.Column("agent_id", sa.BigInteger, sa.ForeignKey("agents.id", name="fk_sessions_agent_id"), nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("ttl", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("branch_id", "agent_id", "name", name="uq_sessions_branch_id_agent_id_name"),
    )
    op.create_table(
        "agent_states",
        sa.Column("id", Id, nullable=False),
        sa.Column("branch_id", sa.BigInteger, nullable=False),
        sa.Column(
            "agent_id", sa.BigInteger, sa.ForeignKey("agents.id", name="fk_agent_states_agent_id"), nullable=False
        ),
        sa.Column("state_type", Name, nullable=False),
        sa.Column("state_key", Name, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("parent_version", sa.BigInteger),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("created_revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("ttl", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("session_id", sa.BigInteger, sa.ForeignKey("sessions.id", name="fk_agent_states_session_id")),
        sa.Column("floor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("metadata", sa.Text),
        sa.Column("codec", sa.BigInteger),
        sa.Column("value", sa.Text),
        sa.Column("data", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_agent_states"),
        sa.UniqueConstraint(
            "branch_id",
            "agent_id",
            "state_type",
            "state_key",
            name="uq_agent_states_branch_id_agent_id_state_type_state_key",
        ),
    )
    op.create_table(
        "commit_agents",
        sa.Column(
            "agent_id", sa.BigInteger, sa.ForeignKey("agents.id", name="fk_commit_agents_agent_id"), nullable=False
        ),
        sa.Column(
            "revision",
            sa.BigInteger,
            sa.ForeignKey("state_commits.revision", name="fk_commit_agents_revision"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("agent_id", "revision", name="pk_commit_agents"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "state_versions",
        sa.Column(
            "revision",
            sa.BigInteger,
            sa.ForeignKey("state_commits.revision", name="fk_state_versions_revision"),
            nullable=False,
        ),
        sa.Column(
            "state_id",
            sa.BigInteger,
            sa.ForeignKey("agent_states.id", name="fk_state_versions_state_id"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("parent_version", sa.BigInteger),
        sa.Column("source_version", sa.BigInteger),
        sa.Column("created_revision", sa.BigInteger, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("metadata", sa.Text),
        sa.Column("base", sa.BigInteger),
        sa.Column("codec", sa.BigInteger),
        sa.Column("value", sa.Text),
        sa.Column("data", sa.LargeBinary),
        sa.PrimaryKeyConstraint("revision", "state_id", name="pk_state_versions"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "state_touches",
        sa.Column(
            "revision",
            sa.BigInteger,
            sa.ForeignKey("state_commits.revision", name="fk_state_touches_revision"),
            nullable=False,
        ),
        sa.Column(
            "state_id",
            sa.BigInteger,
            sa.ForeignKey("agent_states.id", name="fk_state_touches_state_id"),
            nullable=False,
        ),
        sa.Column("ttl", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("revision", "state_id", name="pk_state_touches"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session_touches",
        sa.Column(
            "revision",
            sa.BigInteger,
            sa.ForeignKey("state_commits.revision", name="fk_session_touches_revision"),
            nullable=False,
        ),
        sa.Column(
            "session_id",
            sa.BigInteger,
            sa.ForeignKey("sessions.id", name="fk_session_touches_session_id"),
            nullable=False,
        ),
        sa.Column("ttl", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("revision", "session_id", name="pk_session_touches"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_sessions_expires_at",
        "sessions",
        ["expires_at"],
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_agent_states_expires_at",
        "agent_states",
        ["expires_at"],
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_agent_states_session_id",
        "agent_states",
        ["session_id"],
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_index("ix_state_versions_history", "state_versions", ["state_id", sa.text("revision DESC"), "version"])
    op.create_index("ix_state_touches_history", "state_touches", ["state_id", sa.text("revision DESC")])
    op.create_index("ix_session_touches_history", "session_touches", ["session_id", sa.text("revision DESC")])
