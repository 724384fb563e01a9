"""The line before a key, as a transaction sees it: who holds the key, and who waits.

Read by itself and remembered in `tx.locks`, with what the transaction changes of it. What is read is relied on: on a
server the transaction is refused where a lock on the key was taken, given back or renewed meanwhile.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import and_, bindparam, select

from statedb.db.entries import json_object
from statedb.db.lineage import name_of
from statedb.db.statements import Statement
from statedb.db.tables import agents, state_locks
from statedb.db.tx import Tx
from statedb.models import Address, StateType
from statedb.times import moment
from statedb.values.line import Party
from statedb.values.lock import Lock, LockType


class Of(NamedTuple):
    """What a lock is of: a key in all four tiers, on a branch."""

    branch: int
    agent_id: str
    key: str

    @property
    def addresses(self) -> frozenset[Address]:
        """The key in all four tiers."""
        return frozenset(Address(self.agent_id, tier.value, self.key) for tier in StateType)


def line(tx: Tx, of: Of) -> list[Party]:
    """Return who holds a key and who waits for it, as this transaction leaves them; lapsed leases among them."""
    found: list[Party] | None = tx.locks.get(of)
    if found is None:
        given = {"branch": of.branch, "agent": of.agent_id, "key": of.key}
        rows = tx.connection.all(_LINE, given)
        found = tx.locks[of] = [Party(id, LockType(type), *row) for id, type, *row in rows]
    if tx.footprint is not None:
        # Any tier: what is done to a lock treads on all of them.
        tx.footprint.keys.add(Address(of.agent_id, StateType.LOCAL.value, of.key))
    return found


def by_fence(tx: Tx, fence: int) -> tuple[Of, Party] | None:
    """Return the lock of a fence, if its lease has not ended; whatever it is of."""
    staged = ((of, party) for of, known in tx.locks.items() for party in known if party.fence == fence)
    found = next(staged, None)
    if found is None:
        row = tx.connection.one(_OF_FENCE, {"fence": fence})
        if row is None:
            return None
        of = Of(*row)
        found = next(((of, party) for party in line(tx, of) if party.fence == fence), None)
    if found is None or not is_live(tx, found[1]):
        return None
    line(tx, found[0])  # so that it is relied on
    return found


def is_live(tx: Tx, party: Party) -> bool:
    """Tell whether a lease has not ended, and rely on that."""
    lives = party.expires_at > (tx.now if tx.lease_clock is None else tx.lease_clock)
    if tx.footprint is not None:
        if lives:
            tx.footprint.ends(party.expires_at)
        else:
            tx.footprint.leases[party.id] = party.expires_at
    return lives


def listed(tx: Tx, agent_id: str | None, *, waiting: bool) -> list[Lock]:
    """Return the locks that stand on the branch, and perhaps who waits, in the order of names and of arrival."""
    rows = tx.db.all(_STANDING[agent_id is not None], {"branch": tx.branch, "agent": agent_id, "now": tx.now})
    found = [(Of(tx.branch, agent, key), Party(id, LockType(type), *row)) for agent, key, id, type, *row in rows]
    if tx.locks:  # what this transaction has changed of a line is in no row yet
        known = [of for of in tx.locks if of.branch == tx.branch and agent_id in (None, of.agent_id)]
        found = [(of, party) for of, party in found if of not in tx.locks]
        found += [(of, party) for of in known for party in tx.locks[of] if party.expires_at > tx.now]
        found.sort(key=lambda each: (each[0], each[1].fence is None, each[1].fence or 0, each[1].arrived))
    return [lock_of(tx, of, party) for of, party in found if waiting or party.fence is not None]


def lock_of(tx: Tx, of: Of, party: Party) -> Lock:
    """Return a lock as users see it."""
    return Lock(
        id=party.id,
        branch=name_of(tx.connection, of.branch),
        agent_id=of.agent_id,
        key=of.key,
        type=party.type,
        fence=party.fence,
        owner=party.owner,
        acquired_at=moment(party.at),
        expires_at=moment(party.expires_at),
        ttl=party.ttl / 1_000_000,
        metadata=json_object(party.metadata),
    )


# ---- statements

_k, _a = state_locks.c, agents.c
with_agent = state_locks.join(agents, _a.id == _k.agent_id)
of_key = and_(_k.branch_id == bindparam("branch"), _a.name == bindparam("agent"), _k.state_key == bindparam("key"))
_stands = _k.ended_revision.is_(None)
_PARTY = (
    _k.id, _k.lock_type, _k.locked_by, _k.locked_at, _k.expires_at, _k.ttl, _k.metadata, _k.arrived, _k.called_at,
    _k.fence,
)  # fmt: skip

_LINE = Statement(select(*_PARTY).select_from(with_agent).where(of_key, _stands).order_by(_k.arrived, _k.fence))
_OF_FENCE = Statement(
    select(_k.branch_id, _a.name, _k.state_key).select_from(with_agent).where(_k.fence == bindparam("fence"), _stands)
)


def _standing(of_agent: bool) -> Statement:
    found = select(_a.name, _k.state_key, *_PARTY).select_from(with_agent)
    found = found.where(_k.branch_id == bindparam("branch"), _stands, _k.expires_at > bindparam("now"))
    if of_agent:
        found = found.where(_a.name == bindparam("agent"))
    # Who holds a key comes before who waits for it.
    return Statement(found.order_by(_a.name, _k.state_key, _k.fence.is_(None), _k.fence, _k.arrived))


_STANDING: dict[bool, Statement] = {of_agent: _standing(of_agent) for of_agent in (False, True)}
