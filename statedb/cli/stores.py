"""The store a command works on, as it was named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from statedb.cli.exits import Refused, Usage

if TYPE_CHECKING:
    from statedb.db.location import Place
    from statedb.store import Store

ENVIRONMENT = "STATEDB_URL"


@dataclass(frozen=True, slots=True)
class Named:
    """What the options before the command say: where the store is, who writes, whether long output is paged, and on
    which branch the command works."""

    url: str | None
    actor: str | None
    pages: bool = True
    branch: str | None = None


@contextmanager
def opened(context: typer.Context, *, create: bool = False) -> Iterator[Store]:
    """Open the store that was named, on the branch that was. Only a command that makes stores (`create`) makes one."""
    with _store(context, create=create) as store:
        branch = _named(context).branch
        yield store if branch is None else store.branch(branch)


def url_of(context: typer.Context) -> str:
    """Return how the store was named."""
    return _named(context).url or ""


def trunk_only(context: typer.Context, command: str) -> None:
    """Refuse a branch where a command is about the whole store."""
    if _named(context).branch is not None:
        raise Usage(f"{command} is about the whole store; leave -b out")


def _store(context: typer.Context, *, create: bool) -> Store:
    from statedb.store import Store

    place, named = place_of(context), _named(context)
    url = named.url or ""
    if not (create or place.name == ":memory:" or exists(place)):
        raise Refused(f"there is no store at {place.shown}; 'statedb -f {place.shown} init' would make one")
    with valid_settings():
        return Store(url) if named.actor is None else Store(url, actor=named.actor)


def place_of(context: typer.Context) -> Place:
    """Return where the store is that was named."""
    from statedb.db import location

    named = _named(context)
    if not named.url:
        raise Usage(f"no store is named: give -f FILE before the command, or set {ENVIRONMENT}")
    return location.place_of(named.url)


def exists(place: Place) -> bool:
    """Tell whether anything is there that may be a store."""
    from statedb.config import Settings
    from statedb.db import peek

    with valid_settings():
        return peek.exists(place, Settings.load({}))


@contextmanager
def valid_settings() -> Iterator[None]:
    """Say which variable of the environment holds no such setting."""
    from statedb import InvalidValue

    try:
        yield
    except InvalidValue as error:
        raise Usage(str(error)) from None


def _named(context: typer.Context) -> Named:
    named: Named = context.obj
    return named
