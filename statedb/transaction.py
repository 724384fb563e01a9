"""A transaction as users hold it: the rooms, joined to one commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from statedb.db.context import Context
from statedb.db.engine import Engine, Held
from statedb.db.tx import Note, Tx
from statedb.errors import InTransaction, TransactionAborted
from statedb.handles import SyncAgent, sync_agent
from statedb.operation import Body, Operation, Sync, through
from statedb.surface import Rooms
from statedb.values.arguments import plain
from statedb.watchdog import Watchdog

T = TypeVar("T")


class Joined(Sync, Rooms[Sync]):
    """The rooms over a transaction that somebody else begins and ends, as `Store.run` hands it to its function."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._over = False
        Rooms.__init__(self, self)

    @property
    def revision(self) -> int | None:
        """The revision the transaction made; None before its end, and where nothing changed."""
        return self._tx.written

    def agent(self, agent_id: str) -> SyncAgent:
        """Return handles on one agent's states."""
        return sync_agent(self, agent_id)

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        body = joining(operation)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._over:
                raise TransactionAborted("the transaction is over; use it inside the function that `run` calls")
            return body(self._tx, *args, **kwargs)

        return call


def run_in(tx: Tx, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
    """Call fn(rooms, *args) with the rooms over a transaction, which are of no use afterwards."""
    plain(fn, "run")
    joined = Joined(tx)
    try:
        return fn(joined, *args, **kwargs)
    finally:
        joined._over = True


class Transaction(Joined):
    """One commit, all or nothing: leaving the block commits, an exception takes everything back."""

    def __init__(self, engine: Engine, watchdog: Watchdog, context: Context, note: Note) -> None:
        self._engine, self._watchdog, self._context, self._note = engine, watchdog, context, note
        self._guard = threading.RLock()  # a function given to `update` may read through the transaction
        self._state = "new"
        self._held: Held | None = None
        self._over = False
        Rooms.__init__(self, self)

    @property
    def revision(self) -> int | None:
        """The revision the transaction made; None before its end, and where nothing changed."""
        return self._held.tx.written if self._held else None

    def bind(self, operation: Operation[..., Any]) -> Callable[..., Any]:
        body = joining(operation)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._guard:
                return self._open().run(lambda tx: body(tx, *args, **kwargs))

        return call

    def __enter__(self) -> Self:
        if self._state != "new":
            raise InTransaction("a transaction can be entered once; begin another with store.transaction()")
        self._held = self._engine.begin(self._context, self._note)
        self._state = "open"
        self._watchdog.watch(self._give_up)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._engine.closed:  # in a forked child the watchdog's lock may be held by a thread that is not there
            self._watchdog.forget(self._give_up)
        with self._guard:
            if kind is not None:
                if self._state == "open":
                    self._end("aborted")
                return
            held = self._open()
            self._state = "aborted"
            held.commit()
            self._state = "committed"

    def _give_up(self) -> None:
        with self._guard:
            if self._state == "open":
                self._end("timed out")

    def _end(self, state: str) -> None:
        self._state = state
        assert self._held is not None
        self._held.rollback()

    def _open(self) -> Held:
        if self._state == "open":
            assert self._held is not None
            self._engine.check()
            return self._held
        if self._state == "timed out":
            raise TransactionAborted(
                f"the transaction took longer than {self._context.settings.transaction_timeout:g} s and was rolled "
                "back; make it shorter, or raise Settings.transaction_timeout"
            )
        raise TransactionAborted(f"the transaction is {self._state}; use it inside its with block")


def joining(operation: Operation[..., Any]) -> Body:
    """Return the body of an operation that joins a transaction."""
    if not operation.alone:
        body = through(operation)

        def join(tx: Tx, /, *args: Any, **kwargs: Any) -> Any:
            tx.joined = True
            return body(tx, *args, **kwargs)

        return join

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise InTransaction(f"{operation.name} makes commits of its own; call it on the store, outside a transaction")

    return refuse
