"""merge: what a branch has done becomes part of another, and what both did to one place is shown side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import Json, Message, Rule
from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import merge_form
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.cli.terminal.clashes import conflict_lines
from statedb.cli.terminal.marks import change_lines
from statedb.cli.terminal.texts import counted

if TYPE_CHECKING:
    from statedb.values.conflict import MergeOutcome

Source = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The branch to merge.", show_default=False, autocompletion=completion.branches),
]
Into = Annotated[
    str | None,
    typer.Option(
        "--into",
        metavar="NAME",
        help="Into this branch; else the one that -b names, or main.",
        autocompletion=completion.branches,
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--strategy",
        metavar="RULE | GLOB=RULE",
        help="What is done where both changed one place: merge, ours, theirs or manual; of the keys of a glob, the "
        "first that matches. May be given again.",
    ),
]
Preview = Annotated[bool, typer.Option("--preview", "--dry-run", help="Only show what would change, and what clashes.")]


def merge(
    context: typer.Context,
    name: Source,
    into: Into = None,
    strategy: Strategies = None,
    preview: Preview = False,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Merge a branch into main or another one, in one commit, and print what that changes and where both sides clash.

    What only one side changed is kept in any case. Where both changed one place, base, ours (the branch merged into)
    and theirs are shown, and nothing is committed, with status 1, unless --strategy settles it: ours and theirs win in
    that place alone; manual merges all else and leaves the key to 'conflicts resolve'. A merge can be undone.
    """
    asked = _strategy(strategy or [])
    with opened(context) as store:
        done = store.branches.merge(name, into, asked, preview=preview, message=message)
    if as_json:
        output.json(merge_form(done))
    else:
        _print(done, preview)
    if done.conflicts and not (preview or done.recorded):
        raise Refused(
            f"{_clash(done)}, so nothing was merged; settle by --strategy ours, theirs or manual, or GLOB=RULE for "
            "some keys"
        )


# ---- inside


def _strategy(given: list[str]) -> Any:
    """Return the strategy that is meant: one rule for all keys, or rules for globs, the one for all others last."""
    rules: dict[str, str] = {}
    for each in given:
        pattern, told, rule = each.rpartition("=")
        if rule not in list(Rule) or (told and not pattern):
            raise Usage(f"--strategy is {each!r:.80}; it is {', '.join(Rule)}, or a glob of keys, = and one of those")
        if (pattern or "*") in rules:
            raise Usage(f"--strategy says twice what is done {f'for {pattern!r:.80}' if pattern else 'for all keys'}")
        rules[pattern or "*"] = rule
    rest = rules.pop("*", Rule.MERGE.value)
    return {**rules, "*": rest} if rules else rest


def _print(done: MergeOutcome, preview: bool) -> None:
    changes = (line for each in done.changes for line in change_lines(each))
    open_ = {(each.agent_id, each.state_type, each.key): each for each in done.conflicts}
    met = ((each.conflicts[0], each) for each in done.resolutions)
    # Those that were recorded have their numbers in `conflicts` alone.
    clashes = (
        line
        for found, how in met
        for line in conflict_lines(open_.get((found.agent_id, found.state_type, found.key), found), how)
    )
    output.styled([*changes, *clashes])
    keys = counted(len(done.changes), "key")
    if preview:
        stopped = f", but for {_clash(done)}" if done.conflicts else ""
        output.line(f"{done.source} would change {keys} of {done.into}{stopped}")
    elif done.revision is not None:
        output.line(f"revision {done.revision} merges {done.source} into {done.into}: {keys}")
        if done.recorded:
            ids = ", ".join(str(each.id) for each in done.conflicts)
            output.line(f"{_clash(done)} is left: settle {ids} with 'conflicts resolve'")
    elif not done.conflicts:
        output.line(f"nothing to merge: {done.into} has all of {done.source}")


def _clash(done: MergeOutcome) -> str:
    return counted(len(done.conflicts), "conflict")
