"""A store's place on a server, which all its connections share: schema, dialect, clock, and the ids given out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url

from statedb.config import Settings
from statedb.db.location import Place
from statedb.db.postgres.failures import at_opening
from statedb.db.statements import Row
from statedb.times import micros

Query = tuple[Any, tuple[Any, ...]]
"""A statement's text with $1, $2 … and its parameters.

The driver's types take a text only that a program has written out; these are made by the library, of no user's words.
"""


class Driver(Protocol):
    """One connection to the server, however it is waited for."""

    def fetch(self, query: Query) -> list[Row]:
        """Run a query and return every row."""
        ...

    def together(self, queries: list[Query]) -> list[list[Row]]:
        """Run queries in one journey to the server; an error of one is an error of all that follow."""
        ...

    def drop(self) -> None:
        """Close the connection, at once and without a word: nobody knows what state it is in."""
        ...


def returns(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    """Tell whether a query has given rows: `cursor.description` would make an object of each column to tell that."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


class Dialect(PGDialect_psycopg):
    """PostgreSQL, as statements are compiled for one schema, and for the server's clock or a caller's own."""

    supports_statement_cache = True

    def __init__(self, schema: str, server_clock: bool) -> None:
        # The driver takes these as they are; of others it would make these, one query at a time.
        super().__init__(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        self.server_clock = server_clock
        self.compiled_with = {"schema_translate_map": {None: schema}, "render_schema_translate": True}


def _address(url: str) -> str:
    """Return what the driver connects by: it would take an URL too, but reads some of its characters otherwise."""
    made = make_url(url)
    named = made.translate_connect_args(username="user", database="dbname")
    asked = {name: value if isinstance(value, str) else ",".join(value) for name, value in made.query.items()}
    try:
        return make_conninfo("", **{**named, **asked})
    except psycopg.ProgrammingError as error:
        raise at_opening(error) from error


_KEPT = 10_000
"""Rows remembered at most: an id of an agent each."""

_dialect = lru_cache(maxsize=64)(Dialect)


class Site:
    """A store's place on a server."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self.address, self.settings = _address(place.name), settings
        self.schema = settings.postgres_schema
        self.quoted = '"' + self.schema.replace('"', '""') + '"'
        own_clock = settings.clock is not time.time
        self.dialect = _dialect(self.schema, not own_clock)
        # The server's clock comes with the rows whose expiry it decides.
        self.wall: Callable[[], int] = (lambda: micros(settings.clock())) if own_clock else (lambda: 0)
        self.reads_committed = False
        """Whether a session's transactions read what is committed as they go, unless they say otherwise."""
        self.settled: dict[Query, Row] = {}
        self._ids: dict[str, deque[int]] = {}
        self._block: dict[str, int] = {}

    def keep(self, query: Query, row: Row) -> Row:
        """Remember a row that will never be another one; not very many, since names come without end."""
        if len(self.settled) >= _KEPT:
            self.settled.clear()
        self.settled[query] = row
        return row

    def new_id(self, table: Table, driver: Driver) -> int:
        """Return an id nobody else is given, from a block that was asked for beforehand; blocks grow with use.

        The server would tell an id only as the row is written, and the rows that refer to it go in the same journey.
        """
        ids = self._ids.setdefault(table.name, deque())
        while True:
            try:
                return ids.popleft()
            except IndexError:
                size = self._block[table.name] = min(256, 4 * self._block.get(table.name, 1))
                sequence = f"pg_get_serial_sequence('{self.quoted}.{table.name}', 'id')"
                text = f"select nextval({sequence}) from generate_series(1, {size})"
                ids.extend(found for (found,) in driver.fetch((text, ())))
