"""A connection on aiosqlite's own thread: a whole operation in one hop, not a hop per statement.

aiosqlite gives the thread and its queue. Two things it does not give, found by trying: its thread is no daemon, so a
forgotten close hangs the interpreter's exit; and where the event loop ends with an operation in flight, its thread dies
of the loop's RuntimeError and every later call hangs. So jobs are put on its queue here, and answer for themselves.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import aiosqlite

from statedb.config import Settings
from statedb.db import futures
from statedb.db.fork import REASON, remember
from statedb.db.futures import settle_result
from statedb.db.sqlite import connection as sqlite
from statedb.db.sqlite.connection import Connection
from statedb.db.sqlite.opening import open_store
from statedb.errors import StoreClosed

T = TypeVar("T")


class Hop:
    """A connection that lives on a thread of its own."""

    def __init__(self, opener: Callable[[], Connection]) -> None:
        opened = self._opened = list[Connection]()

        def connect() -> Any:  # without `self`, which the thread would keep from ever being collected
            opened[:] = [opener()]
            return opened[0].raw

        self._aio = aiosqlite.Connection(connect, 64)
        self._aio._thread.daemon = True
        self._forsaken = False
        self._finalizer: weakref.finalize[Any, Any] | None = None

    async def open(self) -> None:
        """Start the thread and open the connection on it."""
        try:
            await self._aio
        except BaseException as error:
            self._aio._thread.join()  # it has been told to stop, and must not outlive the loop it answers to
            meant = sqlite.explain(error) if isinstance(error, sqlite.Error) else None
            if meant is None:
                raise
            raise meant from error
        self._finalizer = weakref.finalize(self, _at_end, self._aio)
        remember(self)

    @property
    def connection(self) -> Connection:
        """The connection, once it is open."""
        return self._opened[0]

    def check(self) -> None:
        """Raise StoreClosed in a child process, which has not the thread."""
        if self._forsaken:
            raise StoreClosed(REASON)

    def post(self, job: Callable[[Connection], None]) -> None:
        """Run a job on the thread, in order. It must not raise."""
        self.check()
        [connection] = self._opened
        waiting = [job]
        # Popped, since the thread keeps the last thing it ran: a job that refers to the store would keep that, and so
        # its finalizer, from ever running.
        self._aio._tx.put_nowait((None, lambda: waiting.pop()(connection)))

    def run(self, fn: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Run a function on the thread and return a future of what it returns."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job(connection: Connection) -> None:
            try:
                result = fn(connection)
            except BaseException as error:
                tell(loop, settle_error, future, error)
            else:
                tell(loop, settle_result, future, result)

        self.post(job)
        return future

    async def close(self) -> None:
        """Finish what is queued, close the connection and end the thread."""
        if self._forsaken:
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        await self._aio.close()
        self._aio._thread.join()
        for connection in self._opened:
            connection.close()  # aiosqlite knows of the driver's alone

    def forsake(self) -> object:
        """Give the connection up in a child process, which has not its thread."""
        self._forsaken = True
        if self._finalizer is not None:
            self._finalizer.detach()
        return self._aio, self._opened


async def open_hops(path: str, settings: Settings) -> tuple[Hop, Hop]:
    """Return a store's writing and reading connection, each on its thread; in memory they are one and the same.

    One reader: more do not scale within a process, and with none a get would wait behind every write.
    """
    writer = Hop(lambda: open_store(path, settings))
    await writer.open()
    if path == ":memory:":
        return writer, writer
    reader = Hop(lambda: sqlite.connect(path, settings, mode="rw", patience=settings.busy_timeout))
    try:
        await reader.open()
    except BaseException:
        await writer.close()
        raise
    return writer, reader


def settle_error(future: asyncio.Future[Any], error: BaseException) -> None:
    """Give a future its error, in the library's own words."""
    meant = sqlite.explain(error) if isinstance(error, sqlite.Error) else None
    if meant is not None:
        meant.__cause__ = error
    futures.settle_error(future, meant or error)


def tell(loop: asyncio.AbstractEventLoop, fn: Callable[..., Any], *args: Any) -> bool:
    """Call a function on the loop's thread; False where the loop has ended and nobody waits any more."""
    try:
        loop.call_soon_threadsafe(fn, *args)
    except RuntimeError:
        return False
    return True


def _at_end(aio: aiosqlite.Connection) -> None:
    """Stop the thread of a store that nobody closed, at garbage collection or the interpreter's exit."""
    if not aio._thread.is_alive():
        return
    warnings.warn("an AsyncStore was never closed; use `async with`", ResourceWarning, stacklevel=2)
    aio.stop()
    if threading.current_thread() is not aio._thread:
        aio._thread.join(1.0)
