"""A transaction that writes, and how often it is tried: written once for both shells, over a port to the server.

snapshot, twice ──▶ overtaken? ──▶ with the turn held from the beginning, which nobody can overtake
                    connection lost? ──▶ look for the token its commit carries: there, or never to come
"""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from statedb.db import journal
from statedb.db.context import Context
from statedb.db.engine import Body
from statedb.db.footprint import Footprint
from statedb.db.postgres.connection import Connection, Landed
from statedb.db.postgres.failures import Lost, NeedsTurn, Overtaken
from statedb.db.postgres.port import RECONNECT, Port, persistently
from statedb.db.postgres.site import Driver
from statedb.db.statements import Statement
from statedb.db.tables import aborted_writes, state_commits
from statedb.db.tx import Note, Tx
from statedb.errors import StoreBusy, TransactionAborted
from statedb.times import EARLIEST

TRIES = 2
"""How often a transaction is tried on a snapshot before it takes the turn to write first."""

PAUSE = (0.0005, 0.004)
"""Seconds between two tries, at random, so that those who met do not meet again."""


class Writing:
    """One try of a transaction. It ends once, by `commit` or `rollback`."""

    def __init__(self, port: Port, context: Context, note: Note, *, held: bool = False) -> None:
        self._port = port
        self._driver: Driver | None = port.borrow()
        self._connection = Connection(self._driver, port.site)
        if held:
            self._connection.begin_held()
        else:
            self._connection.begin_write()
        # Nobody else writes while the turn is held, so what is read then need not be remembered.
        self._footprint = Footprint()
        self.tx = Tx(self._connection, context, None if held else self._footprint)
        self.tx.note = note
        self.tx.token = self._token = secrets.token_hex(8)

    def begin(self) -> Writing:
        """Begin now and not with the first read: a caller who holds a transaction open sees the store as it is now."""
        try:
            self._connection.open(at_leisure=True)
            self.tx.begin(self.tx.writing)
        except BaseException:
            self.rollback()
            raise
        return self

    def run(self, body: Body) -> Any:
        try:
            result = body(self.tx)
        except Exception:
            self._connection.check()
            raise
        self._connection.check()
        return result

    def commit(self) -> None:
        tx = self.tx
        try:
            journal.flush(tx)
            landed = self._connection.commit(self._footprint, tx.now)
        except Lost as lost:
            self._release()
            landed = self._settle(lost)
        except BaseException:
            tx.written = None
            self.rollback()
            raise
        if landed is not None:
            journal.land(tx, landed.shift, max(tx.now, landed.at))
        self.rollback()
        if landed is not None and self._connection.wrote:
            self._port.ring()

    def rollback(self) -> None:
        if self._driver is None:
            return
        self._connection.rollback()
        self._release()

    def _release(self) -> None:
        if self._driver is not None:
            self._port.give_back(self._driver)
            self._driver = None

    def _settle(self, lost: Lost) -> Landed | None:
        """Find out how a commit ended whose answer never came. Raises Overtaken where it will never be."""
        tx = self.tx
        if tx.written is None:
            raise Overtaken(f"the connection to the server was lost ({lost})") from lost
        try:
            return doubt(self._port, self._connection.newest().revision, self._token, lost)
        except BaseException:
            tx.written = None
            raise


def doubt(port: Port, seen: int, token: str, lost: Lost) -> Landed:
    """Return where what was sent has landed, though the answer was lost. Raises Overtaken where it never will.

    It is the first commit with the token above the revision that was seen. Where there is none, it may still be under
    way, in a session that has not noticed that its client is gone. So it is given up in so many words, by whoever has
    the turn to write: what lands with such a token is refused. Raises StoreBusy where the server cannot be asked.
    """
    try:
        found = persistently(port, lambda: _looked_for(port, seen, token))
    except StoreBusy as busy:
        raise StoreBusy(f"{busy}. Whether the write was made is not known: read before you write it again") from lost
    if found is None:
        raise Overtaken(f"the connection to the server was lost ({lost}), and nothing was written") from lost
    revision, at = found
    return Landed(revision - seen - 1, at)


def _looked_for(port: Port, seen: int, token: str) -> tuple[int, int] | None:
    """Return the revision and time of the commit with a token; None where there is none, and none will be taken."""
    driver = port.borrow()
    connection = Connection(driver, port.site)
    connection.begin_held()
    try:
        row = connection.one(_LANDED, {"seen": seen, "token": token})
        if row is None:
            now = max(port.site.wall(), connection.newest().clock)
            connection.one(_GIVE_UP, {"token": token, "at": now})
        connection.commit(Footprint(), now=EARLIEST)
    finally:
        connection.rollback()
        port.give_back(driver)
    return (row[0], row[1]) if row else None


_c = state_commits.c
_LANDED = Statement(select(_c.revision, _c.at).where(_c.revision > bindparam("seen"), _c.token == bindparam("token")))
_GIVE_UP = Statement(
    insert(aborted_writes)
    .values(token=bindparam("token"), at=bindparam("at"))
    .on_conflict_do_nothing()
    .returning(aborted_writes.c.token),
    listed=False,
)


def write(port: Port, context: Context, note: Note, body: Body, *, alone: bool = False) -> Any:
    """Run a function in a transaction and commit what it wrote; try again where others came first.

    `alone`: the function can be run once only, and the turn is held from the beginning.
    """
    end = time.monotonic() + port.site.settings.busy_timeout
    tries = TRIES if alone else 0
    while True:
        writing = Writing(port, context, replace(note), held=tries >= TRIES)
        try:
            result = writing.run(body)
            writing.commit()
            return result
        except (Overtaken, Lost) as failure:
            writing.rollback()
            if alone or time.monotonic() > end:
                raise aborted(failure) from failure
            lost = isinstance(failure, Lost)
            tries = TRIES if isinstance(failure, NeedsTurn) else tries + (0 if lost else 1)
        except BaseException:
            writing.rollback()
            raise
        if lost:
            port.purge()
        port.pause(random.uniform(*(RECONNECT if lost else PAUSE)))


def begun(port: Port, context: Context, note: Note) -> Writing:
    """Return a transaction for somebody to hold open, begun."""
    return persistently(port, lambda: Writing(port, context, note).begin())


def aborted(failure: Exception) -> TransactionAborted:
    """Return what a caller is told whose transaction cannot be tried again for him."""
    return TransactionAborted(f"{failure}; nothing of this transaction was written. Run it again")
