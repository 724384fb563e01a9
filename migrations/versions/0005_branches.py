"""Branches, checkpoints, conflicts, and what commits did to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "branches",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", Name, nullable=False),
        _refers("branches", "parent_id", "branches.id", nullable=True),
        sa.Column("base", sa.BigInteger, nullable=False),
        sa.Column("created_revision", sa.BigInteger, nullable=False),
        sa.Column("ended_revision", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_branches"),
    )
    op.execute("INSERT INTO branches (id, name, base, created_revision) VALUES (1, 'main', 0, 0)")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('branches', 'id'), 1)")
    _index("ix_branches_name", "branches", ["name"], where="ended_revision IS NULL", unique=True)
    op.create_table(
        "commit_deeds",
        _refers("commit_deeds", "revision", "state_commits.revision"),
        sa.Column("said", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_commit_deeds"),
        sqlite_with_rowid=False,
    )
    _index("ix_state_commits_branch_id_revision", "state_commits", ["branch_id", "revision"], where="branch_id > 1")
    _index("ix_state_commits_merge_parent", "state_commits", ["merge_parent"], where="merge_parent IS NOT NULL")
    _checkpoints()
    _conflicts()


def _checkpoints() -> None:
    op.create_table(
        "state_checkpoints",
        sa.Column("id", Id, nullable=False),
        _refers("state_checkpoints", "branch_id", "branches.id"),
        _refers("state_checkpoints", "agent_id", "agents.id", nullable=True),
        sa.Column("checkpoint_name", Name, nullable=False),
        sa.Column("checkpoint_type", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("instant", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text),
        _refers("state_checkpoints", "created_revision", "state_commits.revision"),
        sa.Column("ended_revision", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_state_checkpoints"),
    )
    op.create_index("ix_state_checkpoints_agent", "state_checkpoints", ["agent_id", "id"])
    op.create_index("ix_state_checkpoints_name", "state_checkpoints", ["checkpoint_name"])
    op.create_table(
        "checkpoint_policies",
        sa.Column("id", Id, nullable=False),
        _refers("checkpoint_policies", "branch_id", "branches.id"),
        _refers("checkpoint_policies", "agent_id", "agents.id"),
        sa.Column("config", sa.Text, nullable=False),
        _refers("checkpoint_policies", "created_revision", "state_commits.revision"),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoint_policies"),
        sa.UniqueConstraint("branch_id", "agent_id", name="uq_checkpoint_policies_branch_id_agent_id"),
    )
    op.create_index("ix_checkpoint_policies_created_revision", "checkpoint_policies", ["created_revision"])


def _conflicts() -> None:
    op.create_table(
        "state_conflicts",
        sa.Column("id", Id, nullable=False),
        _refers("state_conflicts", "branch_id", "branches.id"),
        _refers("state_conflicts", "agent_id", "agents.id"),
        sa.Column("state_type", Name, nullable=False),
        sa.Column("state_key", Name, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text),
        _refers("state_conflicts", "created_revision", "state_commits.revision"),
        sa.Column("ended_revision", sa.BigInteger),
        sa.Column("resolution", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_state_conflicts"),
    )
    _index("ix_state_conflicts_branch_id", "state_conflicts", ["branch_id"], where="ended_revision IS NULL")
    op.create_table(
        "conflict_sides",
        _refers("conflict_sides", "conflict_id", "state_conflicts.id"),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("branch_id", sa.BigInteger),
        sa.Column("version", sa.BigInteger),
        sa.Column("revision", sa.BigInteger),
        sa.Column("codec", sa.BigInteger),
        sa.Column("value", sa.Text),
        sa.Column("data", sa.LargeBinary),
        sa.PrimaryKeyConstraint("conflict_id", "side", name="pk_conflict_sides"),
        sqlite_with_rowid=False,
    )


def _refers(table: str, column: str, to: str, *, nullable: bool = False) -> sa.Column[int]:
    key = sa.ForeignKey(to, name=f"fk_{table}_{column}")
    return sa.Column(column, sa.BigInteger, key, nullable=nullable)


def _index(name: str, table: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
