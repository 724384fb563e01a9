"""A plan: what would be brought back is shown, agreed to, and then done as it was shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import outcome_form
from statedb.cli.terminal import output
from statedb.cli.terminal.ask import agreed, can_ask
from statedb.cli.terminal.marks import change_lines
from statedb.cli.terminal.missing import tell_missing
from statedb.cli.terminal.texts import counted
from statedb.models import Outcome

if TYPE_CHECKING:
    from statedb.store import Store


class Mode(NamedTuple):
    """Whether anybody is asked, whether anything is done, and who reads of it."""

    yes: bool
    dry_run: bool
    as_json: bool


def bring_back(store: Store, do: Callable[..., Outcome], mode: Mode, message: str | None) -> None:
    """Show what do(store, dry_run=True) would bring back, ask on a terminal whether to go on, and do that.

    Usage where nobody can be asked and nobody said yes.
    """
    if mode.dry_run and mode.yes:
        raise Usage("--dry-run changes nothing, and --yes says to change; give one of them")
    planned = do(store, dry_run=True)
    tell_missing(planned.missing)
    asks = planned.changes and not (mode.dry_run or mode.yes)
    if asks and not can_ask():
        raise Usage("nobody can be asked here; give --yes to restore, or --dry-run to see what it would change")
    if not mode.as_json:
        output.styled(line for each in planned.changes for line in change_lines(each))
    keys = counted(len(planned.changes), "key")
    if asks and not agreed(f"Restore {keys}?"):
        raise Refused("nothing was restored")
    done = planned if mode.dry_run or not planned.changes else _as_planned(store, do, planned, message)
    if mode.as_json:
        output.json(outcome_form(done))
    elif not planned.changes:
        output.line("nothing to restore: all of it stands as it was then")
    elif mode.dry_run:
        output.line(f"{keys} would be restored")
    else:
        output.line(f"revision {done.revision} restores {keys}")


# ---- inside


def _as_planned(store: Store, do: Callable[..., Outcome], planned: Outcome, message: str | None) -> Outcome:
    """Do what was shown, and nothing else: while somebody looked at it, others may have written."""

    def run(tx: Any) -> Outcome:
        done = do(tx, message=message)
        if _what(done) != _what(planned):
            raise Refused("others have written meanwhile, and other keys would be restored now; look at it again")
        return done

    return store.run(run)


def _what(outcome: Outcome) -> list[tuple[Any, ...]]:
    return [
        (each.agent_id, each.state_type, each.key, each.change, repr(each.old_value), repr(each.new_value))
        for each in outcome.changes
    ]
