"""Indexes for asking the past: what expired between two points, and which keys retention has cut."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for table in ("state_versions", "state_touches", "session_touches"):
        _sparse(table, "expires_at", "expires_at IS NOT NULL")
    _sparse("agent_states", "floor", "floor > 0")


def _sparse(table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=where, postgresql_where=where)
