"""A store on PostgreSQL for callers that wait: each call borrows a connection of the pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from statedb.config import Settings
from statedb.db.context import Context
from statedb.db.engine import Body
from statedb.db.fork import REASON, remember
from statedb.db.listening import Listening
from statedb.db.location import Place
from statedb.db.postgres import reading
from statedb.db.postgres.failures import Lost, Overtaken, interruption, meaning
from statedb.db.postgres.listening import Word
from statedb.db.postgres.opening import configured, connecting, prepare
from statedb.db.postgres.site import Query, Site, returns
from statedb.db.postgres.writing import aborted, begun, write
from statedb.db.statements import Row
from statedb.db.threads import me
from statedb.db.tx import Note
from statedb.errors import InTransaction, StoreClosed
from statedb.live.hub import Hub


class Driver:
    """A connection that its thread waits for."""

    def __init__(self, raw: psycopg.Connection[Row]) -> None:
        self.raw = raw
        self._cursor = raw.cursor()

    def fetch(self, query: Query) -> list[Row]:
        try:
            cursor = self._cursor.execute(*query)
            return cursor.fetchall() if returns(cursor) else []
        except psycopg.Error as error:
            raise meaning(error, closed=self.raw.closed) from error

    def drop(self) -> None:
        self.raw.pgconn.finish()

    def together(self, queries: list[Query]) -> list[list[Row]]:
        try:
            return self._pipelined(queries)
        except psycopg.Error as error:
            if (stop := interruption(error)) is not None:
                self.drop()
                raise stop from None
            raise meaning(error, closed=self.raw.closed) from error

    def _pipelined(self, queries: list[Query]) -> list[list[Row]]:
        cursors, failure = [], None
        with self.raw.pipeline():
            # Kept until the pipeline has ended, which otherwise says on the log that it ends with an error.
            try:
                for query in queries:
                    cursors.append(self.raw.execute(*query))
            except psycopg.Error as error:
                failure = error
            except BaseException:
                self.drop()  # leaving the pipeline would commit the part that has been sent
                raise
        if failure is not None:
            raise failure
        return [cursor.fetchall() if returns(cursor) else [] for cursor in cursors]


class Port:
    """The pool, for threads."""

    def __init__(self, site: Site, ring: Callable[[], None]) -> None:
        self.site, self.ring = site, ring
        self.pool = ConnectionPool(
            site.address,
            kwargs=connecting(site.settings) | {"cursor_factory": psycopg.RawCursor},
            min_size=1,
            max_size=site.settings.postgres_pool,
            timeout=site.settings.busy_timeout,
            open=True,
            configure=configured,
            name="statedb",
        )

    def borrow(self) -> Driver:
        try:
            raw: Any = self.pool.getconn()
        except psycopg.Error as error:
            raise meaning(error, closed=False) from error
        if not hasattr(raw, "statedb_driver"):
            raw.statedb_driver = Driver(raw)
        driver: Driver = raw.statedb_driver
        return driver

    def give_back(self, driver: Any) -> None:
        self.pool.putconn(driver.raw)

    def purge(self) -> None:
        self.pool.check()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


class Engine:
    """A store on PostgreSQL. Any thread may use it, and several may write at a time."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self._site = site = Site(place, settings)
        prepare(self._site)
        self.hub = Hub(Listening(lambda: Word(site)))
        self._port = Port(self._site, self.hub.ring)
        self._inside: set[object] = set()
        self._held: set[Held] = set()
        self._ended = threading.Condition()
        self.closed = ""
        remember(self)
        remember(self.hub)

    def check(self) -> None:
        if self.closed:
            raise StoreClosed(self.closed)

    def glance(self, context: Context, body: Body) -> Any:
        self.check()
        return reading.glance(self._port, context, body)

    def read(self, context: Context, body: Body) -> Any:
        self.check()
        return reading.read(self._port, context, body)

    def write(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> Any:
        with self._entered():
            return write(self._port, context, note, body, alone=alone)

    def begin(self, context: Context, note: Note) -> Held:
        with self._entered():
            pass
        return Held(self, context, note)

    def refuse_inside(self) -> None:
        if me() in self._inside:
            raise InTransaction(
                "this thread has a transaction open on the store: write through that (tx.states…), "
                "or after its block. A write through the store would not be part of it"
            )

    def stamp(self) -> None:
        return None  # a server has no number that could be had for less than a read

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        self.check()
        yield

    @contextmanager
    def _entered(self) -> Iterator[None]:
        self.check()
        self.refuse_inside()
        self._inside.add(me())
        try:
            yield
        finally:
            self._inside.discard(me())

    def close(self) -> bool:
        with self._ended:
            if self.closed:
                return False
            self.closed = "the store is closed; open it again"
            self.hub.close(self.closed)
            # Not waiting for a transaction of another thread would pull its connection away under it.
            self._ended.wait_for(lambda: not self._others(), self._site.settings.busy_timeout)
        for held in list(self._held):
            held.rollback()
        self._port.pool.close(timeout=self._site.settings.busy_timeout)
        return True

    def _others(self) -> list[Held]:
        return [held for held in self._held if held.owner is not me() and held.thread.is_alive()]

    def _end(self, held: Held) -> None:
        with self._ended:
            self._inside.discard(held.owner)
            self._held.discard(held)
            self._ended.notify_all()

    def forsake(self) -> object:
        """Give the connections up in a child process: closing one would end the parent's."""
        self._ended = threading.Condition()
        kept, self.closed = (self._port, self._held), REASON
        self._held = set()
        return kept


class Held:
    """A transaction that a thread holds open."""

    def __init__(self, engine: Engine, context: Context, note: Note) -> None:
        self._engine, self.owner, self.thread = engine, me(), threading.current_thread()
        self._writing = begun(engine._port, context, note)
        self.tx = self._writing.tx
        engine._inside.add(self.owner)
        engine._held.add(self)

    def run(self, body: Body) -> Any:
        try:
            return self._writing.run(body)
        except (Overtaken, Lost) as failure:
            raise aborted(failure) from failure

    def commit(self) -> None:
        try:
            self._writing.commit()
        except (Overtaken, Lost) as failure:
            raise aborted(failure) from failure
        finally:
            self._engine._end(self)

    def rollback(self) -> None:
        if self._engine.closed == REASON:
            return
        self._writing.rollback()
        self._engine._end(self)
