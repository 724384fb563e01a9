from __future__ import annotations

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli


@pytest.fixture
def forked(cli: Cli) -> Cli:
    """A store with a branch, and something else on each side."""
    cli.ok("set", *PREFS, '{"theme":"dark","n":1}')
    cli.ok("branch", "create", "lab")
    cli("set", *PREFS, '{"theme":"light","n":1}', options=("-b", "lab"))
    cli.ok("set", "b", "local", "k", "1")
    return cli


def test_a_branch_is_made_from_now_or_from_a_point(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1")
    cli.ok("set", *PREFS, "2")
    assert cli.ok("branch", "create", "now").text == "now is a branch of main at revision 3\n"
    assert cli.ok("branch", "create", "old", "--at", "1").text == "old is a branch of main at revision 1\n"
    assert [cli("get", *PREFS, options=("--branch", each)).json for each in ("now", "old", "main")] == [2, 1, 2]
    ran = cli("branch", "create", "older", "--json", options=("-b", "old"))
    assert (ran.json["name"], ran.json["parent"]) == ("older", "old")


def test_every_command_works_on_the_branch_that_is_named_before_it(forked: Cli) -> None:
    assert forked("get", *PREFS, options=("-b", "lab")).json == {"theme": "light", "n": 1}
    assert forked.ok("get", *PREFS).json == {"theme": "dark", "n": 1}
    assert forked("get", "b", "local", "k", options=("-b", "lab")).code == 1
    assert forked("history", *PREFS, options=("-b", "lab")).text.count("\n") == 3
    assert forked("restore", "1", "--yes", options=("-b", "lab")).code == 0
    assert forked("get", *PREFS, options=("-b", "lab")).json == {"theme": "dark", "n": 1}


def test_the_list_has_main_first(forked: Cli) -> None:
    lines = forked.ok("branch", "list").text.splitlines()
    assert [line.split()[0] for line in lines] == ["name", "main", "lab"]
    [trunk, lab] = forked.ok("branch", "list", "--json").json
    assert (trunk["name"], trunk["parent"], trunk["head"]) == ("main", None, 4)
    assert (lab["name"], lab["parent"], lab["base"], lab["head"]) == ("lab", "main", 2, 3)


def test_diff_is_between_here_and_the_branch(forked: Cli) -> None:
    assert forked.ok("branch", "diff", "lab").text == (
        '~ a/persistent/prefs\n    ~ /theme: "dark" → "light"\n- b/local/k: 1\n'
    )
    assert forked("branch", "diff", "main", "--agent", "b", options=("-b", "lab")).text == "+ b/local/k: 1\n"
    assert [each["change"] for each in forked.ok("branch", "diff", "lab", "--json").json] == ["update", "delete"]


def test_a_deleted_branch_is_gone_and_its_name_free(forked: Cli) -> None:
    assert forked.ok("branch", "delete", "lab").text == ""
    assert forked.refused("branch", "delete", "lab") == "there is no branch lab"
    forked.ok("branch", "create", "lab")
    assert forked("get", *PREFS, options=("-b", "lab")).json == {"theme": "dark", "n": 1}


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("create", "lab"), "there is a branch 'lab' already"),
        (("create", "late", "--at", "999"), "there is no revision 999"),
        (("delete", "main"), "main is the trunk"),
        (("diff", "never"), "there is no branch 'never'"),
    ],
)
def test_what_cannot_be_is_refused(forked: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in forked.refused("branch", *args)


def test_a_branch_that_is_not_there_is_refused_by_every_command(forked: Cli) -> None:
    ran = forked("get", *PREFS, options=("-b", "never"))
    assert (ran.code, ran.out) == (1, b"")
    assert "there is no branch 'never'" in ran.line
