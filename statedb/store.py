"""The synchronous store."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from statedb.config import Options, Settings
from statedb.db import journal
from statedb.db.location import path_of
from statedb.db.points import checked, resolve
from statedb.db.pool import DriverError, Pool, explain, explained
from statedb.db.tx import Context, Note, Point, Tx
from statedb.handles import SyncAgent, sync_agent
from statedb.operation import Body, Operation, Sync, Work, through
from statedb.surface import Rooms
from statedb.transaction import Joined, Transaction, run_in
from statedb.watchdog import Watchdog

P = ParamSpec("P")
T = TypeVar("T")


class Store(Sync, Rooms[Sync]):
    """A versioned store in one SQLite file, for any number of threads, processes and agents.

    `where` is a path, ":memory:", or an SQLAlchemy URL; the file is made and migrated at the first open. The keywords
    are the fields of `Settings`. Raises NotAStore and StoreTooNew, and leaves what it refuses untouched.
    """

    def __init__(self, where: str | os.PathLike[str], **options: Unpack[Options]) -> None:
        self.settings = Settings.load(options)
        self._context = Context(self.settings)
        self._point: Point | None = None
        self._root = self
        self._pool = Pool(path_of(where), self.settings)
        self._watchdog = Watchdog(self.settings.transaction_timeout)
        self._finalizer = weakref.finalize(self, _close, self._pool, self._watchdog)
        Rooms.__init__(self, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store: every call from now on raises StoreClosed. Closing again is fine.

        What `at` returned is a view of this store, and closes with it; closing such a view closes nothing.
        """
        if self._root is self:
            self._finalizer()

    # ---- what a store is asked for beside its rooms

    def agent(self, agent_id: str) -> SyncAgent:
        """Return handles on one agent's states."""
        return sync_agent(self, agent_id)

    def at(self, point: int | str | datetime | timedelta) -> Store:
        """Return the store as it was: a revision, an ISO 8601 time, a datetime, or a timedelta ago. It is read-only.

        Raises NoSuchRevision for a point in the future.
        """
        past = object.__new__(Store)
        past.settings, past._root, past._pool, past._watchdog = self.settings, self._root, self._pool, self._watchdog
        past._context = replace(self._context, asked=checked(point))
        past._point = None
        Rooms.__init__(past, past)
        past._read(lambda tx: None, (), {})
        return past

    def transaction(
        self, *, message: str | None = None, actor: str | None = None, context: Mapping[str, Any] | None = None
    ) -> Transaction:
        """Return a transaction: `with store.transaction() as tx:` makes one commit of all that is written through tx.

        The write lock is taken at entry and time stands still inside. `actor` is who writes, `context` a JSON object
        kept with the commit.
        """
        self._context.check_writable()
        note = Note.of(actor or self.settings.actor, message, context)
        return Transaction(self._pool, self._watchdog, self._context, note)

    def run(self, fn: Callable[Concatenate[Joined, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run fn(tx, *args) in a transaction and return what it returns; it may be called again."""
        self._context.check_writable()
        result: T = self._write(run_in, (fn, args, kwargs), {})
        return result

    # ---- how operations run

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        body = through(operation)
        if self._context.asked is not None:
            run = self._read
        elif operation.writes:
            run = self._write
        else:
            run = self._glance if operation.single else self._read
        if operation.apart:
            return lambda *args, **kwargs: self._finish(run(body, args, kwargs))
        return lambda *args, **kwargs: run(body, args, kwargs)

    def _glance(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pool = self._pool
        reader = pool.take()
        try:
            return body(Tx(reader, self._context), *args, **kwargs)
        except DriverError as error:
            raise explain(error) or error from error
        finally:
            pool.give(reader)

    def _read(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with explained():
            reader = self._pool.take()
            try:
                reader.begin_read()
                try:
                    return body(self._placed(Tx(reader, self._context)), *args, **kwargs)
                finally:
                    reader.end_read()
            finally:
                self._pool.give(reader)

    def _finish(self, work: Work[T]) -> T:
        # A reader is held, idle: were the store closed meanwhile, the query's own connection, which cannot write, would
        # be the last to leave the file, and nobody would tidy up.
        reader = self._pool.take()
        try:
            return work()
        finally:
            self._pool.give(reader)

    def _write(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with explained():
            pool = self._pool
            tx = Tx(pool.acquire(), self._context)
            try:
                result = body(tx.begin(Note(self.settings.actor)), *args, **kwargs)
                journal.flush(tx)
                pool.writer.commit()
            except BaseException:
                pool.writer.rollback()
                raise
            finally:
                pool.release()
            return result

    def _placed(self, tx: Tx) -> Tx:
        """Return a reading transaction at the point this store shows."""
        if self._context.asked is not None:
            self._point = self._point or resolve(tx, self._context.asked)
            tx.point = self._point
        return tx


def _close(pool: Pool, watchdog: Watchdog) -> None:
    # The pool first: the watchdog may have to take a forgotten transaction back. A forked child has no watchdog.
    if pool.close():
        watchdog.stop()
