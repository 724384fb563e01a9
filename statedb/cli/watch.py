"""watch: what is committed, as it happens."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Json, Limit, Timeout
from statedb.cli.exits import Usage
from statedb.cli.follow import follow
from statedb.cli.points import point, revision_at
from statedb.cli.signals import until_asked
from statedb.cli.stores import opened
from statedb.cli.terminal.marks import Line, brief_line, lock_line
from statedb.models import Change, StateType
from statedb.values.lock import LockChange


class Kind(StrEnum):
    """What may happen to a key, and to a lock."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EXPIRE = "expire"
    LOCK = "lock"
    UNLOCK = "unlock"
    LAPSE = "lapse"


_OF_LOCKS = [Kind.LOCK, Kind.UNLOCK, Kind.LAPSE]


Agent = Annotated[
    str | None,
    typer.Argument(
        metavar="AGENT", help="Only what changes this one.", show_default=False, autocompletion=completion.agents
    ),
]
Pattern = Annotated[
    str,
    typer.Argument(metavar="PATTERN", help="Only what changes keys of this glob.", autocompletion=completion.lockable),
]
Tier = Annotated[StateType | None, typer.Option("--type", help="Only what changes this tier.")]
Kinds = Annotated[list[Kind] | None, typer.Option("--kind", help="Only what does this; may be given again.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="POINT",
        help=f"First all that came after this point, 0 for the beginning; else from now on. A point is {POINT}.",
        autocompletion=completion.checkpoints,
    ),
]
Locks = Annotated[bool, typer.Option("--locks", help="What happens to locks; the same as those three kinds.")]


def watch(
    context: typer.Context,
    agent: Agent = None,
    pattern: Pattern = "*",
    state_type: Tier = None,
    kinds: Kinds = None,
    since: Since = None,
    locks: Locks = False,
    limit: Limit = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Print changes as they are committed, by whatever process, until interrupted.

    Each line is a change: its commit, when that was made and by whom, which key changed, and its values or the places
    inside it that changed: + created, ~ updated, - deleted or expired. None is left out, with --since none since then.
    What happens to locks is shown where it is asked for: + taken, - given back or ended by time.
    """
    wanted = {*(kinds or ()), *(_OF_LOCKS if locks else ())}
    if state_type is not None and not wanted.isdisjoint(_OF_LOCKS):
        raise Usage("a lock is on a key in all four tiers; leave --type out")
    asked = None if since is None else point(since)
    with until_asked(), opened(context) as store:
        after = None if asked is None else revision_at(store, asked, agent)
        with store.watch(
            agent, pattern=pattern, state_type=state_type, kinds=wanted or None, since=after, timeout=timeout
        ) as found:
            follow(found, _line, limit, as_json)


def _line(found: Change | LockChange) -> Line:
    return lock_line(found) if isinstance(found, LockChange) else brief_line(found)
