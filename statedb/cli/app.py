"""The command `statedb`: its options, its commands, its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from statedb import __version__
from statedb.cli import completion, exits, manual
from statedb.cli.command import Command
from statedb.cli.commands import COMMANDS, NOUNS
from statedb.cli.stores import ENVIRONMENT, Named

NAME = "statedb"
_COMPLETE = "_STATEDB_COMPLETE"
"""The variable in which a shell says that it wants completions, as --show-completion has told it."""


class Commands(TyperGroup):
    """The commands that begin with the same words, each made when it is asked for."""

    words: tuple[str, ...] = ()

    @property
    def _mine(self) -> list[Command]:
        return [each for each in COMMANDS if each.words[: len(self.words)] == self.words]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(dict.fromkeys(each.words[len(self.words)] for each in self._mine))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # Where nothing is called so all are made, since what is called alike is looked for among those.
        known = self.list_commands(ctx)
        for name in [cmd_name] if cmd_name in known else known:
            if name not in self.commands:
                self.add_command(self._made(name))
        return self.commands.get(cmd_name)

    def _made(self, name: str) -> Any:
        words = (*self.words, name)
        single = next((each for each in self._mine if each.words == words), None)
        if single is not None:
            return single.made()
        noun = next(each for each in NOUNS if each.name == name)
        made = Commands(name=name, help=noun.about, rich_help_panel=noun.panel, epilog=manual.epilog(noun.examples))
        made.words = words
        return made


class Shell(Commands):
    """All of them, with this program's own way to end."""

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
    branch: Annotated[
        str | None,
        typer.Option(
            "-b",
            "--branch",
            metavar="NAME",
            help="Work on this branch; else on main.",
            autocompletion=completion.branches,
        ),
    ] = None,
    no_pager: Annotated[
        bool, typer.Option("--no-pager", help="Print long output as it is; else STATEDB_PAGER or PAGER shows it.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Work with an embedded store that remembers."""
    context.obj = Named(os.environ.get(ENVIRONMENT) if file is None else file, actor, not no_pager, branch)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    app()
