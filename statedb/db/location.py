"""Where a store lives, as a user names it."""

from __future__ import annotations

import os

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from statedb.errors import NotAStore


def path_of(where: str | os.PathLike[str]) -> str:
    """Return the file of a path or an SQLAlchemy URL such as sqlite:///app.db; ":memory:" for a private store."""
    text = os.fspath(where)
    if "://" not in text:
        return text
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise NotAStore(f"{text!r:.200} is no path and no URL: {error}") from error
    if url.get_backend_name() != "sqlite":
        raise NotAStore(
            f"a store lives in an SQLite file; {url.drivername!r} is not served. Give a path or sqlite:///…"
        )
    return url.database or ":memory:"
