"""Sessions: the states of one conversation, which expire together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from statedb import times
from statedb.config import TIERS
from statedb.db import checkpoints, journal
from statedb.db.inherited import session
from statedb.db.journal import Expiry
from statedb.db.lineage import upto
from statedb.db.points import fresh_name, newest_point
from statedb.db.sessions import Opening, SessionName, clock
from statedb.db.tx import Tx
from statedb.errors import InvalidKey, InvalidValue
from statedb.models import CheckpointType, Entry, Listing, StateType
from statedb.rooms import states, value
from statedb.rooms.states import Lifetime
from statedb.values.names import name
from statedb.values.session import SessionInfo

P = ParamSpec("P")
T = TypeVar("T")
From = TypeVar("From")

TIER = StateType.SESSION.value


class SessionScope(NamedTuple):
    """A session as a handle knows it: its name, and the ttl the handle was given (None: the session's own)."""

    name: str
    ttl: Lifetime
    sliding: bool = True

    @classmethod
    def of(cls, text: str, ttl: float | timedelta | None, sliding: bool) -> SessionScope:
        """Return the scope of a session. InvalidKey for a name with a slash, which ends a session's name in a key."""
        called = name(text, "session name")
        if "/" in called:
            raise InvalidKey(f"the session name {text!r:.80} holds a slash, which would end it; use another character")
        return cls(called, ttl, sliding)


def _like(made: Callable[..., T], fn: Callable[..., Any]) -> Callable[..., T]:
    made.__name__, made.__doc__ = fn.__name__, fn.__doc__
    return made


def reading(
    fn: Callable[Concatenate[From, str, str, str, P], T],
) -> Callable[Concatenate[From, str, SessionScope, str, P], T]:
    """Return what reads states, from a transaction or from memory, on the keys of a session."""

    def read(tx: From, agent_id: str, scope: SessionScope, key: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return fn(tx, agent_id, TIER, _full(scope, key), *args, **kwargs)

    return _like(read, fn)


def writing(
    fn: Callable[Concatenate[Tx, str, str, str, P], T],
) -> Callable[Concatenate[Tx, str, SessionScope, str, P], T]:
    """Return a writing operation on states, on the keys of a session, which it opens first."""

    def write(tx: Tx, agent_id: str, scope: SessionScope, key: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with _opening(tx, agent_id, scope):
            return fn(tx, agent_id, TIER, _full(scope, key), *args, **kwargs)

    return _like(write, fn)


get = reading(value.get)
ahead = reading(value.ahead)
entry = reading(states.entry)
exists = reading(states.exists)
set = writing(states.set)
update = writing(states.update)
patch = writing(states.patch)
delete = writing(states.delete)
_touch_key = writing(states.touch)
take = writing(states.take)


def keys(tx: Tx, agent_id: str, scope: SessionScope, pattern: str = "*", *, partial: bool = False) -> Listing[str]:
    """Return the session's keys that match a glob, without the session's name, in order of code points."""
    start = len(scope.name) + 1
    found = states.keys(tx, agent_id, TIER, _literal(scope) + pattern, partial=partial)
    return Listing([key[start:] for key in found], found.missing)


def items(
    tx: Tx, agent_id: str, scope: SessionScope, pattern: str = "*", *, partial: bool = False
) -> Listing[tuple[str, Any]]:
    """Return (key, value) for the session's keys that match a glob, in order of code points."""
    start = len(scope.name) + 1
    found = states.items(tx, agent_id, TIER, _literal(scope) + pattern, partial=partial)
    return Listing([(key[start:], value) for key, value in found], found.missing)


def get_many(tx: Tx, agent_id: str, scope: SessionScope, wanted: Iterable[str]) -> dict[str, Any]:
    """Return the values of many of the session's keys, all of one moment; what is absent is left out."""
    start = len(scope.name) + 1
    found = states.pick(tx, agent_id, TIER, [_full(scope, key) for key in wanted])
    return {key[start:]: value for key, value in found.items()}


def set_many(
    tx: Tx,
    agent_id: str,
    scope: SessionScope,
    values: Mapping[str, Any],
    *,
    fence: int | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Entry]:
    """Write many of the session's keys in one commit, all or nothing; return their entries by key."""
    full = {_full(scope, key): value for key, value in values.items()}
    with _opening(tx, agent_id, scope):
        made = states.set_many(tx, agent_id, TIER, full, message=message, metadata=metadata, fence=fence)
    return {key: made[_full(scope, key)] for key in values}


def clear(tx: Tx, agent_id: str, scope: SessionScope, pattern: str = "*", *, message: str | None = None) -> int:
    """Delete every key of the session that matches a glob, in one commit; return how many there were."""
    with _opening(tx, agent_id, scope):
        return states.clear(tx, agent_id, TIER, _literal(scope) + pattern, message=message)


def touch(
    tx: Tx, agent_id: str, scope: SessionScope, key: str | None = None, /, *, ttl: float | timedelta | None = None
) -> bool:
    """Restart the session's clock, with a ttl in seconds or its own; with a key only where that has a value.

    False where the session has ended, or never begun. One that does not slide ends when it was to end unless a ttl is
    told: InvalidValue, where no key is.
    """
    if key is not None:
        return _touch_key(tx, agent_id, scope, key, ttl=ttl)
    opening = _opened(agent_id, scope)
    there = tx.session(opening.name)
    if there is None or there.ended(tx.now):
        return False
    sliding = opening.sliding if opening.told else not there.is_absolute
    if ttl is None and not opening.told and not sliding:
        ends = times.moment(there.expires_at or 0).isoformat()
        raise InvalidValue(f"the session {scope.name!r:.80} ends at {ends} and has no ttl of its own; say one")
    span = times.span(ttl) if ttl is not None else opening.ttl if opening.told else there.ttl
    journal.set_session(tx, opening.name, Expiry(*clock(tx.now, span, sliding=sliding)))
    return True


def info(tx: Tx, agent_id: str, scope: SessionScope) -> SessionInfo | None:
    """Return when the session ends, and whether writes restart its clock; None where it has ended, or never begun."""
    called = SessionName(name(agent_id, "agent_id"), scope.name)
    found = tx.session(called) if tx.point is None else session(tx, called, list(upto(tx.line, tx.point.revision)))
    if found is None or found.ended(newest_point(tx).instant):
        return None
    ttl = None if found.ttl is None else found.ttl / 1_000_000
    return SessionInfo(called.agent_id, called.name, ttl, times.maybe(found.expires_at), not found.is_absolute)


def close(
    tx: Tx, agent_id: str, scope: SessionScope, *, checkpoint: str | None = None, message: str | None = None
) -> bool:
    """End the session at once: all its keys expire. False where it had ended already, or never begun.

    `checkpoint` names the point before: a milestone of the agent's, made in the same commit. In a transaction that is
    the point before the transaction. Raises CheckpointExists.
    """
    called = SessionName(name(agent_id, "agent_id"), scope.name)
    named = None if checkpoint is None else fresh_name(checkpoint)
    before = newest_point(tx)
    if not journal.close_session(tx, called):
        return False
    if named is not None:
        checkpoints.make(tx, named, called.agent_id, CheckpointType.MILESTONE, None, before)
    tx.writing.say(message)
    return True


def _opening(tx: Tx, agent_id: str, scope: SessionScope) -> AbstractContextManager[None]:
    return journal.opening(tx, _opened(agent_id, scope))


def _opened(agent_id: str, scope: SessionScope) -> Opening:
    ttl = TIERS[StateType.SESSION].ttl if scope.ttl is None else scope.ttl
    span = None if ttl is None else times.span(ttl)
    called = SessionName(name(agent_id, "agent_id"), scope.name)
    return Opening(called, span, told=scope.ttl is not None, sliding=scope.sliding)


def _full(scope: SessionScope, key: str) -> str:
    return f"{scope.name}/{name(key, 'key')}"


def _literal(scope: SessionScope) -> str:
    """Return the pattern that means the session's name and nothing else."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in f"{scope.name}/")
