"""Where a user's SQL runs: over three views and nothing else, within limits.

    the store's file, attached read-only under a random name      (or tables filled with what the views were read to be)
      ──▶ a view with a random name: the rows of one point in the log, values as they are stored
      ──▶ a view with a random name: values as JSON text, keys that were cut refused
      ──▶ states, history, commits

SQLite's authorizer says which table is read from within which view, but the view's name it goes by is whatever the
query calls a WITH clause, if it likes. So a base table may be read only from within a view whose name the query cannot
know, and no message of SQLite's leaves here with such a name in it. The database around the views is a fresh one in
memory for each query (0.6 ms), so nothing a query does outlives it.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, lru_cache
from itertools import chain
from sys import getsizeof
from typing import Any, NamedTuple

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler

from statedb.config import Settings
from statedb.db.contents import Contents, Kept
from statedb.db.context import Point
from statedb.db.points import newest_point
from statedb.db.query.fetching import Reading, fetch
from statedb.db.query.functions import OVERRIDDEN
from statedb.db.query.guard import HIDDEN, SEES, Guard, Names
from statedb.db.query.lines import fetch_line
from statedb.db.query.needs import Need, needs
from statedb.db.query.sqltext import MAX_BYTES, Query
from statedb.db.sqlite import connection as sqlite
from statedb.db.sqlite.connection import Connection
from statedb.db.statements import Statement
from statedb.db.tx import Tx
from statedb.db.views import NAMES, VIEWS, View
from statedb.errors import Compacted, Erased, QueryRefused
from statedb.models import Address
from statedb.values import codec
from statedb.values.arguments import LARGEST
from statedb.values.row import Row, Rows, row_type

Parameters = Sequence[Any] | Mapping[str, Any]

MAX_RESULT = 256 * 1024 * 1024
"""The most bytes of a result, as Python counts them."""

# How many steps of SQLite's machine between two looks at the clock. One step may handle a text of megabytes, so a
# thousand of them could take seconds; looking at every hundredth costs a query that only counts 30 %.
_STEPS = 250

_BATCH = 1024 * 1024
_LONGEST = 16 * 1024 * 1024
_ROOM = 64 * 1024
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MAX_BYTES + 100,
    sqlite3.SQLITE_LIMIT_COLUMN: 64,  # the three views side by side have 34; a row is made whole before it is weighed
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 250,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 32_766,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_NAMED = SQLiteDialect_pysqlite(paramstyle="named")
_FILE = "statedb_file"


class Scene(NamedTuple):
    """What a query sees: the log up to a revision, at an instant, in a file or in rows that were read of it."""

    path: str | None
    rows: Mapping[str, list[tuple[Any, ...]]]
    past: bool
    revision: int
    instant: int


class Work:
    """A query that needs no transaction any more: calling it runs it, on any thread."""

    def __init__(self, query: Query, parameters: Parameters, scene: Scene, settings: Settings, partial: bool) -> None:
        self._asked = query, parameters
        self._scene, self._settings, self._partial = scene, settings, partial
        self._running: Sandbox | None = None
        self._stopped = False

    def __call__(self) -> Rows:
        with closing(Sandbox(self._scene, self._settings, self._partial)) as self._running:
            if self._stopped:
                self._running.stop()
            return self._running.run(*self._asked)

    def stop(self) -> None:
        """Break the query off, since nobody waits for it; any thread may say so."""
        self._stopped = True
        if self._running is not None:
            self._running.stop()


def prepare(tx: Tx, query: Query, parameters: Parameters, *, partial: bool) -> Work:
    """Return a query of what a transaction shows, ready to be run without it.

    Where no second connection can be made, what it needs of the views it names is fetched here. A key that was cut is
    not met where `needs` leaves it out: in an outer join, where SQLite reads a file's views whole, that refuses less.
    """
    point = tx.point
    revision, instant = point or (LARGEST, newest_point(tx).instant)
    branches = bool(tx.ancestors)
    scene = Scene(None if branches else tx.db.path, {}, branches or point is not None, revision, instant)
    if scene.path is None:
        with closing(Sandbox(scene, tx.settings, partial)) as empty:
            named = empty.views_of(query, parameters)
        wanted = needs(query, parameters)
        rows = {name: _rows(tx, scene, name, values, wanted.get(name, {})) for name, values in named.items()}
        scene = scene._replace(rows=rows)
    return Work(query, parameters, scene, tx.settings, partial)


def _rows(tx: Tx, scene: Scene, view: str, values: bool, need: Need | None) -> list[tuple[Any, ...]]:
    if tx.ancestors:
        return fetch_line(tx, view, values, need, Point(scene.revision, scene.instant))
    given = {"revision": scene.revision, "instant": scene.instant}
    reading = Reading(view, "then" if scene.past else "now", values)
    return fetch(tx.db, reading, need, given, tx.settings.query_max_fetch)


def _reading(view: View, scene: Scene) -> Statement:
    return view.then if scene.past else view.now


class Sandbox:
    """A database for one query."""

    def __init__(self, scene: Scene, settings: Settings, partial: bool) -> None:
        self._scene, self._settings, self._partial = scene, settings, partial
        self._deadline = time.monotonic() + settings.query_timeout
        self._error: BaseException | None = None
        self._late = False
        self._missing: dict[Address, None] = {}
        # A row asks for its value once for each use of the column. Kept here and no longer: values may be erased.
        self._text = lru_cache(maxsize=4)(self._read)
        self._beside: Connection | None = None
        self._names = Names()
        self._guard = Guard(self._names, frozenset())
        self._patience = min(settings.busy_timeout, settings.query_timeout)
        self._raw = sqlite3.connect(
            "file::memory:", uri=True, isolation_level=None, cached_statements=0, timeout=self._patience
        )
        try:
            self._furnish()
            self._lock()
        except BaseException as error:
            self._raw.close()
            raise self._meant(error) from error

    def stop(self) -> None:
        """Have what runs here end as if its time were over; any thread may say so."""
        self._late = True

    def close(self) -> None:
        self._raw.close()
        if self._beside is not None:
            self._beside.close()

    # ---- asking

    def run(self, query: Query, parameters: Parameters) -> Rows:
        """Return what a query finds. Raises QueryRefused, Compacted and Erased."""
        with self._asking(query), closing(self._raw.execute(query.sql, parameters)) as cursor:
            columns = tuple(column[0] for column in cursor.description)
            found = Rows(self._bounded(cursor, row_type(columns)), columns, self._missing)
        if self._is_over():  # a few long steps may have passed the clock unseen
            raise self._too_long()
        return found

    def views_of(self, query: Query, parameters: Parameters) -> dict[str, bool]:
        """Return the views a query names and whether it may look at their values, by having it compiled and not run."""
        with self._asking(query), closing(self._raw.execute(f"explain {query.sql}", parameters)):
            # Of columns that USING and NATURAL compare, the guard is told nothing.
            unseen = any(token.name == "value" or token.text == "natural" for token in query.tokens)
            return {view: unseen or view in self._guard.valued for view in self._guard.named}

    @contextmanager
    def _asking(self, query: Query) -> Iterator[None]:
        self._guard.clauses = query.clauses
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            raise self._meant(error) from error

    def _bounded(self, cursor: sqlite3.Cursor, make: type[Row]) -> list[Row]:
        """Fetch every row, in batches of a megabyte, going by the rows so far: a size for each costs as much again."""
        found: list[Row] = []
        most, size, batch = self._settings.query_max_rows, 0, 1
        while rows := cursor.fetchmany(batch):
            found.extend(map(make, rows))
            size += sum(map(getsizeof, chain.from_iterable(rows)))
            if len(found) > most:
                raise QueryRefused(
                    f"the query has more than {most:,} rows (Settings.query_max_rows); narrow it or give it a LIMIT"
                )
            if size > MAX_RESULT:
                raise QueryRefused(f"the query's result has more than {MAX_RESULT:,} bytes; ask for less at a time")
            batch = min(_BATCH * len(found) // (size or 1) or 1, most + 1)
        return found

    # ---- furnishing

    def _furnish(self) -> None:
        raw = self._raw
        raw.execute("pragma temp_store=file")  # a sort larger than memory should spill, not fill it
        raw.execute("select * from json_each('[]'), json_tree('[]')").fetchall()  # the first use makes their tables
        path = self._scene.path
        store = "file::memory:" if path is None else sqlite.uri_of(path, "ro")
        raw.execute("attach ? as ?", (store, self._names.store))
        tables = f"select lower(name) from {self._names.store}.sqlite_master"
        taken = f"select lower(name) from pragma_module_list union {tables}"
        self._guard = Guard(self._names, frozenset(name for (name,) in raw.execute(taken).fetchall()))
        for name, arguments, function in OVERRIDDEN:
            raw.create_function(name, arguments, self._keeping(function), deterministic=True)
        raw.create_function("statedb_value", 8, self._keeping(self._value), deterministic=True)
        raw.create_function("statedb_cut", 4, self._keeping(self._cut))
        for (stored, name), shown in zip(self._names.stored.items(), self._names.shown, strict=True):
            self._furnish_view(name, VIEWS[name], stored, shown)
        self._hide(tables)

    def _hide(self, tables: str) -> None:
        """Put a view that cannot be read before each table and view of the store.

        SQLite asks nobody about columns that are compared by USING and NATURAL, and of a FULL JOIN it even shows them.
        A name without a database before it means the first there is, and those in temp come first.
        """
        for (name,) in self._raw.execute(f"{tables} where type in ('table', 'view')").fetchall():
            if name not in VIEWS and not name.startswith("sqlite_"):
                quoted = name.replace('"', '""')  # somebody may have made tables of his own in the file
                self._raw.execute(f'create temp view "{quoted}" as select {HIDDEN}() as hidden')

    def _furnish_view(self, name: str, view: View, stored: str, shown: str) -> None:
        home = self._names.store if self._scene.path is None else "temp"
        if self._scene.path is None:
            columns = ", ".join(f"{column} {kind.compile(_NAMED)}" for column, kind in view.columns)
            self._raw.execute(f"create table {home}.{stored} ({columns})")
            places = ", ".join("?" * len(view.columns))
            self._raw.executemany(f"insert into {home}.{stored} values ({places})", self._scene.rows.get(name, ()))
        else:
            self._raw.execute(f"create temp view {stored} as {self._body(view)}")
        self._raw.execute(f"create temp view {shown} as {self._shown_of(view, f'{home}.{stored}')}")
        self._raw.execute(f"create temp view {name} as select * from temp.{shown}")

    def _body(self, view: View) -> str:
        """Return what reads a view from the file, with whole numbers in the place of its parameters."""
        text, constants = _template(_reading(view, self._scene))
        given = {**constants, "revision": self._scene.revision, "instant": self._scene.instant}
        text = text.replace(f"{_FILE}.", f"{self._names.store}.")
        return re.sub(r":(\w+)", lambda match: str(given[match[1]]), text)

    def _shown_of(self, view: View, stored: str) -> str:
        """Return what shows a view's rows: values as text, and of the past only what is still known.

        Whatever asks a key that was cut for more than its name meets `statedb_cut`, and so does its row. A condition on
        the row alone would not do: SQLite may try `where version = 2` first, and pass over a key that has none left.
        """
        cuttable = self._scene.past and any(name == "floor" for name, _ in view.columns)
        kept = f"floor <= {self._scene.revision}"
        columns = []
        for name, kind in view.columns[: len(view.shown)]:
            shown = _VALUE if name == "value" else name
            if cuttable and name not in NAMES:
                shown = f"case when {kept} then {shown} else {_CUT} end"
            columns.append(name if shown == name else f"cast({shown} as {kind.compile(_NAMED)}) as {name}")
        where = f"where {kept} or {_CUT}" if cuttable else ""
        return f"select {', '.join(columns)} from {stored} {where}"

    def _lock(self) -> None:
        self._raw.execute("pragma query_only=on")
        longest = max(self._settings.max_value_bytes, _LONGEST) + _ROOM
        for limit, most in {**_LIMITS, sqlite3.SQLITE_LIMIT_LENGTH: longest}.items():
            self._raw.setlimit(limit, most)
        self._raw.set_authorizer(self._authorize)
        self._raw.set_progress_handler(self._is_over, _STEPS)

    # ---- what SQLite asks while a query is compiled

    def _authorize(self, action: int, what: str | None, which: str | None, home: str | None, via: str | None) -> int:
        # Also a look at the clock: compiling is not interrupted by the progress handler.
        allowed = not self._is_over() and self._guard.may(action, what or "", which or "", home, via or "")
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    # ---- what SQLite calls while a query runs

    def _is_over(self) -> bool:
        try:
            if time.monotonic() > self._deadline:
                self._late = True
        except BaseException as error:  # the only Python that runs now: a KeyboardInterrupt comes up here
            self._error = error
            return True
        return self._late

    def _value(
        self, number: int, data: bytes | None, base: int | None, state: int, revision: int, *address: str
    ) -> str | None:
        """Return a value that is not stored as text: JSON as text, None for bytes."""
        try:
            return self._text(Kept(state, revision, base, address[-1], 0, b"", None, number, None, data))
        except Erased:
            if not self._partial:
                raise
            self._missing[Address(*address)] = None
            return None

    def _read(self, row: Kept) -> str | None:
        """Return the JSON text of a stored value, None for bytes."""
        plain = codec.plain(row.stored) if row.base is None else self._contents.plain(row)
        return plain.decode() if codec.is_json(row.stored) else None

    @cached_property
    def _contents(self) -> Contents:
        # A connection of its own, where the guard is not asked: what it reads are versions, which never change.
        assert self._scene.path is not None, "what was fetched is whole"
        self._beside = sqlite.connect(self._scene.path, self._settings, mode="ro", patience=self._patience)
        return Contents(self._beside)

    def _cut(self, agent_id: str, state_type: str, key: str, floor: int) -> None:
        """Refuse a key that retention has cut, or name it; its row is left out."""
        if not self._partial:
            raise Compacted(
                f"revision {self._scene.revision} of {agent_id}/{state_type}/{key} lies below what retention kept; the "
                f"first that can be read is {floor}. With partial=True the query leaves such keys out and names them",
                floor=floor,
            )
        self._missing[Address(agent_id, state_type, key)] = None

    def _keeping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose error is kept: SQLite only learns that there was one."""

        def call(*arguments: Any) -> Any:
            try:
                if self._is_over():
                    raise self._too_long()
                return function(*arguments)
            except BaseException as error:
                self._error = self._error or error
                raise

        return call

    # ---- errors

    def _meant(self, error: BaseException) -> BaseException:
        """Return what an error means to the caller."""
        if self._error is not None:
            return self._error
        if self._late:
            return self._too_long()
        if self._guard.refusal:
            return QueryRefused(self._guard.refusal)
        if isinstance(error, MemoryError):
            return QueryRefused("the query needs more memory than there is")
        if not isinstance(error, sqlite3.Error | sqlite3.Warning):
            return error
        meant = sqlite.explain(error) if isinstance(error, sqlite3.Error) else None
        return meant or QueryRefused(f"SQLite refuses the query: {self._names.unveil(str(error)).rstrip('.')}; {SEES}")

    def _too_long(self) -> QueryRefused:
        return QueryRefused(
            f"the query took longer than {self._settings.query_timeout:g} s (Settings.query_timeout) and was broken off"
        )


# Cheap where most values are: text is not touched, and what is not text is decoded when its column is asked for.
_VALUE = (
    f"case when codec = {codec.JSON_TEXT} then value when codec is not null "
    f"then statedb_value(codec, data, base, state, revision, {', '.join(NAMES)}) end"
)
# A query of its own, which SQLite tries last: where conditions on the name leave the key out, it is not asked.
_CUT = f"(select statedb_cut({', '.join(NAMES)}, floor))"


@lru_cache(maxsize=16)
def _template(statement: Statement) -> tuple[str, dict[str, int]]:
    """Return a statement's text over a file yet to be named, with :name for its parameters, and its constants."""
    compiled = statement.clause.compile(
        dialect=_NAMED, schema_translate_map={None: _FILE}, render_schema_translate=True
    )
    assert isinstance(compiled, SQLCompiler)
    return compiled.string, {
        name: int(bind.effective_value or 0) for name, bind in compiled.binds.items() if not bind.required
    }
