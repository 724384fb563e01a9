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
from functools import lru_cache
from secrets import token_hex
from sys import getsizeof
from typing import Any, NamedTuple

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler

from statedb.config import Settings
from statedb.db import sqlite
from statedb.db.functions import ALLOWED, GATHERING, OVERRIDDEN
from statedb.db.sqltext import MAX_BYTES, Query
from statedb.db.statements import Row as Stored_Row
from statedb.db.statements import Statement
from statedb.db.tx import Tx
from statedb.db.views import VIEWS, View
from statedb.errors import Compacted, Erased, QueryRefused
from statedb.models import Address, Row, Rows, row_type
from statedb.values import codec
from statedb.values.arguments import LARGEST
from statedb.values.codec import Stored

Parameters = Sequence[Any] | Mapping[str, Any]

MAX_RESULT = 256 * 1024 * 1024
"""The most bytes of a result, as Python counts them."""
MAX_GATHERING = 16
"""The most group_concat and the like in one query, each of which may hold as much as the longest text."""

# How many steps of SQLite's machine between two looks at the clock. One step may handle a text of megabytes, so a
# thousand of them could take seconds; a look at every hundredth costs 4 % of a query that only counts.
_STEPS = 100

_LONGEST = 32 * 1024 * 1024
_ROOM = 64 * 1024
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MAX_BYTES + 100,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 250,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 32_766,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_READABLE = frozenset({"json_each", "json_tree"})
_SEES = "a query sees the views states, history and commits, json_each and json_tree"
_NAMED = SQLiteDialect_pysqlite(paramstyle="named")
_FILE = "statedb_file"


class Scene(NamedTuple):
    """What a query sees: the log up to a revision, at an instant, in a file or in rows that were read of it."""

    path: str | None
    rows: Mapping[str, list[Stored_Row]]
    past: bool
    revision: int
    instant: int


class Work:
    """A query that needs no transaction any more: calling it runs it, on any thread."""

    def __init__(self, query: Query, parameters: Parameters, scene: Scene, settings: Settings, partial: bool) -> None:
        self._asked = query, parameters
        self._scene, self._settings, self._partial = scene, settings, partial
        self._stopped = False

    def __call__(self) -> Rows:
        with closing(Sandbox(self._scene, self._settings, self._partial, lambda: self._stopped)) as sandbox:
            return sandbox.run(*self._asked)

    def stop(self) -> None:
        """Break the query off, since nobody waits for it; any thread may say so."""
        self._stopped = True


def prepare(tx: Tx, query: Query, parameters: Parameters, *, partial: bool) -> Work:
    """Return a query of what a transaction shows, ready to be run without it.

    Where no second connection can be made, the views it names are read here, whole.
    """
    point = tx.point
    revision, instant = point or (LARGEST, tx.wall())
    scene = Scene(tx.db.path, {}, point is not None, revision, instant)
    if scene.path is None:
        with closing(Sandbox(scene, tx.settings, partial, lambda: False)) as empty:
            named = empty.views_of(query, parameters)
        given = {"revision": revision, "instant": instant}
        scene = scene._replace(rows={name: tx.db.all(_reading(VIEWS[name], scene), given) for name in named})
    return Work(query, parameters, scene, tx.settings, partial)


def _reading(view: View, scene: Scene) -> Statement:
    return view.then if scene.past else view.now


class Sandbox:
    """A database for one query."""

    def __init__(self, scene: Scene, settings: Settings, partial: bool, stopped: Callable[[], bool]) -> None:
        self._scene, self._settings, self._partial, self._stopped = scene, settings, partial, stopped
        self._deadline = time.monotonic() + settings.query_timeout
        self._error: BaseException | None = None
        self._refusal = ""
        self._late = False
        self._gathering = 0
        self._clauses: frozenset[str] = frozenset()
        self._named: set[str] = set()
        self._missing: dict[Address, None] = {}
        self._schema = f"s_{token_hex(8)}"
        self._stored = {f"r_{token_hex(8)}": name for name in VIEWS}
        self._shown = {f"v_{token_hex(8)}": name for name in VIEWS}
        self._known: frozenset[str] = frozenset()
        patience = min(settings.busy_timeout, settings.query_timeout)
        self._raw = sqlite3.connect(
            "file::memory:", uri=True, isolation_level=None, cached_statements=0, timeout=patience
        )
        try:
            self._furnish()
            self._lock()
        except BaseException as error:
            self._raw.close()
            raise self._meant(error) from error

    def close(self) -> None:
        self._raw.close()

    # ---- asking

    def run(self, query: Query, parameters: Parameters) -> Rows:
        """Return what a query finds. Raises QueryRefused, Compacted and Erased."""
        with self._asking(query), closing(self._raw.execute(query.sql, parameters)) as cursor:
            columns = tuple(column[0] for column in cursor.description)
            return Rows(self._bounded(cursor, row_type(columns)), columns, self._missing)

    def views_of(self, query: Query, parameters: Parameters) -> set[str]:
        """Return the views a query names, by having it compiled and not run."""
        with self._asking(query), closing(self._raw.execute(f"explain {query.sql}", parameters)):
            return self._named

    @contextmanager
    def _asking(self, query: Query) -> Iterator[None]:
        self._clauses = query.clauses
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            raise self._meant(error) from error

    def _bounded(self, cursor: sqlite3.Cursor, make: type[Row]) -> list[Row]:
        found: list[Row] = []
        most, size = self._settings.query_max_rows, 0
        for row in cursor:
            if len(found) == most:
                raise QueryRefused(
                    f"the query has more than {most:,} rows (Settings.query_max_rows); narrow it or give it a LIMIT"
                )
            size += sum(map(getsizeof, row))
            if size > MAX_RESULT:
                raise QueryRefused(f"the query's result has more than {MAX_RESULT:,} bytes; ask for less at a time")
            found.append(make(row))
        return found

    # ---- furnishing

    def _furnish(self) -> None:
        raw = self._raw
        raw.execute("pragma temp_store=file")  # a sort larger than memory should spill, not fill it
        raw.execute("select * from json_each('[]'), json_tree('[]')").fetchall()  # the first use makes their tables
        path = self._scene.path
        store = "file::memory:" if path is None else sqlite.uri_of(path, "ro")
        raw.execute("attach ? as ?", (store, self._schema))
        known = f"select lower(name) from pragma_module_list union select lower(name) from {self._schema}.sqlite_master"
        self._known = frozenset(name for (name,) in raw.execute(known).fetchall())
        for name, arguments, function in OVERRIDDEN:
            raw.create_function(name, arguments, self._keeping(function), deterministic=True)
        raw.create_function("statedb_value", 5, self._keeping(self._value), deterministic=True)
        raw.create_function("statedb_cut", 4, self._keeping(self._cut))
        for (stored, name), shown in zip(self._stored.items(), self._shown, strict=True):
            self._furnish_view(name, VIEWS[name], stored, shown)

    def _furnish_view(self, name: str, view: View, stored: str, shown: str) -> None:
        home = self._schema if self._scene.path is None else "temp"
        if self._scene.path is None:
            columns = ", ".join(f"{column} {kind.compile(_NAMED)}" for column, kind in view.columns)
            self._raw.execute(f"create table {home}.{stored} ({columns})")
            places = ", ".join("?" * len(view.columns))
            self._raw.executemany(f"insert into {home}.{stored} values ({places})", self._scene.rows.get(name, ()))
        else:
            self._raw.execute(f"create temp view {stored} as {self._body(view)}")
        columns = ", ".join(_VALUE if column == "value" else column for column in view.shown)
        kept = f"where {_KEPT.format(revision=self._scene.revision)}" if name == "states" else ""
        self._raw.execute(f"create temp view {shown} as select {columns} from {home}.{stored} {kept}")
        self._raw.execute(f"create temp view {name} as select * from temp.{shown}")

    def _body(self, view: View) -> str:
        """Return what reads a view from the file, with whole numbers in the place of its parameters."""
        text, constants = _template(_reading(view, self._scene))
        given = {**constants, "revision": self._scene.revision, "instant": self._scene.instant}
        text = text.replace(f"{_FILE}.", f"{self._schema}.")
        return re.sub(r":(\w+)", lambda match: str(int(given[match[1]])), text)

    def _lock(self) -> None:
        self._raw.execute("pragma query_only=on")
        longest = max(self._settings.max_value_bytes, _LONGEST) + _ROOM
        for limit, most in {**_LIMITS, sqlite3.SQLITE_LIMIT_LENGTH: longest}.items():
            self._raw.setlimit(limit, most)
        self._raw.set_authorizer(self._keeping(self._authorize))
        self._raw.set_progress_handler(self._keeping(self._is_over), _STEPS)

    # ---- what SQLite asks while a query is compiled

    def _authorize(self, action: int, what: str | None, which: str | None, home: str | None, via: str | None) -> int:
        # Also a look at the clock: compiling is not interrupted by the progress handler.
        allowed = not self._is_over() and self._may(action, what or "", which or "", home, via or "")
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def _may(self, action: int, what: str, which: str, home: str | None, via: str) -> bool:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return True
        if action == sqlite3.SQLITE_READ:
            return self._may_read(what.lower(), which, home, via) or self._refuse(f"{_SEES}; {what} is none of them")
        if action == sqlite3.SQLITE_CREATE_VTABLE:  # which naming a virtual table for the first time comes to
            return self._refuse(f"{_SEES}; {what} is none of them")
        if action == sqlite3.SQLITE_FUNCTION:
            return self._may_call(which.lower(), via) or self._refuse(f"a query cannot call {which}")
        return self._refuse("a query can only read: SELECT, WITH or VALUES, nothing else")

    def _may_read(self, name: str, column: str, home: str | None, via: str) -> bool:
        if name in self._shown:
            self._named.add(self._shown[name])
            return True
        if name in self._stored or name in _READABLE:
            return True
        if name in VIEWS:
            return home in (None, "temp")
        if home == self._schema:  # of which no query knows the name
            return via in self._stored or column == ""
        # A WITH clause of which no column is read comes under the name the query has for it, with no database; a table
        # would come like that as well, so the clause must not be called like one.
        unowned = column == "" and home is None and name in self._clauses and name not in self._known
        return unowned and not name.startswith(("sqlite_", "pragma_"))

    def _may_call(self, name: str, via: str) -> bool:
        self._gathering += name in GATHERING
        if self._gathering > MAX_GATHERING:
            return self._refuse(f"a query takes {MAX_GATHERING} of {', '.join(sorted(GATHERING))} at most")
        return name in ALLOWED or (name.startswith("statedb_") and via in self._shown)

    def _refuse(self, why: str) -> bool:
        self._refusal = self._refusal or why
        return False

    # ---- what SQLite calls while a query runs

    def _is_over(self) -> bool:
        self._late = self._late or self._stopped() or time.monotonic() > self._deadline
        return self._late

    def _value(self, number: int, data: bytes | None, *address: str) -> str | None:
        """Return a value that is not stored as text: JSON as text, None for bytes."""
        if self._is_over():
            raise self._too_long()
        try:
            return _text(number, data)
        except Erased:
            if not self._partial:
                raise
            self._missing[Address(*address)] = None
            return None

    def _cut(self, agent_id: str, state_type: str, key: str, floor: int) -> int:
        """Refuse a key that retention has cut, or leave its row out."""
        if not self._partial:
            raise Compacted(
                f"revision {self._scene.revision} of {agent_id}/{state_type}/{key} lies below what retention kept; the "
                f"first that can be read is {floor}. With partial=True the query leaves such keys out and names them",
                floor=floor,
            )
        self._missing[Address(agent_id, state_type, key)] = None
        return 0

    def _keeping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose error is kept: SQLite only learns that there was one."""

        def call(*arguments: Any) -> Any:
            try:
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
        if self._refusal:
            return QueryRefused(self._refusal)
        if isinstance(error, MemoryError):
            return QueryRefused("the query needs more memory than there is")
        if not isinstance(error, sqlite3.Error | sqlite3.Warning):
            return error
        meant = sqlite.explain(error) if isinstance(error, sqlite3.Error) else None
        return meant or QueryRefused(f"SQLite refuses the query: {self._unveiled(str(error)).rstrip('.')}; {_SEES}")

    def _too_long(self) -> QueryRefused:
        return QueryRefused(
            f"the query took longer than {self._settings.query_timeout:g} s (Settings.query_timeout) and was broken off"
        )

    def _unveiled(self, message: str) -> str:
        """Return a message of SQLite's with the random names made plain."""
        for random, plain in {**self._stored, **self._shown, self._schema: "store"}.items():
            message = message.replace(random, plain)
        return message


# Cheap where most values are: text is not touched, and what is not text is decoded when its column is asked for.
_VALUE = (
    f"cast(case when codec = {codec.JSON_TEXT} then value when codec is not null "
    "then statedb_value(codec, data, agent_id, state_type, state_key) end as text) as value"
)
# A query of its own, so that SQLite asks it last: conditions on the key's name keep it from being asked at all.
_KEPT = "floor <= {revision} or (select statedb_cut(agent_id, state_type, state_key, floor))"


@lru_cache(maxsize=4)
def _text(number: int, data: bytes | None) -> str | None:
    """Return the JSON text of a stored value, None for bytes. Kept, since each use of `value` in a row asks again."""
    stored = Stored(number, None, data)
    plain = codec.plain(stored)
    return plain.decode() if codec.is_json(stored) else None


@lru_cache(maxsize=16)
def _template(statement: Statement) -> tuple[str, dict[str, int]]:
    """Return a statement's text over a file yet to be named, with :name for its parameters, and its constants."""
    compiled = statement.clause.compile(
        dialect=_NAMED, schema_translate_map={None: _FILE}, render_schema_translate=True
    )
    assert isinstance(compiled, SQLCompiler)
    return compiled.string, {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
