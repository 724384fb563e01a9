"""The asynchronous store: the same rooms, awaited."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from statedb.alarm import AsyncAlarm
from statedb.config import Options, Settings
from statedb.db.context import Context, Point, on_branch
from statedb.db.current import Elsewhere, near
from statedb.db.engine import AsyncEngine, AsyncHeld, async_engine
from statedb.db.fork import remember
from statedb.db.points import checked, resolve
from statedb.db.tx import Note, Tx
from statedb.errors import InTransaction, NoSuchBranch, StoreClosed, TransactionAborted
from statedb.handles import AsyncAgent, async_agent
from statedb.keeper import AsyncKeeper, Told
from statedb.live.cache import Cache, made_cache
from statedb.live.hub import AsyncHub
from statedb.live.leases import AsyncLeases
from statedb.live.level2 import AsyncLevel2
from statedb.live.schedule import Schedule
from statedb.models import MISSING
from statedb.operation import Async, Body, Operation, Work, cached, through
from statedb.surface import Rooms
from statedb.transaction import Joined, joining, run_in

P = ParamSpec("P")
T = TypeVar("T")

_innermost: ContextVar[AsyncTransaction | None] = ContextVar("statedb_transaction", default=None)


class AsyncStore(Async, Rooms[Async]):
    """The store of `Store`, with calls that are awaited; open it with `async with` (or `await` and `close`).

    It belongs to the event loop it was opened in. Concurrent writes share a transaction, and each is acknowledged once
    that is committed. A cancelled write is made wholly or not at all.
    """

    def __init__(self, where: str | os.PathLike[str], **options: Unpack[Options]) -> None:
        self.settings = Settings.load(options)
        self._cache = made_cache(self.settings)
        self._level2: AsyncLevel2 | None = None
        self._schedule = Schedule()
        self._alarm: AsyncAlarm | None = None
        self._context = Context(self.settings, cache=self._cache, schedule=self._schedule)
        self._where = where
        self._point: Point | None = None
        self._root = self
        self._engine: AsyncEngine | None = None
        self._apart: set[asyncio.Future[Any]] = set()
        self._why_closed = "the store is not open yet; use `async with` or await it"
        Rooms.__init__(self, self)

    async def open(self) -> Self:
        """Open the store. Raises NotAStore and StoreTooNew, and leaves what it refuses untouched."""
        if self._root is not self:
            await self._root.open()
            return self
        if self._engine is None:
            if self._cache is not None and self.settings.redis_url:
                self._level2 = AsyncLevel2(self.settings, self._cache.level2_failed)
            engine = async_engine(self._where, self.settings)
            await engine.open()
            if self._cache is not None:
                self._cache.stamped_by(engine.stamp)
                remember(self._cache)
            self._engine = engine
            self._alarm = AsyncAlarm(self.settings.clock, _weakly(self))
            self._schedule.alarm = self._alarm.set
            self._leases = AsyncLeases(self.settings.clock, engine.hub.ring)
        return self

    async def close(self) -> None:
        """Finish what is queued and close; every call from now on raises StoreClosed. Again is fine."""
        if self._root is not self or self._engine is None:
            return
        engine = self._engine
        await self._leases.stop()  # who waits for a lock leaves the line
        if self._engine is not engine:
            return  # another has closed it meanwhile
        # First, so that another who closes meanwhile finds it closed.
        self._engine = None
        self._why_closed = "the store is closed; open it again"
        if self._alarm is not None:
            await self._alarm.stop()
        if self._apart:
            await asyncio.wait(self._apart)
        await engine.close(self._why_closed)
        if self._cache is not None:
            self._cache.clear()
        if self._level2 is not None:
            await self._level2.close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def hub(self) -> AsyncHub:
        """Where tasks wait for commits, this store's and, while anybody attends, other processes'.

        Raises StoreClosed.
        """
        return self._opened().hub

    # ---- what a store is asked for beside its rooms

    def agent(self, agent_id: str) -> AsyncAgent:
        """Return handles on one agent's states."""
        return async_agent(self, agent_id)

    def at(self, point: int | str | datetime | timedelta) -> AsyncStore:
        """Return the store as it was: at a revision, an ISO 8601 time, a datetime, a timedelta ago, or a checkpoint.

        It is read-only. The point is looked up by the first call, which raises NoSuchRevision for one in the future,
        and NoSuchCheckpoint.
        """
        return self._view(replace(self._context, asked=checked(point), cache=None))

    def branch(self, name: str) -> AsyncStore:
        """Return the store as it is on a branch, to read and to write; `main` is the trunk.

        It is a view of this store. Its calls raise NoSuchBranch where there is none of that name.
        """
        return self._view(on_branch(self._context, name, self._root._cache))

    def _view(self, context: Context) -> AsyncStore:
        view = object.__new__(AsyncStore)
        view.settings, view._root = self.settings, self._root
        view._cache, view._level2 = context.cache, None
        view._context, view._point = context, None
        Rooms.__init__(view, view)
        return view

    def transaction(
        self, *, message: str | None = None, actor: str | None = None, context: Mapping[str, Any] | None = None
    ) -> AsyncTransaction:
        """Return a transaction: `async with store.transaction() as tx:` makes one commit of what is written through tx.

        Time stands still inside. On a file the write lock is taken at entry; on a server others write meanwhile, and
        where they change what was read the block ends in TransactionAborted, with nothing written. `actor` is who
        writes, `context` a JSON object kept with the commit.
        """
        self._context.check_writable()
        note = Note.of(actor or self.settings.actor, message, context)
        return AsyncTransaction(self, note)

    async def run(self, fn: Callable[Concatenate[Joined, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run fn(tx, *args), a plain function over a synchronous transaction; it may be called again.

        It runs on the connection's thread where the store is a file, on the loop's own where it is on a server.
        """
        if self._opened().hub.beginning:
            await self._after_watches()
        result: T = await self._submit(lambda tx: run_in(tx, fn, args, kwargs))
        return result

    def keep(self, told: Told | None = None) -> AsyncKeeper:
        """Return a keeper, which does what falls due with time while its `async with` block runs: see `statedb.keeper`.

        Any number of processes may have one: one of them works, and another takes over where it ends. `told(branch,
        upkeep)` hears of what it has done.
        """
        return AsyncKeeper(self._root, told)

    # ---- how operations run

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        body = through(operation)
        if operation.writes and self._context.asked is None:

            async def write(*args: Any, **kwargs: Any) -> Any:
                if self._opened().hub.beginning:  # asked here: a coroutine more for each write would cost it 0.1 µs
                    await self._after_watches()
                return await self._submit(lambda tx: body(tx, *args, **kwargs), alone=operation.alone)

            return write
        if self._cache is not None and isinstance(operation, cached):
            return self._near(self._cache, operation, body)
        snapshot = not (operation.single and self._context.is_plain)

        async def read(*args: Any, **kwargs: Any) -> Any:
            return await self._fetch(lambda tx: body(tx, *args, **kwargs), snapshot)

        if not operation.apart:
            return read

        async def work_apart(*args: Any, **kwargs: Any) -> Any:
            return await self._root._finish(await read(*args, **kwargs))

        return work_apart

    def _near(self, cache: Cache, operation: cached[..., Any], body: Body) -> Callable[..., Any]:
        """Return an operation that asks memory first, on the loop, then the database, and in between level 2."""

        async def call(*args: Any, **kwargs: Any) -> Any:
            if cache.filled and (found := operation.ahead(cache, *args, **kwargs)) is not MISSING:
                return found
            found = await self._fetch(near(body, args, kwargs), snapshot=False)
            return await self._farther(found, body, args, kwargs) if type(found) is Elsewhere else found

        return call

    async def _farther(self, found: Elsewhere, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        level2 = self._root._level2
        assert level2 is not None, "only a store with a level 2 has values elsewhere"
        value = found.take(await level2.get(found.name))
        if value is MISSING:
            value = await self._fetch(near(body, args, kwargs, found), snapshot=False)
            if found.raw is not None:
                await level2.put(found.name, found.raw)
        return value

    async def _after_watches(self) -> None:
        """Let those watches begin that were asked for before: what is written now they will see."""
        if beginning := self._opened().hub.beginning:
            await asyncio.wait(beginning)

    def _submit(self, body: Callable[[Tx], Any], *, alone: bool = False) -> Awaitable[Any]:
        self._context.check_writable()
        self._refuse_inside()
        return self._opened().write(self._context, Note(self.settings.actor), body, alone=alone)

    def _fetch(self, body: Callable[[Tx], Any], snapshot: bool) -> Awaitable[Any]:
        engine = self._opened()
        if not snapshot:
            return engine.glance(self._context, body)
        return engine.read(self._context, lambda tx: body(self._placed(tx)))

    def _opened(self) -> AsyncEngine:
        if self._root._engine is None:
            raise StoreClosed(self._root._why_closed)
        return self._root._engine

    async def _finish(self, work: Work[T]) -> T:
        """Do work on a thread of its own; where the caller no longer waits, break it off."""
        self._opened()
        running = asyncio.get_running_loop().run_in_executor(None, work)
        self._apart.add(running)
        running.add_done_callback(self._finished)
        try:
            # Shielded: the thread cannot be cancelled, and `close` must know when it is done with the store's file.
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            work.stop()
            raise

    def _finished(self, running: asyncio.Future[Any]) -> None:
        self._apart.discard(running)
        if not running.cancelled():
            running.exception()  # looked at, so that asyncio does not report what nobody waits for

    def _placed(self, tx: Tx) -> Tx:
        """Return a reading transaction at the point this store shows."""
        if self._context.asked is not None:
            self._point = self._point or resolve(tx, self._context.asked)
            tx.point = self._point
        return tx

    def _refuse_inside(self) -> None:
        """Refuse a write by a task, or a child of one, that holds a transaction open here: it would wait for itself."""
        transaction = _innermost.get()
        while transaction is not None:
            if transaction.store is self._root and transaction.is_open:
                raise InTransaction(
                    "this task has a transaction open on the store: write through that (await tx.states…), "
                    "or after its block. A write through the store would wait for itself"
                )
            transaction = transaction.outer


def _weakly(store: AsyncStore) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what makes a store's due checkpoints, and does not keep the store from being forgotten."""
    found = weakref.ref(store)

    async def look() -> None:
        there = found()
        if there is None:
            return
        await there.checkpoints.run_due()
        for name in tuple(there._schedule.lines):
            try:
                await there.branch(name).checkpoints.run_due()
            except NoSuchBranch:
                there._schedule.lines.discard(name)

    return look


class AsyncTransaction(Async, Rooms[Async]):
    """One commit, all or nothing: leaving the block commits, an exception takes everything back."""

    def __init__(self, store: AsyncStore, note: Note) -> None:
        self.store, self._context, self._note = store._root, store._context, note
        self.outer = _innermost.get()
        while self.outer is not None and not self.outer.is_open:
            self.outer = self.outer.outer
        self._state = "new"
        self._held: AsyncHeld | None = None
        self._alarm: asyncio.TimerHandle | None = None
        Rooms.__init__(self, self)

    @property
    def revision(self) -> int | None:
        """The revision the transaction made; None before its end, and where nothing changed."""
        return self._held.tx.written if self._held else None

    @property
    def is_open(self) -> bool:
        """Whether the block is being run."""
        return self._state == "open"

    def agent(self, agent_id: str) -> AsyncAgent:
        """Return handles on one agent's states."""
        return async_agent(self, agent_id)

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        body: Body = joining(operation)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._open().run(lambda tx: self._guarded(body, tx, args, kwargs))

        return call

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise InTransaction("a transaction can be entered once; begin another with store.transaction()")
        self.store._refuse_inside()
        self._held = await self.store._opened().hold(self._context, self._note)
        self._state = "open"
        _innermost.set(self)
        seconds = self.store.settings.transaction_timeout
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._give_up)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if kind is not None and (self._state != "open" or self.store._engine is None):
            return
        held = self._open()
        self._state = "aborted" if kind is not None else "committed"
        _innermost.set(self.outer)
        # Under way before it is awaited: a cancellation that arrives here no longer changes how the transaction ends.
        later = kind is None and self.store._opened().hub.beginning
        ended = asyncio.ensure_future(self._end_later(held) if later else held.end(commit=kind is None))
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._state = "aborted"
            raise

    async def _end_later(self, held: AsyncHeld) -> None:
        await self.store._after_watches()
        await held.end(commit=True)

    def _give_up(self) -> None:
        if self._state == "open" and self.store._engine is not None:
            self._state = "timed out"
            assert self._held is not None
            self._held.end(commit=False)

    def _guarded(self, body: Body, tx: Tx, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._open()
        return body(tx, *args, **kwargs)

    def _open(self) -> AsyncHeld:
        if self._state == "open" and self._held is not None:
            self.store._opened()
            return self._held
        if self._state == "timed out":
            raise TransactionAborted(
                f"the transaction took longer than {self.store.settings.transaction_timeout:g} s and was rolled back; "
                "make it shorter, or raise Settings.transaction_timeout"
            )
        raise TransactionAborted(f"the transaction is {self._state}; use it inside its async with block")
