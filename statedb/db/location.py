"""Where a store lives, as a user names it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from statedb.errors import NotAStore

_SECRET = ("password", "sslpassword")
"""What PostgreSQL's driver takes as passwords behind the question mark of a URL."""


class Place(NamedTuple):
    """A store's database: `name` is a file or ":memory:" for SQLite, what the driver connects by for PostgreSQL."""

    backend: str
    name: str

    @property
    def lasting(self) -> str:
        """The name that means the same wherever the process goes: connections are made as they are needed."""
        if self.backend != "sqlite" or self.name == ":memory:":
            return self.name
        return str(Path(self.name).absolute())

    @property
    def shown(self) -> str:
        """The place as messages name it: no password is in it."""
        if self.backend == "sqlite":
            return self.name
        url = make_url(self.name).set(drivername="postgresql+psycopg")
        hidden = dict.fromkeys((name for name in url.query if name in _SECRET), "***")
        return url.update_query_dict(hidden).render_as_string(hide_password=True)

    @property
    def files(self) -> frozenset[str]:
        """The files it is kept in, as far as this machine has them."""
        if self.backend != "sqlite":
            return frozenset()
        return frozenset(os.path.realpath(self.name) + end for end in ("", "-wal", "-shm"))


def place_of(where: str | os.PathLike[str]) -> Place:
    """Return what a path or an SQLAlchemy URL such as sqlite:///app.db or postgresql+psycopg://… names."""
    text = os.fspath(where)
    if "://" not in text:
        return Place("sqlite", text)
    url = _read(text)
    if url.get_backend_name() == "sqlite":
        return Place("sqlite", url.database or ":memory:")
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return Place("postgresql", url.set(drivername="postgresql").render_as_string(hide_password=False))
    raise NotAStore(
        f"a store lives in an SQLite file or on PostgreSQL; {url.drivername!r} is not served. "
        "Give a path, sqlite:///… or postgresql+psycopg://…"
    )


def _read(text: str) -> URL:
    """Return a URL taken apart. Raises NotAStore, in words that repeat neither user nor password."""
    safe = re.sub("://.*@", "://…@", text, flags=re.DOTALL)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        why = "its port is no number" if type(error) is ValueError else str(error)
        raise NotAStore(f"{safe!r:.200} is no path and no URL: {why}") from None
    if url.host and "@" in url.host:  # or the rest of the password would be taken for a host, and be shown as one
        raise NotAStore(f"{safe!r:.200} has more than one '@'; inside a user's name or password it is written %40")
    return url


@contextmanager
def postgres_installed() -> Iterator[None]:
    """Say what to install where an import of PostgreSQL's side finds no driver. Raises NotAStore."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("statedb"):
            raise
        raise NotAStore(f"PostgreSQL needs statedb[postgres]: pip install 'statedb[postgres]' ({error})") from error
