"""Completion, as shells ask for it: a call with what the line holds so far in its environment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from statedb import Event, Store
from statedb.cli.commands import COMMANDS
from statedb.config import Settings
from statedb.db import peek
from statedb.db.location import place_of
from statedb.db.sqlite.opening import create_at
from tests.cli.helpers import Cli, Program, Ran
from tests.places import only_sqlite


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """One database is enough: what is tested here does not depend on it."""
    return str(request.param)


EVIL = ["$(touch pwned)", "`x`", "a b", "a'b", 'a"b', "a\\b", "a;b", "-rf", "~root", "*", "a\nb", "\x1b[2J", "!!", "#x"]


@pytest.fixture
def program(program: Program) -> Program:
    with Store(program.name, durability="normal") as store:
        store.states.set_many("agent-1", "persistent", {"prefs": 1, "prefs/ui": 2, "plan": 3, "ünï:☃".rstrip("☃"): 4})
        store.states.set_many("agent-1", "local", {"draft": 1, "gone": 2})
        store.states.delete("agent-1", "local", "gone")
        store.states.set("agent-2", "shared", "k", 1)
        store.states.set("bob", "shared", "k", 1)
        store.streams.append("order-7", [Event("placed")])
        store.feed.consumer("indexer")
        store.branches.create("lab")
        store.branches.create("ended")
        store.branches.delete("ended")
        for agent in ("agent-1", "bob", None):
            store.checkpoints.create("before", agent_id=agent)
        store.states.set_many("evil", "local", dict.fromkeys(EVIL, 1))
    return program


def question(line: str, shell: str = "bash") -> dict[str, str]:
    """Return the environment in which a shell asks how a line may go on."""
    if shell == "bash":
        said = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    else:
        said = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return {"_STATEDB_COMPLETE": f"complete_{shell}", **said}


def asked(program: Program, line: str, shell: str = "bash") -> Ran:
    """Ask a process of its own."""
    program.env |= question(line, shell)
    return program()


def offered(program: Program, line: str) -> list[str]:
    """Ask in this process, which is quick."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (program.env | question(line)).items():
            patch.setenv(name, value)
        ran = Cli(program.path, program.name).bare()
    assert (ran.code, ran.err) == (0, "")
    return ran.text.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("get a", ["agent-1", "agent-2"]),
        ("get ", ["agent-1", "agent-2", "bob", "evil"]),
        ("get agent-1 p", ["persistent"]),
        ("get agent-1 ", ["local", "shared", "session", "persistent"]),
        ("get agent-1 persistent p", ["plan", "prefs", "prefs/ui"]),
        ("get agent-1 persistent prefs/", ["prefs/ui"]),
        ("get agent-1 persistent ü", ["ünï:"]),
        ("get agent-1 local ", ["draft"]),
        ("get nobody local ", []),
        ("keys agent-1 persistent pl", ["plan"]),
        ("set agent-1 persistent pl", ["plan"]),
        ("show a", ["agent-1", "agent-2"]),
        ("show agent-1 per", ["persistent"]),
        ("show agent-1 persistent pl", ["plan"]),
        ("at 2h a", ["agent-1", "agent-2"]),
        ("at 2h agent-1 persistent pl", ["plan"]),
        ("log --agent b", ["bob"]),
        ("his", ["history"]),
        ("-b ", ["lab", "main"]),
        ("merge l", ["lab"]),
        ("merge lab --into m", ["main"]),
        ("branch diff ", ["lab", "main"]),
        ("branch create ", []),
        ("restore b", ["before"]),
        ("checkpoint show ", ["before"]),
        ("checkpoint configure b", ["bob"]),
        ("diff --from b", ["before"]),
        ("watch a", ["agent-1", "agent-2"]),
        ("watch agent-1 ", ["draft", "plan", "prefs", "prefs/ui", "ünï:"]),
        ("lock acquire agent-1 d", ["draft"]),
        ("lock run agent-1 pl", ["plan"]),
        ("lock list b", ["bob"]),
        ("stream read ", ["order-7"]),
        ("stream snapshot s", ["show", "save"]),
        ("consumer delete i", ["indexer"]),
        ("conf", ["conflicts"]),
        ("conflicts r", ["resolve"]),
        ("get --a", ["--at"]),
        ("get 'a", ["agent-1", "agent-2"]),
    ],
)
def test_the_line_goes_on_with_what_the_store_holds(program: Program, line: str, names: list[str]) -> None:
    assert offered(program, f"statedb {line}") == names


def test_every_command_is_offered(program: Program) -> None:
    assert offered(program, "statedb ") == list(dict.fromkeys(command.words[0] for command in COMMANDS))


def test_the_store_is_the_one_that_the_line_names(program: Program, tmp_path: Path) -> None:
    with Store(tmp_path / "other.db", durability="normal") as store:
        store.states.set("zoe", "local", "k", 1)
    assert offered(program, f"statedb -f {tmp_path}/other.db get ") == ["zoe"]
    assert offered(program, f"statedb --file=sqlite:///{tmp_path}/other.db get ") == ["zoe"]
    program.env["HOME"] = str(tmp_path)
    assert offered(program, "statedb -f ~/other.db get ") == ["zoe"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_answered_and_a_name_that_it_would_obey_is_left_out(program: Program, shell: str) -> None:
    answer = asked(program, "statedb get agent-1 persistent pre", shell)
    assert (answer.code, answer.err) == (0, "")
    assert "prefs" in answer.text
    assert "prefs/ui" in answer.text
    answer = asked(program, "statedb get evil local ", shell)
    assert (answer.code, answer.err) == (0, "")
    assert answer.text.strip() in ("", "_files")


@only_sqlite
@pytest.mark.parametrize(
    "place", ["missing.db", "text", "folder", "no/folder", "old.db", "", ":memory:", "postgresql://x/y", "x\x01"]
)
def test_a_store_that_cannot_be_read_is_met_with_silence_and_left_alone(
    program: Program, tmp_path: Path, place: str
) -> None:
    (tmp_path / "text").write_text("no store at all, and longer than a page of one " * 100)
    (tmp_path / "folder").mkdir()
    create_at(str(tmp_path / "old.db"), "0001")
    before = sorted(tmp_path.iterdir())
    program.env["STATEDB_URL"] = place if ":" in place or not place else str(tmp_path / place)
    assert offered(program, "statedb get ") == []
    assert offered(program, "statedb get agent-1 local ") == []
    ran = asked(program, "statedb get ")
    assert (ran.code, ran.out, ran.err) == (0, b"\n", "")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("line", ["get agent-1 nope ", "nope ", "-f", "--nope ", "get a local k too much "])
def test_a_line_that_is_wrong_is_met_with_silence(program: Program, line: str) -> None:
    ran = asked(program, f"statedb {line}")
    assert ran.err == ""
    assert "agent" not in ran.text


def test_a_request_that_is_none_is_met_with_silence(program: Program) -> None:
    program.env["_STATEDB_COMPLETE"] = "complete_bash"
    ran = program()
    assert (ran.code, ran.out, ran.err) == (1, b"", "")


@only_sqlite
def test_the_store_is_left_as_it_is(program: Program) -> None:
    before = {each.name: each.read_bytes() for each in program.path.parent.iterdir()}
    assert offered(program, "statedb get ")
    assert {each.name: each.read_bytes() for each in program.path.parent.iterdir()} == before


@only_sqlite
def test_a_store_of_another_schema_is_not_read(program: Program) -> None:
    with closing(sqlite3.connect(program.path)) as raw, raw:
        raw.execute("update alembic_version set version_num = '9999'")
    assert offered(program, "statedb get ") == []


@only_sqlite
def test_what_others_have_just_written_is_offered(program: Program) -> None:
    with Store(program.name, durability="normal") as store:
        store.states.set("zoe", "local", "k", 1)
        assert os.path.getsize(f"{program.path}-wal")
        assert offered(program, "statedb get z") == ["zoe"]


@only_sqlite
def test_names_are_read_in_order_and_no_more_than_asked_for(program: Program) -> None:
    there = place_of(program.path), Settings()
    assert peek.agents(*there, "", 2) == ["agent-1", "agent-2"]
    assert peek.keys(*there, "agent-1", "persistent", "prefs", 10) == ["prefs", "prefs/ui"]
    assert peek.keys(*there, "agent-1", "persistent", "", 1) == ["plan"]


def test_the_script_for_each_shell_calls_the_program_back(program: Program) -> None:
    for shell in ("bash", "zsh", "fish"):
        program.env["_STATEDB_COMPLETE"] = f"source_{shell}"
        script = program()
        assert script.code == 0
        assert f"_STATEDB_COMPLETE=complete_{shell}" in script.text


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed here")
def test_bash_itself_completes_a_line(program: Program, tmp_path: Path) -> None:
    program.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{program.env['PATH']}"
    program.env["HOME"] = str(tmp_path)
    ask = """
    statedb --install-completion >/dev/null && source ~/.bashrc
    COMP_WORDS=(statedb get agent-1 persistent pl) COMP_CWORD=4
    _statedb_completion statedb
    echo "${COMPREPLY[@]}"
    """
    # Not the last command, or the shell would make way for it and be found nowhere.
    ran = subprocess.run(["bash", "-c", ask], env=program.env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "plan\n", "")
    shown = subprocess.run(
        ["bash", "-c", "statedb --show-completion; true"], env=program.env, capture_output=True, text=True, check=False
    )
    assert "complete -o default -F _statedb_completion statedb" in shown.stdout
