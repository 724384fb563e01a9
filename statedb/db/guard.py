"""The guard before each write: who writes to a key that somebody has locked says so, by the lock's fence."""

from __future__ import annotations

from collections.abc import Iterable

from statedb.db.lines import Of, by_fence, is_live, line, lock_of
from statedb.db.tx import Tx
from statedb.errors import Fenced, LockHeld
from statedb.models import Address
from statedb.values.arguments import natural
from statedb.values.lock import Lock, LockType


def check(tx: Tx, at: Address, fence: int | None = None) -> None:
    """Raise LockHeld where somebody holds a key to write it, and Fenced where the lease of a fence has ended.

    Where no lease stands in the store it costs 0.2 µs, and asks for nothing that has not been read with the key.
    """
    if fence is not None:
        natural(fence, "fence", 1)
    elif not _any_stands(tx, at):
        return
    of = Of(tx.branch, at.agent_id, at.key)
    live = [party for party in line(tx, of) if party.fence is not None and is_live(tx, party)]
    if fence is not None and all(party.fence != fence for party in live):
        found = by_fence(tx, fence)
        if found is None or found[0].branch != tx.branch:
            raise fenced(fence)
    holders = [party for party in live if party.type != LockType.READ and party.fence != fence]
    if holders:
        raise held(
            of, [lock_of(tx, of, party) for party in holders], "write it with the lock's fence, or lock it first"
        )


def check_all(tx: Tx, keys: Iterable[Address], fence: int | None = None) -> None:
    """Check many keys before any of them is written: all of them are, or none."""
    for number, at in enumerate(keys):
        if number == 0:
            tx.head(at)  # with which comes whether any lease stands
        check(tx, at, fence)


def fenced(fence: int) -> Fenced:
    """Return what is said of a fence whose lease has ended."""
    return Fenced(
        f"the lease of fence {fence} has ended, or was given back, and the key may be somebody else's by now; nothing "
        "was written. Lock the key again, and read it again before you write it",
        fence=fence,
    )


def held(of: Of, holders: list[Lock], advice: str) -> LockHeld:
    """Return what is said of a key that somebody has locked, with advice for who wants it."""
    named = ", ".join(
        f"{each.type} lock {each.fence} of {each.owner or 'somebody unnamed'} until {each.expires_at.isoformat()}"
        for each in holders[:3]
    )
    more = f" and {len(holders) - 3:,} more" if len(holders) > 3 else ""
    found = f"locked ({named}{more})" if holders else "waited for by others, whose turn it is"
    return LockHeld(
        f"{of.key} of {of.agent_id} is {found}; {advice}: store.locks.acquire(…, wait=seconds) waits for it",
        agent_id=of.agent_id,
        key=of.key,
        holders=tuple(holders),
    )


def _any_stands(tx: Tx, at: Address) -> bool:
    """Tell whether a lock may stand on a key."""
    # On a server somebody may renew, while this transaction runs, a lease that it takes to have ended: that shows only
    # where the lease was looked at.
    if tx.leases and (tx.leases > tx.now or tx.footprint is not None):
        return True
    return bool(tx.locks) and Of(tx.branch, at.agent_id, at.key) in tx.locks
