"""restore: a commit that brings things back to a point, shown before it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import POINT, Json, Message, Partial
from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import form
from statedb.cli.points import point
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.cli.terminal.ask import agreed, can_ask
from statedb.cli.terminal.marks import change_lines
from statedb.cli.terminal.missing import tell_missing
from statedb.models import Outcome, StateType

if TYPE_CHECKING:
    from statedb.store import Store

Point = Annotated[str, typer.Argument(metavar="POINT", help=f"To when: {POINT}.", show_default=False)]
Whose = Annotated[
    str | None, typer.Option("--agent", metavar="AGENT", help="Only this agent.", autocompletion=completion.agents)
]
Tier = Annotated[
    StateType | None, typer.Option("--type", help="Only this tier; sessions go back where they are named here.")
]
Keys = Annotated[
    list[str] | None, typer.Option("--key", metavar="PATTERN", help="Only this key, or glob; may be given again.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


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
    if dry_run and yes:
        raise Usage("--dry-run changes nothing, and --yes says to change; give one of them")
    how: dict[str, Any] = {"agent_id": agent, "state_type": state_type, "keys": keys, "partial": partial}
    asked = point(moment)
    with opened(context) as store:
        planned = store.restore(asked, **how, dry_run=True)
        tell_missing(planned.missing)
        asks = planned.changes and not (dry_run or yes)
        if asks and not can_ask():
            raise Usage("nobody can be asked here; give --yes to restore, or --dry-run to see what it would change")
        if not as_json:
            output.styled(line for each in planned.changes for line in change_lines(each))
        if asks and not agreed(f"Restore {_keys(len(planned.changes))}?"):
            raise Refused("nothing was restored")
        done = planned if dry_run or not planned.changes else _as_planned(store, asked, planned, how, message)
    if as_json:
        output.json({"revision": done.revision, "changes": [form(each) for each in done.changes]})
    elif not planned.changes:
        output.line("nothing to restore: all of it stands as it was then")
    elif dry_run:
        output.line(f"{_keys(len(planned.changes))} would be restored")
    else:
        output.line(f"revision {done.revision} restores {_keys(len(done.changes))}")


# ---- inside


def _as_planned(store: Store, asked: Any, planned: Outcome, how: dict[str, Any], message: str | None) -> Outcome:
    """Restore what was shown, and nothing else: while somebody looked at it, others may have written."""

    def run(tx: Any) -> Outcome:
        done: Outcome = tx.restore(asked, **how, message=message)
        if _what(done) != _what(planned):
            raise Refused("others have written meanwhile, and other keys would be restored now; look at it again")
        return done

    return store.run(run)


def _what(outcome: Outcome) -> list[tuple[Any, ...]]:
    return [
        (each.agent_id, each.state_type, each.key, each.change, repr(each.old_value), repr(each.new_value))
        for each in outcome.changes
    ]


def _keys(count: int) -> str:
    return f"{count:,} key" if count == 1 else f"{count:,} keys"
