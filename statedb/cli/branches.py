"""branch create, list, diff, delete: lines of commits side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Json, Message, Partial
from statedb.cli.exits import Refused
from statedb.cli.forms import form
from statedb.cli.points import point
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.marks import change_lines
from statedb.cli.terminal.missing import tell_missing
from statedb.models import Branch

New = Annotated[str, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="What it is called.", show_default=False, autocompletion=completion.branches),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="POINT",
        help=f"Begin at this point; else now. A point is {POINT}.",
        autocompletion=completion.checkpoints,
    ),
]
There = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="POINT",
        help="What the branch had then, against what is here now.",
        autocompletion=completion.checkpoints,
    ),
]
Whose = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Only of this agent.", autocompletion=completion.agents),
]


def create(context: typer.Context, name: New, at: At = None, message: Message = None, as_json: Json = False) -> None:
    """Make a branch that sees the store as it is now, or was at a point, and writes only to itself.

    It costs the same however much the store holds. Every command works on a branch where -b NAME stands before it; so
    branches can be made of branches.
    """
    base = None if at is None else point(at)
    with opened(context) as store:
        made = store.branches.create(name, at=base, message=message)
    if as_json:
        output.json(form(made))
    else:
        output.line(f"{name} is a branch of {made.parent} at revision {made.base}")


def list_(context: typer.Context, as_json: Json = False) -> None:
    """Print the branches there are, main first, then in the order in which they were made.

    Each line is a branch: what it was made of and at which revision, the newest commit it sees, when it was made and by
    whom.
    """
    with opened(context) as store:
        found = store.branches.list()
    if as_json:
        output.json([form(each) for each in found])
    else:
        tables.table(("name", "of", "base", "head", "at", "by"), map(_row, found))


def diff(
    context: typer.Context,
    name: Name,
    agent: Whose = None,
    at: There = None,
    partial: Partial = False,
    as_json: Json = False,
) -> None:
    """Print what a branch has that main, or the branch that -b names, has not, and the other way round.

    Each line is a key: + only the branch has it, ~ it holds something else there, - the branch does not have it; below
    it stand the places inside its value.
    """
    there = None if at is None else point(at)
    with opened(context) as store:
        found = store.branches.diff(name, agent_id=agent, at=there, partial=partial)
    tell_missing(found.missing)
    if as_json:
        output.json([form(each) for each in found])
    else:
        output.styled(line for each in found for line in change_lines(each))


def delete(context: typer.Context, name: Name, message: Message = None) -> None:
    """End a branch, merged or not.

    Its commits stay in the log, what was merged stays where it is, branches made of it go on, and its name may be used
    again.
    """
    with opened(context) as store:
        if not store.branches.delete(name, message=message):
            raise Refused(f"there is no branch {name}")


# ---- inside


def _row(found: Branch) -> tuple[object, ...]:
    return (found.name, found.parent, found.base, found.head, output.when(found.created_at), found.created_by)
