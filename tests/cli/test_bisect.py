from __future__ import annotations

import sys
from pathlib import Path

import pytest

from statedb import Store
from tests.cli.helpers import Cli, Program


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """One database is enough: what is tested here does not depend on it."""
    return str(request.param)


KEY = ("a", "persistent", "k")


@pytest.fixture
def rising(where: str) -> None:
    """A key that is deleted once on its way from 1 to 40; the deletion is version 20."""
    with Store(where, durability="normal") as store:
        for each in range(1, 20):
            store.states.set(*KEY, {"size": each}, message=f"to {each}")
        store.states.delete(*KEY)
        for each in range(21, 41):
            store.states.set(*KEY, {"size": each})


@pytest.mark.usefixtures("rising")
def test_bisect_finds_the_first_version_that_fulfils_a_condition(cli: Cli) -> None:
    for at in (1, 2, 7, 19, 21, 22, 40):
        assert cli.ok("bisect", *KEY, f"/size >= {at}", "--json").json["version"] == at
    assert "to 7" in cli.ok("bisect", *KEY, "/size == 7 ".replace("==", ">=")).text


@pytest.mark.usefixtures("rising")
def test_bisect_is_refused_where_the_newest_does_not_fulfil_it(cli: Cli) -> None:
    said = "the newest version of k (persistent of a) does not fulfil /size > 40"
    assert cli.refused("bisect", *KEY, "/size > 40") == said
    assert "does not fulfil" in cli.refused("bisect", "a", "local", "nope", "/size")
    assert "does not fulfil exit 1" in cli.refused("bisect", *KEY, "--run", "exit 1")


@pytest.mark.usefixtures("rising")
def test_a_program_is_asked_with_the_value_on_its_standard_input(program: Program, tmp_path: Path) -> None:
    script = "import json, sys; print('asked'); sys.exit(json.load(sys.stdin)['size'] < int(sys.argv[1]))"
    ran = program("bisect", *KEY, "--json", "--run", sys.executable, "-c", script, "33")
    assert (ran.code, ran.json["version"]) == (0, 33)
    assert 1 < ran.err.count("asked\n") < 10
    ran = program("bisect", *KEY, "--run", "grep -q '\"size\":[34]' && true")
    assert (ran.code, ran.err) == (0, "")
    assert ran.text.splitlines()[1].split()[0] == "30"


@pytest.mark.usefixtures("rising")
def test_words_after_run_reach_the_program_as_they_are(program: Program) -> None:
    echo = "import sys; sys.exit(sys.argv[1:] != ['--json', '$HOME', '*', \"a'b\", '-q'])"
    ran = program("bisect", *KEY, "--run", sys.executable, "-c", echo, "--json", "$HOME", "*", "a'b", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert ran.text.splitlines()[1].split()[0] == "1"


@pytest.mark.usefixtures("rising")
@pytest.mark.parametrize("command", ["exit 2", "exit 125", "kill -9 $$", "/no/such/program"])
def test_a_program_that_ends_otherwise_ends_the_search(program: Program, command: str) -> None:
    ran = program("bisect", *KEY, "--run", command)
    assert (ran.code, ran.out) == (1, b"")
    assert "which is neither 0 (true) nor 1 (false)" in ran.err.splitlines()[-1]


def test_a_program_gets_bytes_as_they_are(program: Program) -> None:
    program("set", *KEY, "old", "--bytes")
    program("set", *KEY, "-", "--bytes", stdin=b"\x00new\n")
    assert program("bisect", *KEY, "--json", "--run", "grep -qa new").json["version"] == 2


def test_no_condition_is_run_as_a_program(program: Program, tmp_path: Path) -> None:
    program("set", *KEY, "1")
    for text in ("/a; touch pwned", "__import__('os').system('touch pwned')", "$(touch pwned)"):
        assert program("bisect", *KEY, text).code == 2
    assert not (Path.cwd() / "pwned").exists()


@pytest.mark.usefixtures("rising")
@pytest.mark.parametrize(
    "args", [(), ("--run",), ("/size", "--run", "true"), ("size > 1",), ("/size", "/more")], ids=str
)
def test_a_bisect_without_one_question_is_wrong_usage(cli: Cli, args: tuple[str, ...]) -> None:
    assert cli.wrong("bisect", *KEY, *args)
