"""checkpoint create, list, show, diff, delete: names for points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Json, Limit, Message, Partial
from statedb.cli.exits import Refused
from statedb.cli.forms import form
from statedb.cli.points import point
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.marks import change_lines
from statedb.cli.terminal.missing import tell_missing
from statedb.models import Checkpoint, CheckpointType

New = Annotated[str, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="What it is called.", show_default=False, autocompletion=completion.checkpoints
    ),
]
Whose = Annotated[
    str | None,
    typer.Option(
        "--agent", metavar="AGENT", help="Of this agent; else of the whole store.", autocompletion=completion.agents
    ),
]
Kind = Annotated[CheckpointType, typer.Option("--type", help="What it is for.")]
Kinds = Annotated[CheckpointType | None, typer.Option("--type", help="Only those for this.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="POINT",
        help=f"Name this point; else now. A point is {POINT}.",
        autocompletion=completion.checkpoints,
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="POINT", help="Up to this point; else now.", autocompletion=completion.checkpoints),
]


def create(
    context: typer.Context,
    name: New,
    agent: Whose = None,
    at: At = None,
    type: Kind = CheckpointType.MANUAL,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Name a point, now or another one, for an agent or the whole store.

    Wherever a point is asked for, the name stands for it. It costs the same however much the store holds, and keeps
    nothing twice.
    """
    named = None if at is None else point(at)
    with opened(context) as store:
        made = store.checkpoints.create(name, agent_id=agent, type=type.value, at=named, message=message)
    if as_json:
        output.json(form(made))
    else:
        output.line(f"{name} names revision {made.revision}")


def list_(
    context: typer.Context, agent: Whose = None, type: Kinds = None, limit: Limit = None, as_json: Json = False
) -> None:
    """Print the checkpoints, newest first.

    Without --agent they are all there are, those of the whole store and of every agent.
    """
    with opened(context) as store:
        found = store.checkpoints.list(agent, type=None if type is None else type.value, limit=limit)
    if as_json:
        output.json([form(each) for each in found])
    else:
        checkpoint_table(found)


def show(context: typer.Context, name: Name, agent: Whose = None, as_json: Json = False) -> None:
    """Print all that is known of a checkpoint.

    Without --agent the one of the whole store is meant, or else the only agent's that is called so.
    """
    with opened(context) as store:
        found = store.checkpoints.get(name, agent_id=agent)
    if as_json:
        output.json(form(found))
    else:
        output.facts(form(found).items())


def diff(
    context: typer.Context,
    name: Name,
    agent: Whose = None,
    to: To = None,
    partial: Partial = False,
    as_json: Json = False,
) -> None:
    """Print what has changed since a checkpoint, up to now or to another point.

    Each line is a key: + created, ~ updated, - deleted or expired; below it stand the places inside its value. With
    --agent only that agent's keys are looked at.
    """
    end = None if to is None else point(to)
    with opened(context) as store:
        found = store.checkpoints.diff(name, agent_id=agent, to=end, partial=partial)
    tell_missing(found.missing)
    if as_json:
        output.json([form(each) for each in found])
    else:
        output.styled(line for each in found for line in change_lines(each))


def delete(context: typer.Context, name: Name, agent: Whose = None, message: Message = None) -> None:
    """End a checkpoint of an agent or of the whole store.

    What it named stays in the log, and the name may be used again.
    """
    with opened(context) as store:
        if not store.checkpoints.delete(name, agent_id=agent, message=message):
            raise Refused(f"there is no checkpoint {name} {'of the whole store' if agent is None else f'of {agent}'}")


def checkpoint_table(found: Iterable[Checkpoint]) -> None:
    """Print checkpoints as a table."""
    tables.table(("name", "agent", "type", "revision", "at", "by"), map(_row, found))


# ---- inside


def _row(found: Checkpoint) -> tuple[object, ...]:
    return (found.name, found.agent_id, found.type.value, found.revision, output.when(found.at), found.created_by)
