"""The store a command works on, as it was named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from statedb.cli.exits import Refused, Usage

if TYPE_CHECKING:
    from statedb.store import Store

ENVIRONMENT = "STATEDB_URL"


@dataclass(frozen=True, slots=True)
class Named:
    """What the options before the command say: where the store is, who writes, whether long output is paged."""

    url: str | None
    actor: str | None
    pages: bool = True


def opened(context: typer.Context, *, create: bool = False) -> Store:
    """Return the store that was named. Only a command that makes stores (`create`) makes one."""
    from statedb.store import Store

    path, named = file_of(context), _named(context)
    if not (create or path == ":memory:" or holds_something(path)):
        raise Refused(f"there is no store at {path}; 'statedb -f {path} init' would make one")
    with valid_settings():
        return Store(path) if named.actor is None else Store(path, actor=named.actor)


def file_of(context: typer.Context) -> str:
    """Return the file of the store that was named."""
    from statedb.db.location import place_of

    named = _named(context)
    if not named.url:
        raise Usage(f"no store is named: give -f FILE before the command, or set {ENVIRONMENT}")
    return place_of(named.url).name


def files_of(path: str) -> set[str]:
    """Return the files a store is kept in."""
    return {os.path.realpath(path) + end for end in ("", "-wal", "-shm")}


@contextmanager
def valid_settings() -> Iterator[None]:
    """Say which variable of the environment holds no such setting."""
    from statedb import InvalidValue

    try:
        yield
    except InvalidValue as error:
        raise Usage(str(error)) from None


def holds_something(path: str) -> bool:
    """Tell whether there is a file with anything in it; it is not opened, which could drop a connection's locks."""
    try:
        return os.stat(path).st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False


def _named(context: typer.Context) -> Named:
    named: Named = context.obj
    return named
