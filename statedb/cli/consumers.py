"""consumer list, delete: who reads the feed under a name, and how far each has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import Json
from statedb.cli.exits import Refused
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables

if TYPE_CHECKING:
    from statedb.values.changefilter import ConsumerState

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="What it is called.", show_default=False, autocompletion=completion.consumers),
]

_SAID = ("name", "revision", "lag", "created_at", "acknowledged_at")


def list_(context: typer.Context, as_json: Json = False) -> None:
    """Print those who read the feed under a name, in the order of names.

    Each line is a consumer: up to which revision it has acknowledged, how many revisions the store is ahead of that,
    when it last did so, and what it asks for.
    """
    with opened(context) as store:
        found = store.feed.consumers()
    if as_json:
        output.json([{**{name: getattr(each, name) for name in _SAID}, "filter": _filter(each)} for each in found])
    else:
        tables.table(("name", "revision", "lag", "at", "filter"), map(_row, found))


def delete(context: typer.Context, name: Name) -> None:
    """Forget who reads the feed under a name, and keep the past for it no more.

    Where it comes again, it begins anew.
    """
    with opened(context) as store:
        if all(each.name != name for each in store.feed.consumers()) or not store.feed.consumer(name).delete():
            raise Refused(f"there is no consumer {name}")


# ---- inside


def _filter(found: ConsumerState) -> dict[str, Any]:
    """Return what a consumer asks for, without what it leaves open."""
    nothing = type(found.filter)().as_json()
    return {name: each for name, each in found.filter.as_json().items() if each != nothing[name]}


def _row(found: ConsumerState) -> tuple[object, ...]:
    wanted = _filter(found)
    when = output.when(found.acknowledged_at)
    return (found.name, found.revision, found.lag, when, output.brief(wanted) if wanted else None)
