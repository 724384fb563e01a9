"""Transfer: the whole history out of a store, and into one.

A record is what one commit says, as JSON: see `statedb.values.record`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json
from sqlalchemy import Select, bindparam, func, select

from statedb.db import carried, journal
from statedb.db.contents import Kept, kept
from statedb.db.entries import json_object
from statedb.db.journal import Expiry, default_ttl
from statedb.db.lineage import TRUNK
from statedb.db.rows import Origin
from statedb.db.sessions import SessionName
from statedb.db.statements import Row, Statement
from statedb.db.tables import (
    agent_states,
    agents,
    branches,
    commit_deeds,
    session_touches,
    sessions,
    state_commits,
    state_touches,
    state_versions,
    store_info,
)
from statedb.db.tx import Note, Tx
from statedb.errors import InvalidValue, NoSuchBranch
from statedb.models import MISSING, Address, Imported
from statedb.times import LATEST, micros
from statedb.values import codec
from statedb.values.arguments import natural
from statedb.values.codec import Stored
from statedb.values.names import address, name
from statedb.values.record import Change, Record
from statedb.values.typed import as_json


def head(tx: Tx) -> int:
    """Return the newest revision, 0 for an empty store."""
    newest = tx.db.newest().revision
    return min(newest, tx.point.revision) if tx.point else newest


# ---- out


def export(tx: Tx, *, since: int = 0, limit: int = 100) -> list[dict[str, Any]]:
    """Return the records of the commits after revision `since`, oldest first, at most `limit` of them."""
    since, limit = natural(since, "since"), natural(limit, "limit", 1)
    top = min(head(tx), since + limit)
    given = {"first": since + 1, "last": top}
    [[store, _]] = tx.db.all(_STORE, {})
    records = {row[0]: _record(tx, row, store) for row in tx.db.all(_COMMITS, given)}
    changed = tx.db.all(_CHANGES, given)
    held = tx.contents.wholes([Kept(*row[_HELD:]) for row in changed])
    for row, stored in zip(changed, held, strict=True):
        records[row[0]].setdefault("changes", []).append(_change(row[:_HELD], stored))
    for revision, said in tx.db.all(_DEEDS, given):
        records[revision]["deeds"] = carried.told(tx, revision, from_json(said))
    for row in tx.db.all(_TOUCHES, given):
        records[row[0]].setdefault("touches", []).append(_where(row) | {"ttl": row[4], "expires_at": row[5]})
    for revision, agent, called, ttl, expires_at in tx.db.all(_CLOCKS, given):
        clock = {"agent": agent, "name": called, "ttl": ttl, "expires_at": expires_at}
        records[revision].setdefault("sessions", []).append(clock)
    return list(records.values())


def _record(tx: Tx, row: Row, store: str) -> dict[str, Any]:
    revision, kind, at, origin_at, origin, origin_revision, actor, message, context, branch, merged = row
    said = {"origin_at": origin_at, "by": actor, "message": message, "context": json_object(context)}
    said["branch"] = None if branch == TRUNK else branch
    said["merged"] = None if merged is None else carried.origin_of(tx, merged)
    made = f"{origin or store}:{origin_revision or revision}"
    return {"revision": revision, "kind": kind, "at": at, "origin": made} | _told(said)


def _change(row: Row, stored: Stored) -> dict[str, Any]:
    _, _, _, _, change, source, expires_at, metadata, ttl = row
    said = {"source_version": source, "ttl": ttl, "expires_at": expires_at, "metadata": json_object(metadata)}
    return _where(row) | {"change": change} | _value(stored) | _told(said)


def _value(stored: Stored) -> dict[str, Any]:
    if stored.codec is None:
        return {}
    value = codec.decode(stored)
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


def _where(row: Row) -> dict[str, Any]:
    return {"agent": row[1], "type": row[2], "key": row[3]}


def _told(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


# ---- in


def load(tx: Tx, records: Iterable[Mapping[str, Any]]) -> int:
    """Append records to the log, a commit for each that changes something, and return how many. All or nothing.

    A record keeps its time while the store holds nothing later; otherwise its commit is made now (in a store of nothing
    but imports: with the newest of them), and remembers the record's time as its `origin_at`. Raises InvalidValue for
    what is no record, with its number in the iterable.
    """
    made = 0
    _begin(tx)
    for number, record in enumerate(records, 1):
        try:
            made += _append(tx, Record.model_validate(record))
        except (ValidationError, ValueError, NoSuchBranch) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise InvalidValue(f"record {number} is not one a store exported: {why!s:.500}") from error
    return made


def load_versions(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    versions: Iterable[Imported | tuple[float, Any]],
    *,
    message: str | None = None,
) -> int:
    """Append versions to a key's history, a commit each, and return how many.

    A version is (seconds since 1970, value), or `Imported`, which also says who made it and why, or that it is a
    deletion; where there is nothing to delete, that is no version. `message` stands in where a version has none. Every
    other one becomes a version, equal to the one before or not, and keeps its time as `load` says.
    """
    at = address(agent_id, state_type, key)
    note = Note.of(tx.writing.actor, message, None)
    count = 0
    _begin(tx)
    for given in versions:
        made, version = _timed(given)
        said = Note.of(version.by, version.message, version.context)
        _be_at(tx, made, Note(said.actor or note.actor, said.message or note.message, said.context))
        count += _append_version(tx, at, version.value, made)
        journal.flush(tx, origin=Origin(made))
    return count


def _begin(tx: Tx) -> None:
    # The transaction goes back in time, and the leases of this store do not.
    tx.lease_clock = tx.now
    tx.make_many()


def _append_version(tx: Tx, at: Address, value: Any, made: int) -> bool:
    encoded = None if value is MISSING else codec.encode(as_json(value), tx.settings.max_value_bytes)
    # Its life began when it was made, be that long ago.
    expiry = Expiry.after(made, default_ttl(at.state_type))
    return journal.put(tx, at, encoded, expiry=expiry, replay=True) is not None


def _timed(given: Any) -> tuple[int, Imported]:
    try:
        version = Imported(*given)
        return micros(version.at), version
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(f"a version is a pair of seconds since 1970 and a value: {error}") from error


def _append(tx: Tx, record: Record) -> bool:
    made = record.at if record.origin_at is None else record.origin_at
    _be_at(tx, record.at, Note.of(record.by, record.message, record.context))
    if record.branch != (tx.named or TRUNK):
        tx.stand_on(record.branch)
    for change in record.changes:
        _apply(tx, change, made)
    for moved in record.touches:
        journal.touch(tx, moved.address(), Expiry(moved.ttl, moved.expires_at))
    # Last: a session that this very commit ended must not look ended to what it changed before.
    for clock in record.sessions:
        session = SessionName(name(clock.agent, "agent_id"), name(clock.name, "session name"))
        journal.set_session(tx, session, Expiry(clock.ttl, clock.expires_at))
    for done in record.deeds:
        carried.redo(tx, done)
    # A commit that is not here, since the records begin later, is none to have taken in.
    tx.merge_parent = None if record.merged is None else carried.revision_of(tx, record.merged) or None
    store, _, revision = record.origin.rpartition(":")
    origin = Origin(made, store, int(revision), record.kind)
    has_made = journal.flush(tx, origin=origin) is not None
    if any(done.do == "end branch" for done in record.deeds):
        tx.stand_on(TRUNK)  # the name of the branch it stood on may be another's from here
    return has_made


def _apply(tx: Tx, change: Change, made: int) -> None:
    at, limit = change.address(), tx.settings.max_value_bytes
    encoded = change.encoded(limit)
    if change.expires_at is not None and change.expires_at not in (LATEST, made + (change.ttl or 0)):
        raise InvalidValue(f"{change.key} expires at {change.expires_at}, which is not its ttl after {made}")
    if change.change == "expire":
        found = tx.head(at)
        if found is not None:
            journal.end(tx, at, found)
        return
    journal.put(
        tx,
        at,
        encoded,
        metadata=None if change.metadata is None else codec.json_text(change.metadata, limit).decode(),
        expiry=Expiry(change.ttl, change.expires_at),
        source_version=change.source_version,
        replay=True,
    )


def _be_at(tx: Tx, made: int, note: Note) -> None:
    """Set the transaction's time and note for one commit: its own time, unless the store holds something later.

    Then it is made now; but while all the store holds is older than itself, and so imported, it is made at the newest
    of those: one line out of order must not push all that follow it into the present.
    """
    tx.note = note
    now = max(tx.newest, tx.time())
    if tx.newest <= made <= now:
        tx.now = made
    else:
        tx.now = tx.newest if made < tx.newest < _born(tx) else now


def _born(tx: Tx) -> int:
    row = tx.db.settled(_STORE, {})
    assert row is not None
    return int(row[1])


_c, _v, _s, _a, _i = state_commits.c, state_versions.c, agent_states.c, agents.c, store_info.c
_t, _st, _w = state_touches.c, session_touches.c, sessions.c
_name = (_a.name, _s.state_type, _s.state_key)


def _within(found: Select[*tuple[Any, ...]], revision: Any, *then: Any) -> Statement:
    between = found.where(revision >= bindparam("first"), revision <= bindparam("last"))
    return Statement(between.order_by(revision, *then))


_STORE = Statement(select(_i.id, _i.created_at))
_COMMITS = _within(
    select(
        _c.revision, _c.kind, _c.at, _c.origin_at, _c.origin, _c.origin_revision, _c.actor, _c.message, _c.context,
        branches.c.name, _c.merge_parent,
    ).join_from(state_commits, branches, branches.c.id == _c.branch_id),
    _c.revision,
)  # fmt: skip
_HELD = 9
"""Columns of a change before those of what it holds."""
_CHANGES = _within(
    select(
        _v.revision, _a.name, _s.state_type, _s.state_key, _v.change, _v.source_version, _v.expires_at, _v.metadata,
        (_v.expires_at - func.coalesce(_c.origin_at, _c.at)).label("ttl"), *kept(),
    )
    .select_from(
        state_versions.join(agent_states, _s.id == _v.state_id)
        .join(agents, _a.id == _s.agent_id)
        .join(state_commits, _c.revision == _v.revision)
    ),
    _v.revision,
    *_name,
)  # fmt: skip
_DEEDS = _within(select(commit_deeds.c.revision, commit_deeds.c.said), commit_deeds.c.revision)
_TOUCHES = _within(
    select(_t.revision, _a.name, _s.state_type, _s.state_key, _t.ttl, _t.expires_at).select_from(
        state_touches.join(agent_states, _s.id == _t.state_id).join(agents, _a.id == _s.agent_id)
    ),
    _t.revision,
    *_name,
)
_CLOCKS = _within(
    select(_st.revision, _a.name, _w.name, _st.ttl, _st.expires_at).select_from(
        session_touches.join(sessions, _w.id == _st.session_id).join(agents, _a.id == _w.agent_id)
    ),
    _st.revision,
    _a.name,
    _w.name,
)
