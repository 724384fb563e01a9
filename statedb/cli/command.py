"""A command: what it is called, where the help lists it, what it prints for programs, how it is used.

A command names its function instead of holding it: a process that runs one command reads the file of that one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand

from statedb.cli import manual

WRITE, READ, PAST, TRAVEL, LIVE, TRANSFER, STORE = (
    "Write", "Read", "The past", "Time travel", "Live", "Transfer", "The store",
)  # fmt: skip
"""The panels of the help, in this order."""


class Noun(NamedTuple):
    """What several commands are about, which begin with its name."""

    name: str
    panel: str
    about: str
    examples: tuple[str, ...]


class Command(NamedTuple):
    """A command as the help shows it.

    `does` and `cls` name the function that does it and the class that reads its line, inside this package. `prints` is
    what --json prints, of the commands that read.
    """

    name: str
    does: str
    panel: str
    examples: tuple[str, ...]
    prints: str | None = None
    cls: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.name.split())

    @property
    def run(self) -> Any:
        return _found(self.does)

    def made(self) -> TyperCommand:
        """Return the command ready to be called."""
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(
            self.words[-1],
            cls=TyperCommand if self.cls is None else _found(self.cls),
            help=manual.paragraphs(self.run.__doc__),
            epilog=manual.epilog(self.examples, self.prints),
            rich_help_panel=self.panel,
        )(self.run)
        made = typer.main.get_command(alone)
        assert isinstance(made, TyperCommand)
        return made


def _found(name: str) -> Any:
    module, _, thing = name.rpartition(".")
    return getattr(import_module(f"statedb.cli.{module}"), thing)
