"""Locks as their holders have them: taken, waited for, held while a block runs, and given back.

    acquire ──▶ take ──▶ Held
                  └─▶ a place in the line ──▶ look · wait for a ring, or for the next instant that matters ──▶ take

Waiting is more than a transaction: each step is one, and between them nobody holds anything up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from statedb.db.guard import fenced
from statedb.db.locks import Place
from statedb.errors import InTransaction, InvalidValue, StateDBError, StoreClosed
from statedb.live.leases import LOOK, AsyncLeases, Lease, Leases, to_the_end
from statedb.operation import Async, Operation, S_co, Shell, Sync
from statedb.rooms.locks import Ask, Ttl, Wait
from statedb.values.lock import Lock, LockType

if TYPE_CHECKING:
    from statedb.surface import States

T = TypeVar("T")


class Held(Generic[S_co]):
    """A lock that was taken. `states` are the store's states, written with its fence."""

    def __init__(self, shell: S_co, lock: Lock) -> None:
        self._lock = lock
        self._lost = False
        self.states: States[S_co] = _fenced_states(shell, self)
        """The states, as on the store, each write with this lock's fence; Fenced once the lease was lost."""

    @property
    def fence(self) -> int:
        """The number that tells the store that a write comes from who holds this lock."""
        assert self._lock.fence is not None, "only who waits has none"
        return self._lock.fence

    @property
    def agent_id(self) -> str:
        """The agent whose key it is."""
        return self._lock.agent_id

    @property
    def key(self) -> str:
        """The key, in all four tiers."""
        return self._lock.key

    @property
    def type(self) -> LockType:
        """What it is for: read, write or exclusive."""
        return self._lock.type

    @property
    def owner(self) -> str | None:
        """Who holds it."""
        return self._lock.owner

    @property
    def acquired_at(self) -> datetime:
        """When it was taken."""
        return self._lock.acquired_at

    @property
    def expires_at(self) -> datetime:
        """When its lease ends, by the store's clock, as far as this object knows of renewals."""
        return self._lock.expires_at

    @property
    def ttl(self) -> float:
        """The seconds of its lease."""
        return self._lock.ttl

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What was kept with it."""
        return self._lock.metadata

    @property
    def lost(self) -> bool:
        """Whether its lease was found to have ended while it was being held."""
        return self._lost

    def __repr__(self) -> str:
        return f"<{self.type} lock {self.fence} on {self.key!r} of {self.agent_id!r} until {self.expires_at}>"

    def check(self) -> None:
        """Raise Fenced if the lease was lost."""
        if self._lost:
            raise fenced(self.fence)

    def _renewed(self, lock: Lock) -> None:
        self._lock = lock

    def _lose(self) -> None:
        self._lost = True


# ---- a shell whose writes carry a fence


def _fenced_states(shell: Any, held: Held[Any]) -> Any:
    room: Any = type(shell.states)
    return room(_AsyncFenced(shell, held) if isinstance(shell, Async) else _SyncFenced(shell, held))


class _SyncFenced(Sync):
    def __init__(self, shell: Sync, held: Held[Any]) -> None:
        self._shell, self._held = shell, held

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        call = self._shell.bind(operation)

        def fenced_call(*args: Any, **kwargs: Any) -> Any:
            return call(*args, **_with_fence(self._held, operation, kwargs))

        return fenced_call


class _AsyncFenced(Async):
    def __init__(self, shell: Async, held: Held[Any]) -> None:
        self._shell, self._held = shell, held

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        call = self._shell.bind(operation)

        async def fenced_call(*args: Any, **kwargs: Any) -> Any:
            return await call(*args, **_with_fence(self._held, operation, kwargs))

        return fenced_call


def _with_fence(held: Held[Any], operation: Operation[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    held.check()
    if operation.writes and kwargs.get("fence") is None:
        kwargs["fence"] = held.fence
    return kwargs


# ---- acquiring


def acquire(
    shell: Any,
    agent_id: str,
    key: str,
    type: str = "exclusive",
    *,
    ttl: Ttl = 30,
    wait: Wait = 0,
    owner: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Held[Sync]:
    """Lock a key in all four tiers, for `ttl` seconds, and return the lock; it ends by itself unless it is renewed.

    `read` locks share the key with each other and with a `write` lock, `write` shares with `read` only, `exclusive`
    with none. While a `write` or `exclusive` lock stands, the key is written with its fence only. Where others hold the
    key, waits for `wait` seconds in the order of arrival (None: for ever), then raises LockHeld. Inside a transaction,
    which it joins, it does not wait. `owner` is who holds it: unless told, the store's actor.
    """
    ask = Ask(agent_id, key, type, ttl, owner, metadata)
    _check(shell, wait)
    with _in_line(shell, wait):
        found = shell.locks._take(ask, wait)
        return Held(shell, _wait(shell, ask, wait, found) if isinstance(found, Place) else found)


async def acquire_async(
    shell: Any,
    agent_id: str,
    key: str,
    type: str = "exclusive",
    *,
    ttl: Ttl = 30,
    wait: Wait = 0,
    owner: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Held[Async]:
    """Do what `acquire` does; cancelled, it gives up its place in the line."""
    ask = Ask(agent_id, key, type, ttl, owner, metadata)
    _check(shell, wait)
    with _in_line(shell, wait):
        found = await _take(shell, ask, wait, None)
        return Held(shell, await _wait_async(shell, ask, wait, found) if isinstance(found, Place) else found)


def _check(shell: Shell, wait: Any) -> None:
    if wait not in (0, timedelta()) and shell.hub is None:
        raise InTransaction(
            "a transaction does not wait for a lock, which nobody could give back meanwhile; take the lock first, with "
            "store.locks.acquire(…, wait=…), and begin the transaction then"
        )


def _in_line(shell: Any, wait: Any) -> AbstractContextManager[None]:
    """Return a block from before somebody has a place in a line until he has none: a store closes after its end."""
    leases: Leases | AsyncLeases | None = None if wait in (0, timedelta()) else shell._root._leases
    return nullcontext() if leases is None else leases.waiting()


def _wait(shell: Any, ask: Ask, wait: Wait, place: Place) -> Lock:
    hub, locks, leases = shell.hub, shell.locks, shell._root._leases
    try:
        with hub.attended():
            while True:
                seen = hub.rings
                _check_open(leases)
                place = locks._look(ask, place)
                if place.is_ready:
                    found = locks._take(ask, wait, place)
                    if isinstance(found, Lock):
                        return found
                    place = found
                if place.now >= place.deadline:
                    break
                hub.wait(seen, _pause(place))
    except BaseException:
        with suppress(Exception):
            locks._give_up(ask, place)
        raise
    raise locks._give_up(ask, place)


async def _wait_async(shell: Any, ask: Ask, wait: Wait, place: Place) -> Lock:
    hub, locks, leases = shell.hub, shell.locks, shell._root._leases
    try:
        with hub.attended():
            while True:
                seen = hub.rings
                _check_open(leases)
                place = await locks._look(ask, place)
                if place.is_ready:
                    found = await _take(shell, ask, wait, place)
                    if isinstance(found, Lock):
                        return found
                    place = found
                if place.now >= place.deadline:
                    break
                await hub.wait(seen, _pause(place))
    except BaseException:
        with suppress(Exception):
            await to_the_end(locks._give_up(ask, place))
        raise
    raise await locks._give_up(ask, place)


async def _take(shell: Any, ask: Ask, wait: Wait, place: Place | None) -> Lock | Place:
    """Take a lock or a place; what a caller who is cancelled would never hear of is given back."""
    taking: asyncio.Future[Lock | Place] = asyncio.ensure_future(shell.locks._take(ask, wait, place))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        with suppress(StateDBError):
            await to_the_end(_give_back(shell, ask, place, taking))
        raise


async def _give_back(shell: Any, ask: Ask, place: Place | None, taking: asyncio.Future[Lock | Place]) -> None:
    found = await taking
    if isinstance(found, Lock):
        await shell.locks.release(found)
    elif place is None or found.id != place.id:
        await shell.locks._give_up(ask, found)


def _check_open(leases: Any) -> None:
    if leases.stopped:
        raise StoreClosed("the store was closed while this waited for a lock")


def _pause(place: Place) -> float:
    """Return the seconds until the next instant that matters; a clock that is not the machine's is looked at anyway."""
    return min(max(min(place.free_at, place.deadline) - place.now, 1_000) / 1_000_000, LOOK)


# ---- holding


def hold(
    shell: Any,
    agent_id: str,
    key: str,
    type: str = "exclusive",
    *,
    ttl: Ttl = 30,
    wait: Wait = 0,
    owner: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Hold:
    """Return a block that holds a lock: acquired as `acquire` says, renewed by itself, given back at its end.

    Where the lease was lost, since no renewal came through in time, the lock's `states` raise Fenced, and so does the
    end of the block, unless another exception is under way.
    """
    return Hold(shell, lambda: acquire(shell, agent_id, key, type, ttl=ttl, wait=wait, owner=owner, metadata=metadata))


def hold_async(
    shell: Any,
    agent_id: str,
    key: str,
    type: str = "exclusive",
    *,
    ttl: Ttl = 30,
    wait: Wait = 0,
    owner: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> AsyncHold:
    """Do what `hold` does, for `async with`."""
    given = {"ttl": ttl, "wait": wait, "owner": owner, "metadata": metadata}
    return AsyncHold(shell, lambda: acquire_async(shell, agent_id, key, type, **cast(Any, given)))


class _Holding(Generic[S_co]):
    def __init__(self, shell: Any, acquire: Callable[[], Any]) -> None:
        if shell.hub is None:
            raise InTransaction(
                "a lock that is held renews itself, which a transaction cannot wait for; use tx.locks.acquire, or hold "
                "the lock around the transaction"
            )
        self._shell, self._acquire = shell, acquire
        self._lock: Held[S_co] | None = None
        self._lease: Lease | None = None

    def _check_free(self) -> None:
        if self._lock is not None:
            raise InvalidValue("this block holds its lock already; store.locks.hold(…) makes another")

    def _begin(self, lock: Held[S_co], renew: Callable[[], Any]) -> Held[S_co]:
        self._lock = lock
        self._lease = Lease(round(lock.ttl * 1_000_000), renew, lock._lose)
        self._shell._root._leases.keep(self._lease)
        return lock

    def _end(self) -> Held[S_co]:
        lock, self._lock = self._lock, None
        assert lock is not None, "it was entered"
        assert self._lease is not None, "it was entered"
        self._shell._root._leases.drop(self._lease)
        return lock


class Hold(_Holding[Sync]):
    """Holds a lock while its block runs."""

    def __enter__(self) -> Held[Sync]:
        self._check_free()
        lock = self._acquire()
        return self._begin(lock, lambda: lock._renewed(self._shell.locks.renew(lock)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock = self._end()
        try:
            if not self._shell.locks.release(lock):
                lock._lose()
        except StateDBError:
            if error is None:
                raise
        if error is None:
            lock.check()


class AsyncHold(_Holding[Async]):
    """Holds a lock while its block runs."""

    async def __aenter__(self) -> Held[Async]:
        self._check_free()
        lock = await self._acquire()

        async def renew() -> None:
            lock._renewed(await self._shell.locks.renew(lock))

        return self._begin(lock, renew)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock = self._end()
        try:
            if not await to_the_end(self._shell.locks.release(lock)):
                lock._lose()
        except StateDBError:
            if error is None:
                raise
        if error is None:
            lock.check()
