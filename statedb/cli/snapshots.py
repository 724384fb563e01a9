"""checkpoint export, load: all that an agent or the store had at a checkpoint, as one JSON object, and back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import DryRun, Message, Yes
from statedb.cli.arguments import Json as AsJson
from statedb.cli.exits import Usage
from statedb.cli.plans import Mode, bring_back
from statedb.cli.states import given_json
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.models import StateType

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Which checkpoint.", show_default=False, autocompletion=completion.checkpoints),
]
Whose = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Only what this agent had.", autocompletion=completion.agents),
]
To = Annotated[
    str | None,
    typer.Option(
        "--agent",
        metavar="AGENT",
        help="Bring back this agent, be the snapshot another's; of the whole store's, only this one.",
        autocompletion=completion.agents,
    ),
]
File = Annotated[
    str, typer.Argument(metavar="FILE", help="What export printed; - for standard input.", show_default=False)
]
Tier = Annotated[
    StateType | None,
    typer.Option("--type", help="Only this tier; sessions are brought back where they are named here."),
]
Keys = Annotated[
    list[str] | None, typer.Option("--key", metavar="PATTERN", help="Only this key, or glob; may be given again.")
]


def export(context: typer.Context, name: Name, agent: Whose = None) -> None:
    """Print all that there was at a checkpoint as one JSON object, which load takes.

    It has the form of a row of the research schema's checkpoints, with values, versions and metadata by tier and key.
    """
    with opened(context) as store:
        output.json(store.checkpoints.export(name, agent_id=agent))


def load(
    context: typer.Context,
    file: File,
    agent: To = None,
    state_type: Tier = None,
    keys: Keys = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    message: Message = None,
    as_json: AsJson = False,
) -> None:
    """Bring an agent or the store back to what a snapshot holds, here or in another store, as restore would.

    What would change is shown first, and on a terminal it is asked whether to go on; where there is none, --yes says
    so. What is not in the snapshot is deleted.
    """
    given = given_json(file)
    if not isinstance(given, dict):
        raise Usage(f"{file} holds no JSON object, such as export prints")
    extent: dict[str, Any] = {"agent_id": agent, "state_type": state_type, "keys": keys}
    mode = Mode(yes=yes, dry_run=dry_run, as_json=as_json)
    with opened(context, create=True) as store:
        bring_back(store, lambda shell, **how: shell.checkpoints.load(given, **extent, **how), mode, message)
