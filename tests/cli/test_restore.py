from __future__ import annotations

import pytest

from statedb import Store
from statedb.cli import plans as command
from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli, Program


@pytest.fixture
def written(cli: Cli) -> Cli:
    cli.ok("set", *PREFS, '{"theme":"dark","n":1}')
    cli.ok("checkpoint", "create", "before")
    cli.ok("set", *PREFS, '{"theme":"light","n":1}')
    cli.ok("set", "b", "local", "new", "1")
    return cli


PLAN = '~ a/persistent/prefs\n    ~ /theme: "light" → "dark"\n- b/local/new: 1\n'


def test_a_restore_prints_what_it_changes_and_is_a_commit(written: Cli) -> None:
    assert written.ok("restore", "before", "--yes").text == f"{PLAN}revision 5 restores 2 keys\n"
    assert written.ok("get", *PREFS).json == {"theme": "dark", "n": 1}
    assert written.ok("log", "--oneline", "--limit", "1").text == "5 restore to before\n"
    written.ok("undo", "5")
    assert written.ok("get", "b", "local", "new").json == 1


def test_a_dry_run_only_shows(written: Cli) -> None:
    assert written.ok("restore", "1", "--dry-run").text == f"{PLAN}2 keys would be restored\n"
    found = written.ok("restore", "1", "--dry-run", "--json").json
    assert found["revision"] is None
    assert [each["change"] for each in found["changes"]] == ["update", "delete"]
    assert written.ok("get", *PREFS).json == {"theme": "light", "n": 1}


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (("--agent", "a"), ["b"]),
        (("--type", "local"), ["a"]),
        (("--key", "n*"), ["a"]),
        (("--key", "nothing", "--key", "prefs"), ["b"]),
    ],
)
def test_a_part_of_the_store_goes_back(written: Cli, args: tuple[str, ...], left: list[str]) -> None:
    assert written.ok("restore", "1", *args, "--yes", "--json").json["revision"] == 5
    found = written.ok("restore", "1", "--dry-run", "--json").json["changes"]
    assert [each["agent_id"] for each in found] == left


def test_nothing_to_restore_is_said_and_asks_nobody(written: Cli) -> None:
    assert "nothing to restore" in written.ok("restore", "4").text
    assert written.ok("restore", "4", "--json").json == {"revision": None, "changes": []}


def test_where_nobody_can_be_asked_yes_must_be_said(written: Cli) -> None:
    assert "give --yes" in written.wrong("restore", "before")
    assert "give one of them" in written.wrong("restore", "before", "--yes", "--dry-run")
    assert written.ok("get", *PREFS).json == {"theme": "light", "n": 1}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("Yes\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_on_a_terminal_the_plan_is_shown_and_asked_about(
    written: Cli, program: Program, answer: str, code: int
) -> None:
    terminal = program.on_a_terminal("restore", "before", "-m", "back")
    terminal.until("/theme")
    terminal.until("Restore 2 keys? [y/N]")
    terminal.type(answer)
    assert terminal.end() == code
    assert ("nothing was restored" in terminal.shown) == bool(code)
    assert (written.ok("get", *PREFS).json["theme"] == "dark") == (not code)
    assert "\x1b[" in terminal.shown, "in colour"


def test_what_others_wrote_meanwhile_is_not_restored_unseen(written: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def agreed(_question: str) -> bool:
        with Store(written.name) as other:
            other.states.set("c", "shared", "k", 1)
        return True

    monkeypatch.setattr(command, "agreed", agreed)
    monkeypatch.setattr(command, "can_ask", lambda: True)
    ran = written("restore", "before")
    assert ran.code == 1
    assert "others have written meanwhile" in ran.line
    assert written.ok("get", *PREFS).json == {"theme": "light", "n": 1}
    assert written.ok("get", "c", "shared", "k").json == 1


@pytest.mark.parametrize(("args", "why"), [(("99",), "there is no revision 99"), (("never",), "no checkpoint 'never'")])
def test_a_point_that_is_none_is_refused(written: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in written.refused("restore", *args, "--yes")
