"""The cache: warmed, forgotten, counted. Nothing here changes what a read returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy import select

from statedb.db.current import stored_now
from statedb.db.statements import Statement
from statedb.db.tables import agents
from statedb.db.tx import Tx
from statedb.errors import InvalidValue
from statedb.live.cache import Cache
from statedb.models import Address, CacheStats, StateType
from statedb.values import arguments
from statedb.values.glob import glob
from statedb.values.names import address, name, tier

Handler = TypeVar("Handler", bound=Callable[[Address], object])


def warm(
    tx: Tx,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    *,
    keys: Iterable[str] | None = None,
) -> int:
    """Read values into memory before anybody asks, and return how many were taken in.

    Of one agent or of all, of one tier or of all, those whose keys match a glob, or which are named in `keys`. Small
    values are left out, for they are not kept. Where not all find room, those read last stay.
    """
    of = [name(agent_id, "agent_id")] if agent_id is not None else [row[0] for row in tx.db.all(_AGENTS, {})]
    if isinstance(keys, str):
        raise InvalidValue(f"keys is the text {keys!r:.80}; it is a list of keys")
    tiers = [tier(state_type)] if state_type is not None else [each.value for each in StateType]
    named = None if keys is None else list(keys)
    cache = _cache(tx)
    if cache is None:
        return 0
    taken = 0
    for agent in of:
        for each in tiers:
            found = _matching(tx, agent, each, pattern) if named is None else named
            taken += sum(_take_in(tx, cache, address(agent, each, key)) for key in found)
    return taken


def invalidate(
    tx: Tx, agent_id: str | None = None, state_type: str | None = None, pattern: str = "*", *, key: str | None = None
) -> int:
    """Forget the values of an agent, of a tier, whose keys match a glob, or of one key; return how many were kept.

    No read needs it: what is kept is returned only where it is still the value. It gives memory back.
    """
    wanted = glob(pattern)
    agent = None if agent_id is None else name(agent_id, "agent_id")
    of = None if state_type is None else tier(state_type)

    def meant(at: Address) -> bool:
        if (agent is not None and at.agent_id != agent) or (of is not None and at.state_type != of):
            return False
        if key is not None:
            return at.key == key
        return wanted.low <= at.key < wanted.high and bool(wanted.pick([at.key]))

    cache = _cache(tx)
    return 0 if cache is None else cache.drop(meant)


def clear(tx: Tx) -> int:
    """Forget every value, and return how many were kept."""
    cache = _cache(tx)
    return 0 if cache is None else cache.clear()


def stats(tx: Tx) -> CacheStats:
    """Return what the cache of this store object holds, and how it has answered since it was opened."""
    cache = _cache(tx)
    return CacheStats() if cache is None else cache.stats()


def on_cache_miss(tx: Tx, handler: Handler) -> Handler:
    """Call a function with the `Address` of each value that memory does not hold, from now on; return the function.

    For values of worthwhile size. It is called after the read, by the thread that reads; what it raises is logged, and
    fails no read.
    """
    arguments.handler(handler, "on_cache_miss")
    cache = _cache(tx)
    if cache is not None:
        cache.on_miss(handler)
    return handler


def _cache(tx: Tx) -> Cache | None:
    if tx.point is not None:
        raise InvalidValue("this store shows the past, which is not cached; ask the store itself")
    return tx.cache


def _matching(tx: Tx, agent_id: str, state_type: str, pattern: str) -> list[str]:
    wanted = glob(pattern)
    return wanted.pick(tx.names(agent_id, state_type, wanted.low, wanted.high))


def _take_in(tx: Tx, cache: Cache, at: Address) -> bool:
    found = stored_now(tx, at)
    return found is not None and cache.warm(at, found)


_AGENTS = Statement(select(agents.c.name).order_by(agents.c.name))
