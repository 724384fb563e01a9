"""bisect: the version at which something turned true, found by asking a few of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from statedb.cli.arguments import Agent, Json, Key, Partial, Tier
from statedb.cli.exits import Refused, Usage
from statedb.cli.forms import form
from statedb.cli.history import version_table
from statedb.cli.stores import opened
from statedb.cli.terminal import output

Expression = Annotated[
    str | None,
    typer.Argument(metavar="CONDITION", help="A JSON Pointer, or one compared with JSON: /size > 10."),
]
Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="COMMAND…",
        help="Ask a program instead; all that follows is its command line. It gets the value as JSON on standard input "
        "and ends with 0 for true, 1 for false.",
    ),
]

_TRUE, _FALSE = 0, 1


class Running(TyperCommand):
    """A command whose --run takes the rest of the line, options of others included."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--run" in args:
            import shlex

            at = args.index("--run") + 1
            given = args[at:]
            # One argument is a line for the shell, several are words that are to reach the program as they are.
            args = [*args[:at], shlex.join(given) if len(given) > 1 else given[0]] if given else args
        return super().parse_args(ctx, args)


def bisect(
    context: typer.Context,
    agent: Agent,
    state_type: Tier,
    key: Key,
    expression: Expression = None,
    partial: Partial = False,
    as_json: Json = False,
    run: Run = None,
) -> None:
    """Print the first version at which a condition turned true.

    The condition is taken to have turned true once and stayed so, so that of n versions about log2(n) are looked at. It
    is a JSON Pointer, which holds where there is something but null or false, or a JSON Pointer compared with JSON by
    == != < <= > >=; or, with --run, a program. Deletions are passed over. Where the newest version does not fulfil the
    condition, the command ends with status 1.
    """
    from statedb.cli.conditions import FORMS, condition

    if (expression is None) == (run is None):
        raise Usage(f"bisect takes a condition or --run COMMAND…; a condition is {FORMS}")
    holds: Callable[[Any], bool] = condition(expression) if run is None and expression is not None else _program(run)
    with opened(context) as store:
        found = store.history.bisect(agent, state_type, key, holds, partial=partial)
    if found is None:
        at = f"{key} ({state_type.value} of {agent})"
        raise Refused(f"the newest version of {at} does not fulfil {run if expression is None else expression}")
    if as_json:
        output.json(form(found))
    else:
        version_table([found])


def _program(command: str | None) -> Callable[[Any], bool]:
    import subprocess

    assert command is not None

    def ask(value: Any) -> bool:
        # What it says goes where messages go: standard output is for the version that is found.
        code = subprocess.run(command, shell=True, input=output.printed(value), stdout=2, check=False).returncode
        if code not in (_TRUE, _FALSE):
            raise Refused(f"{command!r:.200} ended with {code}, which is neither 0 (true) nor 1 (false)")
        return code == _TRUE

    return ask
