"""A store on PostgreSQL for tasks: the same plain functions, on the loop's own thread, nobody waiting for them."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool

from statedb.config import Settings
from statedb.db.context import Context
from statedb.db.engine import Body
from statedb.db.fork import REASON, remember
from statedb.db.listening import Listening
from statedb.db.location import Place
from statedb.db.postgres import greenlets, reading
from statedb.db.postgres.batch import MOST, Batches
from statedb.db.postgres.failures import Lost, Overtaken, interruption, meaning
from statedb.db.postgres.greenlets import wait_for
from statedb.db.postgres.listening import Word
from statedb.db.postgres.opening import configured, connecting, prepare
from statedb.db.postgres.site import Query, Site, returns
from statedb.db.postgres.writing import Writing, aborted, begun, write
from statedb.db.statements import Row
from statedb.db.tx import Note
from statedb.errors import StoreClosed
from statedb.live.hub import AsyncHub

T = TypeVar("T")


class Queries:
    """Queries to be sent to the server in one journey: what a function that runs on the loop waits for."""

    def __init__(self, raw: psycopg.AsyncConnection[Row], queries: list[Query]) -> None:
        self.raw, self.queries = raw, queries

    async def __call__(self) -> list[list[Row]]:
        try:
            if len(self.queries) == 1:
                cursor = await self.raw.execute(*self.queries[0])
                return [await cursor.fetchall() if returns(cursor) else []]
            return await self._pipelined()
        except psycopg.Error as error:
            if (stop := interruption(error)) is not None:
                self.raw.pgconn.finish()
                raise stop from None
            raise meaning(error, closed=self.raw.closed) from error

    async def _pipelined(self) -> list[list[Row]]:
        cursors, failure = [], None
        async with self.raw.pipeline():
            # Kept until the pipeline has ended, which otherwise says on the log that it ends with an error.
            try:
                for query in self.queries:
                    cursors.append(await self.raw.execute(*query))
            except psycopg.Error as error:
                failure = error
            except BaseException:
                self.raw.pgconn.finish()  # leaving the pipeline would commit the part that has been sent
                raise
        if failure is not None:
            raise failure
        return [await cursor.fetchall() if returns(cursor) else [] for cursor in cursors]


class Driver:
    """A connection that the loop waits for."""

    def __init__(self, raw: psycopg.AsyncConnection[Row]) -> None:
        self.raw = raw

    def fetch(self, query: Query) -> list[Row]:
        [rows] = wait_for(Queries(self.raw, [query]))
        found: list[Row] = rows
        return found

    def drop(self) -> None:
        self.raw.pgconn.finish()

    def together(self, queries: list[Query]) -> list[list[Row]]:
        found: list[list[Row]] = wait_for(Queries(self.raw, queries))
        return found


class Port:
    """The pool, for functions that run on the loop."""

    def __init__(self, site: Site, ring: Callable[[], None]) -> None:
        self.site, self.ring = site, ring
        self._raw: weakref.WeakSet[psycopg.AsyncConnection[Row]] = weakref.WeakSet()
        self.pool = AsyncConnectionPool(
            site.address,
            kwargs=connecting(site.settings) | {"cursor_factory": psycopg.AsyncRawCursor},
            min_size=1,
            max_size=site.settings.postgres_pool,
            timeout=site.settings.busy_timeout,
            open=False,
            configure=self._configured,
            name="statedb",
        )

    def borrow(self) -> Driver:
        return Driver(wait_for(self._get))

    async def _get(self) -> psycopg.AsyncConnection[Row]:
        try:
            return await self.pool.getconn()
        except psycopg.Error as error:
            raise meaning(error, closed=False) from error

    def give_back(self, driver: Any) -> None:
        wait_for(lambda: self.pool.putconn(driver.raw))

    def purge(self) -> None:
        wait_for(self.pool.check)

    def pause(self, seconds: float) -> None:
        wait_for(lambda: asyncio.sleep(seconds))

    async def _configured(self, raw: psycopg.AsyncConnection[Row]) -> None:
        configured(raw)
        self._raw.add(raw)

    def abandon(self) -> None:
        """End the connections of a store that nobody closed, at garbage collection or the interpreter's exit."""
        warnings.warn("an AsyncStore was never closed; use `async with`", ResourceWarning, stacklevel=2)
        for raw in self._raw:
            raw.pgconn.finish()


class AsyncEngine:
    """A store on PostgreSQL, for the tasks of one event loop."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self._site = site = Site(place, settings)
        self.hub = AsyncHub(Listening(lambda: Word(site)))
        self._port = Port(self._site, self.hub.ring)
        self._batches = Batches(self._port, min(settings.max_batch, MOST))
        self._under_way: set[asyncio.Task[Any]] = set()
        self._held: set[Held] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finalizer: weakref.finalize[[], AsyncEngine] | None = None
        self._why_closed = ""

    async def open(self) -> None:
        # Alembic and its connection are synchronous: the one thing done on a thread, once in the life of a store.
        await asyncio.to_thread(prepare, self._site)
        # Until the first connection is there: a worker of the pool that is cancelled while it connects goes on for
        # ever, and of 50 short programs that forgot to close their store one never ended.
        try:
            await self._port.pool.open(wait=True, timeout=self._site.settings.busy_timeout)
        except psycopg.Error as error:
            await self._port.pool.close()
            raise meaning(error, closed=False) from error
        self._loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(self, self._port.abandon)
        remember(self)
        remember(self.hub)

    def glance(self, context: Context, body: Body) -> Awaitable[Any]:
        return self._run(lambda: reading.glance(self._port, context, body))

    def read(self, context: Context, body: Body) -> Awaitable[Any]:
        return self._run(lambda: reading.read(self._port, context, body))

    def write(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> Awaitable[Any]:
        self.check()
        if alone:
            return asyncio.shield(self.start(lambda: write(self._port, context, note, body, alone=True)))
        return self._batches.submit(context, note, body)

    def stamp(self) -> None:
        return None  # a server has no number that could be had for less than a read

    async def hold(self, context: Context, note: Note) -> Held:
        self.check()
        beginning = self._under(self._begin(context, note))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(self._abandon)
            raise

    async def _begin(self, context: Context, note: Note) -> Held:
        held = Held(self, await greenlets.run(lambda: begun(self._port, context, note)))
        self._held.add(held)
        return held

    async def close(self, why: str) -> None:
        self._why_closed = why
        self.hub.close(why)
        await self._batches.drain()
        while self._held or self._under_way:
            for held in list(self._held):
                held.end(commit=False)
            await asyncio.wait(self._under_way)
        await self._port.pool.close()
        self._forget()
        await self.hub.end()

    def forsake(self) -> object:
        """Give the connections up in a child process: closing one would end the parent's."""
        kept, self._why_closed = self._port, REASON
        self._forget()
        return kept

    def _forget(self) -> None:
        if self._finalizer is not None:
            self._finalizer.detach()

    def start(self, fn: Callable[[], T]) -> asyncio.Task[T]:
        """Have a plain function run on the loop, whether or not somebody waits for it."""
        return self._under(greenlets.run(fn))

    def _under(self, way: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(way)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report what nobody waits for

    def _abandon(self, beginning: asyncio.Task[Held]) -> None:
        """Take back a transaction whose caller was cancelled before he had it."""
        if not beginning.cancelled() and beginning.exception() is None:
            beginning.result().end(commit=False)

    async def _run(self, fn: Callable[[], Any]) -> Any:
        self.check()
        task = asyncio.current_task()
        before = 0 if task is None else task.cancelling()
        result = await greenlets.run(fn)
        # The pool swallows a cancellation that comes with the connection it waited for; whoever goes on after it, such
        # as who waits for a lock, would wait for ever.
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
        return result

    def check(self) -> None:
        """Raise StoreClosed if it is, or for another event loop, whose connections these are not."""
        if self._why_closed:
            raise StoreClosed(self._why_closed)
        if asyncio.get_running_loop() is not self._loop:
            raise StoreClosed("the store was opened in another event loop, which may have ended; open it in this one")


class Held:
    """A transaction that a task holds open. What is asked of it is done in order."""

    def __init__(self, engine: AsyncEngine, writing: Writing) -> None:
        self._engine, self._writing, self.tx = engine, writing, writing.tx
        self._last: asyncio.Task[Any] | None = None

    def run(self, body: Body) -> Awaitable[Any]:
        self._engine.check()
        return asyncio.shield(self._next(lambda: self._writing.run(body)))

    def end(self, *, commit: bool) -> Awaitable[None]:
        self._engine._held.discard(self)
        return self._next(self._writing.commit if commit else self._writing.rollback)

    def _next(self, fn: Callable[[], Any]) -> asyncio.Task[Any]:
        before = self._last

        def in_turn() -> Any:
            if before is not None and not before.done():
                wait_for(lambda: asyncio.wait([before]))
            try:
                return fn()
            except (Overtaken, Lost) as failure:
                raise aborted(failure) from failure

        self._last = self._engine.start(in_turn)
        return self._last
