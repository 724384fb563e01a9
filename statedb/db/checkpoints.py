"""Checkpoints: names for points. Making one is one row, however much there is to be seen at its point.

A name belongs to one agent or to the whole store, on one branch, until the checkpoint ends; then it may be used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, insert, or_, select, update

from statedb.db.context import Point
from statedb.db.deeds import Deed, do
from statedb.db.entries import json_object
from statedb.db.lineage import name_of, upto
from statedb.db.rows import agent_id_of
from statedb.db.statements import Row, Statement
from statedb.db.tables import agents, branches, state_checkpoints, state_commits
from statedb.db.tx import Tx
from statedb.errors import CheckpointExists, InvalidValue, NoSuchCheckpoint, NoSuchRevision
from statedb.models import Checkpoint, CheckpointType
from statedb.times import micros, moment
from statedb.values.arguments import LARGEST


@dataclass(frozen=True, slots=True)
class Making(Deed):
    """A checkpoint that a transaction makes, before it is in the log; `point` None is the transaction's own commit."""

    checkpoint: Checkpoint
    point: Point | None


@dataclass(frozen=True, slots=True)
class Ending(Deed):
    """The end of a checkpoint, before it is in the log."""

    id: int


# ---- making and ending


def make(
    tx: Tx, name: str, agent_id: str | None, type: CheckpointType, metadata: str | None, point: Point | None
) -> Checkpoint:
    """Stage a checkpoint of a point, or with None of the very commit that makes it. Raises CheckpointExists."""
    if (other := one(tx, name, agent_id)) is not None:
        raise CheckpointExists(
            f"there is a checkpoint {name!r:.80} {_whose(agent_id)} already, made at {other.created_at.isoformat()}; "
            "delete it first, or choose another name"
        )
    made = Checkpoint(
        id=tx.connection.new_id(state_checkpoints),
        name=name,
        agent_id=agent_id,
        type=type,
        branch=name_of(tx.connection, tx.branch),
        revision=0 if point is None else point.revision,
        at=moment(tx.now if point is None else point.instant),
        created_revision=0,
        created_at=moment(tx.now),
        created_by=tx.writing.actor,
        metadata=json_object(metadata),
    )
    where = {"name": name, "agent": agent_id, "type": type.value, "at": point}
    said = {"do": "checkpoint", **where, "metadata": made.metadata}
    do(tx, Making("checkpoint", said, lambda tx: _write(tx, made, metadata, point), made, point))
    return made


def _write(tx: Tx, made: Checkpoint, metadata: str | None, point: Point | None) -> None:
    revision, instant = point or Point(tx.revision, tx.now)
    object.__setattr__(made, "revision", revision)
    object.__setattr__(made, "created_revision", tx.revision)
    row = {
        "id": made.id,
        "branch_id": tx.branch,
        "agent_id": None if made.agent_id is None else agent_id_of(tx, made.agent_id),
        "checkpoint_name": made.name,
        "checkpoint_type": made.type.value,
        "revision": revision,
        "instant": instant,
        "metadata": metadata,
        "created_revision": tx.revision,
        "ended_revision": None,
    }
    tx.connection.run(_INSERT, row)


def end(tx: Tx, checkpoint: Checkpoint) -> None:
    """Stage the end of a checkpoint, whose name is free from then on. Raises InvalidValue for another branch's."""
    staged, _ = _staged(tx)
    row = None if checkpoint in staged else tx.db.one(_OWNER, {"id": checkpoint.id})
    if row is not None and row[0] != tx.branch:
        raise InvalidValue(
            f"the checkpoint {checkpoint.name!r:.80} is of the branch {checkpoint.branch}; delete it there"
        )
    said = {"do": "end checkpoint", "name": checkpoint.name, "agent": checkpoint.agent_id}
    do(tx, Ending("checkpoint", said, lambda tx: _end(tx, checkpoint.id), checkpoint.id))


def _end(tx: Tx, id: int) -> None:
    tx.connection.run(_UPDATE_ENDED, {"ended_revision": tx.revision, "row": id})


# ---- finding


def one(tx: Tx, name: str, agent_id: str | None) -> Checkpoint | None:
    """Return the checkpoint of exactly this name of an agent, or with None of the whole store."""
    return next((each for each in _named(tx, name) if each.agent_id == agent_id), None)


def meant(tx: Tx, name: str, agent_id: str | None = None) -> Checkpoint:
    """Return the checkpoint that is meant by a name, be it an agent's or the whole store's.

    Where an agent is told, his own comes first, then the store's. Where none is: the store's, or else the only agent's
    that has one of that name. Raises InvalidValue where several have, NoSuchCheckpoint where there is none.
    """
    found = {each.agent_id: each for each in _named(tx, name)}
    for whose in (agent_id, None):
        if whose in found:
            return found[whose]
    if agent_id is not None or not found:
        raise _no_such(name, agent_id)
    if len(found) > 1:
        whose_all = sorted(each for each in found if each is not None)
        more = f" and {len(whose_all) - 5:,} more" if len(whose_all) > 5 else ""
        raise InvalidValue(
            f"{name!r:.80} is a checkpoint of several agents ({', '.join(whose_all[:5])}{more}); say whose is meant, "
            "by agent_id, or give its revision"
        )
    return next(iter(found.values()))


def sole(tx: Tx, name: str, agent_id: str | None) -> Checkpoint:
    """Return an agent's checkpoint, and nobody else's; without an agent the one that is meant. NoSuchCheckpoint."""
    if agent_id is None:
        return meant(tx, name)
    found = one(tx, name, agent_id)
    if found is None:
        raise NoSuchCheckpoint(f"there is no checkpoint {name!r:.80} of {agent_id}")
    return found


def point_of(tx: Tx, checkpoint: Checkpoint) -> Point:
    """Return the point a checkpoint names. NoSuchRevision for the commit of the transaction that runs."""
    if any(isinstance(deed, Making) and deed.checkpoint is checkpoint and deed.point is None for deed in tx.deeds):
        raise NoSuchRevision(
            f"the checkpoint {checkpoint.name!r:.80} names the commit of this transaction, which is not made yet"
        )
    return Point(checkpoint.revision, micros(checkpoint.at))


def newest_first(
    tx: Tx,
    agent_id: str | None,
    type: CheckpointType | None,
    before: Checkpoint | None = None,
    limit: int = LARGEST,
    *,
    own: bool = False,
) -> list[Checkpoint]:
    """Return the checkpoints of an agent, or of all and the store, made before another one, newest first.

    With `own` only those of the branch itself, not what it has inherited.
    """
    staged, over = _staged(tx)
    edge = (LARGEST, LARGEST) if before is None else (before.created_revision or LARGEST, before.id)
    given = {"agent": agent_id, "type": type, "edge": edge[0], "before": edge[1], "limit": limit + len(over)}
    rows = _rows(tx, _LISTED[agent_id is not None, type is not None], given, own=own)
    fresh = [
        each
        for each in reversed(staged)
        if edge[0] == LARGEST and each.id < edge[1] and agent_id in (None, each.agent_id) and type in (None, each.type)
    ]
    return [*fresh, *(each for each in rows if each.id not in over)][:limit]


# ---- inside


def _named(tx: Tx, name: str) -> list[Checkpoint]:
    staged, over = _staged(tx)
    found = [each for each in _rows(tx, _NAMED, {"name": name}) if each.id not in over]
    return found + [each for each in staged if each.name == name]


def _staged(tx: Tx) -> tuple[list[Checkpoint], set[int]]:
    """Return the checkpoints the transaction makes, oldest first, and the ids of those it ends."""
    over = {deed.id for deed in tx.deeds if isinstance(deed, Ending)}
    made = [deed.checkpoint for deed in tx.deeds if isinstance(deed, Making)]
    return [each for each in made if each.id not in over], over


def _rows(tx: Tx, statement: Statement, given: dict[str, Any], *, own: bool = False) -> list[Checkpoint]:
    """Return the checkpoints a statement finds on the branch and beneath it, of those that stand there.

    Every lookup comes by here. What a branch sees of another's are those that stood when it was made.
    """
    shown = LARGEST if tx.point is None else tx.point.revision
    return [
        _checkpoint(row)
        for branch, top in upto(tx.line[:1] if own else tx.line, shown)
        for row in tx.db.all(statement, {**given, "branch": branch, "top": top})
    ]


def _checkpoint(row: Row) -> Checkpoint:
    id, name, agent, type, branch, revision, instant, created, created_at, created_by, metadata = row
    return Checkpoint(
        id, name, agent, CheckpointType(type), branch, revision, moment(instant), created, moment(created_at),
        created_by, json_object(metadata),
    )  # fmt: skip


def _no_such(name: str, agent_id: str | None) -> NoSuchCheckpoint:
    whose = "" if agent_id is None else f" of {agent_id} or the whole store"
    return NoSuchCheckpoint(f"there is no checkpoint {name!r:.80}{whose}, and it names no point in any other way")


def _whose(agent_id: str | None) -> str:
    return "of the whole store" if agent_id is None else f"of {agent_id}"


# ---- statements

_p, _a, _b, _c = state_checkpoints.c, agents.c, branches.c, state_commits.c

_INSERT = Statement(
    insert(state_checkpoints).values({column.name: bindparam(column.name) for column in state_checkpoints.columns})
)
_OWNER = Statement(select(_p.branch_id).where(_p.id == bindparam("id")))
_UPDATE_ENDED = Statement(
    update(state_checkpoints).where(_p.id == bindparam("row")).values(ended_revision=bindparam("ended_revision"))
)


def _standing(*wanted: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            _p.id, _p.checkpoint_name, _a.name, _p.checkpoint_type, _b.name, _p.revision, _p.instant,
            _p.created_revision, _c.at, _c.actor, _p.metadata,
        )
        .select_from(
            state_checkpoints.join(branches, _b.id == _p.branch_id)
            .join(state_commits, _c.revision == _p.created_revision)
            .outerjoin(agents, _a.id == _p.agent_id)
        )
        .where(
            _p.branch_id == bindparam("branch"),
            _p.created_revision <= bindparam("top"),
            func.coalesce(_p.ended_revision, bindparam("never", LARGEST + 1)) > bindparam("top"),
            *wanted,
        )
    )  # fmt: skip


def _newest_first(of_agent: bool, of_type: bool) -> Statement:
    # Not by id alone: a server gives them out in blocks.
    made = _p.created_revision
    wanted = [or_(made < bindparam("edge"), and_(made == bindparam("edge"), _p.id < bindparam("before")))]
    if of_agent:
        mine = select(_a.id).where(_a.name == bindparam("agent"))
        wanted.append(_p.agent_id == mine.scalar_subquery())
    if of_type:
        wanted.append(_p.checkpoint_type == bindparam("type"))
    return Statement(_standing(*wanted).order_by(made.desc(), _p.id.desc()).limit(bindparam("limit")))


_NAMED = Statement(_standing(_p.checkpoint_name == bindparam("name")).order_by(_p.id))
_LISTED = {(of, by): _newest_first(of, by) for of in (False, True) for by in (False, True)}
