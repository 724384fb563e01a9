"""What the shells need of a database: how a function over a transaction is run, and how one is held open.

    Store ──────▶ Engine ──────┐
                               ├──▶ fn(tx) over a Connection, as a read or as a commit
    AsyncStore ─▶ AsyncEngine ─┘

An engine knows how to wait, whom to wait for, and what its driver's errors mean; a shell knows none of that.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from statedb.config import Settings
from statedb.db.context import Context
from statedb.db.location import place_of, postgres_installed
from statedb.db.tx import Note, Tx
from statedb.live.hub import AsyncHub, Hub

Body = Callable[[Tx], Any]


class Held(Protocol):
    """A transaction that a caller holds open. It ends once, by `commit` or `rollback`."""

    @property
    def tx(self) -> Tx: ...

    def run(self, body: Body) -> Any:
        """Run a function over the transaction."""
        ...

    def commit(self) -> None:
        """Write what is staged; where that fails, everything is taken back."""
        ...

    def rollback(self) -> None: ...


class Engine(Protocol):
    """A database, for callers that wait. Any thread may use it."""

    hub: Hub
    """It is rung after each commit; closing the database closes it."""

    @property
    def closed(self) -> str:
        """Why the database is closed; empty while it is not."""
        ...

    def check(self) -> None:
        """Raise StoreClosed if it is."""
        ...

    def glance(self, context: Context, body: Body) -> Any:
        """Run a function that reads with a single statement."""
        ...

    def read(self, context: Context, body: Body) -> Any:
        """Run a function that reads, on one snapshot."""
        ...

    def write(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> Any:
        """Run a function in a transaction of its own and commit what it wrote.

        It may be run again where others wrote meanwhile, unless it is told to be `alone`.
        """
        ...

    def begin(self, context: Context, note: Note) -> Held:
        """Begin a transaction for a caller to hold open. Raises InTransaction in a thread that holds one already."""
        ...

    def refuse_inside(self) -> None:
        """Raise InTransaction in a thread that holds a transaction open here."""
        ...

    def stamp(self) -> int | None:
        """Return a number that is another once anybody has committed, None where there is no telling."""
        ...

    def kept_open(self) -> AbstractContextManager[object]:
        """Have the database not be closed under work that goes on beside its transactions."""
        ...

    def close(self) -> bool:
        """Close every connection. False where that was done before."""
        ...


class AsyncHeld(Protocol):
    """A transaction that a task holds open."""

    @property
    def tx(self) -> Tx: ...

    def run(self, body: Body) -> Awaitable[Any]:
        """Run a function over the transaction."""
        ...

    def end(self, *, commit: bool) -> Awaitable[object]:
        """Write what is staged or take it back. It is under way once this returns, awaited or not."""
        ...


class AsyncEngine(Protocol):
    """A database, for the tasks of one event loop. What is awaited is under way once it was asked for."""

    hub: AsyncHub
    """It is rung after each commit; closing the database closes it."""

    async def open(self) -> None:
        """Connect. Raises NotAStore and StoreTooNew."""
        ...

    def glance(self, context: Context, body: Body) -> Awaitable[Any]:
        """Run a function that reads with a single statement."""
        ...

    def read(self, context: Context, body: Body) -> Awaitable[Any]:
        """Run a function that reads, on one snapshot."""
        ...

    def write(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> Awaitable[Any]:
        """Run a function in a transaction, perhaps beside others, and commit what it wrote.

        It may be run again where others wrote meanwhile, unless it is told to be `alone`.
        """
        ...

    def stamp(self) -> int | None:
        """Return a number that is another once anybody has committed, None where there is no telling."""
        ...

    async def hold(self, context: Context, note: Note) -> AsyncHeld:
        """Begin a transaction for a task to hold open."""
        ...

    async def close(self, why: str) -> None:
        """Finish what is under way, refuse what waits, and disconnect."""
        ...


def open_engine(where: str | os.PathLike[str], settings: Settings) -> Engine:
    """Return a database for callers that wait, open. Raises NotAStore and StoreTooNew."""
    place = place_of(where)
    if place.backend == "postgresql":
        with postgres_installed():
            from statedb.db.postgres.engine import Engine as Postgres
        return Postgres(place, settings)
    from statedb.db.sqlite.engine import Engine as SQLite

    return SQLite(place.lasting, settings)


def async_engine(where: str | os.PathLike[str], settings: Settings) -> AsyncEngine:
    """Return a database for tasks, not open yet."""
    place = place_of(where)
    if place.backend == "postgresql":
        with postgres_installed():
            from statedb.db.postgres.asyncengine import AsyncEngine as Postgres
        return Postgres(place, settings)
    from statedb.db.sqlite.asyncengine import AsyncEngine as SQLite

    return SQLite(place.lasting, settings)
