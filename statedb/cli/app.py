"""The command `statedb`: its options, its commands, its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from statedb import __version__
from statedb.cli import exits, manual
from statedb.cli.commands import COMMANDS
from statedb.cli.stores import ENVIRONMENT, Named

NAME = "statedb"
_COMPLETE = "_STATEDB_COMPLETE"
"""The variable in which a shell says that it wants completions, as --show-completion has told it."""


class Shell(TyperGroup):
    """The commands, each made when it is asked for, with this program's own way to end."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [each.name for each in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # Where nothing is called so all are made, since what is called alike is looked for among those.
        wanted = [each for each in COMMANDS if each.name == cmd_name] or COMMANDS
        for each in wanted:
            if each.name not in self.commands:
                self.add_command(each.made())
        return self.commands.get(cmd_name)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any) -> NoReturn:
        if os.environ.get(_COMPLETE):
            self._complete()
        given = list(sys.argv[1:] if args is None else args)
        sys.exit(exits.run(lambda: self._call(given)))

    def _call(self, given: list[str]) -> None:
        with self.make_context(NAME, given) as context:
            self.invoke(context)

    def _complete(self) -> NoReturn:
        """Tell the shell how the line may go on; silence is better than an error in the middle of it."""
        try:
            super().main([], NAME, _COMPLETE)
        except (Exception, KeyboardInterrupt):
            sys.exit(1)
        sys.exit(0)


app = typer.Typer(cls=Shell, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback(epilog=manual.epilog(COMMANDS[0].examples[:1]))
def options(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Option("-f", "--file", metavar="FILE", help=f"The store: a path or URL; else {ENVIRONMENT}.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="NAME", help="Who writes; else STATEDB_ACTOR.")
    ] = None,
    no_pager: Annotated[
        bool, typer.Option("--no-pager", help="Print long output as it is; else STATEDB_PAGER or PAGER shows it.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Work with an embedded store that remembers."""
    context.obj = Named(os.environ.get(ENVIRONMENT) if file is None else file, actor, not no_pager)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    app()
