"""A store's file looked at without opening the store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statedb.config import Settings
from statedb.db.location import Place
from statedb.db.migrate import HEAD
from statedb.db.sqlite import opening
from statedb.db.sqlite.connection import DIALECT
from statedb.db.sqlite.pool import explained
from statedb.db.statements import Parameters, Statement

_PATIENCE = 0.2
"""Seconds to wait for a lock: somebody has pressed a key and looks at the terminal."""


def exists(place: Place, settings: Settings) -> bool:
    """Tell whether there is a file with anything in it; it is not opened, which could drop a connection's locks."""
    try:
        return os.stat(place.name).st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def schema_of(place: Place, settings: Settings) -> str | None:
    """Return the schema revision of a file, None where it is missing or empty. NotAStore for anything else."""
    with explained():
        return opening.schema_of(place.name, settings)


def names(place: Place, settings: Settings, statement: Statement, given: Parameters) -> list[str]:
    """Return what a statement finds in a store of this library's schema, nothing in any other."""
    text, order = statement.on(DIALECT)
    with _peeking(place.name) as raw:
        if opening.version_of(raw) != HEAD:
            return []
        return [name for (name,) in raw.execute(text, order(given))]


@contextmanager
def _peeking(path: str) -> Iterator[sqlite3.Connection]:
    # A reading connection leaves a log and its index behind where there were none, unless it is told that nobody
    # writes. Where somebody begins to at this very moment a name may be missing, the better end of the bargain.
    mode = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    raw = sqlite3.connect(f"{Path(path).absolute().as_uri()}?{mode}", uri=True, timeout=_PATIENCE)
    try:
        yield raw
    finally:
        raw.close()
