"""A store's schema on a server looked at without opening the store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg

from statedb.config import Settings
from statedb.db.location import Place
from statedb.db.migrate import HEAD
from statedb.db.postgres import opening
from statedb.db.postgres.failures import at_opening
from statedb.db.postgres.site import Site
from statedb.db.statements import Parameters, Statement

_PATIENCE = 1.0
"""Seconds to wait for names: somebody has pressed a key and looks at the terminal."""


def exists(place: Place, settings: Settings) -> bool:
    """Tell whether the schema holds a store. NotAStore where it holds anything else."""
    return schema_of(place, settings) is not None


def schema_of(place: Place, settings: Settings) -> str | None:
    """Return the schema revision of a store, None where there is none. NotAStore for anything else."""
    site = Site(place, settings)
    with _peeking(site) as raw:
        return opening.schema_of(raw, site)


def names(place: Place, settings: Settings, statement: Statement, given: Parameters) -> list[str]:
    """Return what a statement finds in a store of this library's schema, nothing in any other.

    Raises TimeoutError where the server takes too long.
    """
    answer: Future[list[str]] = Future()

    def look() -> None:
        try:
            answer.set_result(_names(Site(place, settings), statement, given))
        except Exception as error:
            answer.set_exception(error)

    # Left behind where it is too slow: looking a host up cannot be given up, and a driver waits two seconds at least.
    threading.Thread(target=look, daemon=True).start()
    return answer.result(_PATIENCE)


def _names(site: Site, statement: Statement, given: Parameters) -> list[str]:
    text, order = statement.on(site.dialect)
    with _peeking(site) as raw:
        if opening.schema_of(raw, site) != HEAD:
            return []
        return [name for (name,) in psycopg.RawCursor(raw).execute(text.encode(), order(given))]


@contextmanager
def _peeking(site: Site) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(site.address, **opening.connecting(site.settings)) as raw:
            yield raw
    except psycopg.Error as error:
        raise at_opening(error) from error
