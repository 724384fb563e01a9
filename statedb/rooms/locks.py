"""Locks: who holds a key, for how long, and who comes next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from statedb import times
from statedb.db import guard, lines, locks
from statedb.db.lines import Of
from statedb.db.locks import Place, Wanted
from statedb.db.tx import Tx
from statedb.errors import InvalidValue, LockHeld
from statedb.times import LATEST
from statedb.values.arguments import natural, said
from statedb.values.lock import Lock, LockChange, LockType
from statedb.values.metadata import metadata_text
from statedb.values.names import name

Ttl = float | timedelta
"""Seconds or a timedelta."""
Wait = float | timedelta | None
"""The same; None for ever."""


class Ask(NamedTuple):
    """What somebody asks for, as he says it."""

    agent_id: str
    key: str
    type: str
    ttl: Ttl
    owner: str | None
    metadata: Mapping[str, Any] | None


# ---- what users call


def listed(tx: Tx, agent_id: str | None = None, *, waiting: bool = False) -> list[Lock]:
    """Return the locks that stand on this branch, of one agent's keys or of all, in the order of keys.

    With `waiting` those who wait for a lock as well, in the order in which they arrived; their `fence` is None, and
    `expires_at` is when they will wait no longer.
    """
    if tx.point is not None:
        raise InvalidValue("who holds a lock is known of now only; store.feed.locks() tells what happened to locks")
    return lines.listed(tx, None if agent_id is None else name(agent_id, "agent_id"), waiting=waiting)


def release(tx: Tx, lock: Any) -> bool:
    """Give a lock back: True where it was held until now, False where its lease had ended before.

    `lock` is what `acquire` returned, or its fence.
    """
    return locks.release(tx, fence_of(lock))


def renew(tx: Tx, lock: Any, ttl: Ttl | None = None) -> Lock:
    """Have a lease begin anew, with its own ttl or another in seconds, and return the lock as it is then.

    `lock` is what `acquire` returned, or its fence. It is no commit. Raises Fenced where the lease has ended.
    """
    fence = fence_of(lock)
    renewed = locks.renew(tx, fence, None if ttl is None else lease(ttl))
    if renewed is None:
        raise guard.fenced(fence)
    return renewed


def changes(tx: Tx, since: int = 0, limit: int = 100, *, agent_id: str | None = None) -> list[LockChange]:
    """Return what happened to this branch's locks after revision `since`, oldest first, in whole commits.

    Reading stops at the first commit with which `limit` is reached; pass the revision of the last to go on. A lease
    that ended by time is a `lapse`, once somebody has noticed: who takes the lock next, or a sweep.
    """
    of = None if agent_id is None else name(agent_id, "agent_id")
    return locks.changes_after(tx, natural(since, "since"), natural(limit, "limit", 1), of)


# ---- the steps of acquiring


def take(tx: Tx, ask: Ask, wait: Wait = 0, place: Place | None = None) -> Lock | Place:
    """Take a lock; or, where others hold the key or come first, a place in the line, for `wait` seconds (None: ever).

    Raises LockHeld with a wait of 0. `place` is the one that was had so far.
    """
    wanted, patience = _wanted(tx, ask), _patience(wait)
    found = locks.take(tx, wanted, place)
    if isinstance(found, Lock):
        return found
    if patience == 0:
        raise _held(tx, wanted)
    if place is not None and (kept := locks.look(tx, wanted, place)).id:
        return kept
    deadline = place.deadline if place is not None else LATEST if patience is None else min(tx.now + patience, LATEST)
    return locks.line_up(tx, wanted, deadline)


def look(tx: Tx, ask: Ask, place: Place) -> Place:
    """Return a place in a line as it is now."""
    return locks.look(tx, _wanted(tx, ask), place)


def give_up(tx: Tx, ask: Ask, place: Place) -> LockHeld:
    """Give a place in a line up, and return what is said to who had it."""
    wanted = _wanted(tx, ask)
    locks.give_up(tx, wanted, place)
    return _held(tx, wanted)


# ---- arguments


def fence_of(lock: Any) -> int:
    """Return the fence of a lock, or one that is given as it is. Raises InvalidValue."""
    return natural(getattr(lock, "fence", lock), "a lock, or its fence,", 1)


def lease(ttl: Ttl) -> int:
    """Return how long a lease lasts, in microseconds. Raises InvalidValue for one that would not end."""
    found = times.span(ttl)
    if found is None:
        raise InvalidValue("a lease ends by time, or one who dies would hold the key for ever; renew it meanwhile")
    return found


def _patience(wait: Wait) -> int | None:
    if wait is None or wait == math.inf:
        return None
    if isinstance(wait, timedelta):
        wait = wait.total_seconds()
    if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= times.LONGEST:
        raise InvalidValue(f"wait is {wait!r:.80}; it is seconds, 0 to take the lock now or not at all, None for ever")
    return round(wait * 1_000_000)


def _wanted(tx: Tx, ask: Ask) -> Wanted:
    try:
        type = LockType(ask.type)
    except ValueError:
        raise InvalidValue(f"type is {ask.type!r:.80}; it is one of {', '.join(LockType)}") from None
    of = Of(tx.branch, name(ask.agent_id, "agent_id"), name(ask.key, "key"))
    owner = tx.note.actor if ask.owner is None and tx.note is not None else said(ask.owner, "owner")
    return Wanted(of, type, lease(ask.ttl), owner, metadata_text(ask.metadata, tx.settings.max_value_bytes))


def _held(tx: Tx, wanted: Wanted) -> LockHeld:
    there = (party for party in lines.line(tx, wanted.of) if party.fence is not None)
    holders = [lines.lock_of(tx, wanted.of, party) for party in there if lines.is_live(tx, party)]
    return guard.held(wanted.of, holders, "try again later, or wait")
