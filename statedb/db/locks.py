"""Locks: leases on keys, and the lines of those who wait for them.

A lock taken, given back or lapsed is a deed of the log. That a lease is renewed and that somebody waits is no history:
it is written beside the log. What a transaction has seen of a key's line, and changed of it, is in `tx.locks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic_core import from_json
from sqlalchemy import and_, bindparam, func, insert, literal_column, or_, select, update

from statedb.db.deeds import LAPSE, Deed, aside, do
from statedb.db.entries import json_object
from statedb.db.lines import Of, by_fence, is_live, line, lock_of, of_key, with_agent
from statedb.db.rows import agent_id_of
from statedb.db.statements import Statement
from statedb.db.tables import agents, commit_deeds, state_commits, state_locks
from statedb.db.tx import Tx
from statedb.times import LATEST, moment
from statedb.values.arguments import LARGEST
from statedb.values.line import Party, Turn, call, free_at, turns
from statedb.values.lock import Lock, LockChange, LockType

DEEDS = ("lock", "unlock", "lapse")
"""What the log says is done to locks."""


class Wanted(NamedTuple):
    """A lock that somebody asks for; ttl in microseconds."""

    of: Of
    type: LockType
    ttl: int
    owner: str | None
    metadata: str | None


class Place(NamedTuple):
    """A place in a line, how long its holder waits, and when its turn comes as things are; microseconds.

    `id` 0: none, or none any more, since the holder did not come when it was called.
    """

    id: int
    arrived: int
    deadline: int
    free_at: int
    now: int

    @property
    def is_ready(self) -> bool:
        """Whether there is anything to do: to take the lock, or to line up again."""
        return self.id == 0 or self.free_at <= self.now


# ---- taking and giving back


def take(tx: Tx, wanted: Wanted, place: Place | None = None) -> Lock | int:
    """Stage a lock; where others hold the key or come first, return when they will not any more, in microseconds."""
    there = line(tx, wanted.of)
    mine = None if place is None else _at(there, place)
    free = free_at(there, wanted.type, mine)
    if free > tx.now:
        return free
    before = list(turns(there))
    gone = [turn.party for turn in before if turn.gone_at <= tx.now and turn.party is not mine]
    lapsed = [party for party in there if party.fence is not None and not is_live(tx, party)]
    party = mine or _unused(tx, wanted.of)
    party.type, party.owner, party.metadata, party.ttl = wanted.type, wanted.owner, wanted.metadata, wanted.ttl
    party.at, party.expires_at, party.fence = tx.now, _end(tx, wanted.ttl), _next_fence(tx)
    if mine is None:
        there.append(party)
    changed = [party, *_leave(tx, there, [*gone, *lapsed], before)]
    for each in lapsed:
        do(tx, _deed(tx, wanted.of, each, "lapse", []))
    do(tx, _deed(tx, wanted.of, party, "lock", changed))
    tx.leases = max(tx.leases, party.expires_at)
    return lock_of(tx, wanted.of, party)


def release(tx: Tx, fence: int) -> bool:
    """Stage that a lock is given back; False where its lease has ended."""
    found = by_fence(tx, fence)
    if found is None:
        return False
    of, party = found
    there = line(tx, of)
    changed = _leave(tx, there, [party], list(turns(there)))
    do(tx, _deed(tx, of, party, "unlock", changed))
    return True


def renew(tx: Tx, fence: int, ttl: int | None) -> Lock | None:
    """Stage that a lease begins anew, with its own ttl or another; None where it has ended."""
    found = by_fence(tx, fence)
    if found is None:
        return None
    of, party = found
    party.ttl = party.ttl if ttl is None else ttl
    party.expires_at = _end(tx, party.ttl)
    tx.leases = max(tx.leases, party.expires_at)
    given = {"row": party.id, "ttl": party.ttl, "expires_at": party.expires_at}
    aside(tx, lambda tx: tx.connection.run(_RENEW, given))
    return lock_of(tx, of, party)


def lapse(tx: Tx, limit: int) -> int:
    """Stage that leases have ended by time, at most so many, on whatever branch; return how many that were."""
    found = [Of(*row) for row in tx.db.all(_LAPSED, {"now": tx.now, "limit": limit})]
    count = 0
    for of in dict.fromkeys(found):
        there = line(tx, of)
        lapsed = [party for party in there if party.fence is not None and not is_live(tx, party)][: limit - count]
        before = list(turns(there))
        changed = _leave(tx, there, lapsed, before)
        for party in lapsed:
            do(tx, _deed(tx, of, party, "lapse", changed))
        count += len(lapsed)
    return count


def _end(tx: Tx, ttl: int) -> int:
    return min(tx.now + ttl, LATEST)


def _unused(tx: Tx, of: Of) -> Party:
    """Return a row for somebody who arrives: one that is over, or a new one."""
    # The row with the last fence is not used for who waits, who has none: it is what the next fence is counted from.
    known = {party.id for each in tx.locks.values() for party in each}
    given = {"branch": of.branch, "agent": of.agent_id, "key": of.key}
    rows = [row for row in tx.connection.all(_ENDED, given) if row[0] not in known]
    party = Party(0, LockType.READ, None, 0, 0, 0, None, 0, None, None)
    if rows:
        # Whoever was in it before knows his place by when he arrived: nobody may seem to have arrived then once more.
        party.id, party.arrived = rows[0][0], rows[0][2]
        if tx.footprint is not None:
            tx.footprint.leases[party.id] = rows[0][1]  # somebody may line up in it
    else:
        party.id, party.is_new = tx.connection.new_id(state_locks), True
    return party


def _next_fence(tx: Tx) -> int:
    [[last]] = tx.db.all(_LAST_FENCE, {})
    staged = (party.fence or 0 for each in tx.locks.values() for party in each)
    done = (int(deed.said.get("fence", 0)) for deed in tx.deeds)
    return 1 + max([int(last), *staged, *done])


def _leave(tx: Tx, there: list[Party], over: list[Party], before: list[Turn]) -> list[Party]:
    """Take some out of a line, and call those whose turn has come; return all of them."""
    for party in over:
        party.is_over, party.expires_at = True, min(party.expires_at, tx.now)
        there.remove(party)
    return [*over, *(call(there, before, tx.now) if over else [])]


def _deed(tx: Tx, of: Of, party: Party, what: str, changed: list[Party]) -> Deed:
    said: dict[str, Any] = {
        "do": what,
        "id": party.id,
        "branch": of.branch,
        "agent": of.agent_id,
        "key": of.key,
        "type": party.type.value,
        "fence": party.fence,
        "owner": party.owner,
    }
    if what == "lock":
        said |= {"at": party.at, "metadata": json_object(party.metadata)}
    kind = LAPSE if what == "lapse" else "lock"
    return Deed(kind, said, lambda tx: _write(tx, of, changed), concerns=of.addresses)


# ---- waiting


def line_up(tx: Tx, wanted: Wanted, deadline: int) -> Place:
    """Stage a place at the end of a line, until a time. On a server the transaction has the turn to write."""
    tx.connection.insist()
    there = line(tx, wanted.of)
    party = _unused(tx, wanted.of)
    party.type, party.owner, party.metadata, party.ttl = wanted.type, wanted.owner, wanted.metadata, wanted.ttl
    party.at, party.expires_at = tx.now, deadline
    party.arrived = 1 + max(each.arrived for each in [*there, party])
    there.append(party)
    aside(tx, lambda tx: _write(tx, wanted.of, [party]))
    return look(tx, wanted, Place(party.id, party.arrived, deadline, 0, 0))


def look(tx: Tx, wanted: Wanted, place: Place) -> Place:
    """Return a place as it is now."""
    there = line(tx, wanted.of)
    mine = _at(there, place)
    if mine is None:
        return place._replace(id=0, now=tx.now)
    return place._replace(free_at=free_at(there, wanted.type, mine), now=tx.now)


def give_up(tx: Tx, wanted: Wanted, place: Place) -> None:
    """Stage that a place is given up. On a server the transaction has the turn to write."""
    tx.connection.insist()
    there = line(tx, wanted.of)
    mine = _at(there, place)
    if mine is not None:
        changed = _leave(tx, there, [mine], list(turns(there)))
        aside(tx, lambda tx: _write(tx, wanted.of, changed))


def _at(there: Iterable[Party], place: Place) -> Party | None:
    named = (party for party in there if party.fence is None)
    return next((party for party in named if (party.id, party.arrived) == (place.id, place.arrived)), None)


def _write(tx: Tx, of: Of, changed: Iterable[Party]) -> None:
    for party in changed:
        row = {
            "lock_type": party.type.value,
            "locked_by": party.owner,
            "locked_at": party.at,
            "expires_at": party.expires_at,
            "ttl": party.ttl,
            "metadata": party.metadata,
            "arrived": party.arrived,
            "called_at": party.called_at,
            "fence": party.fence,
            "changed_revision": tx.revision,
            "ended_revision": tx.revision if party.is_over else None,
        }
        if party.is_new:
            party.is_new = False
            made = {"id": party.id, "branch_id": of.branch, "agent_id": agent_id_of(tx, of.agent_id)}
            tx.connection.run(_INSERT, {**row, **made, "state_key": of.key})
        else:
            tx.connection.run(_UPDATE, {**row, "row": party.id})


# ---- the log


def changes(tx: Tx, first: int, last: int, agent_id: str | None = None) -> list[LockChange]:
    """Return what happened to the branch's locks from a revision to another, in order."""
    rows = tx.db.all(_DEEDS, {"first": first, "last": last, "limit": LARGEST})
    return [change for row in rows for change in _changes(tx, row, agent_id)]


def changes_after(tx: Tx, since: int, limit: int, agent_id: str | None) -> list[LockChange]:
    """Return what happened to the branch's locks after a revision, in whole commits, until `limit` is reached."""
    last = LARGEST if tx.point is None else tx.point.revision
    found: list[LockChange] = []
    while len(found) < limit:
        rows = tx.db.all(_DEEDS, {"first": since + 1, "last": last, "limit": limit})
        for row in rows:
            since = row[0]
            if len(found) < limit:
                found += _changes(tx, row, agent_id)
        if not rows:
            break
    return found


def _changes(tx: Tx, row: Any, agent_id: str | None) -> list[LockChange]:
    revision, at, actor, said = row
    return [
        LockChange(
            change=deed["do"],
            agent_id=deed["agent"],
            key=deed["key"],
            type=LockType(deed["type"]),
            fence=deed["fence"],
            owner=deed["owner"],
            revision=revision,
            at=moment(at),
            by=actor,
        )
        for deed in from_json(said)
        if deed["do"] in DEEDS and deed["branch"] == tx.branch and agent_id in (None, deed["agent"])
    ]


# ---- statements

_k, _a, _c, _d = state_locks.c, agents.c, state_commits.c, commit_deeds.c
_stands = _k.ended_revision.is_(None)
_holds = and_(_stands, _k.fence.is_not(None))


def _named(*names: str) -> dict[str, object]:
    return {name: bindparam(name) for name in names}


_last_fence = func.coalesce(func.max(_k.fence), literal_column("0"))
_LAST_FENCE = Statement(select(_last_fence))
_ENDED = Statement(
    select(_k.id, _k.expires_at, _k.arrived)
    .select_from(with_agent)
    .where(
        of_key,
        _k.ended_revision.is_not(None),
        or_(_k.fence.is_(None), _k.fence < select(_last_fence).scalar_subquery()),
    )
    .order_by(_k.id)
)
_LAPSED = Statement(
    select(_k.branch_id, _a.name, _k.state_key)
    .select_from(with_agent)
    .where(_holds, _k.expires_at <= bindparam("now"))
    .order_by(_k.expires_at)
    .limit(bindparam("limit"))
)


_CHANGED = (
    "lock_type", "locked_by", "locked_at", "expires_at", "ttl", "metadata", "arrived", "called_at", "fence",
    "changed_revision", "ended_revision",
)  # fmt: skip
_INSERT = Statement(insert(state_locks).values(_named("id", "branch_id", "agent_id", "state_key", *_CHANGED)))
_UPDATE = Statement(update(state_locks).where(_k.id == bindparam("row")).values(_named(*_CHANGED)))
_RENEW = Statement(update(state_locks).where(_k.id == bindparam("row")).values(_named("ttl", "expires_at")))
_DEEDS = Statement(
    select(_d.revision, _c.at, _c.actor, _d.said)
    .join_from(commit_deeds, state_commits, _c.revision == _d.revision)
    .where(_d.revision >= bindparam("first"), _d.revision <= bindparam("last"))
    .order_by(_d.revision)
    .limit(bindparam("limit"))
)
