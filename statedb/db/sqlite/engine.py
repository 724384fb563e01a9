"""An SQLite store for callers that wait: each call borrows a connection of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from statedb.config import Settings
from statedb.db import journal
from statedb.db.context import Context
from statedb.db.engine import Body
from statedb.db.fork import remember
from statedb.db.listening import Listening
from statedb.db.sqlite.bell import Bell, Hearing, ringing
from statedb.db.sqlite.connection import Error, explain
from statedb.db.sqlite.pool import Pool, explained
from statedb.db.sqlite.sentinel import MemorySentinel, Sentinel
from statedb.db.tx import Note, Tx
from statedb.live.hub import Hub


class Engine:
    """An SQLite store. Any thread may use it."""

    def __init__(self, path: str, settings: Settings) -> None:
        self._pool = Pool(path, settings)
        self.check = self._pool.check
        self.refuse_inside = self._pool.refuse_inside
        memory = path == ":memory:"
        self._sentinel = MemorySentinel(self._pool.writer) if memory else Sentinel(path, settings)
        self.stamp = stamp = self._sentinel.stamp
        self._bell = None if memory else Bell(path)
        self.hub = Hub(None if memory else Listening(lambda: Hearing(path, stamp)))
        self.ring = ringing(self.hub.ring, self._bell)
        remember(self.hub)

    @property
    def closed(self) -> str:
        return self._pool.closed

    def glance(self, context: Context, body: Body) -> Any:
        pool = self._pool
        try:
            reader = pool.take()
            try:
                return body(Tx(reader, context))
            finally:
                pool.give(reader)
        except Error as error:
            raise explain(error) or error from error

    def read(self, context: Context, body: Body) -> Any:
        with explained():
            reader = self._pool.take()
            try:
                reader.begin_read()
                try:
                    return body(Tx(reader, context))
                finally:
                    reader.end_read()
            finally:
                self._pool.give(reader)

    def write(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> Any:
        try:
            held = Held(self, context, note)
            try:
                result = body(held.tx)
            except BaseException:
                held.rollback()
                raise
            held.finish()
            return result
        except Error as error:
            raise explain(error) or error from error

    def begin(self, context: Context, note: Note) -> Held:
        with explained():
            return Held(self, context, note)

    def close(self) -> bool:
        self.hub.close("the store is closed; open it again")
        if self._bell is not None:
            self._bell.close()
        self._sentinel.close()
        return self._pool.close()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Hold an idle reader.

        Were the store closed meanwhile, a query's own connection, which cannot write, would be the last to leave the
        file, and nobody would tidy up.
        """
        with explained():
            reader = self._pool.take()
        try:
            yield
        finally:
            self._pool.give(reader)


class Held:
    """The store's one writing transaction."""

    def __init__(self, engine: Engine, context: Context, note: Note) -> None:
        self._pool, self._engine = engine._pool, engine
        self.tx = Tx(self._pool.acquire(), context)
        try:
            self.tx.begin(note)
        except BaseException:
            self.rollback()
            raise

    def run(self, body: Body) -> Any:
        with explained():
            return body(self.tx)

    def commit(self) -> None:
        with explained():
            self.finish()

    def finish(self) -> None:
        """Write what is staged and commit; errors are the driver's own."""
        try:
            journal.flush(self.tx)
            wrote = self._pool.writer.commit()
        except BaseException:
            self.tx.written = None
            self.rollback()
            raise
        self._pool.release()
        if wrote:
            self._engine.ring()

    def rollback(self) -> None:
        if not self._pool.closed:
            self._pool.writer.rollback()
            self._pool.release()
