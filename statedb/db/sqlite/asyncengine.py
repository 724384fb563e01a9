"""An SQLite store for tasks: each call is one hop to the thread of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from statedb.config import Settings
from statedb.db import journal
from statedb.db.context import Context
from statedb.db.engine import Body
from statedb.db.fork import remember
from statedb.db.listening import Listening
from statedb.db.sqlite.bell import Bell, Hearing, ringing
from statedb.db.sqlite.connection import Connection
from statedb.db.sqlite.hop import Hop, open_hops
from statedb.db.sqlite.sentinel import MemorySentinel, Sentinel
from statedb.db.sqlite.writequeue import WriteQueue
from statedb.db.tx import Note, Tx
from statedb.errors import StoreClosed
from statedb.live.hub import AsyncHub


class AsyncEngine:
    """An SQLite store, for the tasks of one event loop."""

    def __init__(self, path: str, settings: Settings) -> None:
        self._path, self._settings = path, settings
        self._writer: Hop | None = None
        self._reader: Hop | None = None
        self._queue: WriteQueue | None = None
        self._why_closed = ""
        sentinel = Sentinel(path, settings)
        self._sentinel: Sentinel | MemorySentinel = sentinel
        memory = path == ":memory:"
        self._bell = None if memory else Bell(path)
        self.hub = AsyncHub(None if memory else Listening(lambda: Hearing(path, sentinel.stamp)))
        self.ring = ringing(self.hub.ring, self._bell)
        remember(self.hub)

    async def open(self) -> None:
        self._writer, self._reader = await open_hops(self._path, self._settings)
        if self._path == ":memory:":
            self._sentinel = MemorySentinel(self._writer.connection)
        self._queue = WriteQueue(self._writer, self._settings.max_batch, self.ring)

    def glance(self, context: Context, body: Body) -> asyncio.Future[Any]:
        return self._hop(self._reader).run(lambda connection: body(Tx(connection, context)))

    def read(self, context: Context, body: Body) -> asyncio.Future[Any]:
        def read(connection: Connection) -> Any:
            connection.begin_read()
            try:
                return body(Tx(connection, context))
            finally:
                connection.end_read()

        return self._hop(self._reader).run(read)

    def stamp(self) -> int | None:
        return self._sentinel.stamp()

    def write(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> asyncio.Future[Any]:
        return self._turns().submit(context, note, body, alone=alone)

    async def hold(self, context: Context, note: Note) -> Held:
        queue = self._turns()
        granted = queue.hold(context, note)
        try:
            return Held(self, queue, await granted)
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                # Cancelled between being given the turn and hearing of it: nobody else would give it back.
                Held(self, queue, granted.result()).end(commit=False)
            raise

    async def close(self, why: str) -> None:
        writer, reader, queue = self._writer, self._reader, self._queue
        self._why_closed, self._writer, self._reader = why, None, None
        self.hub.close(why)
        self._sentinel.close()
        if queue is not None:
            await queue.drain(why)
        if reader is not None and reader is not writer:
            await reader.close()
        if writer is not None:
            await writer.close()
        if self._bell is not None:
            self._bell.close()
        await self.hub.end()

    def run(self, fn: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        """Run a function on the writing connection's thread."""
        return self._hop(self._writer).run(fn)

    def _turns(self) -> WriteQueue:
        if self._writer is None or self._queue is None:
            raise StoreClosed(self._why_closed)
        return self._queue

    def _hop(self, hop: Hop | None) -> Hop:
        if hop is None:
            raise StoreClosed(self._why_closed)
        return hop


class Held:
    """The turn to write, held by a task."""

    def __init__(self, engine: AsyncEngine, queue: WriteQueue, tx: Tx) -> None:
        self._engine, self._queue, self.tx = engine, queue, tx

    def run(self, body: Body) -> asyncio.Future[Any]:
        return self._engine.run(lambda _: body(self.tx))

    def end(self, *, commit: bool) -> asyncio.Future[bool]:
        ended = self._engine.run(lambda connection: _end(connection, self.tx, commit=commit))
        ended.add_done_callback(self._release)
        return ended

    def _release(self, ended: asyncio.Future[bool]) -> None:
        # An error is looked at, so that asyncio does not report it a second time.
        wrote = not ended.cancelled() and ended.exception() is None and ended.result()
        self._queue.release()
        if wrote:
            self._engine.ring()


def _end(connection: Connection, tx: Tx, *, commit: bool) -> bool:
    """End the transaction, and tell whether anything was written."""
    if not commit:
        connection.rollback()
        return False
    try:
        journal.flush(tx)
        return connection.commit()
    except BaseException:
        tx.written = None
        connection.rollback()
        raise
