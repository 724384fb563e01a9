"""Where a store lives, as a user names it."""

from __future__ import annotations

import os
from typing import NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from statedb.errors import NotAStore


class Place(NamedTuple):
    """A store's database: `name` is a file or ":memory:" for SQLite, what the driver connects by for PostgreSQL."""

    backend: str
    name: str


def place_of(where: str | os.PathLike[str]) -> Place:
    """Return what a path or an SQLAlchemy URL such as sqlite:///app.db or postgresql+psycopg://… names."""
    text = os.fspath(where)
    if "://" not in text:
        return Place("sqlite", text)
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise NotAStore(f"{text!r:.200} is no path and no URL: {error}") from error
    if url.get_backend_name() == "sqlite":
        return Place("sqlite", url.database or ":memory:")
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return Place("postgresql", url.set(drivername="postgresql").render_as_string(hide_password=False))
    raise NotAStore(
        f"a store lives in an SQLite file or on PostgreSQL; {url.drivername!r} is not served. "
        "Give a path, sqlite:///… or postgresql+psycopg://…"
    )
