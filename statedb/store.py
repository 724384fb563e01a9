"""The synchronous store."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from statedb.alarm import Alarm
from statedb.config import Options, Settings
from statedb.db.context import Context, Point, on_branch
from statedb.db.current import Elsewhere, near
from statedb.db.engine import Engine, open_engine
from statedb.db.fork import remember
from statedb.db.points import checked, resolve
from statedb.db.tx import Note, Tx
from statedb.errors import NoSuchBranch
from statedb.handles import SyncAgent, sync_agent
from statedb.keeper import Keeper, Told
from statedb.live.cache import Cache, made_cache
from statedb.live.hub import Hub
from statedb.live.leases import Leases
from statedb.live.level2 import Level2
from statedb.live.schedule import Schedule
from statedb.models import MISSING
from statedb.operation import Body, Operation, Sync, Work, cached, through
from statedb.surface import Rooms
from statedb.transaction import Joined, Transaction, run_in
from statedb.watchdog import Watchdog

P = ParamSpec("P")
T = TypeVar("T")


class Store(Sync, Rooms[Sync]):
    """A versioned store in one SQLite file, or on a server, for any number of threads, processes and agents.

    `where` is a path, ":memory:", or an SQLAlchemy URL; the store is made and migrated at the first open. The keywords
    are the fields of `Settings`. Raises NotAStore and StoreTooNew, and leaves what it refuses untouched.
    """

    def __init__(self, where: str | os.PathLike[str], **options: Unpack[Options]) -> None:
        self.settings = Settings.load(options)
        self._cache, self._level2 = made_cache(self.settings), None
        self._schedule = Schedule()
        self._context = Context(self.settings, cache=self._cache, schedule=self._schedule)
        self._point: Point | None = None
        self._root = self
        if self._cache is not None and self.settings.redis_url:
            self._level2 = Level2(self.settings, self._cache.level2_failed)
        self._engine = open_engine(where, self.settings)
        if self._cache is not None:
            self._cache.stamped_by(self._engine.stamp)
            remember(self._cache)
        self._watchdog = Watchdog(self.settings.transaction_timeout)
        self._alarm = Alarm(self.settings.clock, _weakly(self))
        self._schedule.alarm = self._alarm.set
        self._leases = Leases(self.settings.clock, self._engine.hub.ring)
        ended = (self._watchdog, self._alarm, self._leases, self._level2)
        self._finalizer = weakref.finalize(self, _close, self._engine, *ended)
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
            if self._cache is not None:
                self._cache.clear()

    @property
    def hub(self) -> Hub:
        """Where threads wait for commits, this store's and, while anybody attends, other processes'."""
        return self._engine.hub

    # ---- what a store is asked for beside its rooms

    def agent(self, agent_id: str) -> SyncAgent:
        """Return handles on one agent's states."""
        return sync_agent(self, agent_id)

    def at(self, point: int | str | datetime | timedelta) -> Store:
        """Return the store as it was: at a revision, an ISO 8601 time, a datetime, a timedelta ago, or a checkpoint.

        It is read-only. Raises NoSuchRevision for a point in the future, and NoSuchCheckpoint.
        """
        return self._view(replace(self._context, asked=checked(point), cache=None))

    def branch(self, name: str) -> Store:
        """Return the store as it is on a branch, to read and to write; `main` is the trunk. Raises NoSuchBranch.

        It is a view of this store, and closes with it. `store.branches` makes, compares, merges and ends branches.
        """
        return self._view(on_branch(self._context, name, self._root._cache))

    def _view(self, context: Context) -> Store:
        view = object.__new__(Store)
        view.settings, view._root = self.settings, self._root
        view._engine, view._watchdog = self._engine, self._watchdog
        view._cache, view._level2 = context.cache, self._level2
        view._context, view._point = context, None
        Rooms.__init__(view, view)
        view._read(lambda tx: tx.branch, (), {})
        return view

    def transaction(
        self, *, message: str | None = None, actor: str | None = None, context: Mapping[str, Any] | None = None
    ) -> Transaction:
        """Return a transaction: `with store.transaction() as tx:` makes one commit of all that is written through tx.

        Time stands still inside. On a file the write lock is taken at entry; on a server others write meanwhile, and
        where they change what was read the block ends in TransactionAborted, with nothing written. `actor` is who
        writes, `context` a JSON object kept with the commit.
        """
        self._context.check_writable()
        note = Note.of(actor or self.settings.actor, message, context)
        return Transaction(self._engine, self._watchdog, self._context, note)

    def run(self, fn: Callable[Concatenate[Joined, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run fn(tx, *args) in a transaction and return what it returns; it may be called again."""
        self._context.check_writable()
        result: T = self._write(False, run_in, (fn, args, kwargs), {})
        return result

    def keep(self, told: Told | None = None) -> Keeper:
        """Return a keeper, which does what falls due with time while its `with` block runs: see `statedb.keeper`.

        Any number of processes may have one: one of them works, and another takes over where it ends. `told(branch,
        upkeep)` hears of what it has done.
        """
        return Keeper(self._root, told)

    # ---- how operations run

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        body = through(operation)
        if self._cache is not None and isinstance(operation, cached):
            return self._near(self._cache, operation, body)
        if self._context.asked is not None:
            run = self._read
        elif operation.writes:
            run = partial(self._write, operation.alone)
        else:
            run = self._glance if operation.single and self._context.is_plain else self._read
        if operation.apart:
            return lambda *args, **kwargs: self._finish(run(body, args, kwargs))
        return lambda *args, **kwargs: run(body, args, kwargs)

    def _glance(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._engine.glance(self._context, lambda tx: body(tx, *args, **kwargs))

    def _near(self, cache: Cache, operation: cached[..., Any], body: Body) -> Callable[..., Any]:
        """Return an operation that asks memory first, then the database, and in between level 2, if there is one."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if cache.filled and (found := operation.ahead(cache, *args, **kwargs)) is not MISSING:
                return found
            found = self._engine.glance(self._context, near(body, args, kwargs))
            return self._farther(found, body, args, kwargs) if type(found) is Elsewhere else found

        return call

    def _farther(self, found: Elsewhere, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert self._level2 is not None, "only a store with a level 2 has values elsewhere"
        value = found.take(self._level2.get(found.name))
        if value is MISSING:
            value = self._engine.glance(self._context, near(body, args, kwargs, found))
            if found.raw is not None:
                self._level2.put(found.name, found.raw)
        return value

    def _read(self, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._engine.read(self._context, lambda tx: body(self._placed(tx), *args, **kwargs))

    def _write(self, alone: bool, body: Body, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        note = Note(self.settings.actor)
        return self._engine.write(self._context, note, lambda tx: body(tx, *args, **kwargs), alone=alone)

    def _finish(self, work: Work[T]) -> T:
        with self._engine.kept_open():
            return work()

    def _placed(self, tx: Tx) -> Tx:
        """Return a reading transaction at the point this store shows."""
        if self._context.asked is not None:
            self._point = self._point or resolve(tx, self._context.asked)
            tx.point = self._point
        return tx


def _weakly(store: Store) -> Callable[[], object]:
    """Return what makes a store's due checkpoints, and does not keep the store from being forgotten."""
    found = weakref.ref(store)

    def look() -> None:
        there = found()
        if there is None:
            return
        there.checkpoints.run_due()
        for name in tuple(there._schedule.lines):
            try:
                there.branch(name).checkpoints.run_due()
            except NoSuchBranch:
                there._schedule.lines.discard(name)

    return look


def _close(engine: Engine, watchdog: Watchdog, alarm: Alarm, leases: Leases, level2: Level2 | None) -> None:
    if not engine.closed:
        leases.stop()  # before the engine: who waits for a lock leaves the line
    # The engine first: the watchdog may have to take a forgotten transaction back. A forked child has neither thread.
    if engine.close():
        watchdog.stop()
        alarm.stop()
        if level2 is not None:
            level2.close()
