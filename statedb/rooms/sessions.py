"""Sessions: the states of one conversation, which expire together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from statedb import times
from statedb.config import TIERS
from statedb.db import journal
from statedb.db.sessions import SessionName
from statedb.db.tx import Tx
from statedb.errors import InvalidKey
from statedb.models import Entry, Listing, StateType
from statedb.rooms import states, value
from statedb.rooms.states import Lifetime
from statedb.values.names import name

P = ParamSpec("P")
T = TypeVar("T")
From = TypeVar("From")

TIER = StateType.SESSION.value


class SessionScope(NamedTuple):
    """A session as a handle knows it: its name, and the ttl the handle was given (None: the session's own)."""

    name: str
    ttl: Lifetime

    @classmethod
    def of(cls, text: str, ttl: float | timedelta | None) -> SessionScope:
        """Return the scope of a session. InvalidKey for a name with a slash, which ends a session's name in a key."""
        called = name(text, "session name")
        if "/" in called:
            raise InvalidKey(f"the session name {text!r:.80} holds a slash, which would end it; use another character")
        return cls(called, ttl)


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
touch = writing(states.touch)
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


def close(tx: Tx, agent_id: str, scope: SessionScope) -> bool:
    """End the session at once: all its keys expire. False where it had ended already, or never begun."""
    return journal.close_session(tx, SessionName(name(agent_id, "agent_id"), scope.name))


def _opening(tx: Tx, agent_id: str, scope: SessionScope) -> AbstractContextManager[None]:
    default = TIERS[StateType.SESSION].ttl
    ttl = default if scope.ttl is None else scope.ttl
    span = None if ttl is None else times.span(ttl)
    called = SessionName(name(agent_id, "agent_id"), scope.name)
    return journal.opening(tx, called, span, told=scope.ttl is not None)


def _full(scope: SessionScope, key: str) -> str:
    return f"{scope.name}/{name(key, 'key')}"


def _literal(scope: SessionScope) -> str:
    """Return the pattern that means the session's name and nothing else."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in f"{scope.name}/")
