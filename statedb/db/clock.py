"""The server's clock, where there is a server: every machine that reads or writes a store goes by the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement


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
