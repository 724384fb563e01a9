from __future__ import annotations

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli


@pytest.fixture
def written(cli: Cli) -> Cli:
    cli.ok("set", *PREFS, '{"theme":"dark","n":1}')
    cli.ok("set", *PREFS, '{"theme":"light","n":1}', "-m", "lighter")
    cli.ok("set", *PREFS, '{"theme":"light","n":2}')
    return cli


def test_undo_takes_back_a_commit_and_prints_what_that_changes(written: Cli) -> None:
    assert written.ok("undo", "2").text == (
        'revision 4 takes back 2\n~ a/persistent/prefs\n    ~ /theme: "light" → "dark"\n'
    )
    assert written.ok("get", *PREFS).json == {"theme": "dark", "n": 2}
    assert written.ok("log", "--oneline", "--limit", "1").text == "4 undo revision 2: lighter\n"


def test_several_are_taken_back_in_one_commit_whatever_their_order(written: Cli) -> None:
    assert written.ok("undo", "3", "2", "3", "-m", "both").text.splitlines()[0] == "revision 4 takes back 2, 3"
    assert written.ok("get", *PREFS).json == {"theme": "dark", "n": 1}
    assert written.ok("log", "--oneline", "--limit", "1").text == "4 both\n"


def test_an_undo_can_be_undone(written: Cli) -> None:
    written.ok("undo", "1", "2", "3")
    assert written.refused("get", *PREFS) == "prefs (persistent of a) has no value"
    written.ok("undo", "4")
    assert written.ok("get", *PREFS).json == {"theme": "light", "n": 2}


def test_undo_as_json_has_the_revision_and_the_changes(written: Cli) -> None:
    found = written.ok("undo", "2", "--json").json
    assert found["revision"] == 4
    [change] = found["changes"]
    assert (change["key"], change["change"], change["new_value"]) == ("prefs", "update", {"theme": "dark", "n": 2})


def test_undo_of_what_stands_as_it_was_does_nothing(written: Cli) -> None:
    written.ok("undo", "2")
    assert "nothing to take back" in written.ok("undo", "2").text
    assert written.ok("undo", "2", "--json").json == {"revision": None, "changes": []}


def test_a_conflict_names_the_places_and_the_later_writes_and_changes_nothing(written: Cli) -> None:
    said = written.refused("undo", "1")
    assert "prefs (persistent of a)" in said
    assert "/theme" in said or "the whole value" in said
    assert "by revision 2" in said
    assert written.ok("get", *PREFS).json == {"theme": "light", "n": 2}


@pytest.mark.parametrize(("args", "why"), [(("99",), "there is no revision 99"), (("2", "99"), "no revision 99")])
def test_undo_of_what_is_not_there_is_refused(written: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in written.refused("undo", *args)


@pytest.mark.parametrize("args", [(), ("x",), ("0",), ("-1",), ("1.5",)])
def test_undo_of_what_is_no_revision_is_wrong_usage(written: Cli, args: tuple[str, ...]) -> None:
    assert written.wrong("undo", *args)


# ---- revert


def test_revert_writes_an_old_value_again(written: Cli) -> None:
    assert written.ok("revert", *PREFS, "1").text == "prefs: version 4 is as version 1, revision 4\n"
    assert written.ok("get", *PREFS).json == {"theme": "dark", "n": 1}
    assert written.ok("log", "--oneline", "--limit", "1").text == "4 revert prefs to version 1\n"
    found = written.ok("revert", *PREFS, "2", "-m", "back", "--json").json
    assert (found["version"], found["revision"], found["value"]) == (5, 5, {"theme": "light", "n": 1})


def test_revert_to_a_deletion_deletes(written: Cli) -> None:
    written.ok("delete", *PREFS)
    written.ok("set", *PREFS, "1")
    written.ok("revert", *PREFS, "4")
    assert "has no value" in written.refused("get", *PREFS)


def test_revert_to_what_never_was_is_refused(written: Cli) -> None:
    assert "has no version 9" in written.refused("revert", *PREFS, "9")
    assert written.wrong("revert", *PREFS, "0")
    assert written.wrong("revert", *PREFS)
