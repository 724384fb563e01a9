"""Snapshots: all there was at a point, out of the log, and back into the store in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

from sqlalchemy import select

from statedb.db.context import Point
from statedb.db.entries import held, json_object
from statedb.db.heads import Head
from statedb.db.restore import Extent, lost
from statedb.db.rewrite import Content, steps, take
from statedb.db.statements import Statement
from statedb.db.tables import agents
from statedb.db.tx import Tx
from statedb.models import MISSING, Address, Outcome, StateType
from statedb.times import moment, span
from statedb.values import snapshot
from statedb.values.glob import BEYOND
from statedb.values.metadata import metadata_text
from statedb.values.snapshot import Snapshot

Tiers = dict[str, dict[str, Any]]


def taken(tx: Tx, point: Point, agent_id: str | None) -> dict[str, Any]:
    """Return what an agent had at a point, by tier and key; without one, what each agent had. Raises Compacted."""
    for tier in StateType:
        lost(tx, point, Extent(agent_id, tier.value, None), partial=False)
    past = _as_of(tx, point)
    if agent_id is not None:
        return _tiers(past, agent_id)
    found = ((name, _tiers(past, name)) for name in _agents(tx))
    return {name: tiers for name, tiers in found if tiers}


def put_back(tx: Tx, given: Snapshot, extent: Extent, *, said: str, dry_run: bool) -> Outcome:
    """Stage what makes an extent hold what a snapshot does, or with `dry_run` only return it."""
    limit = tx.settings.max_value_bytes
    plan = {at: Content(MISSING) for at in _standing(tx, extent)}
    for at, kept in given.states(extent.agent_id):
        if extent.holds(at):
            ttl = None if kept.ttl is None else span(kept.ttl)
            plan[at] = Content(kept.content(), metadata_text(kept.metadata, limit), ttl)
    wanted = steps(tx, sorted(plan.items()))
    outcome = take(tx, wanted, only_show=dry_run)
    if wanted and not dry_run:
        tx.kind = "restore"
        tx.writing.say(said)
    return outcome


def _as_of(tx: Tx, point: Point) -> Tx:
    """Return the transaction as it would read at a point, without what it has staged."""
    past = copy(tx)
    past.point, past.note, past.earlier = point, None, None
    past.staged, past.expired, past.sessions, past.found = {}, {}, {}, {}
    return past


def _tiers(past: Tx, agent_id: str) -> Tiers:
    found = {tier.value: past.range(agent_id, tier.value, "", BEYOND) for tier in StateType}
    instant = 0 if past.point is None else past.point.instant
    return {tier: {head.key: _kept(head, instant) for head in heads} for tier, heads in found.items() if heads}


def _kept(head: Head, instant: int) -> dict[str, Any]:
    # Of a session that ends at a time, whatever is written to it, what is left is all that can be begun again with.
    ttl = None if head.expires_at is None else head.ttl or head.expires_at - instant
    return {
        **snapshot.shown(held(head.stored)),
        "version": head.version,
        "metadata": json_object(head.metadata),
        "created_at": moment(head.created_at).isoformat(),
        "created_by": head.created_by,
        "updated_at": moment(head.updated_at).isoformat(),
        "ttl": None if ttl is None else ttl / 1_000_000,
    }


def _standing(tx: Tx, extent: Extent) -> Iterator[Address]:
    """Yield every key there is now within an extent."""
    for agent_id in _agents(tx) if extent.agent_id is None else [extent.agent_id]:
        for tier in StateType:
            if extent.state_type in (None, tier.value):
                found = (Address(agent_id, tier.value, key) for key in tx.names(agent_id, tier.value, "", BEYOND))
                yield from (at for at in found if extent.holds(at))


def _agents(tx: Tx) -> list[str]:
    made = {at.agent_id for at in tx.staged}
    return sorted({name for (name,) in tx.db.all(_AGENTS, {})} | made)


_AGENTS = Statement(select(agents.c.name))
