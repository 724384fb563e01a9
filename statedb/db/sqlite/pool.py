"""A store's connections in a synchronous process: one writer, whose lock is taken in turn, and readers as needed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from statedb.config import Settings
from statedb.db.fork import REASON, remember
from statedb.db.sqlite import connection as sqlite
from statedb.db.sqlite.connection import Connection
from statedb.db.sqlite.opening import open_store
from statedb.db.threads import FairLock, me
from statedb.errors import InTransaction, StoreBusy, StoreClosed

_KEPT = 8
"""Idle readers kept open; a burst of threads may open more for a while."""


class Pool:
    """The connections to one store. Any thread may use it."""

    def __init__(self, path: str, settings: Settings) -> None:
        self._path, self._settings = path, settings
        self.writer = _opened(path, settings)
        self._shared = path == ":memory:"
        self._idle: deque[Connection] = deque()
        self._turn = FairLock()
        self._owner: object = None
        self._holder: threading.Thread | None = None
        self.closed = ""
        remember(self)

    def check(self) -> None:
        """Raise StoreClosed if it is."""
        if self.closed:
            raise StoreClosed(self.closed)

    # ---- readers

    def take(self) -> Connection:
        """Return a connection to read with; give it back."""
        self.check()
        if self._shared:
            return self.writer
        try:
            return self._idle.pop()
        except IndexError:
            timeout = self._settings.busy_timeout
            return sqlite.connect(self._path, self._settings, mode="rw", patience=timeout)

    def give(self, reader: Connection) -> None:
        """Take a reader back."""
        if self._shared:
            return
        if self.closed or len(self._idle) >= _KEPT:
            reader.close()
        else:
            self._idle.append(reader)

    # ---- the writer

    def acquire(self) -> Connection:
        """Return the writing connection with its transaction begun; nobody else writes until it is released."""
        self.refuse_inside()
        began = time.monotonic()
        if not self._turn.acquire(timeout=self._settings.busy_timeout):
            raise StoreBusy(
                f"another thread held the store for more than {self._settings.busy_timeout:g} s; "
                "keep transactions short, or raise Settings.busy_timeout"
            )
        try:
            self.check()
            self.writer.begin_write(self._settings.busy_timeout - (time.monotonic() - began))
        except BaseException:
            self._turn.release()
            raise
        self._owner, self._holder = me(), threading.current_thread()
        return self.writer

    def refuse_inside(self) -> None:
        """Raise InTransaction in the thread that has the writer."""
        if self._owner is me():
            raise InTransaction(
                "this thread has a transaction open on the store: write through that (tx.states…), "
                "or after its block. A write through the store would wait for itself"
            )

    def release(self) -> None:
        """Let the next writer go on; the caller has committed or rolled back."""
        self._owner = self._holder = None
        self._turn.release()

    # ---- the end

    def close(self) -> bool:
        """Close every connection; a reader in use is closed when it is given back. False where that was done before."""
        if self.closed:
            return False
        self.closed = "the store is closed; open it again"
        while self._idle:
            self._idle.pop().close()
        # Not waiting for a writer in another thread would pull its connection away under it.
        forgotten = self._holder is not None and not self._holder.is_alive()
        wait = 0 if forgotten or self._owner is me() else self._settings.busy_timeout
        taken = self._turn.acquire(timeout=wait)
        self.writer.close()
        if taken:
            self._turn.release()
        return True

    def forsake(self) -> object:
        """Give the connections up in a child process."""
        kept = (self.writer, list(self._idle))
        self._idle.clear()
        self._turn, self._owner, self._holder = FairLock(), None, None
        self.closed = REASON
        return kept


def _opened(path: str, settings: Settings) -> Connection:
    with explained():
        return open_store(path, settings)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a driver's errors into the library's."""
    try:
        yield
    except sqlite.Error as error:
        meant = sqlite.explain(error)
        if meant is None:
            raise
        raise meant from error
