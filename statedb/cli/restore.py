"""restore: a commit that brings things back to a point, shown before it is made."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, DryRun, Json, Message, Partial, Yes
from statedb.cli.plans import Mode, bring_back
from statedb.cli.points import point
from statedb.cli.stores import opened
from statedb.models import StateType

Point = Annotated[
    str,
    typer.Argument(
        metavar="POINT", help=f"To when: {POINT}.", show_default=False, autocompletion=completion.checkpoints
    ),
]
Whose = Annotated[
    str | None, typer.Option("--agent", metavar="AGENT", help="Only this agent.", autocompletion=completion.agents)
]
Tier = Annotated[
    StateType | None, typer.Option("--type", help="Only this tier; sessions go back where they are named here.")
]
Keys = Annotated[
    list[str] | None, typer.Option("--key", metavar="PATTERN", help="Only this key, or glob; may be given again.")
]


def restore(
    context: typer.Context,
    moment: Point,
    agent: Whose = None,
    state_type: Tier = None,
    keys: Keys = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    partial: Partial = False,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Bring the store, an agent, a tier or some keys back to a point, in a new commit, and print what that changes.

    What would change is shown first, and on a terminal it is asked whether to go on; where there is none, --yes says
    so. What was made since is deleted, what was deleted comes back; nothing is lost, and a restore can be undone.
    """
    asked = point(moment)
    extent: dict[str, Any] = {"agent_id": agent, "state_type": state_type, "keys": keys, "partial": partial}
    mode = Mode(yes=yes, dry_run=dry_run, as_json=as_json)
    with opened(context) as store:
        bring_back(store, lambda shell, **how: shell.restore(asked, **extent, **how), mode, message)
