"""Whether anybody has committed since, asked of a file without reading it.

`pragma data_version` changes on a connection when any other has committed, of this process or another's: 1.5 µs, where
the shortest statement on a table takes 3. It changes for no commit of the connection's own, and stands still inside a
transaction, so it takes a connection that does nothing else.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref

from statedb.config import Settings
from statedb.db.fork import remember
from statedb.db.sqlite import connection as sqlite
from statedb.db.sqlite.connection import Connection


class Sentinel:
    """The connection that is asked; made when it is asked first. Any thread may ask."""

    def __init__(self, path: str, settings: Settings) -> None:
        self._path, self._settings = path, settings
        self._connection: Connection | None = None
        self._closing: weakref.finalize[[], Sentinel] | None = None
        self._over = False
        self._lock = threading.Lock()  # it must not be closed while another thread asks
        remember(self)

    def stamp(self) -> int | None:
        """Return a number that is another once anybody has committed, None where there is no telling."""
        with self._lock:
            if self._over:
                return None
            try:
                if self._connection is None:
                    self._connection = sqlite.connect(self._path, self._settings, mode="rw")
                    self._closing = weakref.finalize(self, self._connection.close)
                [version] = self._connection.raw.execute("pragma data_version").fetchall()[0]
            except sqlite3.Error:  # locked for a recovery, say
                return None
            return int(version)

    def close(self) -> None:
        """Close the connection, before the store's own, of which the last to leave the file must tidy up."""
        with self._lock:
            self._over = True
            if self._closing is not None:
                self._closing()

    def forsake(self) -> object:
        """Give the connection up in a child process."""
        self._over, self._lock = True, threading.Lock()
        if self._closing is not None:
            self._closing.detach()
        return self._connection


class MemorySentinel:
    """The same for a store in memory: its only connection counts the rows it has changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        remember(self)

    def stamp(self) -> int | None:
        connection = self._connection
        try:
            return None if connection is None else connection.raw.total_changes
        except sqlite3.Error:  # closed in another thread at this moment
            return None

    def close(self) -> None:
        self._connection = None

    def forsake(self) -> object:
        kept, self._connection = self._connection, None
        return kept
