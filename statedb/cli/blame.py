"""blame: who set each part of a value, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import typer

from statedb.cli.arguments import Agent, At, Json, Key, Partial, Tier
from statedb.cli.forms import form, plain
from statedb.cli.points import point
from statedb.cli.states import absent
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.marks import named
from statedb.models import MISSING, Version

Leaf = tuple[str, Any, Version | None]
"""A place, what it holds, and the version that set it: None where retention has cut that."""


def blame(
    context: typer.Context,
    agent: Agent,
    state_type: Tier,
    key: Key,
    at: At = None,
    partial: Partial = False,
    as_json: Json = False,
) -> None:
    """Print who set each part of a value, and when.

    Each line is a leaf of the value, a scalar or an empty list or object, with the version since which its place has
    held it without a break. An element that moved within a list was set anew.
    """
    with opened(context) as store:
        # Both of one moment: what stands now may not be what stood when it was asked who set it.
        past = store.at(timedelta(0) if at is None else point(at))
        value = past.states.get(agent, state_type, key, MISSING)
        if value is MISSING:
            raise absent(agent, state_type, key, at)
        found = past.history.blame(agent, state_type, key, partial=partial)
    leaves = list(_leaves(value, {**found, **dict.fromkeys(found.missing)}))
    if as_json:
        output.json([_form(*each) for each in leaves])
    else:
        tables.table(("revision", "version", "at", "by", "pointer", "value"), (_row(*each) for each in leaves))


def _leaves(value: Any, blamed: dict[str, Version | None]) -> Iterator[Leaf]:
    """Yield the leaves in the order in which they stand in the value."""
    from statedb.values import pointer

    pending: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while pending:
        path, each = pending.pop()
        if (place := pointer.render(path)) in blamed:
            yield place, each, blamed[place]
            continue
        parts = each.items() if isinstance(each, dict) else enumerate(each)
        pending += reversed([((*path, str(part)), below) for part, below in parts])


def _row(place: str, value: Any, version: Version | None) -> tuple[object, ...]:
    if version is None:
        return None, None, None, None, named(place), output.brief(value)
    return version.revision, version.version, output.when(version.at), version.by, named(place), output.brief(value)


def _form(place: str, value: Any, version: Version | None) -> dict[str, Any]:
    said = {"pointer": place, "value": plain(value)}
    return said | {"version": None if version is None else form(version)}
