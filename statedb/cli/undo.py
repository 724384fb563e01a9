"""undo, revert: going back, by a commit like any other."""

from __future__ import annotations

from typing import Annotated

import typer

from statedb.cli.arguments import Agent, Json, Key, Message, Tier
from statedb.cli.forms import form, outcome_form
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.cli.terminal.marks import change_lines

Revisions = Annotated[
    list[int], typer.Argument(metavar="REVISION…", min=1, help="The commits to take back.", show_default=False)
]
Version = Annotated[
    int, typer.Argument(metavar="VERSION", min=1, help="The version whose value is to stand again.", show_default=False)
]


def undo(context: typer.Context, revisions: Revisions, message: Message = None, as_json: Json = False) -> None:
    """Take back what commits did, in a new commit, and print what that changes.

    Of each key the places that a commit changed go back to what they were; what was written elsewhere since stays.
    Where a later write overlaps, nothing is changed, the places and the later revisions are named, and the command ends
    with status 1. An undo can be undone.
    """
    with opened(context) as store:
        outcome = store.undo(revisions, message=message)
    if as_json:
        output.json(outcome_form(outcome))
    elif outcome.revision is None:
        output.line("nothing to take back: all of it stands as it was before")
    else:
        output.line(f"revision {outcome.revision} takes back {', '.join(map(str, sorted(set(revisions))))}")
        output.styled(line for each in outcome.changes for line in change_lines(each))


def revert(
    context: typer.Context,
    agent: Agent,
    state_type: Tier,
    key: Key,
    version: Version,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Write an old version's value again, as a new version of its key.

    The metadata comes back with the value, and the new version names the one it was taken from. Reverting to a deletion
    deletes. Whatever was written since is lost from the value and stays in the history.
    """
    with opened(context) as store:
        entry = store.history.revert(agent, state_type, key, version, message=message)
    if as_json:
        output.json(form(entry))
    else:
        output.line(f"{key}: version {entry.version} is as version {version}, revision {entry.revision}")
