from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from statedb import __version__
from statedb.cli.app import COMMANDS
from tests.cli.helpers import Cli

NO_HEAVY_IMPORTS = f"""
import sys, types
package = types.ModuleType("statedb")
package.__path__, package.__version__ = [{str(Path(sys.modules["statedb"].__path__[0]))!r}], "0"
sys.modules["statedb"] = package
import statedb.cli.app
sys.exit(", ".join({{"sqlalchemy", "rich", "pydantic", "asyncio", "alembic"}} & sys.modules.keys()) or 0)
"""


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 200)


def test_version_is_printed(cli: Cli) -> None:
    assert cli.bare("--version").text == f"statedb {__version__}\n"


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_of_each_command_ends_with_an_example_of_it(cli: Cli, command: object) -> None:
    assert isinstance(command, type(COMMANDS[0]))
    ran = cli.bare(command.name, "--help")
    assert ran.code == 0
    last = ran.text.strip().splitlines()[-1].strip()
    assert last == f"Example: {command.example}"
    assert f" {command.name}" in command.example


@pytest.mark.usefixtures("wide")
def test_help_lists_every_command_with_a_sentence(cli: Cli) -> None:
    shown = cli.bare("--help").text
    for command in COMMANDS:
        assert f"│ {command.name} " in shown
        assert command.run.__doc__


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "Missing command"),
        (("--nope",), "No such option: --nope"),
        (("-f",), "requires an argument"),
        (("sett",), "Did you mean 'set'?"),
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
