"""Where the stores of a test live, on either database, and plain SQL on what they hold."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres import Database, connect, databases

SORTS = ("file", "memory", "postgres")
"""The sorts of place a store lives in: a file or the memory of SQLite, or PostgreSQL."""

APART = "apart"
"""In place of a name: a store apart from every other of the test; in memory on SQLite, where that is quickest."""

only_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Of tests about files, or about what SQLite alone promises."""

only_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)


class Places:
    """Names of stores that do not exist yet or hold nothing, all of one sort. They are free again once it is closed."""

    def __init__(self, sort: str, folder: Path) -> None:
        assert sort in SORTS
        self._sort, self._folder = sort, folder
        self._taken: list[Database] = []
        self._count = 0

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        assert self._sort != "postgres" or self._count, "a test on PostgreSQL that never asked for a database"
        while self._taken:
            databases().give(self._taken.pop())

    def another(self, *, bare: bool = False) -> str:
        """Return where to open a store. On PostgreSQL there is one already, without a commit, unless told `bare`."""
        self._count += 1
        if self._sort == "memory":
            return ":memory:"
        if self._sort == "postgres":
            self._taken.append(databases().take(bare=bare))
            return self._taken[-1].where
        return str(self._folder / f"store{self._count if self._count > 1 else ''}.db")

    def apart(self) -> str:
        return self.another() if self._sort == "postgres" else ":memory:"

    def examples(self, count: int) -> int:
        return examples(count, self._sort)

    @contextmanager
    def briefly(self) -> Iterator[str]:
        """Give a store apart for a while: to one of many examples, say."""
        if self._sort == "postgres":
            self._count += 1
            with Places(self._sort, self._folder) as brief:
                yield brief.another()
        else:
            yield ":memory:"


def examples(count: int, sort: str) -> int:
    """Return how many examples to try where SQLite has so many: each takes PostgreSQL many journeys."""
    return count // 5 if sort.endswith("postgres") else count


def is_url(where: str) -> bool:
    return where.startswith("postgresql")


def raw(where: str, text: str, parameters: Sequence[Any] = (), *, by: Any = None) -> list[tuple[Any, ...]]:
    """Run a statement on a store's tables behind its back, and return its rows. `by` is the store, if it is open."""
    if is_url(where):
        with closing(_unbound(where)) as link:
            cursor = link.execute(_for_postgres(text).encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []
    with _file(where, by) as file:
        return file.execute(text, parameters).fetchall()


def tamper(where: str, *scripts: str, by: Any = None) -> int:
    """Run scripts on a store's tables behind its back, and return how many rows they changed. `by` as above."""
    if is_url(where):
        with closing(_unbound(where)) as link:
            return sum(_changed(link, script) for script in scripts)
    with _file(where, by) as file:
        before = file.total_changes
        for script in scripts:
            file.executescript(script)
        return file.total_changes - before


@contextmanager
def _file(where: str, store: Any) -> Iterator[sqlite3.Connection]:
    """Give a connection to a file: the store's own if it is open, since closing another would drop SQLite's locks."""
    if store is None:
        with closing(sqlite3.connect(where)) as file:
            yield file
    else:
        engine = getattr(store, "_target", store)._engine
        yield engine._pool.writer.raw if hasattr(engine, "_pool") else engine._writer._opened[0].raw


def _changed(link: psycopg.Connection[Any], script: str) -> int:
    cursor, changed = link.execute(_for_postgres(script).encode()), 0
    while True:
        changed += 0 if (cursor.statusmessage or "").startswith("SELECT") else cursor.rowcount
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
    return re.sub(r"(?<![\w'])x'(\w*)'", r"'\\x\1'::bytea", text)


@contextmanager
def bare_place(sort: str, folder: Path) -> Iterator[str]:
    """Give a place in which no store was ever opened; whatever becomes of it, nobody finds it there later."""
    with Places(sort, folder) as places:
        where = places.another(bare=True)
        try:
            yield where
        finally:
            if is_url(where):
                with closing(connect(where)) as link:
                    found = link.execute("select quote_ident(nspname) from pg_namespace where nspname !~ '^(pg_|info)'")
                    for (schema,) in found.fetchall():
                        link.execute(f"drop schema {schema} cascade".encode())
                    link.execute("create schema public")
