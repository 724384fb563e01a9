"""Where the stores of a test live, on either database, and plain SQL on what they hold."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres import Database, connect, databases

DATABASES = ("sqlite", "postgres")

APART = "apart"
"""In place of a name: a store apart from every other of the test; in memory on SQLite, where that is quickest."""

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Of tests about files, or about what SQLite alone promises."""

only_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)


class Places:
    """Names of stores that do not exist yet or have nothing in them, on one database. Free again once it is closed."""

    def __init__(self, database: str, folder: Path) -> None:
        assert database in DATABASES
        self.database, self._folder = database, folder
        self._taken: list[Database] = []
        self._count = 0

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._taken):
            databases().give(each)
        assert self.database == "sqlite" or self._taken, "a test on PostgreSQL that never asked for a database"

    def another(self, *, bare: bool = False) -> str:
        """Return where to open a store. On PostgreSQL it is there already and has no commit, unless it is to be bare."""
        if self.database == "postgres":
            self._taken.append(databases().take(bare=bare))
            return self._taken[-1].where
        self._count += 1
        return str(self._folder / f"store{self._count if self._count > 1 else ''}.db")

    def apart(self) -> str:
        return ":memory:" if self.database == "sqlite" else self.another()


def is_url(where: str) -> bool:
    return where.startswith("postgresql")


def raw(where: str, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement on a store's tables behind its back, and return its rows."""
    if is_url(where):
        with closing(_unbound(where)) as link:
            cursor = link.execute(_for_postgres(text), parameters or None)
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(where)) as raw, raw:
        return raw.execute(text, parameters).fetchall()


def tamper(where: str, *scripts: str) -> int:
    """Run statements on a store's tables behind its back, and return how many rows they changed."""
    if is_url(where):
        with closing(_unbound(where)) as link:
            return sum(_changed(link, script) for script in scripts)
    with closing(sqlite3.connect(where)) as file:
        for script in scripts:
            file.executescript(script)
        return file.total_changes


def _changed(link: psycopg.Connection[Any], script: str) -> int:
    cursor, changed = link.execute(_for_postgres(script)), 0
    while True:
        changed += cursor.rowcount if cursor.statusmessage != "SELECT" else 0
        if not cursor.nextset():
            return changed


def _unbound(where: str) -> psycopg.Connection[Any]:
    """Return a connection that no foreign key stops, as those to a file are by default."""
    link = connect(where)
    link.execute("set session_replication_role = replica")
    return link


def _for_postgres(text: str) -> str:
    """Return a statement in PostgreSQL's dialect, as far as the tests need."""
    text = text.replace("randomblob(16)", "decode(md5(random()::text), 'hex')").replace("?", "%s")
    return re.sub(r"x'(\w*)'", r"'\\x\1'::bytea", text)
