"""The command `statedb`: its options, its commands, its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from statedb import __version__
from statedb.cli import demo, exits, history, schema, states, transfer
from statedb.cli.stores import ENVIRONMENT, Named


class Shell(TyperGroup):
    """The commands, with this program's own way to end."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any) -> NoReturn:
        given = list(sys.argv[1:] if args is None else args)
        sys.exit(exits.run(lambda: self._call(given)))

    def _call(self, given: list[str]) -> None:
        with self.make_context("statedb", given) as context:
            self.invoke(context)


class Command(NamedTuple):
    """A command, and the example that ends its help."""

    name: str
    run: Callable[..., None]
    example: str
    cls: type[TyperCommand] = TyperCommand


COMMANDS = (
    Command("init", schema.init, "statedb -f app.db init"),
    Command(
        "set", states.set_, """statedb -f app.db set agent-1 persistent prefs '{"theme":"dark"}'""", states.Numbers
    ),
    Command("get", states.get, "statedb -f app.db get agent-1 persistent prefs"),
    Command("delete", states.delete, "statedb -f app.db delete agent-1 persistent prefs"),
    Command("keys", states.keys, "statedb -f app.db keys agent-1 persistent 'prefs/*'"),
    Command("history", history.history, "statedb -f app.db history agent-1 persistent prefs --limit 5"),
    Command("show", history.show, "statedb -f app.db show agent-1 persistent prefs --version 3"),
    Command("at", history.at, "statedb -f app.db at 2h agent-1 persistent 'prefs/*'"),
    Command("log", history.log, "statedb -f app.db log --agent agent-1 --limit 5"),
    Command("import", transfer.import_, "statedb -f app.db import prefs.jsonl --agent a --type persistent --key prefs"),
    Command("export", transfer.export, "statedb -f app.db export --output history.jsonl.zst"),
    Command("migrate", schema.migrate, "statedb -f app.db migrate"),
    Command("demo", demo.demo, "statedb demo"),
)

app = typer.Typer(cls=Shell, add_completion=False, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"statedb {__version__}")
        raise typer.Exit


@app.callback(epilog=f"Example: {COMMANDS[1].example}")
def options(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Option("-f", "--file", metavar="FILE", help=f"The store: a path or URL; else {ENVIRONMENT}.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="NAME", help="Who writes; else STATEDB_ACTOR.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Work with an embedded store that remembers."""
    context.obj = Named(os.environ.get(ENVIRONMENT) if file is None else file, actor)


for each in COMMANDS:
    app.command(each.name, cls=each.cls, epilog=f"Example: {each.example}")(each.run)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    app()
