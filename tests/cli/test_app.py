from __future__ import annotations

import inspect
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from statedb import __version__
from statedb.cli.app import app
from statedb.cli.command import LIVE, PAST, READ, STORE, TRANSFER, TRAVEL, WRITE, Command
from statedb.cli.commands import COMMANDS
from tests.cli.helpers import Cli
from tests.places import only_sqlite

NO_HEAVY_IMPORTS = f"""
import sys, types
package = types.ModuleType("statedb")
package.__path__, package.__version__ = [{str(Path(sys.modules["statedb"].__path__[0]))!r}], "0"
sys.modules["statedb"] = package
import statedb.cli.app, statedb.cli.commands
[each.run for each in statedb.cli.commands.COMMANDS]
sys.exit(", ".join({{"sqlalchemy", "rich", "pydantic", "asyncio", "alembic", "dateparser"}} & sys.modules.keys()) or 0)
"""


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 200)


def test_version_is_printed(cli: Cli) -> None:
    assert cli.bare("--version").text == f"statedb {__version__}\n"


@only_sqlite
@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_each_command_is_a_page_that_ends_with_examples(cli: Cli, command: Command) -> None:
    ran = cli.bare(*command.words, "--help")
    assert ran.code == 0
    said = [line.strip() for line in ran.text.strip().splitlines()]
    assert said[0].startswith(f"Usage: statedb {command.name}")
    assert sum(line.startswith("Usage") for line in said) == 1
    assert said[-len(command.examples) :] == list(command.examples)
    assert said[-len(command.examples) - 1] in ("Example:", "Examples:")
    paragraphs = inspect.cleandoc(command.run.__doc__ or "").split("\n\n")
    assert len(paragraphs) == 2
    for each in paragraphs:
        assert " ".join(each.split()) in " ".join(said)


@only_sqlite
@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_commands_that_read_say_what_they_print_for_programs(cli: Cli, command: Command) -> None:
    said = cli.bare(*command.words, "--help").text
    assert (f"With --json: {command.prints}." in said) == (command.prints is not None)
    assert "--json" in said or command.prints is None
    assert command.prints is not None or command.panel not in (READ, PAST) or command.name in ("revert", "undo")


@pytest.mark.parametrize(
    "example", [pytest.param(each, id=each[:60]) for command in COMMANDS for each in command.examples]
)
def test_each_example_is_a_line_that_the_program_takes(example: str) -> None:
    program, *args = shlex.split(example)
    assert program == "statedb"
    shell = typer.main.get_command(app)
    assert isinstance(shell, TyperGroup)
    with shell.make_context("statedb", args) as context:
        check(shell, context, [*context._protected_args, *context.args])


def check(group: TyperGroup, context: Any, line: list[str]) -> None:
    name, command, rest = group.resolve_command(context, line)
    assert command is not None
    with command.make_context(name, rest, parent=context) as made:
        if isinstance(command, TyperGroup):
            check(command, made, [*made._protected_args, *made.args])


def test_each_example_is_of_its_own_command() -> None:
    for command in COMMANDS:
        assert command.examples
        for example in command.examples:
            words = shlex.split(example)
            after_options = (tuple(words[at:][: len(command.words)]) for at in (1, 3, 5))
            assert command.words in after_options


@pytest.mark.usefixtures("wide")
def test_help_shows_brackets_as_they_stand(cli: Cli) -> None:
    assert "? [a-z] [!a]" in cli.bare("keys", "--help").text


@pytest.mark.usefixtures("wide")
def test_help_groups_the_commands(cli: Cli) -> None:
    shown = cli.bare("--help").text
    panels = [line.split("─")[1].strip() for line in shown.splitlines() if line.startswith("╭")]
    assert panels == ["Options", WRITE, READ, PAST, TRAVEL, LIVE, TRANSFER, STORE]


@pytest.mark.usefixtures("wide")
def test_help_lists_every_command_with_a_sentence(cli: Cli) -> None:
    shown = cli.bare("--help").text
    for command in COMMANDS:
        assert f"│ {command.words[0]} " in shown
        assert command.run.__doc__


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "Missing command"),
        (("--nope",), "No such option: --nope"),
        (("-f",), "requires an argument"),
        (("sett",), "Did you mean 'set', 'stats', 'bisect'? Try"),
        (("get",), "no store is named"),
        (("-f", "", "log"), "no store is named"),
        (("log", "-f", "x.db"), "it stands before the command"),
        (("get", "a"), "Missing argument 'TYPE'"),
        (("get", "a", "local", "k", "too", "much"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(cli: Cli, args: tuple[str, ...], why: str) -> None:
    full = ("get", "a", "local", "k") if args == ("get",) else args
    ran = cli.bare(*full)
    assert (ran.code, ran.out) == (2, b"")
    assert why in ran.line


def test_the_store_is_named_by_the_environment_unless_an_option_says_otherwise(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEDB_URL", f"sqlite:///{tmp_path}/other.db")
    cli.ok("set", "a", "local", "k", "1")
    cli.bare("set", "a", "local", "k", "2")
    assert cli.ok("get", "a", "local", "k").json == 1
    assert cli.bare("get", "a", "local", "k").json == 2


def test_a_setting_that_cannot_be_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_BUSY_TIMEOUT", "soon")
    assert cli.wrong("set", "a", "local", "k", "1").startswith("STATEDB_BUSY_TIMEOUT in the environment: ")
    assert cli.wrong("migrate").startswith("STATEDB_BUSY_TIMEOUT in the environment: ")


def test_the_command_line_itself_imports_nothing_that_takes_long() -> None:
    ran = subprocess.run([sys.executable, "-c", NO_HEAVY_IMPORTS], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
