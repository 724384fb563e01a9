"""The writes of one event loop, in order of arrival: concurrent ones share a transaction, a commit of the log each.

    submit ─┐                     ┌─▶ fn · flush ─┐
    submit ─┼─▶ waiting ─▶ batch ─┼─▶ fn ✗        ├─▶ rows kept back ─▶ COMMIT ─▶ every future settled
    submit ─┘   (begin immediate) └─▶ fn · flush ─┘

A function sees what those before it have written as an overlay, so that the rows of all of them can be written at once.
Nothing is acknowledged before the commit; one that fails does so alone. A transaction that a caller holds open is an
entry of its own, and those behind it wait until it ends. Everything but the batch itself runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from sqlite3 import OperationalError
from typing import Any

from statedb.db import journal
from statedb.db.context import Context
from statedb.db.earlier import Earlier
from statedb.db.futures import settle_result
from statedb.db.sqlite.connection import Connection
from statedb.db.sqlite.hop import Hop, settle_error, tell
from statedb.db.tx import Note, Tx
from statedb.errors import StoreBusy, StoreClosed

Body = Callable[[Tx], Any]
Outcome = tuple[Callable[[asyncio.Future[Any], Any], None], Any]

_POLITE = 64
"""Writes after which a batch looks whether another process waits, and ends there if one does: 2 to 4 ms."""


@dataclass(slots=True)
class Waiting:
    """A write that waits for its turn; `body` None asks for the writer itself, to hold a transaction open.

    One that is `alone` shares no transaction: where others share one that fails, each is run again by itself.
    """

    context: Context
    note: Note
    future: asyncio.Future[Any]
    body: Body | None = None
    alone: bool = False


class WriteQueue:
    """The turn to write, among the tasks of one process."""

    def __init__(self, hop: Hop, batch: int, ring: Callable[[], None]) -> None:
        self._hop, self._batch, self._ring = hop, batch, ring
        self._waiting: deque[Waiting] = deque()
        self._busy = False
        self._held = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.Future[None] | None = None

    def submit(self, context: Context, note: Note, body: Body, *, alone: bool = False) -> asyncio.Future[Any]:
        """Queue a write and return a future of what its body returns, settled once it is committed."""
        return self._enter(Waiting(context, note, asyncio.get_running_loop().create_future(), body, alone))

    def hold(self, context: Context, note: Note) -> asyncio.Future[Tx]:
        """Queue for the writer and return a future of a begun transaction; `release` must follow."""
        return self._enter(Waiting(context, note, asyncio.get_running_loop().create_future()))

    def release(self) -> None:
        """Give the turn on; the holder has committed or rolled back."""
        self._busy = self._held = False
        self._next()
        if not self._busy and self._idle is not None:
            settle_result(self._idle, None)

    async def drain(self, why: str) -> None:
        """Let what is queued finish; what waits behind a transaction somebody holds open is refused."""
        self._recover()
        self._begin_next()
        while self._busy and not self._held:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        while self._waiting:
            settle_error(self._waiting.popleft().future, StoreClosed(why))

    def _enter(self, waiting: Waiting) -> asyncio.Future[Any]:
        self._recover()
        self._hop.check()
        self._waiting.append(waiting)
        loop = waiting.future.get_loop()
        if not self._busy and self._called is not loop:
            # Not at once: a thousand tasks that are started together enter one after another, and all of them belong
            # in one batch. To begin with the first alone costs another commit, and the two threads' fight for the GIL.
            self._called = loop
            loop.call_soon(self._begin_next)
        return waiting.future

    def _begin_next(self) -> None:
        self._called = None
        if not self._busy:
            self._next()

    def _recover(self) -> None:
        """Take the turn back from a loop that ended before it could give it on."""
        if self._busy and self._loop is not None and self._loop.is_closed():
            self._hop.post(lambda connection: connection.rollback())
            self._busy = self._held = False

    def _next(self) -> None:
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self._batch:
            first = self._waiting[0]
            if first.future.done() or first.future.get_loop().is_closed():
                self._waiting.popleft()  # cancelled before its turn, or nobody is left to hear of it
            elif first.body is None or (first.alone and batch):
                break
            else:
                batch.append(self._waiting.popleft())
                if first.alone:
                    break
        if batch:
            self._run_batch(batch)
        elif self._waiting:
            self._run_hold(self._waiting.popleft())

    def _run_batch(self, batch: list[Waiting]) -> None:
        self._busy = True
        loop = self._loop = asyncio.get_running_loop()

        def job(connection: Connection) -> None:
            outcomes, wrote = commit_together(connection, batch)
            tell(loop, self._settle, batch, outcomes, wrote)

        self._hop.post(job)

    def _settle(self, batch: list[Waiting], outcomes: list[Outcome], wrote: bool) -> None:
        try:
            for waiting, (settle, result) in zip(batch, outcomes, strict=False):
                settle(waiting.future, result)
            self._waiting.extendleft(reversed(batch[len(outcomes) :]))
        finally:
            self.release()
        if wrote:
            self._ring()

    def _run_hold(self, waiting: Waiting) -> None:
        self._busy = self._held = True
        self._loop = asyncio.get_running_loop()
        if self._idle is not None:
            settle_result(self._idle, None)
        begun = self._hop.run(lambda connection: _begin(connection, waiting))

        def started(future: asyncio.Future[Tx]) -> None:
            error = None if future.cancelled() else future.exception()
            if waiting.future.done():
                if error is None:
                    self._hop.post(lambda connection: connection.rollback())
                self.release()
            elif error is not None:
                waiting.future.set_exception(error)
                self.release()
            else:
                waiting.future.set_result(future.result())

        begun.add_done_callback(started)


def commit_together(connection: Connection, batch: list[Waiting]) -> tuple[list[Outcome], bool]:
    """Run writes in one transaction, and return how each ended, in order, and whether anything was written.

    They are fewer than asked for where others wait.
    """
    try:
        return _together(connection, batch)
    except BaseException as error:
        try:
            connection.rollback()
        except Exception as second:
            error.add_note(f"and rolling back failed: {second}")
        # A full disk and a busy file are the same for all.
        if len(batch) == 1 or not isinstance(error, Exception) or isinstance(error, StoreBusy | OperationalError):
            return [(settle_error, error)] * len(batch), False
    # Rows that the database refuses, or that had been sent when their own write failed: one by one tells whose.
    ended = [commit_together(connection, [each]) for each in batch]
    return [outcome for outcomes, _ in ended for outcome in outcomes], any(wrote for _, wrote in ended)


def _together(connection: Connection, batch: list[Waiting]) -> tuple[list[Outcome], bool]:
    connection.begin_write()
    connection.prepare()
    if len(batch) > 1:
        connection.gather()
    outcomes: list[Outcome] = []
    last, earlier = None, Earlier()
    for waiting in batch:
        outcome, last = _one(connection, waiting, last, earlier)
        outcomes.append(outcome)
        if len(outcomes) % _POLITE == 0 and connection.crowded():
            break
    return outcomes, connection.commit()


def _one(connection: Connection, waiting: Waiting, last: Tx | None, earlier: Earlier) -> tuple[Outcome, Tx | None]:
    """Run one write, and return how it ended and which transaction was the last to be written."""
    assert waiting.body is not None
    connection.mark()
    try:
        # A note of its own: what a write says would be said twice where the batch is run again, one by one.
        tx = Tx(connection, waiting.context).begin(replace(waiting.note), last)
        tx.earlier = earlier
        result = waiting.body(tx)
        journal.flush(tx)
    except BaseException as error:
        if not connection.undo():
            raise
        return (settle_error, error), last
    return (settle_result, result), tx


def _begin(connection: Connection, waiting: Waiting) -> Tx:
    connection.begin_write()
    try:
        return Tx(connection, waiting.context).begin(waiting.note)
    except BaseException:
        connection.rollback()
        raise
