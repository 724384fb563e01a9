"""What the shell offers when somebody presses Tab: names of what is in the store that the line names so far."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

import typer

_MOST = 200
"""Names offered at most; nobody reads more, and a shell takes its time to show them."""

_HARMLESS = re.compile(r"[\w.][\w./:@%+,-]*")
"""What a name may be made of to be offered. Names are anybody's, and the shells put what is offered into the line as it
stands, zsh by way of eval: a key `$(rm -rf .)` would be run. So what needs quotes is left to who types it."""


def agents(context: typer.Context, incomplete: str) -> list[str]:
    """Return the agents of the store."""
    return _offered(context, lambda peek, *there: peek.agents(*there, incomplete, _MOST))


def branches(context: typer.Context, incomplete: str) -> list[str]:
    """Return the branches there are."""
    return _offered(context, lambda peek, *there: peek.branches(*there, incomplete, _MOST))


def checkpoints(context: typer.Context, incomplete: str) -> list[str]:
    """Return the checkpoints there are, of whomever."""
    return _offered(context, lambda peek, *there: peek.checkpoints(*there, incomplete, _MOST))


def keys(context: typer.Context, incomplete: str) -> list[str]:
    """Return the keys of the agent and tier that the line has already."""
    given = context.params
    return _keys(context, given.get("agent"), given.get("state_type"), incomplete)


def lockable(context: typer.Context, incomplete: str) -> list[str]:
    """Return the keys of the agent that the line has already, of whatever tier."""
    agent = context.params.get("agent")
    if agent is None:
        return []
    return _offered(context, lambda peek, *there: peek.keys(*there, agent, None, incomplete, _MOST))


def streams(context: typer.Context, incomplete: str) -> list[str]:
    """Return the streams of events there are."""
    return _offered(context, lambda peek, *there: peek.streams(*there, incomplete, _MOST))


def consumers(context: typer.Context, incomplete: str) -> list[str]:
    """Return the consumers of the feed."""
    return _offered(context, lambda peek, *there: peek.consumers(*there, incomplete, _MOST))


def entry(context: typer.Context, incomplete: str) -> list[str]:
    """Return what may come next of AGENT TYPE KEY, where these are one list of arguments."""
    from statedb.models import StateType

    match list(context.params.get("what") or ()):
        case []:
            return agents(context, incomplete)
        case [_]:
            return [each.value for each in StateType]
        case [agent, tier]:
            return _keys(context, agent, tier, incomplete)
    return []


def _keys(context: typer.Context, agent: str | None, tier: str | None, incomplete: str) -> list[str]:
    if agent is None or tier is None:
        return []
    return _offered(context, lambda peek, *there: peek.keys(*there, agent, str(tier), incomplete, _MOST))


def _offered(context: typer.Context, names: Callable[..., Iterable[str]]) -> list[str]:
    """Return the names that can be offered; none where the store cannot be read, whatever the reason.

    An error would be written into the line that somebody is typing.
    """
    from statedb.cli.stores import ENVIRONMENT

    try:
        from statedb.config import Settings
        from statedb.db import peek
        from statedb.db.location import place_of

        url = context.find_root().params.get("file") or os.environ.get(ENVIRONMENT) or ":memory:"
        found = names(peek, place_of(os.path.expanduser(url)), Settings.load({}))
        return [name for name in found if _HARMLESS.fullmatch(name)]
    except Exception:
        return []
