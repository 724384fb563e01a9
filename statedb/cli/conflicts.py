"""conflicts list, show, resolve: what waits for somebody to say what a key is to hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import Expect, Json, Message, Rule
from statedb.cli.exits import Usage
from statedb.cli.forms import conflict_form, resolution_form
from statedb.cli.states import given_bytes, parsed
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.clashes import conflict_lines
from statedb.models import MISSING, StateType
from statedb.values.conflict import Conflict


class Settling(StrEnum):
    """What --strategy may say of a conflict that is to be settled."""

    MERGE = Rule.MERGE.value
    OURS = Rule.OURS.value
    THEIRS = Rule.THEIRS.value


Id = Annotated[int, typer.Argument(metavar="ID", min=1, help="Its number, as list shows it.", show_default=False)]
Whose = Annotated[
    str | None, typer.Option("--agent", metavar="AGENT", help="Only of this agent.", autocompletion=completion.agents)
]
Tier = Annotated[StateType | None, typer.Option("--type", help="Only of this tier.")]
Pattern = Annotated[str, typer.Option("--key", metavar="PATTERN", help="Only of keys of this glob.")]
All = Annotated[bool, typer.Option("--all", help="Those that are settled too.")]
Value = Annotated[
    str | None, typer.Option("--value", metavar="JSON", help="What the key is to hold; - for standard input.")
]
Strategy = Annotated[
    Settling | None, typer.Option("-s", "--strategy", help="Whose value stands; merge: of both, where they agree.")
]
Delete = Annotated[bool, typer.Option("--delete", help="The key is to hold nothing.")]


def list_(
    context: typer.Context,
    agent: Whose = None,
    state_type: Tier = None,
    pattern: Pattern = "*",
    all_: All = False,
    as_json: Json = False,
) -> None:
    """Print the conflicts of main, or the branch that -b names, that nobody has settled yet, oldest first.

    Each line is a key: its number, what kind of conflict it is, in how many places, and the branch whose merge left it;
    a write that met another version names none.
    """
    with opened(context) as store:
        found = store.conflicts.list(agent, state_type, pattern, resolved=None if all_ else False)
    if as_json:
        output.json([conflict_form(each) for each in found])
    else:
        headings = ("id", "agent", "type", "key", "kind", "places", "merged", "revision", "at", "settled")
        tables.table(headings if all_ else headings[:-1], (_row(each, all_) for each in found))


def show(context: typer.Context, id_: Id, as_json: Json = False) -> None:
    """Print a conflict: each place in it, with what was there and what each side made of it.

    In a merge ours is the branch merged into and theirs the one merged; in a write ours is what was to be written and
    theirs what stood. One that is settled tells how.
    """
    with opened(context) as store:
        found = store.conflicts.get(id_)
    if as_json:
        output.json(conflict_form(found))
    else:
        output.styled(conflict_lines(found))
        if found.resolution is not None:
            output.line(_settled(found))


def resolve(
    context: typer.Context,
    id_: Id,
    value: Value = None,
    strategy: Strategy = None,
    delete: Delete = False,
    expect: Expect = None,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Settle a conflict, by a value or by whose side stands, in one commit.

    Where the conflict came of a merge, what only one side touched is kept with ours and theirs too. Where something
    else stands by now than when the conflict was recorded, nothing is done, unless --expect names the version that
    does.
    """
    if (value is not None) + (strategy is not None) + delete != 1:
        raise Usage("say what the key is to hold, by one of --value JSON, --strategy and --delete")
    said: Any = ... if value is None else parsed(given_bytes(value), "--value")
    with opened(context) as store:
        done = store.conflicts.resolve(
            id_,
            MISSING if delete else said,
            strategy=None if strategy is None else strategy.value,
            expected_version=expect,
            message=message,
        )
        left = len(store.conflicts.list())
    if as_json:
        output.json(resolution_form(done))
    else:
        [found] = done.conflicts
        holds = "holds nothing" if done.value is MISSING else f"holds {output.brief(done.value)}"
        output.line(f"revision {done.revision} settles conflict {id_}: {found.key} {holds}")
        output.line(f"{left:,} more to settle" if left else "no conflict is left")


# ---- inside


def _row(found: Conflict, with_end: bool) -> tuple[object, ...]:
    kind, at = found.kind.replace("_", " "), output.when(found.at)
    where = (found.agent_id, found.state_type.value, found.key)
    ended = (None if found.resolution is None else found.resolution.method,) if with_end else ()
    return (found.id, *where, kind, len(found.clashes), found.source, found.revision, at, *ended)


def _settled(found: Conflict) -> str:
    assert found.resolution is not None
    how = found.resolution
    holds = "nothing" if how.value is MISSING else output.brief(how.value)
    return f"revision {how.revision} settled it, by {how.method}: {holds}"
