"""Deeds as they are carried from one store to another: commits by their origin, values in the open.

    {"do": "branch", "name": "lab", "base": 12} ──▶ {"do": "branch", "name": "lab", "base": "<store>:12"} ──▶ done anew

What a commit did to checkpoints, branches, conflicts and streams names other commits by revision and rows by id, which
are this store's own. Elsewhere the origin of a commit finds it, and a conflict the commit that recorded it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, func, select

from statedb.db import automatic, branches, checkpoints, conflicts, deeds, events, streams
from statedb.db.conflicts import Held
from statedb.db.context import Point
from statedb.db.deeds import Deed
from statedb.db.lineage import name_of
from statedb.db.locks import DEEDS
from statedb.db.statements import Statement
from statedb.db.streams import Prepared
from statedb.db.tables import agent_states, agents, state_commits, state_conflicts, state_versions, store_info
from statedb.db.tx import Tx
from statedb.errors import Erased, InvalidValue
from statedb.models import MISSING, UNAVAILABLE, Address
from statedb.values import autocheckpoint, codec
from statedb.values.arguments import LARGEST
from statedb.values.conflict import Conflict
from statedb.values.metadata import metadata_text
from statedb.values.names import address
from statedb.values.record import (
    Appends,
    Conflicts,
    Done,
    EndsBranch,
    EndsCheckpoint,
    Locks,
    MakesBranch,
    MakesCheckpoint,
    Merges,
    Resolves,
    SavesSnapshot,
    SetsPolicy,
    Side,
)

Said = dict[str, Any]

# ---- out


def told(tx: Tx, revision: int, said: list[Said]) -> list[Said]:
    """Return what a commit did, as another store can do it.

    Who held what is this store's own; but that there was such a commit is told, so that revisions stay what they are.
    """
    kept = [_told(tx, revision, each) for each in said if each["do"] not in DEEDS]
    return kept if len(kept) == len(said) else [*kept, {"do": "locks"}]


def _told(tx: Tx, revision: int, said: Said) -> Said:
    if said["do"] == "snapshot":
        return _snapshot_told(tx, revision, said)
    return _TOLD[said["do"]](tx, said) if said["do"] in _TOLD else said


def origin_of(tx: Tx, revision: int) -> str:
    """Return what a commit is called everywhere: the store that first made it, and its revision there."""
    row = tx.db.one(_ORIGIN, {"revision": revision})
    if row is None:
        return f"{_store(tx)}:{revision}"
    return f"{row[0] or _store(tx)}:{row[1] or revision}"


def _branch_told(tx: Tx, said: Said) -> Said:
    return said | {"base": None if said["base"] is None else origin_of(tx, said["base"])}


def _checkpoint_told(tx: Tx, said: Said) -> Said:
    return said | {"at": None if said["at"] is None else [origin_of(tx, said["at"][0]), said["at"][1]]}


def _conflict_told(tx: Tx, said: Said) -> Said:
    found = conflicts.by_id(tx, said["id"])
    values = {"base": found.base, "ours": found.ours, "theirs": found.theirs}
    sides = {side: _value(value) | _of_version(tx, said["sides"][side]) for side, value in values.items()}
    return {"do": "conflict", "key": said["key"], "source": said["source"], "sides": sides}


def _of_version(tx: Tx, side: Said | None) -> Said:
    if side is None or "version" not in side:
        return {}
    return {"version": side["version"], "branch": name_of(tx.connection, side["branch"])}


def _resolve_told(tx: Tx, said: Said) -> Said:
    found = conflicts.by_id(tx, said["id"])
    assert found.resolution is not None, "it is this very deed that settled it"
    settled = _value(found.resolution.value)
    recorded = origin_of(tx, found.revision)
    return {"do": "resolve", "recorded": recorded, "key": said["key"], "method": said["method"], "settled": settled}


def _append_told(tx: Tx, said: Said) -> Said:
    stream, first = streams.find(tx, said["name"]), said["version"]
    found = events.read(tx, stream, first, first + len(said["events"]) - 1)
    happened = [{"id": each.id, "type": each.type} | _content(each.data, each.metadata) for each in found]
    return {"do": "append", "stream": stream.name, "events": happened} | _if_any("agent", said["agent"])


def _snapshot_told(tx: Tx, revision: int, said: Said) -> Said:
    stream, version = streams.find(tx, said["name"]), said["version"]
    [event] = events.read(tx, stream, version, version)
    found = events.snapshot_of(tx, stream, version, revision)
    where = {"do": "snapshot", "stream": stream.name, "version": version, "event": event.id}
    return where | _content(found.state, found.metadata)


def _content(value: Any, metadata: dict[str, Any] | None) -> Said:
    return _value(value) | _if_any("metadata", metadata)


def _if_any(name: str, value: Any) -> Said:
    return {} if value is None else {name: value}


def _value(value: Any) -> Said:
    if value is MISSING:
        return {}
    if value is UNAVAILABLE:
        raise Erased("a value of what is to be exported was erased; that it was there is all that is kept")
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


_TOLD: dict[str, Callable[[Tx, Said], Said]] = {
    "branch": _branch_told,
    "checkpoint": _checkpoint_told,
    "conflict": _conflict_told,
    "resolve": _resolve_told,
    "append": _append_told,
}

# ---- in


def redo(tx: Tx, done: Done) -> None:
    """Stage what another store's commit did. Raises InvalidValue where it cannot be done here."""
    _REDO[done.do](tx, done)


def revision_of(tx: Tx, origin: str) -> int:
    """Return the revision here of a commit that another store names; the one before where it changed nothing here."""
    store, _, revision = origin.rpartition(":")
    there = int(revision)
    row = tx.db.one(_ORIGIN, {"revision": there})
    if row is not None and (row[0] or _store(tx)) == store and (row[1] or there) == there:
        return there  # as after an import into an empty store
    if store == _store(tx):
        return min(there, tx.revision)
    [[found]] = tx.db.all(_HERE, {"store": store, "revision": there})
    return int(found)


def _branch_again(tx: Tx, done: MakesBranch) -> None:
    branches.make(tx, done.name, None if done.base is None else revision_of(tx, done.base))


def _end_branch_again(tx: Tx, done: EndsBranch) -> None:
    branches.end(tx, done.name)


def _merge_again(tx: Tx, done: Merges) -> None:
    deeds.do(tx, Deed("merge", {"do": "merge", "branch": done.branch}, lambda tx: None))


def _locks_again(tx: Tx, done: Locks) -> None:
    deeds.do(tx, Deed("lock", {"do": "locks"}, lambda tx: None))


def _checkpoint_again(tx: Tx, done: MakesCheckpoint) -> None:
    at = None if done.at is None else Point(revision_of(tx, done.at[0]), done.at[1])
    limit = tx.settings.max_value_bytes
    metadata = None if done.metadata is None else codec.json_text(done.metadata, limit).decode()
    checkpoints.make(tx, done.name, done.agent, done.type, metadata, at)


def _end_checkpoint_again(tx: Tx, done: EndsCheckpoint) -> None:
    found = checkpoints.one(tx, done.name, done.agent)
    if found is not None:
        checkpoints.end(tx, found)


def _policy_again(tx: Tx, done: SetsPolicy) -> None:
    text = codec.json_text(done.config, 2**20).decode()
    try:
        config = autocheckpoint.read(text)
    except (KeyError, TypeError) as error:
        raise InvalidValue(f"a checkpoint policy is not as a store says it: {error!r:.200}") from error
    automatic.configure(tx, done.agent, config)


def _conflict_again(tx: Tx, done: Conflicts) -> None:
    at, sides = address(*done.key), done.sides
    base, ours, theirs = (_held(tx, at, side) for side in (sides.base, sides.ours, sides.theirs))
    conflicts.record(tx, at, base, ours, theirs, done.source)


def _held(tx: Tx, at: Address, side: Side) -> Held:
    """Return what a side held, as the version that is where that has its number here too."""
    value = side.held()
    branch = None if side.branch is None or value is MISSING else branches.last_of(tx, side.branch)
    encoded = None if branch is None else codec.encode(value, LARGEST)
    versions = [] if encoded is None else tx.db.all(_VERSIONS, {**at._asdict(), "version": side.version})
    if any(codec.digest(salt, encoded) == digest for salt, digest in versions if encoded is not None):
        return Held(value, side.version, branch)
    return Held(value)


def _resolve_again(tx: Tx, done: Resolves) -> None:
    conflicts.settle(tx, _recorded(tx, done), done.settled.held(), done.method)


def _recorded(tx: Tx, done: Resolves) -> Conflict:
    agent, tier, key = address(*done.key)
    given = {"revision": revision_of(tx, done.recorded), "state_type": tier, "key": key}
    for (found,) in tx.db.all(_CONFLICTS, given):
        conflict = conflicts.by_id(tx, found)
        if conflict.agent_id == agent:
            return conflict
    raise InvalidValue(f"a conflict about {key} is settled that was never recorded")


def _append_again(tx: Tx, done: Appends) -> None:
    stream, limit = streams.find(tx, done.stream), tx.settings.max_value_bytes
    if not stream.version:
        stream.agent_id = done.agent
    given = []
    for each in done.events:
        given.append(Prepared(each.id, each.type, each.encoded(limit), metadata_text(each.metadata, limit)))
    streams.append(tx, stream, given)


def _snapshot_again(tx: Tx, done: SavesSnapshot) -> None:
    stream, limit = streams.find(tx, done.stream), tx.settings.max_value_bytes
    # In a store whose stream of that name has others before them, it would be a snapshot of what nobody looked at.
    if [each.id for each in events.read(tx, stream, done.version, done.version)] == [done.event]:
        streams.snapshot(tx, stream, done.version, done.encoded(limit), metadata_text(done.metadata, limit))


_REDO: dict[str, Callable[[Tx, Any], None]] = {
    "branch": _branch_again,
    "end branch": _end_branch_again,
    "merge": _merge_again,
    "locks": _locks_again,
    "checkpoint": _checkpoint_again,
    "end checkpoint": _end_checkpoint_again,
    "checkpoint policy": _policy_again,
    "conflict": _conflict_again,
    "resolve": _resolve_again,
    "append": _append_again,
    "snapshot": _snapshot_again,
}


def _store(tx: Tx) -> str:
    row = tx.db.settled(_STORE, {})
    assert row is not None, "every store has a name"
    return str(row[0])


_c, _x, _s, _v = state_commits.c, state_conflicts.c, agent_states.c, state_versions.c
_STORE = Statement(select(store_info.c.id))
_ORIGIN = Statement(select(_c.origin, _c.origin_revision).where(_c.revision == bindparam("revision")))
_HERE = Statement(
    select(func.coalesce(func.max(_c.revision), 0)).where(
        _c.origin == bindparam("store"), _c.origin_revision <= bindparam("revision")
    )
)
_VERSIONS = Statement(
    select(_s.salt, _v.digest)
    .select_from(state_versions.join(agent_states, _s.id == _v.state_id).join(agents, agents.c.id == _s.agent_id))
    .where(
        agents.c.name == bindparam("agent_id"),
        _s.state_type == bindparam("state_type"),
        _s.state_key == bindparam("key"),
        _v.version == bindparam("version"),
    )
)
_CONFLICTS = Statement(
    select(_x.id).where(
        _x.created_revision == bindparam("revision"),
        _x.state_type == bindparam("state_type"),
        _x.state_key == bindparam("key"),
    )
)
