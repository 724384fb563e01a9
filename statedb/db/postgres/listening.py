"""What a server says of commits: `notify` goes with the rows of each, and a connection of its own listens for it.

What the server says may get lost with the connection, which is opened again; so it is also asked, every two seconds,
whether any transaction has ended since, which tells that the connection still lives, too. Behind a pooler that
hands sessions round nobody can listen, and it is asked more often.
"""

from __future__ import annotations

from typing import Any

import psycopg

from statedb.db.postgres.opening import connecting
from statedb.db.postgres.site import Site
from statedb.db.postgres.turn import listening

ASKED, ASKED_OFTEN = 2.0, 0.1
"""Seconds between two questions, of a server that speaks and of one that cannot."""


class Word:
    """A connection that listens."""

    failures: tuple[type[Exception], ...] = (psycopg.Error, OSError)

    def __init__(self, site: Site) -> None:
        self._site = site
        self._raw: psycopg.Connection[Any] | None = None
        self._speaks = site.settings.postgres_prepare
        self._told = False
        self._newest: object = None

    def open(self) -> int | None:
        raw = self._raw = psycopg.connect(self._site.address, **connecting(self._site.settings))
        raw.add_notify_handler(self._notified)  # of what arrives while it is asked something
        if self._speaks:
            # In this order: who commits in between finds nobody, and is found by the look that follows.
            for text in listening(self._site.schema):
                raw.execute(text.encode())
        self.look()
        return raw.fileno() if self._speaks else None

    def heard(self) -> bool:
        raw = self._raw
        assert raw is not None
        raw.pgconn.consume_input()
        told, self._told = self._told, False
        while raw.pgconn.notifies() is not None:
            told = True
        return told

    def patience(self) -> float:
        return ASKED if self._speaks else ASKED_OFTEN

    def look(self) -> bool:
        assert self._raw is not None
        before, (self._newest,) = self._newest, self._raw.execute(_NEWEST).fetchall()[0]
        told, self._told = self._told, False
        return told or before != self._newest

    def close(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def abandon(self) -> object:
        raw, self._raw = self._raw, None
        return raw

    def _notified(self, _: psycopg.Notify) -> None:
        self._told = True


_NEWEST = b"select pg_current_snapshot()::text"
"""All of it: `xmax` alone stays what it is where a transaction ends after one that was begun later."""
