"""A commit as rows: how what a transaction staged is written.

Revision and hash are assigned here, as if nobody else wrote; where others do, the server moves them on as rows land.
Nothing is decided here: what changes, and to what, is `journal`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from sqlalchemy import bindparam, insert, select, update

from statedb.db import bases
from statedb.db.chain import CommitRow, content, link
from statedb.db.contents import Link
from statedb.db.deeds import INSERT_DEEDS, Deed
from statedb.db.heads import Head
from statedb.db.sessions import UNWRITTEN, Session, session_name
from statedb.db.statements import Statement
from statedb.db.tables import (
    agent_states,
    agents,
    commit_agents,
    session_touches,
    sessions,
    state_commits,
    state_touches,
    state_versions,
)
from statedb.db.tx import Note, Staged, Tx
from statedb.models import Address, StateType
from statedb.values import codec


@dataclass(slots=True)
class Origin:
    """Where, when and as what a commit was first made, for one that comes from elsewhere; `at` in microseconds."""

    at: int | None = None
    store: str | None = None
    revision: int | None = None
    kind: str | None = None


HERE = Origin()


def write_commit(
    tx: Tx,
    kind: str,
    note: Note,
    changed: dict[Address, Staged],
    clocks: Sequence[Session],
    origin: Origin,
    deeds: Sequence[Deed] = (),
) -> None:
    """Write one commit: its row, what it changed, in the order of names, and its link to the one before."""
    tx.revision += 1
    tx.newest = tx.now
    ordered = sorted(changed.items()) if len(changed) > 1 else list(changed.items())
    versions = [(at, staged) for at, staged in ordered if staged.change is not None]
    # A session's key moves with the session's clock, which is logged once for all of them.
    touches = [(at, staged) for at, staged in ordered if staged.change is None and staged.head.session_id is None]
    clocks = sorted(clocks, key=lambda clock: clock.name)
    commit = _commit_row(tx, kind, note, origin)
    done = to_json([deed.said for deed in deeds]).decode() if deeds else None
    said = content(commit, [*versions, *touches], clocks, done)
    tx.hash = link(tx.hash, tx.now, said)
    tx.connection.run(_INSERT_COMMIT, dict(zip(_COMMIT, (*commit, said, tx.token, tx.hash), strict=True)))
    tx.token = None
    agents_of = _agent_ids(tx, ordered, clocks, deeds)
    for clock in clocks:
        _write_clock(tx, agents_of[clock.name.agent_id], clock)
    for at, staged in versions:
        _write_head(tx, agents_of[at.agent_id], at, staged)
        _write_version(tx, staged)
    for _, staged in touches:
        _write_touch(tx, staged)
    for agent in agents_of.values():
        tx.connection.run(_INSERT_COMMIT_AGENT, {"agent_id": agent, "revision": tx.revision})
    if done is not None:
        tx.connection.run(INSERT_DEEDS, {"revision": tx.revision, "said": done})
    for deed in deeds:
        deed.write(tx)


def _commit_row(tx: Tx, kind: str, note: Note, origin: Origin) -> CommitRow:
    context = None if note.context is None else codec.json_text(note.context, tx.settings.max_value_bytes).decode()
    origin_at = None if origin.at == tx.now else origin.at
    merged = None if note is not tx.note else tx.merge_parent
    made = (tx.revision, tx.branch, merged, kind, tx.now, origin_at, origin.store, origin.revision)
    return CommitRow(*made, note.actor, note.message, context)


def _agent_ids(
    tx: Tx, changed: Sequence[tuple[Address, Staged]], clocks: Sequence[Session], deeds: Sequence[Deed]
) -> dict[str, int]:
    """Return the ids of the agents a commit touches, by name; those it is the first for are made."""
    found = {at.agent_id: staged.head.agent for at, staged in changed if staged.head.agent is not None}
    missing = {at.agent_id for at, staged in changed if staged.head.agent is None}
    missing.update(clock.name.agent_id for clock in clocks)
    missing.update(deed.agent for deed in deeds if deed.agent is not None)
    for name in sorted(missing.difference(found)):
        found[name] = agent_id_of(tx, name)
    return found


def agent_id_of(tx: Tx, name: str) -> int:
    """Return an agent's id, making the agent where there is none of that name."""
    return _known_agent(tx, name) or _make_agent(tx, name)


def _known_agent(tx: Tx, name: str) -> int | None:
    if (made := tx.agents.get(name)) is not None:
        return made
    if tx.earlier is not None and name in tx.earlier.agents:
        return tx.earlier.agents[name]
    row = tx.connection.settled(_FIND_AGENT, {"name": name})
    return None if row is None else int(row[0])


def _make_agent(tx: Tx, name: str) -> int:
    made = tx.agents[name] = tx.connection.new_id(agents)
    tx.connection.run(_INSERT_AGENT, {"id": made, "name": name})
    return made


def _write_clock(tx: Tx, agent: int, clock: Session) -> None:
    values = {"ttl": clock.ttl, "expires_at": clock.expires_at}
    if clock.id is None:
        clock.id = tx.connection.new_id(sessions)
        made = {"id": clock.id, "branch_id": tx.branch, "agent_id": agent, "name": clock.name.name}
        tx.connection.run(_INSERT_SESSION, {**values, **made})
        joined = {"of_session": clock.id, "of_agent": agent, "of_branch": tx.branch}
        tx.connection.run(_JOIN_SESSION, {**joined, "low": clock.name.low, "high": clock.name.high})
    else:
        tx.connection.run(_UPDATE_SESSION, {**values, "row": clock.id})
    tx.connection.run(_INSERT_SESSION_TOUCH, {**values, "revision": tx.revision, "session_id": clock.id})


def _write_head(tx: Tx, agent: int, at: Address, staged: Staged) -> None:
    head = staged.head
    if head.id is None and staged.before is not None:
        # What a branch inherited had expired: recording that, a moment ago, has made the branch's own row.
        head.id = staged.before.id
    head.revision, head.agent = tx.revision, agent
    if staged.change == "create":
        head.created_revision = tx.revision
    if head.session_id == UNWRITTEN:
        # A branch need not have the session's clock yet: what joins it by its name does so when it has.
        name = session_name(at.agent_id, at.key)
        session = None if name is None else tx.sessions.get(name)
        head.session_id = None if session is None else session.id
    if head.id is None:
        head.id = tx.connection.new_id(agent_states)
        named = {"branch_id": tx.branch, "agent_id": agent, "state_type": at.state_type, "state_key": at.key}
        made = {"id": head.id, **named, "salt": head.salt}
        tx.connection.run(_INSERT_HEAD, {**_value_of(head), **_life_of(head), **made})
    elif staged.change == "update" and staged.before is not None and _life(staged.before) == _life(head):
        # Naming an indexed column in an UPDATE makes SQLite look at its index, changed or not.
        tx.connection.run(_UPDATE_VALUE, {**_value_of(head), "row": head.id})
    else:
        tx.connection.run(_UPDATE_HEAD, {**_value_of(head), **_life_of(head), "row": head.id})
    for entry in staged.entries:
        object.__setattr__(entry, "revision", tx.revision)
    tx.told += staged.entries


def _value_of(head: Head) -> dict[str, Any]:
    return {
        "version": head.version,
        "parent_version": head.parent_version,
        "revision": head.revision,
        "updated_at": head.updated_at,
        "digest": head.digest,
        "metadata": head.metadata,
        "codec": head.codec,
        "value": head.text,
        "data": head.data,
    }


def _life_of(head: Head) -> dict[str, Any]:
    return dict(zip(_LIFE, _life(head), strict=True))


def _life(head: Head) -> tuple[Any, ...]:
    """Return when a key was made and when it ends; in a session that is the session's to say."""
    ends = (head.ttl, head.expires_at) if head.session_id is None else (None, None)
    return (head.created_revision, head.created_at, head.created_by, *ends, head.session_id)


def _write_version(tx: Tx, staged: Staged) -> None:
    head = staged.head
    base, stored = bases.keep(staged)
    if tx.earlier is not None and head.id is not None:
        tx.earlier.links[head.id, tx.revision] = Link(head.version, base, head.digest, stored)
    tx.connection.run(
        _INSERT_VERSION,
        {
            "revision": tx.revision,
            "state_id": head.id,
            "version": head.version,
            "parent_version": head.parent_version,
            "source_version": staged.source_version,
            "created_revision": head.created_revision,
            "change": staged.change,
            "expires_at": head.expires_at if head.session_id is None else None,
            "size": len(staged.encoded.plain) if staged.encoded else 0,
            "digest": head.digest,
            "metadata": head.metadata,
            "base": base,
            "codec": stored.codec,
            "value": stored.text,
            "data": stored.data,
        },
    )


def _write_touch(tx: Tx, staged: Staged) -> None:
    values = {"ttl": staged.head.ttl, "expires_at": staged.head.expires_at}
    tx.connection.run(_UPDATE_EXPIRY, {**values, "row": staged.head.id})
    tx.connection.run(_INSERT_TOUCH, {**values, "revision": tx.revision, "state_id": staged.head.id})


# ---- statements

_s, _w = agent_states.c, sessions.c

_COMMIT = (*CommitRow._fields, "content", "token", "hash")
_VALUE = ("version", "parent_version", "revision", "updated_at", "digest", "metadata", "codec", "value", "data")
_LIFE = ("created_revision", "created_at", "created_by", "ttl", "expires_at", "session_id")
_HEAD = (*_VALUE, *_LIFE)
_VERSION = (
    "revision", "state_id", "version", "parent_version", "source_version", "created_revision", "change", "expires_at",
    "size", "digest", "metadata", "base", "codec", "value", "data",
)  # fmt: skip


def _named(*names: str) -> dict[str, object]:
    return {name: bindparam(name) for name in names}


_FIND_AGENT = Statement(select(agents.c.id).where(agents.c.name == bindparam("name")))
_INSERT_AGENT = Statement(insert(agents).values(_named("id", "name")))
_INSERT_COMMIT = Statement(insert(state_commits).values(_named(*(name for name in _COMMIT if name != "content"))))
_INSERT_COMMIT_AGENT = Statement(insert(commit_agents).values(_named("agent_id", "revision")))
_INSERT_HEAD = Statement(
    insert(agent_states).values(_named("id", "branch_id", "agent_id", "state_type", "state_key", "salt", *_HEAD))
)
_UPDATE_HEAD = Statement(update(agent_states).where(_s.id == bindparam("row")).values(_named(*_HEAD)))
_UPDATE_VALUE = Statement(update(agent_states).where(_s.id == bindparam("row")).values(_named(*_VALUE)))
_UPDATE_EXPIRY = Statement(update(agent_states).where(_s.id == bindparam("row")).values(_named("ttl", "expires_at")))
_INSERT_VERSION = Statement(insert(state_versions).values(_named(*_VERSION)))
_INSERT_TOUCH = Statement(insert(state_touches).values(_named("revision", "state_id", "ttl", "expires_at")))
_INSERT_SESSION = Statement(insert(sessions).values(_named("id", "branch_id", "agent_id", "name", "ttl", "expires_at")))
_UPDATE_SESSION = Statement(update(sessions).where(_w.id == bindparam("row")).values(_named("ttl", "expires_at")))
_JOIN_SESSION = Statement(
    update(agent_states)
    .where(
        _s.branch_id == bindparam("of_branch"),
        _s.agent_id == bindparam("of_agent"),
        _s.state_type == StateType.SESSION.value,
        _s.state_key >= bindparam("low"),
        _s.state_key < bindparam("high"),
    )
    .values(session_id=bindparam("of_session"), ttl=None, expires_at=None)
)
_INSERT_SESSION_TOUCH = Statement(insert(session_touches).values(_named("revision", "session_id", "ttl", "expires_at")))
