"""What a commit learns only as it lands: its place in the log, its time, its link to the commit before.

A transaction on SQLite holds the only turn to write, so it knows these beforehand. On PostgreSQL others commit while it
runs: it numbers its commits as if they did not, and the server, which decides the order in the very statements that
write the rows, moves them on by `shift`, by as many commits as came in between. So both databases run the same
statements over the same rows, and no client's journey to the server lies between taking the turn and giving it on.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, LargeBinary, bindparam, case, cast, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement

from statedb.db.tables import state_commits

SHIFT = "statedb.shift"
"""The server's setting that holds, for one transaction, by how much its revisions move."""


class Landing(ColumnElement[Any]):
    """A value that is given where the turn to write is held, and found out by the server where it is not."""

    inherit_cache = False

    def __init__(self, given: ColumnElement[Any], found: ColumnElement[Any]) -> None:
        self.given, self.found = given, found
        self.type = given.type


@compiles(Landing)
def _given(element: Landing, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.given, **options)


@compiles(Landing, "postgresql")
def _found(element: Landing, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.found, **options)


class ServerClock(ColumnElement[int]):
    """The server's clock, in microseconds: 0 where there is none, or where a clock of the caller's own counts."""

    inherit_cache = False
    type = BigInteger()


@compiles(ServerClock)
def _no_clock(element: ServerClock, compiler: SQLCompiler, **options: Any) -> str:
    return "0"


@compiles(ServerClock, "postgresql")
def _server_clock(element: ServerClock, compiler: SQLCompiler, **options: Any) -> str:
    if not getattr(compiler.dialect, "server_clock", False):
        return "CAST(0 AS BIGINT)"
    return "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS BIGINT)"


class Later(ColumnElement[int]):
    """The later of the newest commit's time and the server's clock; NULL where there is neither."""

    inherit_cache = False
    type = BigInteger()

    def __init__(self, newest: ColumnElement[int]) -> None:
        self.newest = newest


@compiles(Later)
def _newest(element: Later, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.newest, **options)


@compiles(Later, "postgresql")
def _later(element: Later, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.greatest(element.newest, ServerClock()), **options)


# ---- the columns whose values land


def _whole(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


_shift = cast(literal_column(f"current_setting('{SHIFT}')"), BigInteger)
_revision = _whole("revision") + _shift


def _of(column: Any, revision: ColumnElement[int]) -> Any:
    commit = state_commits.alias()
    return select(commit.c[column.name]).where(commit.c.revision == revision).scalar_subquery()


_c = state_commits.c
_before_at, _before_hash = (_of(column, _revision - literal_column("1")) for column in (_c.at, _c.hash))
_at = func.greatest(_whole("at"), _before_at)
_made_earlier = case((_before_at > _whole("at"), _whole("at")))
_hash = func.substr(
    func.sha256(
        func.coalesce(_before_hash, literal_column("''::bytea"))
        .op("||")(func.int8send(_at))
        .op("||")(bindparam("content", type_=LargeBinary))
    ),
    literal_column("1"),
    literal_column("16"),
)
_is_new = _whole("created_revision") == _whole("revision")
_made_at = _of(_c.at, _revision)


def _landing(name: str, found: Any, type_: Any = BigInteger) -> Landing:
    return Landing(bindparam(name, type_=type_), found)


OF_COMMITS = {
    "revision": _landing("revision", _revision),
    "at": _landing("at", _at),
    "origin_at": _landing("origin_at", func.coalesce(_whole("origin_at"), _made_earlier)),
    "hash": _landing("hash", _hash, LargeBinary),
}
"""The columns of a commit that land: what comes before it in the log says where, when and with what hash."""

OF_ROWS = {
    "revision": OF_COMMITS["revision"],
    "created_revision": _landing("created_revision", case((_is_new, _revision), else_=_whole("created_revision"))),
    "updated_at": _landing("updated_at", _made_at),
    "created_at": _landing("created_at", case((_is_new, _made_at), else_=_whole("created_at"))),
}
"""The columns of other rows that follow their commit's, which is written before them."""
