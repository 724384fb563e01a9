"""The one door: every change of the store is staged here, and leaves here as part of a commit.

    put · touch · close ──▶ tx.staged, tx.expired, tx.sessions ──▶ flush ──▶ rows of one or two commits

A flush writes first what had ended unnoticed (a commit of its own and nobody's deed), then what the caller did.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import NamedTuple

from statedb.config import TIERS
from statedb.db import automatic, deeds, guard
from statedb.db.bases import far_base
from statedb.db.deeds import Deed
from statedb.db.earlier import Left
from statedb.db.heads import Head
from statedb.db.rows import HERE, Origin, write_commit
from statedb.db.sessions import UNWRITTEN, Opening, Session, SessionName, Told, restarted, session_name
from statedb.db.tables import MAIN
from statedb.db.tx import Note, Staged, Tx
from statedb.models import Address, StateType
from statedb.times import LATEST, moment
from statedb.values import codec
from statedb.values.codec import Encoded

do, aside = deeds.do, deeds.aside


class Expiry(NamedTuple):
    """How long a key lives, and until when; microseconds, None for ever."""

    ttl: int | None
    at: int | None

    @classmethod
    def after(cls, now: int, ttl: int | None) -> Expiry:
        return cls(ttl, None if ttl is None else min(now + ttl, LATEST))


class Ttl(Enum):
    """What a write without a ttl of its own means for the key's."""

    TIER = "the tier's default"
    KEEP = "the key's own, restarted"


def default_ttl(state_type: str) -> int | None:
    """Return a tier's default time to live, in microseconds."""
    return _DEFAULT_TTLS[state_type]


_DEFAULT_TTLS = {
    each.value: None if tier.ttl is None else tier.ttl // timedelta(microseconds=1) for each, tier in TIERS.items()
}


_SESSION_TTL = _DEFAULT_TTLS[StateType.SESSION.value] or 0

# ---- staging


def put(
    tx: Tx,
    at: Address,
    encoded: Encoded | None,
    *,
    metadata: str | None = None,
    expiry: Expiry | Ttl = Ttl.TIER,
    source_version: int | None = None,
    replay: bool = False,
    fence: int | None = None,
) -> Staged | None:
    """Stage a value, or with None a deletion; return what is staged, None where nothing changes at all.

    The same value with the same metadata makes no version, but its expiry restarts all the same. `replay` is for what
    another log says: every version is made, and no session's clock moves but as that log says. Raises LockHeld and
    Fenced.
    """
    before, staged = _before(tx, at)
    guard.check(tx, at, fence)
    current = staged.head if staged else before
    live_before = before is not None and before.codec is not None
    if encoded is None and not live_before:
        tx.staged.pop(at, None)
        return None
    session = _session_as_it_is(tx, at) if replay else _restart_session(tx, at, expiry)
    head = _next_head(tx, at, before)
    _set_expiry(tx, at, head, current, session, expiry if encoded is not None else Expiry(None, None))
    change: str | None = "delete"
    if encoded is None:
        head.codec = head.text = head.data = head.digest = head.metadata = None
    else:
        head.codec, head.text, head.data = encoded.stored
        head.digest, head.metadata = codec.digest(head.salt, encoded), metadata
        change = "update" if live_before else "create"
        if before and live_before and not replay and (head.digest, metadata) == (before.digest, before.metadata):
            touched = _touched(before, head)
            # A branch has no row whose expiry could move until it has a version of its own.
            if before.id is not None or not _is_moved(before, touched):
                head, change = touched, None
    if change == "create":
        head.created_at, head.created_by, head.created_revision = tx.now, tx.writing.actor, 0
    base = staged.base if staged else None
    if base is None and encoded is not None and change is not None:
        base = far_base(tx, at, before, encoded)
    entries = staged.entries if staged else []
    made = tx.staged[at] = Staged(before, head, change, encoded, source_version, base, entries)
    return made


def touch(tx: Tx, at: Address, expiry: Expiry | Ttl, *, fence: int | None = None) -> bool:
    """Stage a new expiry for a key that has a value; False where there is none. Raises LockHeld and Fenced."""
    head = tx.find(at)
    guard.check(tx, at, fence)
    if head is None:
        return False
    if head.id is None and at not in tx.staged and session_of(tx, at) is None:
        encoded = codec.pack(codec.plain(head.stored), json=codec.is_json(head.stored))
        put(tx, at, encoded, metadata=head.metadata, expiry=expiry, fence=fence)
        return True
    session = _restart_session(tx, at, expiry)
    staged = tx.staged.get(at) or Staged(head, head, None, None)
    staged.head = staged.head.copy()
    _set_expiry(tx, at, staged.head, head, session, expiry)
    tx.staged[at] = staged
    return True


@contextmanager
def opening(tx: Tx, session: Opening) -> Iterator[None]:
    """Have what is written to a session's keys inside the block open the session.

    Nothing happens until something is written: a call that changes nothing begins no session.
    """
    outer, tx.opening = tx.opening, session
    try:
        yield
    finally:
        tx.opening = outer


def set_session(tx: Tx, name: SessionName, expiry: Expiry) -> Session:
    """Stage a session's clock, making the session, which the keys below its name join, where there is none."""
    session = tx.session(name) or _begin_session(tx, name)
    tx.sessions[name] = Session(name, session.id, expiry.ttl, expiry.at, session.was)
    return tx.sessions[name]


def _begin_session(tx: Tx, name: SessionName) -> Session:
    _record_expired(tx, name)
    for at, staged in tx.staged.items():
        if session_name(at.agent_id, at.key) == name and at.state_type == StateType.SESSION:
            staged.head.session_id = UNWRITTEN
    return Session(name, None, None, None)


def close_session(tx: Tx, name: SessionName) -> bool:
    """End a session now: every key of it expires. False where it had ended already."""
    session = tx.session(name)
    if session is None or session.ended(tx.now):
        return False
    for head in tx.members(name.agent_id, StateType.SESSION.value, name.low, name.high):
        end(tx, Address(name.agent_id, StateType.SESSION.value, head.key), head, session)
    set_session(tx, name, Expiry(session.ttl, tx.now))
    return True


def end(tx: Tx, at: Address, head: Head, session: Session | None = None) -> None:
    """Stage the expiry of a key as the caller's own deed, in the caller's commit."""
    staged = tx.staged.pop(at, None)
    before = staged.before if staged else head
    if before is not None and before.codec is not None:
        gone = _tombstone(tx, at, before)
        if session is not None:  # which this very transaction may have begun
            gone.session_id = UNWRITTEN if session.id is None else session.id
        tx.staged[at] = Staged(before, gone, "expire", None)


def expire(tx: Tx, at: Address, head: Head) -> Head:
    """Stage the expiry of a key whose time has passed, as nobody's deed, and return the tombstone it leaves."""
    tx.expired[at] = (head, _tombstone(tx, at, head))
    return tx.expired[at][1]


def _tombstone(tx: Tx, at: Address, before: Head) -> Head:
    gone = _next_head(tx, at, before)
    gone.codec = gone.text = gone.data = gone.digest = gone.metadata = gone.ttl = gone.expires_at = None
    return gone


def _before(tx: Tx, at: Address) -> tuple[Head | None, Staged | None]:
    """Return a key as this transaction found it, its expiry recorded if that had passed, and what is staged for it."""
    staged = tx.staged.get(at)
    if staged is not None:
        return staged.before, staged
    head = tx.head(at)
    if head is not None and head.codec is not None and not tx.alive(head):
        head = expire(tx, at, head)
    return head, None


def _next_head(tx: Tx, at: Address, before: Head | None) -> Head:
    """Return the head of a key's next version: the one before it, moved on."""
    if before is None:
        return Head(
            key=at.key, id=None, agent=None, version=1, parent_version=None, revision=0, created_revision=0,
            created_at=tx.now, created_by=None, updated_at=tx.now, ttl=None, expires_at=None, session_id=None, floor=0,
            salt=os.urandom(16), digest=None, metadata=None, codec=None, text=None, data=None, newest=None,
        )  # fmt: skip
    head = before.copy()
    head.parent_version, head.version = before.version, before.version + 1
    head.revision, head.updated_at = 0, tx.now
    return head


def _touched(before: Head, head: Head) -> Head:
    """Return the head before, with the expiry of the one that turned out to be the same value."""
    same = before.copy()
    same.ttl, same.expires_at, same.session_id = head.ttl, head.expires_at, head.session_id
    return same


def _set_expiry(
    tx: Tx, at: Address, head: Head, current: Head | None, session: Session | None, expiry: Expiry | Ttl
) -> None:
    if session is not None:
        head.ttl, head.expires_at = session.ttl, session.expires_at
        head.session_id = UNWRITTEN if session.id is None else session.id
        return
    if expiry is Ttl.KEEP and current is not None and current.codec is not None:
        expiry = Expiry.after(tx.now, current.ttl)
    elif isinstance(expiry, Ttl):
        expiry = Expiry.after(tx.now, default_ttl(at.state_type))
    head.ttl, head.expires_at = expiry


def session_of(tx: Tx, at: Address) -> Session | None:
    """Return the session a key belongs to, if it belongs to one."""
    name = session_name(at.agent_id, at.key) if at.state_type == StateType.SESSION else None
    return tx.session(name) if name else None


def _session_as_it_is(tx: Tx, at: Address) -> Session | None:
    """Return the session a key belongs to, a branch's own: with the clock it has inherited where it had none."""
    session = session_of(tx, at)
    if session is not None and session.id is None and session.name not in tx.sessions:
        session = set_session(tx, session.name, Expiry(session.ttl, session.expires_at))
    return session


def _restart_session(tx: Tx, at: Address, expiry: Expiry | Ttl) -> Session | None:
    """Restart the clock of the session a key belongs to, if it belongs to one; an explicit ttl becomes the session's.

    Where the session had ended, its other keys are recorded as expired first: they must not come back to life.
    """
    name = session_name(at.agent_id, at.key) if at.state_type == StateType.SESSION else None
    if name is None:
        return None
    session = tx.session(name)
    # A function given to `update` may write other keys meanwhile, which are not this session's.
    opening = tx.opening if tx.opening is not None and tx.opening.name == name else None
    if session is None and opening is None:
        return None
    if session is not None and session.ended(tx.now):
        _record_expired(tx, name)
    told = Told(expiry.ttl) if isinstance(expiry, Expiry) else None
    return set_session(tx, name, Expiry(*restarted(tx.now, session, opening, told, _SESSION_TTL)))


def _record_expired(tx: Tx, name: SessionName) -> None:
    for head in tx.members(name.agent_id, StateType.SESSION.value, name.low, name.high):
        if not tx.alive(head):
            expire(tx, Address(name.agent_id, StateType.SESSION.value, head.key), head)


# ---- flushing


def flush(tx: Tx, *, origin: Origin = HERE) -> int | None:
    """Write what is staged as commits, and return the newest revision made; None where nothing changed.

    The caller holds the write lock and commits the database afterwards.
    """
    if tx.earlier is not None and tx.connection.lighten():
        tx.earlier.clear()
    changed = {at: staged for at, staged in tx.staged.items() if _is_change(staged)}
    expired = {at: Staged(before, head, "expire", None) for at, (before, head) in tx.expired.items()}
    clocks = [session for session in tx.sessions.values() if session.moved]
    if changed and origin is HERE and tx.policies:
        automatic.watch(tx, changed)
    if not (changed or expired or clocks or tx.deeds):
        _write_asides(tx)
        _forget(tx)
        return None
    lapsed, done = deeds.parted(tx.deeds)
    if expired or lapsed:
        write_commit(tx, "expire" if expired else "lock", Note(), expired, [], HERE, lapsed)
    if tx.cache is not None and tx.branch == MAIN:
        for at, staged in changed.items():
            if staged.encoded is not None and staged.head.digest is not None:
                tx.cache.wrote(at, staged.head.digest, staged.encoded)
    if changed or clocks or done:
        kind = origin.kind or tx.kind or _kind(changed, clocks, done)
        write_commit(tx, kind, tx.writing, changed, clocks, origin, done)
    _write_asides(tx)
    if tx.earlier is not None:
        heads = {at: gone for at, (_, gone) in tx.expired.items()} | {at: each.head for at, each in tx.staged.items()}
        tx.earlier.append(tx.streams)
        tx.earlier.add(tx.branch, Left(heads, dict(tx.sessions)), tx.agents)
    _forget(tx)
    tx.written = tx.revision
    for each in tx.outcomes:
        object.__setattr__(each, "revision", tx.revision)
    tx.told += tx.outcomes
    tx.outcomes.clear()
    return tx.revision


def _write_asides(tx: Tx) -> None:
    for write in tx.asides:
        write(tx)
    tx.asides.clear()


def _forget(tx: Tx) -> None:
    """Forget what was staged and looked up: what comes next may stand on another branch."""
    tx.staged.clear()
    tx.found.clear()
    tx.expired.clear()
    tx.sessions.clear()
    tx.deeds.clear()
    tx.locks.clear()
    tx.streams.clear()
    tx.kind = tx.merge_parent = None


def _kind(changed: dict[Address, Staged], clocks: list[Session], deeds: list[Deed]) -> str:
    made = {staged.change for staged in changed.values()} - {None}
    if made:
        return "expire" if made == {"expire"} else "write"
    return deeds[0].kind if deeds and not (changed or clocks) else "touch"


def land(tx: Tx, shift: int, at: int) -> None:
    """Tell what was handed out where its commit landed: so many revisions further on, at this time in microseconds."""
    if tx.due is not None:
        automatic.remind(tx)
    if tx.written is None or (shift == 0 and at == tx.now):
        return
    tx.written += shift
    before, after = moment(tx.now), moment(at)
    for each in tx.told:
        object.__setattr__(each, "revision", each.revision + shift)
        for name in ("created_at", "updated_at", "at"):
            if getattr(each, name, None) == before:
                object.__setattr__(each, name, after)


def _is_change(staged: Staged) -> bool:
    if staged.change is not None:
        return True
    return staged.before is not None and _is_moved(staged.before, staged.head)


def _is_moved(before: Head, head: Head) -> bool:
    if head.session_id is not None:
        return False  # its expiry is the session's, which tells itself whether it has moved
    return (before.ttl, before.expires_at) != (head.ttl, head.expires_at)
