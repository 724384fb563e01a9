"""What a careful programmer would write by hand with psycopg: the floor under statedb on PostgreSQL.

It runs on an equal database of the same server, and writes the same rows: the head, its version, the commit, the
commit's agent, under the same lock, without which revisions would not become visible in their order. One connection is
kept open; psycopg prepares what is said often. It leaves out what the floor on SQLite leaves out: nothing is checked,
nothing hashed, nothing can expire, no object is made of a row; and nobody's function is ever called again.

    write, write_one_commit, write_together   each statement waits for its answer: how psycopg is used by most
    write_awaited                             the same on an event loop
    *_pipelined                               psycopg's pipeline: one journey reads under the lock, one writes
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import psycopg
from pydantic_core import from_json, to_json

Durability = Literal["full", "normal"]
Write = tuple[str, Any]
Connection = psycopg.Connection[Any]

_KEY = (
    "from agents a join agent_states s on s.agent_id = a.id "
    "where a.name = %s and s.branch_id = 1 and s.state_type = %s and s.state_key = %s"
)
_RANGE = (
    "from agents a join agent_states s on s.agent_id = a.id "
    "where a.name = %s and s.branch_id = 1 and s.state_type = %s and s.codec is not null order by s.state_key"
)
VALUE = f"select s.value {_KEY}"
ENTRY = (
    "select s.value, s.version, s.parent_version, s.revision, s.created_at, s.updated_at, s.created_by, "
    f"s.expires_at, s.metadata {_KEY}"
)
KEYS = f"select s.state_key {_RANGE}"
ITEMS = f"select s.state_key, s.value {_RANGE}"
_VERSIONS = (
    "from agents a join agent_states s on s.agent_id = a.id join state_versions v on v.state_id = s.id "
    "join state_commits c on c.revision = v.revision "
    "where a.name = %s and s.branch_id = 1 and s.state_type = %s and s.state_key = %s"
)
AS_OF = f"select v.value {_VERSIONS} and v.revision <= %s order by v.revision desc limit 1"
VERSIONS = (
    "select v.version, v.parent_version, v.source_version, v.revision, c.at, c.origin_at, c.actor, c.message, "
    f"v.change, v.size, v.expires_at, v.metadata {_VERSIONS} order by v.revision desc limit 20"
)

_LOCK = "select pg_advisory_xact_lock(1, 1)"
_NEWEST = "select max(revision) from state_commits"
_HEAD = f"select s.id, s.agent_id, s.version, s.created_revision, s.value {_KEY} for update of s"
_HEADS = (
    "select s.state_key, s.id, s.agent_id, s.version, s.created_revision from agents a "
    "join agent_states s on s.agent_id = a.id "
    "where a.name = %s and s.branch_id = 1 and s.state_type = %s and s.state_key = any(%s) for update of s"
)
_UPDATE = (
    "update agent_states set version = %s, parent_version = %s, revision = %s, updated_at = %s, digest = %s, "
    "codec = 0, value = %s where id = %s"
)
_VERSION = (
    "insert into state_versions (revision, state_id, version, parent_version, created_revision, change, size, digest, "
    "codec, value) values (%s, %s, %s, %s, %s, 'update', %s, %s, 0, %s)"
)
_COMMIT = "insert into state_commits (revision, branch_id, kind, at, hash) values (%s, 1, 'write', %s, %s)"
_AGENT = "insert into commit_agents (agent_id, revision) values (%s, %s)"


def options(durability: Durability) -> dict[str, Any]:
    """Return how the floor's connections are made, waited for or awaited."""
    on = "on" if durability == "full" else "off"
    return {"autocommit": True, "options": f"-c search_path=statedb -c synchronous_commit={on}"}


def connect(url: str, durability: Durability = "normal") -> Connection:
    """Return a connection that keeps the promises a store's keep."""
    return psycopg.connect(url, **options(durability))


# ---- statement by statement


def write(db: Connection, agent: str, tier: str, key: str, value: Any) -> int:
    """Write one value, or what a function makes of the old one, in a transaction of its own; return its version."""
    return write_one_commit(db, agent, tier, [(key, value)])


def write_one_commit(db: Connection, agent: str, tier: str, writes: Iterable[Write]) -> int:
    """Write many values as one commit, in one transaction."""
    with db.transaction():
        db.execute(_LOCK)
        [[newest]] = db.execute(_NEWEST).fetchall()
        return _write_commit(db, newest + 1, agent, tier, writes)


def write_together(db: Connection, agent: str, tier: str, writes: Iterable[Write]) -> None:
    """Write many values, a commit each, in one transaction."""
    with db.transaction():
        db.execute(_LOCK)
        [[newest]] = db.execute(_NEWEST).fetchall()
        for revision, each in enumerate(writes, newest + 1):
            _write_commit(db, revision, agent, tier, [each])


def _write_commit(db: Connection, revision: int, agent: str, tier: str, writes: Iterable[Write]) -> int:
    now, filler = time.time_ns() // 1000, revision.to_bytes(16, "big")
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


async def write_awaited(db: psycopg.AsyncConnection[Any], agent: str, tier: str, key: str, value: Any) -> int:
    """Write one value in a transaction of its own, and return its version."""
    async with db.transaction():
        await db.execute(_LOCK)
        [[newest]] = await (await db.execute(_NEWEST)).fetchall()
        revision, now = newest + 1, time.time_ns() // 1000
        filler = revision.to_bytes(16, "big")
        await db.execute(_COMMIT, (revision, now, filler))
        [[state, owner, before, created, _]] = await (await db.execute(_HEAD, (agent, tier, key))).fetchall()
        plain = to_json(value)
        text = plain.decode()
        await db.execute(_UPDATE, (before + 1, before, revision, now, filler, text, state))
        await db.execute(_VERSION, (revision, state, before + 1, before, created, len(plain), filler, text))
        await db.execute(_AGENT, (owner, revision))
        return int(before + 1)


# ---- by the pipeline


def write_pipelined(db: Connection, agent: str, tier: str, key: str, value: Any) -> int:
    """Write one value, or what a function makes of the old one, in two journeys; return its version."""
    with db.pipeline():
        db.execute("begin")
        db.execute(_LOCK)
        newest_of, head_of = db.execute(_NEWEST), db.execute(_HEAD, (agent, tier, key))
        [[newest]], [[state, owner, before, created, old]] = newest_of.fetchall(), head_of.fetchall()
        plain = to_json(value(from_json(old)) if callable(value) else value)
        text, version, revision = plain.decode(), before + 1, newest + 1
        now, filler = time.time_ns() // 1000, revision.to_bytes(16, "big")
        db.execute(_COMMIT, (revision, now, filler))
        db.execute(_UPDATE, (version, before, revision, now, filler, text, state))
        db.execute(_VERSION, (revision, state, version, before, created, len(plain), filler, text))
        db.execute(_AGENT, (owner, revision))
        db.execute("commit")
    return int(version)


def write_together_pipelined(db: Connection, agent: str, tier: str, writes: Sequence[Write]) -> None:
    """Write values of different keys, a commit each, in one transaction: heads by one select, rows by executemany."""
    now = time.time_ns() // 1000
    with db.transaction(), db.cursor() as cursor:
        db.execute(_LOCK)
        [[newest]] = db.execute(_NEWEST).fetchall()
        heads = {key: rest for key, *rest in db.execute(_HEADS, (agent, tier, [key for key, _ in writes])).fetchall()}
        commits, updates, versions, agents = [], [], [], []
        for revision, (key, value) in enumerate(writes, newest + 1):
            state, owner, before, created = heads[key]
            plain = to_json(value)
            text, version, filler = plain.decode(), before + 1, revision.to_bytes(16, "big")
            commits.append((revision, now, filler))
            updates.append((version, before, revision, now, filler, text, state))
            versions.append((revision, state, version, before, created, len(plain), filler, text))
            agents.append((owner, revision))
        cursor.executemany(_COMMIT, commits)
        cursor.executemany(_UPDATE, updates)
        cursor.executemany(_VERSION, versions)
        cursor.executemany(_AGENT, agents)


def rows_of(url: str) -> dict[str, int]:
    """Return how many rows each table of a store holds: both contenders must have written as many."""
    tables = ("agent_states", "state_versions", "state_commits", "commit_agents")
    with connect(url) as db:
        return {table: int(db.execute(f"select count(*) from {table}").fetchall()[0][0]) for table in tables}
