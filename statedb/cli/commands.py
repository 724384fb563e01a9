"""The commands: what each is called, where the help lists it, what it prints for programs, how it is used.

A command names its function instead of holding it: a process that runs one command reads the file of that one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand

from statedb.cli import manual

WRITE, READ, PAST, TRAVEL, TRANSFER, STORE = (
    "Write", "Read", "The past", "Time travel", "Transfer", "The store",
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


NOUNS = (
    Noun(
        "checkpoint",
        TRAVEL,
        "Name points in time: make checkpoints, list them, see what has changed since, end them.",
        ("statedb -f app.db checkpoint create before-deploy", "statedb -f app.db restore before-deploy"),
    ),
    Noun(
        "branch",
        TRAVEL,
        "Work on a line of its own: make branches, list them, compare them, end them.",
        ("statedb -f app.db branch create try-plan-b", "statedb -f app.db -b try-plan-b log"),
    ),
)
COMMANDS = (
    Command(
        "set",
        "states.set_",
        WRITE,
        (
            """statedb -f app.db set agent-1 persistent prefs '{"theme":"dark"}' -m 'first run'""",
            "statedb -f app.db set agent-1 session call/1 - --ttl 3600",
        ),
        cls="states.Numbers",
    ),
    Command("delete", "states.delete", WRITE, ("statedb -f app.db delete agent-1 persistent prefs",)),
    Command(
        "undo", "undo.undo", WRITE, ("statedb -f app.db undo 17", "statedb -f app.db undo 17 18 -m 'that was wrong'")
    ),
    Command("revert", "undo.revert", WRITE, ("statedb -f app.db revert agent-1 persistent prefs 3",)),
    Command(
        "get",
        "states.get",
        READ,
        (
            "statedb -f app.db get agent-1 persistent prefs",
            "statedb -f app.db get agent-1 persistent prefs --at 'yesterday 14:00'",
        ),
        'the value; opaque bytes as {"bytes": base64}',
    ),
    Command(
        "keys",
        "states.keys",
        READ,
        ("statedb -f app.db keys agent-1 persistent 'prefs/*'",),
        "an array of keys",
        "terminal.pager.Paged",
    ),
    Command(
        "query",
        "query.query",
        READ,
        (
            """statedb -f app.db query "select value ->> '$.theme' from states where agent_id = ?" agent-1""",
            "statedb -f app.db query --csv 'select actor, count(*) from commits group by actor' --at yesterday",
            "statedb -f app.db query --json-params 'select * from history where version > ?' 3",
        ),
        "an array of objects, a member for each column; an infinity, which JSON lacks, is null",
        "query.Asking",
    ),
    Command(
        "history",
        "history.history",
        PAST,
        (
            "statedb -f app.db history agent-1 persistent prefs --limit 5",
            "statedb -f app.db history agent-1 persistent 'prefs/*' --by ui --since yesterday",
        ),
        "an array of versions, newest first",
        "terminal.pager.Paged",
    ),
    Command(
        "show",
        "history.show",
        PAST,
        ("statedb -f app.db show agent-1 persistent prefs --version 3", "statedb -f app.db show 17"),
        "the entry, or the commit with its changes and their values",
        "terminal.pager.Paged",
    ),
    Command(
        "at",
        "history.at",
        PAST,
        (
            "statedb -f app.db at 2h agent-1 persistent 'prefs/*'",
            "statedb -f app.db at 'last friday 18:00' agent-1 persistent prefs",
        ),
        "the value of one key; of many, an array of state_type, key and value",
    ),
    Command(
        "diff",
        "diff.diff",
        PAST,
        (
            "statedb -f app.db diff agent-1 persistent prefs",
            "statedb -f app.db diff agent-1 persistent prefs 2 5 --patch",
            "statedb -f app.db diff agent-1 persistent prefs --from 'yesterday 14:00' --to 1h",
            "statedb -f app.db diff --from 2h --agent agent-1",
        ),
        'an object of "added", "modified" (each with "old" and "new") and "removed" by JSON Pointer; without a key, an '
        "array of the keys that differ, with both values",
        "terminal.pager.Paged",
    ),
    Command(
        "blame",
        "blame.blame",
        PAST,
        ("statedb -f app.db blame agent-1 persistent prefs",),
        "an array of leaves, each with its pointer, value and version",
        "terminal.pager.Paged",
    ),
    Command(
        "bisect",
        "bisect.bisect",
        PAST,
        (
            """statedb -f app.db bisect agent-1 persistent prefs '/theme == "dark"'""",
            "statedb -f app.db bisect agent-1 persistent prefs '/size > 10'",
            "statedb -f app.db bisect agent-1 persistent prefs --run grep -q dark",
        ),
        "the version",
        "bisect.Running",
    ),
    Command(
        "log",
        "log.log",
        PAST,
        (
            "statedb -f app.db log --agent agent-1 --limit 5",
            "statedb -f app.db log --graph --since 'last friday' --key 'prefs/*'",
            "statedb -f app.db log -p --by ui --until 2026-11-20T09:00Z",
        ),
        "an array of commits, newest first; their changes come with values where --patch is given",
        "terminal.pager.Paged",
    ),
    Command(
        "restore",
        "restore.restore",
        TRAVEL,
        (
            "statedb -f app.db restore before-deploy --dry-run",
            "statedb -f app.db restore 'yesterday 14:00' --agent agent-1 --key 'prefs/*' --yes",
        ),
    ),
    Command(
        "checkpoint create",
        "checkpoints.create",
        TRAVEL,
        (
            "statedb -f app.db checkpoint create before-deploy -m 'release 4'",
            "statedb -f app.db checkpoint create monday --agent agent-1 --at 'monday 09:00' --type milestone",
        ),
    ),
    Command(
        "checkpoint list",
        "checkpoints.list_",
        TRAVEL,
        ("statedb -f app.db checkpoint list --agent agent-1",),
        "an array of checkpoints, newest first",
        "terminal.pager.Paged",
    ),
    Command(
        "checkpoint show",
        "checkpoints.show",
        TRAVEL,
        ("statedb -f app.db checkpoint show before-deploy",),
        "the checkpoint",
    ),
    Command(
        "checkpoint diff",
        "checkpoints.diff",
        TRAVEL,
        (
            "statedb -f app.db checkpoint diff before-deploy",
            "statedb -f app.db checkpoint diff monday --agent agent-1 --to 1h",
        ),
        "an array of the keys that differ, with both values",
        "terminal.pager.Paged",
    ),
    Command(
        "checkpoint delete",
        "checkpoints.delete",
        TRAVEL,
        ("statedb -f app.db checkpoint delete before-deploy",),
    ),
    Command(
        "branch create",
        "branches.create",
        TRAVEL,
        (
            "statedb -f app.db branch create try-plan-b",
            "statedb -f app.db branch create what-if --at 'last friday 18:00'",
        ),
    ),
    Command(
        "branch list",
        "branches.list_",
        TRAVEL,
        ("statedb -f app.db branch list",),
        "an array of branches, main first",
        "terminal.pager.Paged",
    ),
    Command(
        "branch diff",
        "branches.diff",
        TRAVEL,
        ("statedb -f app.db branch diff try-plan-b", "statedb -f app.db branch diff try-plan-b --agent agent-1"),
        "an array of the keys that differ, with both values",
        "terminal.pager.Paged",
    ),
    Command("branch delete", "branches.delete", TRAVEL, ("statedb -f app.db branch delete try-plan-b",)),
    Command(
        "import",
        "transfer.import_",
        TRANSFER,
        (
            "statedb -f copy.db import history.jsonl.zst",
            "statedb -f app.db import prefs.jsonl --agent a --type persistent --key prefs",
            "statedb -f app.db import --format git --repo . --path app.json --agent a --type persistent",
            "statedb -f app.db import --format dir folder --agent a --type persistent -m 'by hand'",
        ),
    ),
    Command(
        "export",
        "transfer.export",
        TRANSFER,
        (
            "statedb -f app.db export --output history.jsonl.zst",
            "statedb -f app.db export --format dir --output folder --agent a --type persistent --at yesterday",
        ),
    ),
    Command("init", "schema.init", STORE, ("statedb -f app.db init",)),
    Command(
        "stats",
        "stats.stats",
        STORE,
        ("statedb -f app.db stats",),
        "an object; keys and versions are counted by tier",
    ),
    Command("migrate", "schema.migrate", STORE, ("statedb -f app.db migrate",)),
    Command("demo", "demo.demo", STORE, ("statedb demo", "statedb demo --keep story")),
)
