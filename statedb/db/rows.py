"""A commit as rows: how what a transaction staged is written.

Revision and hash are assigned here, in one place. Nothing is decided here: what changes, and to what, is `journal`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, update

from statedb.db.chain import CommitRow, link
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
    tx: Tx, kind: str, note: Note, changed: dict[Address, Staged], clocks: Sequence[Session], origin: Origin
) -> None:
    tx.revision += 1
    tx.newest = tx.now
    revision = tx.revision
    versions = {at: staged for at, staged in sorted(changed.items()) if staged.change is not None}
    touches = {at: staged for at, staged in sorted(changed.items()) if _is_own_touch(staged)}
    commit = CommitRow(
        revision=revision,
        branch_id=tx.branch,
        kind=kind,
        at=tx.now,
        origin_at=None if origin.at in (None, tx.now) else origin.at,
        origin=origin.store,
        origin_revision=origin.revision,
        actor=note.actor,
        message=note.message,
        context=None if note.context is None else codec.json_text(note.context, tx.settings.max_value_bytes).decode(),
    )
    tx.hash = link(tx.hash, commit, versions, touches, sorted(clocks, key=lambda clock: clock.name))
    tx.db.one(_INSERT_COMMIT, {**commit._asdict(), "hash": tx.hash})
    ids = {name: _agent_id(tx, name) for name in _agent_names(changed, clocks)}
    for clock in clocks:
        _write_clock(tx, revision, ids[clock.name.agent_id], clock)
    for at, staged in versions.items():
        _write_head(tx, ids[at.agent_id], at, staged, revision)
        _write_version(tx, staged, revision)
    for staged in touches.values():
        _write_touch(tx, staged, revision)
    for agent in ids.values():
        tx.db.one(_INSERT_COMMIT_AGENT, {"agent_id": agent, "revision": revision})


def _is_own_touch(staged: Staged) -> bool:
    """Tell whether a key's own expiry moved; that of a session's key is logged once, with the session's clock."""
    return staged.change is None and staged.head.session_id is None


def _agent_names(changed: dict[Address, Staged], clocks: Sequence[Session]) -> list[str]:
    return sorted({at.agent_id for at in changed} | {clock.name.agent_id for clock in clocks})


def _agent_id(tx: Tx, name: str) -> int:
    row = tx.db.one(_FIND_AGENT, {"name": name}) or tx.db.one(_INSERT_AGENT, {"name": name})
    assert row is not None
    return int(row[0])


def _write_clock(tx: Tx, revision: int, agent: int, clock: Session) -> None:
    values = {"ttl": clock.ttl, "expires_at": clock.expires_at}
    if clock.id is None:
        made = {"branch_id": tx.branch, "agent_id": agent, "name": clock.name.name}
        row = tx.db.one(_INSERT_SESSION, {**values, **made})
        assert row is not None
        clock.id = int(row[0])
        joined = {"of_session": clock.id, "of_agent": agent, "of_branch": tx.branch}
        tx.db.one(_JOIN_SESSION, {**joined, "low": clock.name.low, "high": clock.name.high})
    else:
        tx.db.one(_UPDATE_SESSION, {**values, "of_session": clock.id})
    tx.db.one(_INSERT_SESSION_TOUCH, {**values, "revision": revision, "session_id": clock.id})


def _write_head(tx: Tx, agent: int, at: Address, staged: Staged, revision: int) -> None:
    head = staged.head
    head.revision = revision
    if staged.change == "create":
        head.created_revision = revision
    if head.session_id == UNWRITTEN:
        head.session_id = next(s.id for name, s in tx.sessions.items() if name == session_name(at.agent_id, at.key))
    own = head.session_id is None
    values = {
        "version": head.version,
        "parent_version": head.parent_version,
        "revision": revision,
        "created_revision": head.created_revision,
        "created_at": head.created_at,
        "created_by": head.created_by,
        "updated_at": head.updated_at,
        "ttl": head.ttl if own else None,
        "expires_at": head.expires_at if own else None,
        "session_id": head.session_id,
        "digest": head.digest,
        "metadata": head.metadata,
        "codec": head.codec,
        "value": head.text,
        "data": head.data,
    }
    if head.id is not None:
        tx.db.one(_UPDATE_HEAD, {**values, "of_state": head.id})
    else:
        made = {"branch_id": tx.branch, "agent_id": agent, "state_type": at.state_type, "state_key": at.key}
        row = tx.db.one(_INSERT_HEAD, {**values, **made, "salt": head.salt})
        assert row is not None
        head.id = int(row[0])
    for entry in staged.entries:
        object.__setattr__(entry, "revision", revision)


def _write_version(tx: Tx, staged: Staged, revision: int) -> None:
    head = staged.head
    tx.db.one(
        _INSERT_VERSION,
        {
            "revision": revision,
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
            "codec": head.codec,
            "value": head.text,
            "data": head.data,
        },
    )


def _write_touch(tx: Tx, staged: Staged, revision: int) -> None:
    values = {"ttl": staged.head.ttl, "expires_at": staged.head.expires_at}
    tx.db.one(_UPDATE_EXPIRY, {**values, "of_state": staged.head.id})
    tx.db.one(_INSERT_TOUCH, {**values, "revision": revision, "state_id": staged.head.id})


# ---- statements

_s, _w = agent_states.c, sessions.c

_HEAD = (
    "version", "parent_version", "revision", "created_revision", "created_at", "created_by", "updated_at", "ttl",
    "expires_at", "session_id", "digest", "metadata", "codec", "value", "data",
)  # fmt: skip
_VERSION = (
    "revision", "state_id", "version", "parent_version", "source_version", "created_revision", "change", "expires_at",
    "size", "digest", "metadata", "codec", "value", "data",
)  # fmt: skip


def _named(*names: str) -> dict[str, object]:
    return {name: bindparam(name) for name in names}


_FIND_AGENT = Statement(select(agents.c.id).where(agents.c.name == bindparam("name")))
_INSERT_AGENT = Statement(insert(agents).values(_named("name")).returning(agents.c.id))
_INSERT_COMMIT = Statement(insert(state_commits).values(_named(*CommitRow._fields, "hash")))
_INSERT_COMMIT_AGENT = Statement(insert(commit_agents).values(_named("agent_id", "revision")))
_INSERT_HEAD = Statement(
    insert(agent_states)
    .values(_named("branch_id", "agent_id", "state_type", "state_key", "salt", *_HEAD))
    .returning(_s.id)
)
_UPDATE_HEAD = Statement(update(agent_states).where(_s.id == bindparam("of_state")).values(_named(*_HEAD)))
_UPDATE_EXPIRY = Statement(
    update(agent_states).where(_s.id == bindparam("of_state")).values(_named("ttl", "expires_at"))
)
_INSERT_VERSION = Statement(insert(state_versions).values(_named(*_VERSION)))
_INSERT_TOUCH = Statement(insert(state_touches).values(_named("revision", "state_id", "ttl", "expires_at")))
_INSERT_SESSION = Statement(
    insert(sessions).values(_named("branch_id", "agent_id", "name", "ttl", "expires_at")).returning(_w.id)
)
_UPDATE_SESSION = Statement(
    update(sessions).where(_w.id == bindparam("of_session")).values(_named("ttl", "expires_at"))
)
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
