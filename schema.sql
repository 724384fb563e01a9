-- The schema of a store, as SQLite sees it. Generated from statedb/db by `make schema`; do not edit.
-- What each table, row and column means: docs/format.md.

CREATE TABLE aborted_writes (
    token TEXT NOT NULL,
    at BIGINT NOT NULL,
    CONSTRAINT pk_aborted_writes PRIMARY KEY (token)
);

CREATE TABLE agent_states (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    state_type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    version BIGINT NOT NULL,
    parent_version BIGINT,
    revision BIGINT NOT NULL,
    created_revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT,
    updated_at BIGINT NOT NULL,
    ttl BIGINT,
    expires_at BIGINT,
    session_id BIGINT,
    floor BIGINT DEFAULT '0' NOT NULL,
    salt BLOB NOT NULL,
    digest BLOB,
    metadata TEXT,
    codec BIGINT,
    value TEXT,
    data BLOB,
    CONSTRAINT pk_agent_states PRIMARY KEY (id),
    CONSTRAINT uq_agent_states_branch_id_agent_id_state_type_state_key UNIQUE (branch_id, agent_id, state_type, state_key),
    CONSTRAINT fk_agent_states_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id),
    CONSTRAINT fk_agent_states_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
);

CREATE TABLE agents (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT uq_agents_name UNIQUE (name)
);

CREATE TABLE branches (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    parent_id BIGINT,
    base BIGINT NOT NULL,
    created_revision BIGINT NOT NULL,
    ended_revision BIGINT,
    CONSTRAINT pk_branches PRIMARY KEY (id),
    CONSTRAINT fk_branches_parent_id FOREIGN KEY(parent_id) REFERENCES branches (id)
);

CREATE TABLE checkpoint_policies (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    config TEXT NOT NULL,
    created_revision BIGINT NOT NULL,
    CONSTRAINT pk_checkpoint_policies PRIMARY KEY (id),
    CONSTRAINT uq_checkpoint_policies_branch_id_agent_id UNIQUE (branch_id, agent_id),
    CONSTRAINT fk_checkpoint_policies_branch_id FOREIGN KEY(branch_id) REFERENCES branches (id),
    CONSTRAINT fk_checkpoint_policies_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id),
    CONSTRAINT fk_checkpoint_policies_created_revision FOREIGN KEY(created_revision) REFERENCES state_commits (revision)
);

CREATE TABLE commit_agents (
    agent_id BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    CONSTRAINT pk_commit_agents PRIMARY KEY (agent_id, revision),
    CONSTRAINT fk_commit_agents_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id),
    CONSTRAINT fk_commit_agents_revision FOREIGN KEY(revision) REFERENCES state_commits (revision)
) WITHOUT ROWID;

CREATE TABLE commit_deeds (
    revision BIGINT NOT NULL,
    said TEXT NOT NULL,
    CONSTRAINT pk_commit_deeds PRIMARY KEY (revision),
    CONSTRAINT fk_commit_deeds_revision FOREIGN KEY(revision) REFERENCES state_commits (revision)
) WITHOUT ROWID;

CREATE TABLE conflict_sides (
    conflict_id BIGINT NOT NULL,
    side TEXT NOT NULL,
    branch_id BIGINT,
    version BIGINT,
    revision BIGINT,
    codec BIGINT,
    value TEXT,
    data BLOB,
    CONSTRAINT pk_conflict_sides PRIMARY KEY (conflict_id, side),
    CONSTRAINT fk_conflict_sides_conflict_id FOREIGN KEY(conflict_id) REFERENCES state_conflicts (id)
) WITHOUT ROWID;

CREATE TABLE event_streams (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    agent_id BIGINT,
    version BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    created_revision BIGINT NOT NULL,
    salt BLOB NOT NULL,
    CONSTRAINT pk_event_streams PRIMARY KEY (id),
    CONSTRAINT uq_event_streams_name UNIQUE (name),
    CONSTRAINT fk_event_streams_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);

CREATE TABLE feed_consumers (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    filter TEXT NOT NULL,
    position BIGINT NOT NULL,
    pins_for BIGINT,
    created_at BIGINT NOT NULL,
    acknowledged_at BIGINT NOT NULL,
    ended_at BIGINT,
    CONSTRAINT pk_feed_consumers PRIMARY KEY (id),
    CONSTRAINT fk_feed_consumers_branch_id FOREIGN KEY(branch_id) REFERENCES branches (id)
);

CREATE TABLE session_touches (
    revision BIGINT NOT NULL,
    session_id BIGINT NOT NULL,
    ttl BIGINT,
    expires_at BIGINT,
    CONSTRAINT pk_session_touches PRIMARY KEY (revision, session_id),
    CONSTRAINT fk_session_touches_revision FOREIGN KEY(revision) REFERENCES state_commits (revision),
    CONSTRAINT fk_session_touches_session_id FOREIGN KEY(session_id) REFERENCES sessions (id)
) WITHOUT ROWID;

CREATE TABLE sessions (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    ttl BIGINT,
    expires_at BIGINT,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT uq_sessions_branch_id_agent_id_name UNIQUE (branch_id, agent_id, name),
    CONSTRAINT fk_sessions_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);

CREATE TABLE state_checkpoints (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    agent_id BIGINT,
    checkpoint_name TEXT NOT NULL,
    checkpoint_type TEXT NOT NULL,
    revision BIGINT NOT NULL,
    instant BIGINT NOT NULL,
    metadata TEXT,
    created_revision BIGINT NOT NULL,
    ended_revision BIGINT,
    CONSTRAINT pk_state_checkpoints PRIMARY KEY (id),
    CONSTRAINT fk_state_checkpoints_branch_id FOREIGN KEY(branch_id) REFERENCES branches (id),
    CONSTRAINT fk_state_checkpoints_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id),
    CONSTRAINT fk_state_checkpoints_created_revision FOREIGN KEY(created_revision) REFERENCES state_commits (revision)
);

CREATE TABLE state_commits (
    revision INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    merge_parent BIGINT,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    origin_at BIGINT,
    origin TEXT,
    origin_revision BIGINT,
    actor TEXT,
    message TEXT,
    context TEXT,
    token TEXT,
    hash BLOB NOT NULL,
    CONSTRAINT pk_state_commits PRIMARY KEY (revision)
);

CREATE TABLE state_conflicts (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    state_type TEXT NOT NULL,
    state_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT,
    created_revision BIGINT NOT NULL,
    ended_revision BIGINT,
    resolution TEXT,
    CONSTRAINT pk_state_conflicts PRIMARY KEY (id),
    CONSTRAINT fk_state_conflicts_branch_id FOREIGN KEY(branch_id) REFERENCES branches (id),
    CONSTRAINT fk_state_conflicts_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id),
    CONSTRAINT fk_state_conflicts_created_revision FOREIGN KEY(created_revision) REFERENCES state_commits (revision)
);

CREATE TABLE state_locks (
    id INTEGER NOT NULL,
    branch_id BIGINT NOT NULL,
    agent_id BIGINT NOT NULL,
    state_key TEXT NOT NULL,
    lock_type TEXT NOT NULL,
    locked_by TEXT,
    locked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ttl BIGINT NOT NULL,
    metadata TEXT,
    arrived BIGINT NOT NULL,
    called_at BIGINT,
    fence BIGINT,
    changed_revision BIGINT NOT NULL,
    ended_revision BIGINT,
    CONSTRAINT pk_state_locks PRIMARY KEY (id),
    CONSTRAINT fk_state_locks_branch_id FOREIGN KEY(branch_id) REFERENCES branches (id),
    CONSTRAINT fk_state_locks_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id)
);

CREATE TABLE state_touches (
    revision BIGINT NOT NULL,
    state_id BIGINT NOT NULL,
    ttl BIGINT,
    expires_at BIGINT,
    CONSTRAINT pk_state_touches PRIMARY KEY (revision, state_id),
    CONSTRAINT fk_state_touches_revision FOREIGN KEY(revision) REFERENCES state_commits (revision),
    CONSTRAINT fk_state_touches_state_id FOREIGN KEY(state_id) REFERENCES agent_states (id)
) WITHOUT ROWID;

CREATE TABLE state_versions (
    revision BIGINT NOT NULL,
    state_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    parent_version BIGINT,
    source_version BIGINT,
    created_revision BIGINT NOT NULL,
    change TEXT NOT NULL,
    expires_at BIGINT,
    size BIGINT NOT NULL,
    digest BLOB,
    metadata TEXT,
    base BIGINT,
    codec BIGINT,
    value TEXT,
    data BLOB,
    CONSTRAINT pk_state_versions PRIMARY KEY (revision, state_id),
    CONSTRAINT fk_state_versions_revision FOREIGN KEY(revision) REFERENCES state_commits (revision),
    CONSTRAINT fk_state_versions_state_id FOREIGN KEY(state_id) REFERENCES agent_states (id)
) WITHOUT ROWID;

CREATE TABLE store_info (
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    incarnation TEXT,
    CONSTRAINT pk_store_info PRIMARY KEY (id)
);

CREATE TABLE stream_events (
    stream_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    position BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    digest BLOB,
    metadata TEXT,
    codec BIGINT,
    value TEXT,
    data BLOB,
    CONSTRAINT pk_stream_events PRIMARY KEY (stream_id, version),
    CONSTRAINT uq_stream_events_position UNIQUE (position),
    CONSTRAINT fk_stream_events_stream_id FOREIGN KEY(stream_id) REFERENCES event_streams (id),
    CONSTRAINT fk_stream_events_revision FOREIGN KEY(revision) REFERENCES state_commits (revision)
) WITHOUT ROWID;

CREATE TABLE stream_snapshots (
    stream_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    digest BLOB,
    metadata TEXT,
    codec BIGINT,
    value TEXT,
    data BLOB,
    CONSTRAINT pk_stream_snapshots PRIMARY KEY (stream_id, version, revision),
    CONSTRAINT fk_stream_snapshots_stream_id FOREIGN KEY(stream_id) REFERENCES event_streams (id),
    CONSTRAINT fk_stream_snapshots_revision FOREIGN KEY(revision) REFERENCES state_commits (revision)
) WITHOUT ROWID;

CREATE INDEX ix_agent_states_expires_at ON agent_states (expires_at)
WHERE expires_at IS NOT NULL;

CREATE INDEX ix_agent_states_floor ON agent_states (floor)
WHERE floor > 0;

CREATE INDEX ix_agent_states_session_id ON agent_states (session_id)
WHERE session_id IS NOT NULL;

CREATE UNIQUE INDEX ix_branches_name ON branches (name)
WHERE ended_revision IS NULL;

CREATE INDEX ix_checkpoint_policies_created_revision ON checkpoint_policies (created_revision);

CREATE INDEX ix_session_touches_expires_at ON session_touches (expires_at)
WHERE expires_at IS NOT NULL;

CREATE INDEX ix_session_touches_history ON session_touches (session_id, revision DESC);

CREATE INDEX ix_sessions_expires_at ON sessions (expires_at)
WHERE expires_at IS NOT NULL;

CREATE INDEX ix_state_checkpoints_agent ON state_checkpoints (agent_id, created_revision);

CREATE INDEX ix_state_checkpoints_name ON state_checkpoints (checkpoint_name);

CREATE INDEX ix_state_commits_branch_id_revision ON state_commits (branch_id, revision)
WHERE branch_id > 1;

CREATE INDEX ix_state_commits_merge_parent ON state_commits (merge_parent)
WHERE merge_parent IS NOT NULL;

CREATE INDEX ix_state_conflicts_branch_id ON state_conflicts (branch_id)
WHERE ended_revision IS NULL;

CREATE INDEX ix_state_locks_fence ON state_locks (fence)
WHERE fence IS NOT NULL;

CREATE INDEX ix_state_locks_key ON state_locks (branch_id, agent_id, state_key);

CREATE INDEX ix_state_locks_standing ON state_locks (expires_at)
WHERE ended_revision IS NULL AND fence IS NOT NULL;

CREATE INDEX ix_state_touches_expires_at ON state_touches (expires_at)
WHERE expires_at IS NOT NULL;

CREATE INDEX ix_state_touches_history ON state_touches (state_id, revision DESC);

CREATE INDEX ix_state_versions_expires_at ON state_versions (expires_at)
WHERE expires_at IS NOT NULL;

CREATE INDEX ix_state_versions_history ON state_versions (state_id, revision DESC, version);

CREATE VIEW commits AS
SELECT c.revision, c.kind, c.at, c.origin_at, c.actor, c.message, c.context
FROM state_commits AS c
WHERE c.branch_id = 1;

CREATE VIEW history AS
SELECT a.name AS agent_id, s.state_type, s.state_key, v.version, v.parent_version, v.source_version, v.revision, v.change, v.value, v.metadata, v.size, c.at, c.actor, c.message, v.expires_at
FROM state_versions AS v
JOIN agent_states AS s ON s.id = v.state_id
JOIN agents AS a ON a.id = s.agent_id
JOIN state_commits AS c ON c.revision = v.revision
WHERE s.branch_id = 1;

CREATE VIEW states AS
SELECT a.name AS agent_id, s.state_type, s.state_key, s.version, s.parent_version, s.revision, s.value, s.metadata, s.created_at, s.created_by, s.updated_at, coalesce(w.expires_at, s.expires_at) AS expires_at
FROM agent_states AS s
JOIN agents AS a ON a.id = s.agent_id LEFT OUTER JOIN sessions AS w ON w.id = s.session_id
WHERE s.codec IS NOT NULL AND s.branch_id = 1;
