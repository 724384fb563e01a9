"""The views `states`, `history` and `commits`, for people with an SQL shell."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

STATES = """
CREATE VIEW states AS
SELECT a.name AS agent_id, s.state_type, s.state_key, s.version, s.parent_version, s.revision, s.value, s.metadata,
       s.created_at, s.created_by, s.updated_at, coalesce(w.expires_at, s.expires_at) AS expires_at
FROM agent_states AS s
JOIN agents AS a ON a.id = s.agent_id
LEFT OUTER JOIN sessions AS w ON w.id = s.session_id
WHERE s.codec IS NOT NULL AND s.branch_id = 1
"""

HISTORY = """
CREATE VIEW history AS
SELECT a.name AS agent_id, s.state_type, s.state_key, v.version, v.parent_version, v.source_version, v.revision,
       v.change, v.value, v.metadata, v.size, c.at, c.actor, c.message, v.expires_at
FROM state_versions AS v
JOIN agent_states AS s ON s.id = v.state_id
JOIN agents AS a ON a.id = s.agent_id
JOIN state_commits AS c ON c.revision = v.revision
WHERE s.branch_id = 1
"""

COMMITS = """
CREATE VIEW commits AS
SELECT c.revision, c.kind, c.at, c.origin_at, c.actor, c.message, c.context
FROM state_commits AS c
WHERE c.branch_id = 1
"""


def upgrade() -> None:
    for view in (STATES, HISTORY, COMMITS):
        op.execute(view.strip())
