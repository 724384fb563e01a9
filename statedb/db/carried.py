"""Deeds as they are carried from one store to another: commits by their origin, values in the open.

    {"do": "branch", "name": "lab", "base": 12} ──▶ {"do": "branch", "name": "lab", "base": "<store>:12"} ──▶ done anew

What a commit did to checkpoints, branches and conflicts names other commits by revision and rows by id, which are this
store's own. Elsewhere the origin of a commit finds it, and a conflict the commit that recorded it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, func, select

from statedb.db import automatic, branches, checkpoints, conflicts, deeds
from statedb.db.conflicts import Held
from statedb.db.context import Point
from statedb.db.deeds import Deed
from statedb.db.lineage import name_of
from statedb.db.statements import Statement
from statedb.db.tables import state_commits, state_conflicts, store_info
from statedb.db.tx import Tx
from statedb.errors import InvalidValue
from statedb.models import MISSING, CheckpointType
from statedb.values import autocheckpoint, codec
from statedb.values.conflict import Conflict
from statedb.values.names import address, name

Said = dict[str, Any]

# ---- out


def told(tx: Tx, said: list[Said]) -> list[Said]:
    """Return what a commit did, as another store can do it."""
    return [_TOLD[each["do"]](tx, each) if each["do"] in _TOLD else each for each in said]


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


def _value(value: Any) -> Said:
    if value is MISSING:
        return {}
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else {"value": value}


_TOLD: dict[str, Callable[[Tx, Said], Said]] = {
    "branch": _branch_told,
    "checkpoint": _checkpoint_told,
    "conflict": _conflict_told,
    "resolve": _resolve_told,
}

# ---- in


def redo(tx: Tx, said: Said) -> None:
    """Stage what another store's commit did. Raises InvalidValue for what is no deed."""
    do = _REDO.get(str(said.get("do")))
    if do is None:
        raise InvalidValue(f"a deed is {said.get('do')!r:.80}, which this statedb does not know")
    try:
        do(tx, said)
    except (KeyError, TypeError, IndexError) as error:
        raise InvalidValue(f"a deed ({said['do']}) is not as a store says it: {error!r:.200}") from error


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


def _branch_again(tx: Tx, said: Said) -> None:
    base = None if said["base"] is None else revision_of(tx, said["base"])
    branches.make(tx, name(said["name"], "the name of a branch"), base)


def _end_branch_again(tx: Tx, said: Said) -> None:
    branches.end(tx, said["name"])


def _merge_again(tx: Tx, said: Said) -> None:
    deeds.do(
        tx, Deed("merge", {"do": "merge", "branch": name(said["branch"], "the name of a branch")}, lambda tx: None)
    )


def _checkpoint_again(tx: Tx, said: Said) -> None:
    at = None if said["at"] is None else Point(revision_of(tx, said["at"][0]), int(said["at"][1]))
    agent = None if said["agent"] is None else name(said["agent"], "agent_id")
    limit = tx.settings.max_value_bytes
    metadata = None if said["metadata"] is None else codec.json_text(said["metadata"], limit).decode()
    checkpoints.make(tx, name(said["name"], "name"), agent, CheckpointType(said["type"]), metadata, at)


def _end_checkpoint_again(tx: Tx, said: Said) -> None:
    found = checkpoints.one(tx, said["name"], said["agent"])
    if found is not None:
        checkpoints.end(tx, found)


def _policy_again(tx: Tx, said: Said) -> None:
    config = None if said["config"] is None else autocheckpoint.read(codec.json_text(said["config"], 2**20).decode())
    automatic.configure(tx, name(said["agent"], "agent_id"), config)


def _conflict_again(tx: Tx, said: Said) -> None:
    base, ours, theirs = (_held(tx, said["sides"][side]) for side in ("base", "ours", "theirs"))
    conflicts.record(tx, address(*said["key"]), base, ours, theirs, said["source"])


def _held(tx: Tx, said: Said) -> Held:
    branch = branches.find(tx, said["branch"]) if "branch" in said else None
    version = None if branch is None else int(said["version"])
    return Held(_read(said), version, None if branch is None else branch[0])


def _resolve_again(tx: Tx, said: Said) -> None:
    conflicts.settle(tx, _recorded(tx, said), _read(said["settled"]), said["method"])


def _recorded(tx: Tx, said: Said) -> Conflict:
    agent, tier, key = address(*said["key"])
    given = {"revision": revision_of(tx, said["recorded"]), "state_type": tier, "key": key}
    for (found,) in tx.db.all(_CONFLICTS, given):
        conflict = conflicts.by_id(tx, found)
        if conflict.agent_id == agent:
            return conflict
    raise InvalidValue(f"a conflict about {key} is settled that was never recorded")


def _read(said: Said) -> Any:
    return base64.b64decode(said["bytes"], validate=True) if "bytes" in said else said.get("value", MISSING)


_REDO: dict[str, Callable[[Tx, Said], None]] = {
    "branch": _branch_again,
    "end branch": _end_branch_again,
    "merge": _merge_again,
    "checkpoint": _checkpoint_again,
    "end checkpoint": _end_checkpoint_again,
    "checkpoint policy": _policy_again,
    "conflict": _conflict_again,
    "resolve": _resolve_again,
}


def _store(tx: Tx) -> str:
    row = tx.db.settled(_STORE, {})
    assert row is not None, "every store has a name"
    return str(row[0])


_c, _x = state_commits.c, state_conflicts.c
_STORE = Statement(select(store_info.c.id))
_ORIGIN = Statement(select(_c.origin, _c.origin_revision).where(_c.revision == bindparam("revision")))
_HERE = Statement(
    select(func.coalesce(func.max(_c.revision), 0)).where(
        _c.origin == bindparam("store"), _c.origin_revision <= bindparam("revision")
    )
)
_CONFLICTS = Statement(
    select(_x.id).where(
        _x.created_revision == bindparam("revision"),
        _x.state_type == bindparam("state_type"),
        _x.state_key == bindparam("key"),
    )
)
