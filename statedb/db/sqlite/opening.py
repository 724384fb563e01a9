"""Bring a store's file to the schema of this library, or refuse to touch it."""

from __future__ import annotations

import os
import sqlite3

from statedb.config import Settings
from statedb.db.migrate import HEAD, identity, refuse_newer, run_migrations
from statedb.db.sqlite import connection as sqlite
from statedb.db.sqlite.connection import APPLICATION_ID
from statedb.errors import Corrupted, NotAStore
from statedb.times import micros


def open_store(path: str, settings: Settings) -> sqlite.Connection:
    """Return the writing connection to a store that is at this library's schema.

    Makes the file where there is none, upgrades an older one, and leaves alone what it refuses: NotAStore, StoreTooNew.
    Safe when many processes race for a file that does not exist.
    """
    if path != ":memory:" and os.path.exists(f"{path}-wal"):
        _look_first(path, settings)
    # Every step may meet a racing process that has the whole file locked for a moment: 30 of 120 opens did.
    wait = settings.busy_timeout
    connection: sqlite.Connection = sqlite.patiently(lambda: sqlite.connect(path, settings), wait)
    try:
        if not sqlite.patiently(lambda: _is_current(connection.raw), wait):
            sqlite.begin_life(connection)
            _upgrade(connection, HEAD, settings)
        return connection
    except BaseException:
        connection.close()
        raise


def create_at(path: str, revision: str) -> None:
    """Make a store of an older schema, as an older library would have; for tests of upgrading."""
    settings = Settings()
    connection = sqlite.connect(path, settings)
    try:
        sqlite.begin_life(connection)
        _upgrade(connection, revision, settings)
    finally:
        connection.close()


def schema_of(path: str, settings: Settings) -> str | None:
    """Return the schema revision of a file, None where it is missing or empty. NotAStore for anything else."""
    if path == ":memory:" or not os.path.exists(path) or not os.path.getsize(path):
        return None
    connection = sqlite.connect(path, settings, mode="ro", patience=settings.busy_timeout)
    try:
        return version_of(connection.raw)
    finally:
        connection.close()


def version_of(raw: sqlite3.Connection) -> str | None:
    """Return the schema revision of an open file, None for a file with nothing in it."""
    [[application]] = raw.execute("pragma application_id").fetchall()
    if application == APPLICATION_ID:
        if not raw.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchall():
            raise Corrupted("the store's file lacks the table that tells its schema; restore a backup")
        found = raw.execute("select version_num from alembic_version").fetchall()
        if len(found) != 1:
            raise Corrupted(f"the store's file tells {len(found)} schemas, not one; restore a backup")
        return str(found[0][0])
    if raw.execute("select 1 from sqlite_master limit 1").fetchall():
        raise NotAStore("the file is an SQLite database of something else; it was left as it is. Choose another path")
    return None


def _look_first(path: str, settings: Settings) -> None:
    """Refuse a foreign or newer file before a writing connection could, on closing, fold its log into it."""
    try:
        peek = sqlite.connect(path, settings, mode="ro", patience=settings.busy_timeout)
    except sqlite3.OperationalError:
        return  # half made, or in need of a recovery only a writer may do; it is looked at again, with the lock held
    try:
        _is_current(peek.raw)
    except sqlite3.OperationalError:
        return
    finally:
        peek.close()


def _is_current(raw: sqlite3.Connection) -> bool:
    found = version_of(raw)
    refuse_newer(found)
    return found == HEAD


def _upgrade(connection: sqlite.Connection, target: str, settings: Settings) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    raw = connection.raw
    # On the very connection that holds the lock: a second one would wait for the first for ever.
    engine = create_engine(
        "sqlite://",
        creator=lambda: raw,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
    )
    # SQLAlchemy must know of the transaction, or alembic commits it early: 46 of 120 racing opens failed that way.
    with engine.connect() as bind, bind.begin():
        sqlite.patiently(lambda: raw.execute("begin immediate"), connection.timeout)
        try:
            if version_of(raw) != target and not _is_current(raw):
                run_migrations(bind, target)
                raw.execute(f"pragma application_id={APPLICATION_ID}")
                _name(raw, micros(settings.clock()))
            raw.execute("commit")
        except BaseException:
            connection.rollback()
            raise


def _name(raw: sqlite3.Connection, now: int) -> None:
    """Give a new store its identity."""
    if not raw.execute("select 1 from store_info").fetchall():
        raw.execute("insert into store_info (id, created_at) values (?, ?)", identity(now))
