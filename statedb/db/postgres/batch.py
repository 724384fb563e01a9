"""The writes of one event loop: those that arrive together are committed together, each in a commit of its own.

    submit ─┐           ┌─▶ fn ┐ their reads                 ┌─▶ each again that has read ┐ their rows
    submit ─┼─▶ waiting ┼─▶ fn ┼─────────────▶ then in order ┤   what an earlier one      ├────────────▶ settled
    submit ─┘           └─▶ fn ┘ in one journey              └─▶ changes, over its traces ┘ in one journey

One that fails does so alone, and nothing is acknowledged before the commit.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from contextvars import Context as Variables
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from statedb.db import journal
from statedb.db.context import Context
from statedb.db.earlier import Earlier
from statedb.db.engine import Body
from statedb.db.footprint import Footprint
from statedb.db.futures import settle_error, settle_result
from statedb.db.postgres import greenlets
from statedb.db.postgres.connection import Connection, Landed
from statedb.db.postgres.failures import Lost, NeedsTurn, Overtaken
from statedb.db.postgres.greenlets import Running, wait_for
from statedb.db.postgres.many import Merged
from statedb.db.postgres.port import RECONNECT, Port
from statedb.db.postgres.site import Driver
from statedb.db.postgres.writing import PAUSE, TRIES, aborted, doubt, write
from statedb.db.streams import STREAM
from statedb.db.tx import Note, Tx
from statedb.errors import DiskFull, StoreBusy
from statedb.models import Address, StateType
from statedb.times import EARLIEST


@dataclass(slots=True, eq=False)
class Waiting:
    """A write that waits to be made, and how it went when it was last tried."""

    context: Context
    note: Note
    body: Body
    future: asyncio.Future[Any]
    variables: Variables = field(default_factory=copy_context)
    tx: Tx | None = None
    footprint: Footprint = field(default_factory=Footprint)
    result: Any = None
    error: BaseException | None = None

    def start(self, connection: Connection, earlier: Earlier | None = None) -> Running:
        """Run the function, as far as it gets without an answer from the server."""
        self.footprint = Footprint()
        was, tx = self.tx, Tx(connection, self.context, self.footprint)
        tx.note, tx.earlier, self.tx = replace(self.note), earlier, tx
        if earlier is not None and was is not None:
            # What it read of them holds: who is concerned by what an earlier one did is put off, and so is who has
            # changed them himself.
            tx.locks = was.locks
            tx.found = {at: row for at, row in was.found.items() if at.state_type == STREAM}
        return Running(lambda: self.body(tx), self.variables.copy())

    def ended(self, running: Running) -> None:
        """Note how it went. Raises what concerns all that are tried together."""
        self.result, self.error = running.result, running.error
        if isinstance(self.error, Overtaken | Lost):
            raise self.error


MOST = 256
"""Writes of one batch at most: the server links each commit to the one before it by going through all of them, so that
1,000 at once take 0.38 ms each, and 256 at a time 0.2."""


class Batches:
    """The writes of one event loop, in order of arrival."""

    def __init__(self, port: Port, most: int) -> None:
        self._port, self._most = port, most
        self._waiting: deque[Waiting] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._together = most
        """How many to try at once: where most had to be put off, they would all be run each time that one is made."""

    def submit(self, context: Context, note: Note, body: Body) -> asyncio.Future[Any]:
        """Queue a write and return a future of what its function returns, settled once it is committed."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(context, note, body, loop.create_future())
        self._waiting.append(waiting)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return waiting.future

    async def drain(self) -> None:
        """Finish what is queued; the caller lets nothing more in."""
        if self._pump is not None:
            await asyncio.wait([self._pump])

    async def _run(self) -> None:
        while self._waiting:
            batch: list[Waiting] = []
            while self._waiting and len(batch) < self._together:
                first = self._waiting.popleft()
                if not first.future.done():  # cancelled before its turn
                    batch.append(first)
            try:
                await self._persist(batch)
            except BaseException as error:
                for each in batch:
                    settle_error(each.future, error)

    async def _persist(self, batch: list[Waiting]) -> None:
        """Commit a batch, as often as it takes: on a snapshot, then with the turn to write held."""
        end = time.monotonic() + self._port.site.settings.busy_timeout
        tries, lost = 0, False
        while batch:
            try:
                await self._attempt(batch, held=tries >= TRIES)
                return
            except (Overtaken, Lost) as failure:
                if time.monotonic() > end:
                    raise aborted(failure) from failure
                lost = isinstance(failure, Lost)
                tries = TRIES if isinstance(failure, NeedsTurn) else tries + (not lost)
            except Exception as error:
                if len(batch) == 1 or isinstance(error, StoreBusy | DiskFull):
                    raise
                await self._one_by_one(batch)
                return
            if lost:
                await greenlets.run(self._port.purge)
            await asyncio.sleep(random.uniform(*(RECONNECT if lost else PAUSE)))

    async def _attempt(self, batch: list[Waiting], *, held: bool) -> None:
        together = Together(self._port, await greenlets.run(self._port.borrow))
        connection = together.connection
        try:
            if held:
                connection.begin_held()
            elif len(batch) == 1:
                connection.begin_write()
            else:
                await greenlets.run(connection.open)
            await _side_by_side(connection, batch)
            await greenlets.run(lambda: together.commit(batch))
        finally:
            await greenlets.run(together.end)
        done = len(batch) - len(together.put_off)
        self._together = max(1, done if together.put_off else min(2 * self._together, self._most))
        self._waiting.extendleft(reversed(together.put_off))
        for each in batch:
            if each not in together.put_off:
                _settle(each)

    async def _one_by_one(self, batch: list[Waiting]) -> None:
        """Commit each by itself, where an error that no one of them raised stopped them all."""
        for each in batch:
            try:
                again = partial(write, self._port, each.context, each.note, each.body)
                each.result = await greenlets.run(again, each.variables.copy())
                each.error = None
            except BaseException as error:
                each.error = error
            _settle(each)


def _settle(waiting: Waiting) -> None:
    if waiting.error is None:
        settle_result(waiting.future, waiting.result)
    else:
        settle_error(waiting.future, waiting.error)


async def _side_by_side(connection: Connection, batch: list[Waiting]) -> None:
    """Run functions over one connection, and what they ask at the same time in one journey to the server."""
    running = [(each, each.start(connection)) for each in batch]
    while asking := [run for _, run in running if not run.ended]:
        wishes = [run.wish for run in asking]
        merged = Merged([query for wish in wishes for query in wish.queries])
        try:
            answers = merged.dealt(await type(wishes[0])(wishes[0].raw, merged.queries)())
        except BaseException as error:
            for run in asking:
                run.fail(error)
            raise
        for run, wish in zip(asking, wishes, strict=True):
            mine, answers = answers[: len(wish.queries)], answers[len(wish.queries) :]
            run.answer(mine)
    connection.check()
    for each, run in running:
        each.ended(run)


class Together:
    """Writes that are committed in one transaction of the database, in order."""

    def __init__(self, port: Port, driver: Driver) -> None:
        self._port = port
        self._driver: Driver | None = driver
        self.connection = Connection(driver, port.site)
        self._earlier = Earlier()
        self._changed: set[Address] = set()
        self._done: set[Address] = set()
        """What has been done to things with a name, of which only the rows tell those that come after."""
        self._relied = Footprint()
        self._last: Tx | None = None
        self._wrote = False
        self._now = EARLIEST
        self._token = secrets.token_hex(8)
        self.put_off: list[Waiting] = []
        """Those that have to see the others' rows, or would be too much at once: they wait until these are written."""

    def commit(self, batch: list[Waiting]) -> None:
        """Write what each has staged and commit; what comes too early is put off."""
        for each in batch:
            if self._is_early(each) or (self._is_overtaken(each) and not self._made_up_for(each)):
                self.put_off.append(each)
            elif each.error is None:
                self._flush(each)
        if not self._wrote:
            return
        landed = self._land()
        if landed is not None:
            at = landed.at
            for each in batch:
                if each.tx is not None and each.tx.written is not None:
                    at = max(at, each.tx.now)
                    journal.land(each.tx, landed.shift, at)
            self._port.ring()

    def end(self) -> None:
        """Give the connection back, with nothing open on it."""
        if self._driver is not None:
            self.connection.rollback()
            self._port.give_back(self._driver)
            self._driver = None

    def _is_early(self, waiting: Waiting) -> bool:
        """Tell whether it has to see rows that only a commit would show it, or would be too much at once."""
        relied = waiting.footprint
        is_blind = relied.whole and bool(self._changed or self._done)
        return is_blind or relied.meets(self._done) or self.connection.laden

    def _is_overtaken(self, waiting: Waiting) -> bool:
        """Tell whether it has read what an earlier one changes, whose traces show it that."""
        relied = waiting.footprint
        return (relied.streams and bool(self._earlier.streams)) or relied.meets(self._changed)

    def _made_up_for(self, waiting: Waiting) -> bool:
        """Run it again, over what those before it leave; False where it has to be put off all the same."""
        if waiting.tx is not None and waiting.tx.asides:
            return False  # what it remembers of a line is what it made of it
        running = waiting.start(self.connection, self._earlier)
        while not running.ended:
            running.answer(wait_for(running.wish))
        self.connection.check()
        waiting.ended(running)
        return not self._is_early(waiting)  # it may have read another key than before

    def _flush(self, waiting: Waiting) -> None:
        tx = waiting.tx
        assert tx is not None
        tx.earlier = self._earlier
        if self._last is None:
            tx.token = self._token
        else:
            tx.revision, tx.newest, tx.hash = self._last.revision, self._last.newest, self._last.hash
            tx.leases = max(tx.leases, self._last.leases)
        changed = {
            *tx.expired,
            *tx.staged,
            *(Address(name.agent_id, StateType.SESSION, name.low) for name in tx.sessions),
        }
        done = {Address("", deed.kind, str(deed.said.get("name", ""))) for deed in tx.deeds}
        for deed in tx.deeds:
            done |= deed.concerns
        if tx.asides:
            done |= {Address("", "aside", ""), *(at for of in tx.locks for at in of.addresses)}
        self._relied.add(waiting.footprint)
        self._now = max(self._now, tx.now)
        self._wrote = self._wrote or bool(done)
        self._done |= done
        if journal.flush(tx) is None:
            return
        self._wrote = True
        self._last = tx
        self._changed |= changed

    def _land(self) -> Landed | None:
        try:
            return self.connection.commit(self._relied, self._now)
        except Lost as lost:
            self.end()
            if self._last is None:
                raise Overtaken(f"the connection to the server was lost ({lost})") from lost
            return doubt(self._port, self.connection.newest().revision, self._token, lost)
