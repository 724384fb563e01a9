"""SQLite: how a connection is opened, waits, commits and explains its errors."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, literal_column, select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect

from statedb.config import Settings
from statedb.db.newest import NEWEST, Newest
from statedb.db.sqlite.rowskept import RowsKept
from statedb.db.sqlite.turnstile import Turnstile
from statedb.db.statements import Parameters, Row, Statement
from statedb.db.tables import (
    agent_states,
    agents,
    branches,
    checkpoint_policies,
    event_streams,
    feed_consumers,
    sessions,
    state_checkpoints,
    state_conflicts,
    state_locks,
)
from statedb.errors import Corrupted, DiskFull, NotAStore, ReadOnly, StateDBError, StoreBusy
from statedb.times import micros

Error = sqlite3.Error

_LAST_ID = {
    table.name: Statement(select(func.coalesce(func.max(table.c.id), literal_column("0"))))
    for table in (
        agents, agent_states, sessions, branches, state_checkpoints, checkpoint_policies, state_conflicts, state_locks,
        feed_consumers, event_streams,
    )
}  # fmt: skip

DIALECT: Dialect = SQLiteDialect_pysqlite(paramstyle="qmark")

APPLICATION_ID = 0x73746462
""""stdb", in the file's header: tells a store from any other SQLite file."""

_PAGE_SIZE = 2048

# The pauses between two tries for a file that is being made or upgraded, in seconds. SQLite's own handler backs off to
# 100 ms and starves; short, random pauses let everybody through.
_PAUSE = (0.0002, 0.002)


_MANY = 8_000
"""Rows kept back between two commits, and below, characters and bytes of their values; then they are sent."""
_LADEN = 8 * 1024 * 1024


class Connection:
    """One connection to a store's file, with the few verbs that transactions need.

    Where many writes share a transaction, rows are kept back until somebody reads or commits, and written together.
    """

    def __init__(self, raw: sqlite3.Connection, settings: Settings, path: str | None) -> None:
        self.raw = raw
        self.path = path
        self._clock = settings.clock
        self._turnstile = Turnstile(path)
        self.timeout = settings.busy_timeout
        self._gathers = False
        self._kept = RowsKept(DIALECT)
        self._ids: dict[str, int] = {}
        self._changes = raw.total_changes
        self._mark: int | None = 0
        self._failure: Exception | None = None

    # ---- reading

    def all(self, statement: Statement, parameters: Parameters) -> list[Row]:
        if self._kept.rows:
            self.send()
        return self.beneath(statement, parameters)

    def one(self, statement: Statement, parameters: Parameters) -> Row | None:
        if self._kept.rows:
            self.send()
        rows = self.beneath(statement, parameters)
        return rows[0] if rows else None

    def beneath(self, statement: Statement, parameters: Parameters) -> list[Row]:
        # Every row: a half-read cursor would pin the snapshot and block the next BEGIN.
        text, order = statement.on(DIALECT)
        return self.raw.execute(text, order(parameters)).fetchall()

    def settled(self, statement: Statement, parameters: Parameters) -> Row | None:
        rows = self.beneath(statement, parameters)
        return rows[0] if rows else None

    def wall(self) -> int:
        return micros(self._clock())

    def newest(self) -> Newest:
        [row] = self.all(NEWEST, {})
        return Newest.of(row)

    def new_id(self, table: Table) -> int:
        """Return the next id: nobody else writes, so it is what SQLite itself would give."""
        last = self._ids.get(table.name)
        if last is None:
            [[last]] = self.beneath(_LAST_ID[table.name], {})
        made = self._ids[table.name] = int(last) + 1
        return made

    # ---- writing

    def insist(self) -> None:
        """Have the turn to write: who writes a file has it."""

    def run(self, statement: Statement, parameters: Parameters) -> None:
        if self._gathers:
            self._kept.add(statement, parameters)
            return
        # To keep the five rows of a lone write would cost it 3 µs, and save nothing.
        self._mark = None
        text, order = statement.on(DIALECT)
        self.raw.execute(text, order(parameters))

    def gather(self) -> None:
        self._gathers = True

    def lighten(self) -> bool:
        if len(self._kept.rows) < _MANY and self._kept.weight < _LADEN:
            return False
        self.send()
        return True

    def send(self) -> None:
        """Write the rows kept back. A failure is remembered: who meets it may swallow it, and they would be lost."""
        if self._failure is not None:
            raise self._failure
        self._mark = 0 if self._mark == len(self._kept.rows) else None
        try:
            self._kept.write(self.raw)
        except Exception as error:
            self._mark, self._failure = None, error
            raise
        finally:
            self._kept.clear()

    def mark(self) -> None:
        """Begin what `undo` takes back."""
        self._mark = len(self._kept.rows)

    def undo(self) -> bool:
        """Drop the rows kept back since the mark; False where that is not all, since some have been sent."""
        if self._mark is None:
            return False
        self._kept.cut(self._mark)
        return True

    def crowded(self) -> bool:
        """Tell whether somebody else waits for the write lock."""
        return self._turnstile.crowded()

    # ---- beginning and ending

    def begin_read(self) -> None:
        self.raw.execute("begin")

    def end_read(self) -> None:
        if self.raw.in_transaction:
            self.raw.execute("rollback")

    def begin_write(self, left: float | None = None) -> None:
        """Take the write lock, or raise StoreBusy after the timeout, of which `left` seconds may be left."""
        if not self._turnstile.wait(self._begun, self.timeout if left is None else left):
            raise _busy(self.timeout)

    def _begun(self) -> bool:
        try:
            self.raw.execute("begin immediate")
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            return False
        return True

    def prepare(self) -> None:
        """Be about to write: the write transaction stands already."""

    def commit(self) -> bool:
        """Commit; False where nothing was written."""
        if self._kept.rows or self._failure:
            self.send()
        self._gathers = False
        self._ids.clear()
        self.raw.execute("commit")
        before, self._changes = self._changes, self.raw.total_changes
        return before != self._changes

    def rollback(self) -> None:
        self._mark, self._failure, self._gathers = 0, None, False
        self._kept.clear()
        self._ids.clear()
        # Disk full and interrupts roll back by themselves, and a second ROLLBACK would hide the first error.
        if self.raw.in_transaction:
            self.raw.execute("rollback")

    # ---- the file

    def size(self) -> int:
        """Return the bytes of the database's pages, wherever they are at the moment: in the file or in its log."""
        pages, bytes_each = (self.raw.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * bytes_each)

    def faults(self) -> list[str]:
        """Return what SQLite itself finds wrong with the file."""
        found = [str(row[0]) for row in self.raw.execute("pragma integrity_check").fetchall() if row[0] != "ok"]
        orphans = self.raw.execute("pragma foreign_key_check").fetchall()
        return found + [
            f"{table} row {rowid} refers to a row of {parent} that is not there" for table, rowid, parent, _ in orphans
        ]

    def close(self) -> None:
        self._turnstile.close()
        self.raw.close()


class MemoryConnection(Connection):
    """The only connection there can be to a private in-memory database, shared by readers and writer.

    A write transaction touches the database at its very end only (it buffers until then), so SQLite's transaction
    starts there, under a lock that readers take for their own, short time: nobody sees a half-written commit.
    """

    def __init__(self, raw: sqlite3.Connection, settings: Settings) -> None:
        super().__init__(raw, settings, None)
        self._busy = threading.RLock()
        self._flushing = False

    def beneath(self, statement: Statement, parameters: Parameters) -> list[Row]:
        with self._busy:
            return super().beneath(statement, parameters)

    def run(self, statement: Statement, parameters: Parameters) -> None:
        self.prepare()
        super().run(statement, parameters)

    def gather(self) -> None:
        """Keep no row back: a reader, who shares the connection, would send those of somebody else's transaction."""

    def lighten(self) -> bool:
        return True  # the rows are there to be read: an import would hold all of it a second time

    def begin_read(self) -> None:
        self._busy.acquire()

    def end_read(self) -> None:
        self._busy.release()

    def begin_write(self, left: float | None = None) -> None:
        pass

    def prepare(self) -> None:
        if not self._flushing:
            self._busy.acquire()
            self._flushing = True
            self.raw.execute("begin immediate")

    def commit(self) -> bool:
        if not self._flushing:
            return False
        wrote = super().commit()
        self._end()
        return wrote

    def rollback(self) -> None:
        if self._flushing:
            super().rollback()
            self._end()

    def _end(self) -> None:
        self._flushing = False
        self._busy.release()


# ---- opening


def connect(path: str, settings: Settings, *, mode: str = "rwc", patience: float = 0.0) -> Connection:
    """Return a configured connection.

    `mode` is SQLite's: rwc, rw or ro. `patience` is for readers: seconds SQLite itself waits for the rare lock that
    stops one (recovery after a crash, the last close); a writer waits in `begin_write`.
    """
    memory = path == ":memory:"
    raw = sqlite3.connect(
        "file::memory:" if memory else uri_of(path, mode),
        uri=True,
        isolation_level=None,
        timeout=patience,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        raw.execute(f"pragma synchronous={settings.durability}")
        raw.execute("pragma foreign_keys=on")
        raw.execute("pragma temp_store=memory")
        # Debian's SQLite overwrites freed pages by default: 1.4 times the cost of a write of a large document. What
        # must be gone is erased on purpose.
        raw.execute("pragma secure_delete=fast")
        raw.execute(f"pragma journal_size_limit={64 * 1024 * 1024}")
    except BaseException:
        raw.close()
        raise
    return MemoryConnection(raw, settings) if memory else Connection(raw, settings, str(Path(path).absolute()))


def uri_of(path: str, mode: str) -> str:
    """Return a file's name as SQLite takes it together with a mode."""
    return f"{Path(path).absolute().as_uri()}?mode={mode}"


def begin_life(connection: Connection) -> None:
    """Prepare a file that is not a store yet: modes that can only be chosen before the first table."""
    raw = connection.raw

    def to_wal() -> Any:
        # Every table and index takes a page at least, and a version that does not fit into a quarter of its page goes
        # on in one of its own: with SQLite's 4096 an empty store is 127 KB instead of 70, and the history of a document
        # of 150 KB takes 566 instead of 473. At 1024 it would take 442, but a value is read in 1.1 to 1.3 times.
        raw.execute(f"pragma page_size={_PAGE_SIZE}")
        # Lets space go back to the disk bit by bit later on; without it only a whole rewrite would.
        raw.execute("pragma auto_vacuum=incremental")
        # The switch wants the file alone, and does not call SQLite's busy handler.
        return raw.execute("pragma journal_mode=wal").fetchall()

    patiently(to_wal, connection.timeout)


def patiently(attempt: Callable[[], Any], timeout: float) -> Any:
    """Repeat an attempt while the file is locked, with short random pauses; StoreBusy after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            if time.monotonic() > end:
                raise _busy(timeout) from error
            time.sleep(random.uniform(*_PAUSE))


def _is_locked(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _busy(timeout: float) -> StoreBusy:
    return StoreBusy(
        f"another writer held the store for more than {timeout:g} s; "
        "keep transactions short, or raise Settings.busy_timeout"
    )


# ---- errors


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; the extended one carries detail in its upper bits."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explain(error: sqlite3.Error) -> StateDBError | None:
    """Return what a driver's error means to a caller, None where it is a defect of the library."""
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return DiskFull("the disk is full; nothing of this transaction was written. Free some room and try again")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy("another connection holds the store's file; try again")
        case sqlite3.SQLITE_READONLY:
            return ReadOnly("the store's file or folder cannot be written; check its permissions")
        case sqlite3.SQLITE_CORRUPT:
            return Corrupted(f"SQLite finds the file damaged ({error}); restore a backup")
        case sqlite3.SQLITE_NOTADB:
            return NotAStore("the file is not an SQLite database; it was left as it is")
        case sqlite3.SQLITE_CANTOPEN:
            return NotAStore(f"the file cannot be opened ({error}); does its folder exist, and may you write there?")
        case sqlite3.SQLITE_IOERR:
            return StateDBError(f"the disk failed ({error}); nothing of this transaction was written")
    return None
