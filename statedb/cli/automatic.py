"""checkpoint configure, signal, run-due: checkpoints that are made by themselves."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli.arguments import Agent, Json, Message
from statedb.cli.checkpoints import checkpoint_table
from statedb.cli.exits import Usage
from statedb.cli.forms import form
from statedb.cli.points import span
from statedb.cli.stores import opened
from statedb.cli.terminal import output
from statedb.cli.terminal.texts import counted
from statedb.models import StateType

if TYPE_CHECKING:
    from statedb.values.autocheckpoint import AutoCheckpoint, Trigger

_KEPT = 10
_MINUTE = timedelta(minutes=1)


class Signal(StrEnum):
    """What may be told of an agent."""

    CONVERSATION_END = "conversation_end"
    MANUAL = "manual"


Every = Annotated[
    str | None, typer.Option("--every", metavar="SPAN", help="After so long, where anything has changed: 30m, 2h, 1d.")
]
Changes = Annotated[int | None, typer.Option("--changes", metavar="N", min=1, help="After so many changes.")]
AtEnd = Annotated[bool, typer.Option("--at-conversation-end", help="When signal tells that a conversation has ended.")]
OnDemand = Annotated[bool, typer.Option("--on-demand", help="When signal tells that one would be in place.")]
Tier = Annotated[StateType | None, typer.Option("--type", help="Only changes of this tier count.")]
Pattern = Annotated[
    str | None, typer.Option("--key", metavar="PATTERN", help="Only changes of this key count, or of all: 'plan/*'.")
]
Keep = Annotated[int | None, typer.Option("--keep", metavar="N", min=1, help=f"The newest so many stay; else {_KEPT}.")]
Off = Annotated[bool, typer.Option("--off", help="Make none by themselves any more.")]
Told = Annotated[Signal, typer.Argument(metavar="SIGNAL", help="conversation_end or manual.", show_default=False)]


def configure(
    context: typer.Context,
    agent: Agent,
    every: Every = None,
    changes: Changes = None,
    at_end: AtEnd = False,
    on_demand: OnDemand = False,
    state_type: Tier = None,
    pattern: Pattern = None,
    keep: Keep = None,
    off: Off = False,
    message: Message = None,
    as_json: Json = False,
) -> None:
    """Say when an agent's automatic checkpoints are made, in place of what was said before; or, told nothing, show it.

    The store keeps to it, whoever writes. Beyond those that are kept the oldest automatic ones end; others never do.
    """
    policy = _policy(every, changes, at_end, on_demand, state_type, pattern, keep)
    if off and policy is not None:
        raise Usage("--off makes no more of them, and the other options say when; give one or the other")
    with opened(context) as store:
        if off or policy is not None:
            store.checkpoints.configure(agent, policy, message=message)
        now = store.checkpoints.configuration(agent)
    if as_json:
        output.json(None if now is None else now.plain())
    else:
        output.line(f"{agent}: {_said(now)}")


def signal(context: typer.Context, agent: Agent, told: Told, as_json: Json = False) -> None:
    """Tell that an agent's conversation has ended, or that a checkpoint would be in place, and print the one it makes.

    None is made where the agent's policy does not ask for it.
    """
    with opened(context) as store:
        made = store.checkpoints.signal(agent, told.value)
    if as_json:
        output.json(None if made is None else form(made))
    elif made is None:
        output.line(f"{agent}: no checkpoint is made at {told.value}")
    else:
        output.line(f"{made.name} names revision {made.revision}")


def run_due(context: typer.Context, as_json: Json = False) -> None:
    """Make the automatic checkpoints that have fallen due by time, and print them.

    The next write does so too, and so does a program that has the store open; this is for a store that nobody opens.
    """
    with opened(context) as store:
        made = store.checkpoints.run_due()
    if as_json:
        output.json([form(each) for each in made])
    else:
        checkpoint_table(made)


# ---- inside


def _policy(
    every: str | None,
    changes: int | None,
    at_end: bool,
    on_demand: bool,
    state_type: StateType | None,
    pattern: str | None,
    keep: int | None,
) -> AutoCheckpoint | None:
    """Return the policy that options say, None where they say none."""
    from statedb.values.autocheckpoint import COUNT, END, INTERVAL, MANUAL, AutoCheckpoint, Trigger

    named = {"state_type": None if state_type is None else state_type.value, "pattern": pattern}
    which: dict[str, Any] = {name: said for name, said in named.items() if said is not None}
    asked: tuple[tuple[str, dict[str, Any], bool], ...] = (
        (INTERVAL, {} if every is None else {"minutes": span(every) / _MINUTE}, every is not None),
        (COUNT, {"count": changes}, changes is not None),
        (END, {}, at_end),
        (MANUAL, {}, on_demand),
    )
    triggers = [Trigger(type_, {**number, **which} or None) for type_, number, told in asked if told]
    if triggers:
        return AutoCheckpoint(max_checkpoints=keep or _KEPT, triggers=triggers)
    if which or keep is not None:
        raise Usage("say when: by --every, --changes, --at-conversation-end or --on-demand; all of it is said anew")
    return None


def _said(policy: AutoCheckpoint | None) -> str:
    if policy is None or not policy.enabled or not policy.triggers:
        return "no checkpoint is made by itself"
    when = ", ".join(_when(policy, each) for each in policy.triggers)
    return f"a checkpoint {when}; the newest {policy.max_checkpoints:,} stay"


def _when(policy: AutoCheckpoint, trigger: Trigger) -> str:
    from statedb.values.autocheckpoint import COUNT, END, INTERVAL

    minutes = policy.interval_minutes if trigger.minutes is None else trigger.minutes
    found = {
        INTERVAL: f"every {minutes:g} minutes",
        COUNT: f"after {counted(trigger.count, 'change')}",
        END: "when a conversation ends",
    }.get(trigger.type, "on demand")
    extent = trigger.plain()["condition"]
    told = [extent[name] for name in ("state_type", "pattern") if name in extent] if isinstance(extent, dict) else []
    return f"{found} (of {' '.join(told)})" if told else found
