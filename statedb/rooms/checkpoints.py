"""Checkpoints: names for points, of one agent or of the whole store."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import Any

from statedb.db import automatic, checkpoints, differences, snapshots
from statedb.db.points import Named, checked, fresh_name, newest_point, resolve
from statedb.db.restore import Extent
from statedb.db.restore import restore as brought_back
from statedb.db.tx import Tx
from statedb.errors import InvalidValue
from statedb.models import Checkpoint, CheckpointType, Difference, Listing, Outcome
from statedb.values import snapshot
from statedb.values.arguments import natural_or_all
from statedb.values.autocheckpoint import SIGNALS, AutoCheckpoint
from statedb.values.metadata import metadata_text
from statedb.values.names import name as a_name


def create(
    tx: Tx,
    name: str,
    *,
    agent_id: str | None = None,
    type: str = CheckpointType.MANUAL.value,
    metadata: Mapping[str, Any] | None = None,
    at: Named | None = None,
    message: str | None = None,
) -> Checkpoint:
    """Name a point, now or another one, for an agent or the whole store.

    It costs the same however much the store holds, and is a commit of its own; inside a transaction it is the
    transaction's, and covers all that writes. `type` is one of manual, automatic, milestone and backup. Raises
    InvalidKey for a name that is none, or that `at` would take for a time, and CheckpointExists.
    """
    called, of, kind = fresh_name(name), _agent(agent_id), _type(type)
    kept = metadata_text(metadata, tx.settings.max_value_bytes)
    point = None if at is None else resolve(tx, checked(at), of)
    made = checkpoints.make(tx, called, of, kind, kept, point)
    tx.writing.say(message)
    return made


def list(
    tx: Tx,
    agent_id: str | None = None,
    *,
    type: str | None = None,
    limit: int | None = None,
    before: Checkpoint | None = None,
) -> Listing[Checkpoint]:
    """Return the checkpoints of an agent, or without one all there are, newest first; at most `limit` of them.

    To go on, pass the last one as `before`. `type` picks those of one type.
    """
    if before is not None and not isinstance(before, Checkpoint):
        raise InvalidValue(f"before is {before!r:.80}; it is the last checkpoint of the page before")
    kind = None if type is None else _type(type)
    return Listing(checkpoints.newest_first(tx, _agent(agent_id), kind, before, natural_or_all(limit, "limit")))


def get(tx: Tx, name: str, *, agent_id: str | None = None) -> Checkpoint:
    """Return a checkpoint of an agent; without one the store's, or else the only agent's that has one of that name.

    Raises NoSuchCheckpoint, and InvalidValue where several agents have one.
    """
    return checkpoints.sole(tx, a_name(name, "checkpoint name"), _agent(agent_id))


def diff(
    tx: Tx, name: str, *, agent_id: str | None = None, to: Named | None = None, partial: bool = False
) -> Listing[Difference]:
    """Return what has changed since a checkpoint, up to now or another point: of its agent, or of the whole store.

    With an agent his checkpoint is meant, or else the store's, of which only that agent's part is looked at. Raises
    NoSuchCheckpoint, and Compacted where retention has cut keys since, or with `partial` names them in `missing`.
    """
    found, of = _meant(tx, name, agent_id)
    second = newest_point(tx) if to is None else resolve(tx, checked(to), of)
    return differences.listed(tx, checkpoints.point_of(tx, found), second, of, partial=partial)


def restore(
    tx: Tx,
    name: str,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    keys: str | Iterable[str] | None = None,
    dry_run: bool = False,
    message: str | None = None,
    partial: bool = False,
) -> Outcome:
    """Bring back what a checkpoint names: its agent, or the whole store, as `restore` does for any point.

    With an agent his checkpoint is meant, or else the store's, of which only that agent's part goes back.
    """
    found, of = _meant(tx, name, agent_id)
    extent = Extent.of(of, state_type, keys)
    said = message or f"restore to {found.name}"
    return brought_back(tx, checkpoints.point_of(tx, found), extent, said=said, dry_run=dry_run, partial=partial)


def delete(tx: Tx, name: str, *, agent_id: str | None = None, message: str | None = None) -> bool:
    """End a checkpoint of an agent, or without one of the whole store; False where there is none of that name.

    What it names stays in the log, and the name may be used again.
    """
    found = checkpoints.one(tx, a_name(name, "checkpoint name"), _agent(agent_id))
    if found is None:
        return False
    checkpoints.end(tx, found)
    tx.writing.say(message)
    return True


# ---- snapshots


def export(tx: Tx, name: str, *, agent_id: str | None = None) -> dict[str, Any]:
    """Return a checkpoint with all its agent had at its point, as JSON: a row of the research schema's checkpoints.

    `state_snapshot` holds {state_type: {key: {value, version, metadata, …}}}, sessions included; bytes are base64, in a
    member `bytes` in place of `value`, and a ttl is in seconds. Of the whole store's checkpoint, unless an agent is
    told, `agent_id` is None, and it holds one such object for each agent. Raises NoSuchCheckpoint, Compacted.
    """
    found, of = _meant(tx, name, agent_id)
    return snapshot.row(found, of, snapshots.taken(tx, checkpoints.point_of(tx, found), of))


def load(
    tx: Tx,
    given: Mapping[str, Any],
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    keys: str | Iterable[str] | None = None,
    dry_run: bool = False,
    message: str | None = None,
) -> Outcome:
    """Bring an agent, or the whole store, back to what a snapshot holds, in one commit, as `restore` would.

    What is not in it is deleted. With an agent that one is written, be the snapshot another's; of the whole store's,
    only that agent's part is. Sessions stay as they are unless `state_type` is "session". With `dry_run` nothing is
    changed, and what would be is returned. Raises InvalidValue for what is no snapshot.
    """
    read = snapshot.Snapshot.of(given)
    extent = Extent.of(read.agent_id if agent_id is None else agent_id, state_type, keys)
    said = message or f"load {read.checkpoint_name}"
    return snapshots.put_back(tx, read, extent, said=said, dry_run=dry_run)


# ---- automatic ones


def configure(tx: Tx, agent_id: str, config: AutoCheckpoint | None, *, message: str | None = None) -> None:
    """Say when an agent's automatic checkpoints are made, with None never again. Every process keeps to it.

    They are made with the write that makes them due, or by whoever has the store open. Only the newest
    `max_checkpoints` of them stay; those of other types are never touched. The same policy again changes nothing;
    another begins to count now.
    """
    of = a_name(agent_id, "agent_id")
    if config is not None and not isinstance(config, AutoCheckpoint):
        raise InvalidValue(f"the policy is {builtins.type(config).__name__}; it is an AutoCheckpoint, or None")
    automatic.configure(tx, of, config)
    tx.writing.say(message)


def configuration(tx: Tx, agent_id: str) -> AutoCheckpoint | None:
    """Return when an agent's automatic checkpoints are made, None where nobody said."""
    return automatic.configuration(tx, a_name(agent_id, "agent_id"))


def signal(tx: Tx, agent_id: str, type: str) -> Checkpoint | None:
    """Tell that a conversation has ended (conversation_end), or that a checkpoint would be in place (manual).

    Returns the checkpoint that makes, None where the agent's policy has no trigger for it. Raises InvalidValue.
    """
    of = a_name(agent_id, "agent_id")
    if type not in SIGNALS:
        raise InvalidValue(f"the signal is {type!r:.80}; it is one of {', '.join(SIGNALS)}")
    return automatic.signal(tx, of, type)


def run_due(tx: Tx) -> builtins.list[Checkpoint]:
    """Make the automatic checkpoints that have fallen due by time, and return them.

    A store that is open does so by itself, and the next write does; this does it at once.
    """
    return automatic.run_due(tx)


# ---- inside


def _meant(tx: Tx, name: str, agent_id: str | None) -> tuple[Checkpoint, str | None]:
    """Return the checkpoint that is meant, and the agent it is about."""
    of = _agent(agent_id)
    found = checkpoints.meant(tx, a_name(name, "checkpoint name"), of)
    return found, of or found.agent_id


def _agent(agent_id: str | None) -> str | None:
    return None if agent_id is None else a_name(agent_id, "agent_id")


def _type(type: str) -> CheckpointType:
    try:
        return CheckpointType(type)
    except ValueError:
        raise InvalidValue(
            f"type is {type!r:.80}; a checkpoint's is one of {', '.join(each.value for each in CheckpointType)}"
        ) from None
