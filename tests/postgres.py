"""PostgreSQL for the tests: one server for a whole run, databases of its own for each worker, emptied between tests.

Where STATEDB_TEST_POSTGRES names a server, it is that one, whose user must be a superuser. Otherwise the first test in
need starts one (keeper.py). A server that cannot be had fails every test that needs it, with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from fcntl import LOCK_EX, flock
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL, make_url

from statedb.db.tables import metadata

RUN = "STATEDB_TEST_RUN"
"""Names the folder of this run to its workers."""

SCHEMA = "statedb"
START = 300
"""Seconds a server may take to start on a machine that is busy with something else."""


# ---- the server of a run


class Run:
    """The folder of a test run. The server in it, if one was started, ends with the run."""

    def __init__(self) -> None:
        # A socket's path has at most some hundred bytes, and the server's is 41 longer than the folder's.
        folder = "/tmp" if len(tempfile.gettempdir()) > 60 else None
        self.home = Path(tempfile.mkdtemp(prefix="statedb-tests-", dir=folder))
        self._alive = (self.home / "alive").open("w")
        flock(self._alive, LOCK_EX)
        os.environ[RUN] = str(self.home)

    def end(self) -> None:
        del os.environ[RUN]
        self._alive.close()
        if (kept := self.home / "kept").exists():
            with kept.open() as keeper:
                flock(keeper, LOCK_EX)
        shutil.rmtree(self.home, ignore_errors=True)


class NoServer(Exception):
    """There is no PostgreSQL to test with, and this is why."""


def server() -> str:
    """Return the URL of the server, started if need be. Raises NoServer."""
    if told := os.environ.get("STATEDB_TEST_POSTGRES"):
        return told
    home = Path(os.environ[RUN])
    url, log = home / "url", home / "log"
    with (home / "starting").open("w") as starting:
        flock(starting, LOCK_EX)
        if not log.exists():
            with log.open("w") as said:
                command = [sys.executable, str(Path(__file__).with_name("keeper.py")), str(home)]
                subprocess.run(command, stdout=said, stderr=said, start_new_session=True, timeout=START)
        if not url.exists():
            raise NoServer(f"the server for the tests did not start:\n{log.read_text()}")
    return url.read_text()


# ---- the databases of a worker


class Database:
    """A database that a test has to itself."""

    def __init__(self, url: URL) -> None:
        self.where = url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        self._raw = connect(url)
        self._emptying: str | None = None

    def empty(self) -> None:
        """Make it a store in which nothing was ever written. Deleting takes 3 ms here, truncating 25."""
        self._disconnect()
        if self._emptying is None:
            self._emptying = _emptying(self._raw)
        if self._emptying:
            self._raw.execute(self._emptying.encode())

    def drop(self) -> None:
        """Make it a database in which no store was ever opened."""
        self._disconnect()
        self._raw.execute(f"drop schema if exists {SCHEMA} cascade")
        self._emptying = None

    def close(self) -> None:
        self._raw.close()

    def _disconnect(self) -> None:
        """End the connections that a test left: those of its killed processes live on for a moment."""
        self._raw.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )


def _emptying(raw: psycopg.Connection[Any]) -> str | None:
    """Return the statements that empty a store's tables, None where there is no store yet."""
    found = raw.execute(
        "select relname, relkind::text from pg_class join pg_namespace n on n.oid = relnamespace "
        "where nspname = %s and relkind in ('r', 'S')",
        [SCHEMA],
    ).fetchall()
    kept = {"store_info", "alembic_version"}
    tables = {name for name, kind in found if kind == "r"} - kept
    known = [table.name for table in reversed(metadata.sorted_tables) if table.name in tables]
    deletions = [f"delete from {SCHEMA}.{name}" for name in [*sorted(tables - set(known)), *known]]
    restarts = [
        f"select setval('{SCHEMA}.{name}', 1, {name.startswith('branches')})" for name, kind in found if kind == "S"
    ]
    trunk = f"insert into {SCHEMA}.branches (id, name, base, created_revision) values (1, 'main', 0, 0)"
    return "; ".join([*deletions, *restarts, trunk]) if tables else None


class Databases:
    """What a worker has of a server: databases made when they are needed, and used again."""

    def __init__(self, url: str, worker: str) -> None:
        self._url, self._prefix = make_url(url), f"statedb_test_{worker}"
        self._server = connect(self._url)
        self._made: list[Database] = []
        self._names: list[str] = []
        self._free: list[Database] = []

    def take(self, *, bare: bool = False) -> Database:
        """Return a database with an empty store, or a bare one in which none was ever opened."""
        found = self._free.pop() if self._free else self._make()
        found.drop() if bare else found.empty()
        return found

    def give(self, database: Database) -> None:
        """Take back a database. One whose tables are no longer those of a store was to be dropped before."""
        self._free.append(database)

    def _make(self) -> Database:
        name = f"{self._prefix}_{len(self._made)}" if self._made else self._prefix
        self._drop(name)
        self._server.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        self._names.append(name)
        self._made.append(Database(self._url.set(database=name)))
        return self._made[-1]

    def _drop(self, name: str) -> None:
        self._server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Leave the server as it was."""
        for database in self._made:
            database.close()
        for name in self._names:
            self._drop(name)
        self._server.close()


@cache
def databases() -> Databases:
    """Return what this worker has of the server. Raises NoServer."""
    return Databases(server(), os.environ.get("PYTEST_XDIST_WORKER", "main"))


def close_databases() -> None:
    if databases.cache_info().currsize:
        databases().close()
        databases.cache_clear()


def connect(url: URL | str) -> psycopg.Connection[Any]:
    """Return a connection that commits each statement, with a store's tables in sight."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    address = make_conninfo(plain, options=f"-c search_path={SCHEMA},public", connect_timeout=60)
    return psycopg.connect(address, autocommit=True)
