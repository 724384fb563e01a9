"""stats: how much a store holds."""

from __future__ import annotations

import typer

from statedb.cli.arguments import Json
from statedb.cli.forms import form
from statedb.cli.stores import opened, place_of
from statedb.cli.terminal import output, tables
from statedb.models import StateType


def stats(context: typer.Context, as_json: Json = False) -> None:
    """Print how much the store holds.

    Its newest revision, the times of its oldest and newest commits, agents, sessions, the locks that stand, streams and
    their events, consumers of the feed, the bytes of the store and of all values of all versions, and for each tier how
    many keys have a value and how many versions there are.
    """
    with opened(context) as store:
        found = store.health.stats()
        live = {
            "locks": len(store.locks.list()),
            "streams": len(store.streams.list()),
            "events": store.streams.position(),
            "consumers": len(store.feed.consumers()),
        }
    if as_json:
        return output.json(form(found) | live)
    output.facts(
        [
            ("store", place_of(context).shown),
            ("revision", found.revision),
            ("oldest commit", found.oldest),
            ("newest commit", found.newest),
            ("agents", f"{found.agents:,}"),
            ("sessions", f"{found.sessions:,}"),
            *((name, f"{count:,}") for name, count in live.items()),
            ("size", f"{found.size:,} bytes"),
            ("values", f"{found.value_bytes:,} bytes in all versions together"),
        ]
    )
    output.line("")
    rows = [(tier.value, f"{found.keys[tier]:,}", f"{found.versions[tier]:,}") for tier in StateType]
    total = ("all", f"{sum(found.keys.values()):,}", f"{sum(found.versions.values()):,}")
    tables.table(("type", "keys", "versions"), [*rows, total])
