"""Opening a store on a server: its schema made or brought up to this library's, however many open it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.numeric import Int8Dumper

from statedb.config import Settings
from statedb.db.migrate import HEAD, identity, refuse_newer, run_migrations
from statedb.db.postgres.failures import at_opening
from statedb.db.postgres.site import Site
from statedb.db.postgres.turn import LOCK
from statedb.errors import Corrupted, NotAStore
from statedb.times import micros

_MIGRATING = 0x73746463
"""The advisory lock of whoever makes or upgrades a store."""


def connecting(settings: Settings) -> dict[str, Any]:
    """Return how connections are made."""
    return {
        "autocommit": True,
        "prepare_threshold": 1 if settings.postgres_prepare else None,
        "application_name": "statedb",
        "client_encoding": "UTF8",
        "connect_timeout": max(2, min(int(settings.busy_timeout), 3600)),
    }


def configured(raw: Any) -> None:
    """Have every integer go as the type of the columns, so that a statement is prepared once and not for each size."""
    raw.adapters.register_dumper(int, Int8Dumper)


def prepare(site: Site) -> None:
    """Bring a store to this library's schema, making it where there is none. Raises NotAStore and StoreTooNew."""
    raw: Any = None
    try:
        raw = psycopg.connect(site.address, **connecting(site.settings))
        asked = "select current_setting('default_transaction_isolation'), current_setting('server_encoding')"
        [[level, encoding]] = raw.execute(asked).fetchall()
        site.reads_committed = level == "read committed"
        if encoding != "UTF8":
            raise NotAStore(f"the database is in {encoding}, which cannot hold every text; make one in UTF8")
        if not is_current(schema_of(raw, site)):
            _upgrade(raw, site, HEAD)
    except psycopg.Error as error:
        raise at_opening(error) from error
    finally:
        if raw is not None:
            raw.close()


def schema_of(raw: psycopg.Connection[Any], site: Site) -> str | None:
    """Return the schema revision of a store, None where there is none. NotAStore for another's tables."""
    [[versions, tables]] = raw.execute(
        "select to_regclass(%s || '.alembic_version')::text, "
        "(select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        " where n.nspname = %s and c.relkind in ('r', 'p', 'v'))",
        [site.quoted, site.schema],
    ).fetchall()
    if versions is None:
        if tables:
            raise NotAStore(
                f"the schema {site.schema} holds tables of something else; it was left as it is. "
                "Name another with Settings.postgres_schema"
            )
        return None
    found = raw.execute(f"select version_num from {site.quoted}.alembic_version".encode()).fetchall()
    if len(found) != 1:
        raise Corrupted(f"the store's schema tells {len(found)} versions, not one; restore a backup")
    return str(found[0][0])


def is_current(found: str | None) -> bool:
    """Tell whether a store is at this library's schema. Raises StoreTooNew."""
    refuse_newer(found)
    return found == HEAD


def _upgrade(raw: psycopg.Connection[Any], site: Site, target: str) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import StaticPool

    raw.autocommit = False
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=StaticPool)
    with _unwrapped(), engine.connect() as bind, bind.begin():
        # First of all: `create schema if not exists` itself fails where two do it at once.
        bind.execute(text("select pg_advisory_xact_lock(:space, hashtext(:schema))"), _lock_of(site))
        if schema_of(raw, site) == target or is_current(schema_of(raw, site)):
            return
        psycopg.RawCursor(raw).execute(f"select {LOCK}".encode(), (site.schema,))  # an older library may be writing
        bind.execute(text(f"create schema if not exists {site.quoted}"))
        bind.execute(text("select set_config('search_path', :path, true)"), {"path": site.quoted})
        run_migrations(bind, target)
        if not bind.execute(text("select 1 from store_info")).fetchall():
            name, now = identity(micros(site.settings.clock()))
            bind.execute(text("insert into store_info (id, created_at) values (:id, :at)"), {"id": name, "at": now})


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Have the driver's errors be those of the driver, not SQLAlchemy's around them."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise (error.orig or error) from error


def _lock_of(site: Site) -> dict[str, Any]:
    return {"space": _MIGRATING, "schema": site.schema}


def create_at(site: Site, revision: str) -> None:
    """Make a store of an older schema, as an older library would have; for tests of upgrading."""
    with psycopg.connect(site.address, autocommit=True) as raw:
        _upgrade(raw, site, revision)
