"""What a careful programmer would write by hand against sqlite3: the floor under statedb.

It runs on a copy of the same store file with the same pragmas, and writes the same rows: the head, its version, the
commit, the commit's agent. It leaves out what statedb adds. Nothing is checked, nothing hashed (16 bytes of the same
size stand in for digest and hash), nothing can expire, no object is made of the row.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic_core import from_json, to_json

from statedb import Settings
from statedb.db.sqlite import connection as sqlite

Durability = Literal["full", "normal"]
Write = tuple[str, Any]

_KEY = (
    "from agents a join agent_states s on s.agent_id = a.id "
    "where a.name = ? and s.branch_id = 1 and s.state_type = ? and s.state_key = ?"
)
_RANGE = (
    "from agents a join agent_states s on s.agent_id = a.id "
    "where a.name = ? and s.branch_id = 1 and s.state_type = ? and s.codec is not null order by s.state_key"
)
VALUE = f"select s.value {_KEY}"
ENTRY = (
    "select s.value, s.version, s.parent_version, s.revision, s.created_at, s.updated_at, s.created_by, "
    f"s.expires_at, s.metadata {_KEY}"
)
KEYS = f"select s.state_key {_RANGE}"
ITEMS = f"select s.state_key, s.value {_RANGE}"
AS_OF = (
    "select v.value from agents a join agent_states s on s.agent_id = a.id join state_versions v on v.state_id = s.id "
    "where a.name = ? and s.branch_id = 1 and s.state_type = ? and s.state_key = ? and v.revision <= ? "
    "order by v.revision desc limit 1"
)
VERSIONS = (
    "select v.version, v.parent_version, v.source_version, v.revision, c.at, c.origin_at, c.actor, c.message, "
    "v.change, v.size, v.expires_at, v.metadata from agents a join agent_states s on s.agent_id = a.id "
    "join state_versions v on v.state_id = s.id join state_commits c on c.revision = v.revision "
    "where a.name = ? and s.branch_id = 1 and s.state_type = ? and s.state_key = ? order by v.revision desc limit 20"
)

_VERSIONS_OF = (
    "from agents a join agent_states s on s.agent_id = a.id join state_versions v on v.state_id = s.id "
    "where a.name = ? and s.branch_id = 1 and s.state_type = ? and s.state_key = ?"
)
VALUES = f"select v.value {_VERSIONS_OF} order by v.revision desc limit ?"
VALUE_AT = (
    "select v.value from agents a join agent_states s on s.agent_id = a.id "
    "join state_versions v on v.revision = ? and v.state_id = s.id "
    "where a.name = ? and s.branch_id = 1 and s.state_type = ? and s.state_key = ?"
)
BETWEEN = "select value from state_versions where revision > ? and revision <= ?"

_NEWEST = "select max(revision) from state_commits"
_HEAD = f"select s.id, s.agent_id, s.version, s.created_revision, s.value {_KEY}"
_UPDATE = (
    "update agent_states set version = ?, parent_version = ?, revision = ?, updated_at = ?, digest = ?, codec = 0, "
    "value = ? where id = ?"
)
_VERSION = (
    "insert into state_versions (revision, state_id, version, parent_version, created_revision, change, size, digest, "
    "codec, value) values (?, ?, ?, ?, ?, 'update', ?, ?, 0, ?)"
)
_COMMIT = "insert into state_commits (revision, branch_id, kind, at, hash) values (?, 1, 'write', ?, ?)"
_AGENT = "insert into commit_agents (agent_id, revision) values (?, ?)"


def connect(path: Path, durability: Durability = "normal") -> sqlite3.Connection:
    """Return a raw connection with the pragmas a store's has."""
    return sqlite.connect(str(path), Settings(durability=durability), mode="rw", patience=30.0).raw


def write(db: sqlite3.Connection, agent: str, tier: str, key: str, value: Any) -> int:
    """Write one value in a transaction of its own, and return its version."""
    db.execute("begin immediate")
    [[newest]] = db.execute(_NEWEST).fetchall()
    version = _write_commit(db, newest + 1, agent, tier, [(key, value)])
    db.execute("commit")
    return version


def write_one_commit(db: sqlite3.Connection, agent: str, tier: str, writes: Iterable[Write]) -> None:
    """Write many values as one commit, in one transaction."""
    db.execute("begin immediate")
    [[newest]] = db.execute(_NEWEST).fetchall()
    _write_commit(db, newest + 1, agent, tier, writes)
    db.execute("commit")


def write_together(db: sqlite3.Connection, agent: str, tier: str, writes: Iterable[Write]) -> None:
    """Write many values, a commit each, in one transaction."""
    db.execute("begin immediate")
    [[newest]] = db.execute(_NEWEST).fetchall()
    for revision, each in enumerate(writes, newest + 1):
        _write_commit(db, revision, agent, tier, [each])
    db.execute("commit")


def update(db: sqlite3.Connection, agent: str, tier: str, key: str, fn: Callable[[Any], Any]) -> int:
    """Read a value, pass it to fn and write what that returns, in one transaction."""
    db.execute("begin immediate")
    [[newest]] = db.execute(_NEWEST).fetchall()
    version = _write_commit(db, newest + 1, agent, tier, [(key, fn)])
    db.execute("commit")
    return version


def _write_commit(db: sqlite3.Connection, revision: int, agent: str, tier: str, writes: Iterable[Write]) -> int:
    now = time.time_ns() // 1000
    filler = revision.to_bytes(16, "big")
    db.execute(_COMMIT, (revision, now, filler))
    version = owner = 0
    for key, value in writes:
        [[state, owner, before, created, old]] = db.execute(_HEAD, (agent, tier, key)).fetchall()
        plain = to_json(value(from_json(old)) if callable(value) else value)
        text, version = plain.decode(), before + 1
        db.execute(_UPDATE, (version, before, revision, now, filler, text, state))
        db.execute(_VERSION, (revision, state, version, before, created, len(plain), filler, text))
    db.execute(_AGENT, (owner, revision))
    return version


def rows_of(path: Path) -> dict[str, int]:
    """Return how many rows each table of a store holds: both contenders must have written as many."""
    db = connect(path)
    tables = ("agent_states", "state_versions", "state_commits", "commit_agents")
    found = {table: int(db.execute(f"select count(*) from {table}").fetchone()[0]) for table in tables}
    db.close()
    return found
