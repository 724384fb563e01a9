from __future__ import annotations

import pytest

from statedb import Store
from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli, Program
from tests.helpers import Clock


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """One database is enough: what is tested here does not depend on it."""
    return str(request.param)


OLD = {"theme": "dark", "tabs": ["a", "b"], "gone": None, "n": 1}
NEW = {"theme": "light", "tabs": ["x", "a"], "size": 12, "n": 1}


@pytest.fixture
def changed(cli: Cli, clock: Clock) -> Cli:
    with Store(cli.name, clock=clock) as store:
        for value in (OLD, NEW, NEW | {"n": 1.0}):
            store.states.set(*PREFS, value)
            clock.advance(10)
        store.states.set("b", "session", "call", 1, ttl=5)
        store.states.delete(*PREFS)
        clock.advance(10)
    return cli


def test_diff_shows_each_place_in_order(changed: Cli) -> None:
    assert changed.ok("diff", *PREFS, "1", "2").text.splitlines() == [
        "a/persistent/prefs  version 1 → 2",
        "- /gone: null",
        "+ /size: 12",
        '+ /tabs/0: "x"',
        '- /tabs/1: "b"',
        '~ /theme: "dark" → "light"',
    ]


def test_places_in_lists_stand_in_the_order_of_the_list(cli: Cli) -> None:
    cli.ok("set", *PREFS, str(list(range(12))))
    cli.ok("set", *PREFS, str([each + 100 for each in range(12)]))
    places = [line.split()[1] for line in cli.ok("diff", *PREFS).text.splitlines()[1:]]
    assert places == [f"/{each}:" for each in range(12)]


def test_diff_shows_the_last_change_unless_told(changed: Cli) -> None:
    assert changed.ok("diff", *PREFS).text.splitlines()[0] == "a/persistent/prefs  version 3 → 4"
    assert changed.ok("diff", *PREFS, "2").text.splitlines()[0] == "a/persistent/prefs  version 2 → 4"
    assert changed.ok("diff", *PREFS, "2", "3").text.splitlines()[1:] == ["~ /n: 1 → 1.0"]
    assert changed.ok("diff", *PREFS, "--json").json["removed"] == {"": NEW | {"n": 1.0}}


def test_diff_of_a_first_version_is_all_of_it(cli: Cli) -> None:
    cli.ok("set", "a", "local", "k", "1")
    assert cli.ok("diff", "a", "local", "k").text == "a/local/k  version 1, the first\n+ (the value): 1\n"
    assert cli.ok("diff", "a", "local", "k", "0", "1", "--json").json["added"] == {"": 1}


def test_no_difference_is_no_output(changed: Cli) -> None:
    assert changed.ok("diff", *PREFS, "1", "1").text == ""
    assert changed.ok("diff", *PREFS, "1", "1", "--json").json == {"added": {}, "modified": {}, "removed": {}}


def test_diff_as_json_tells_both_sides(changed: Cli) -> None:
    assert changed.ok("diff", *PREFS, "1", "2", "--json").json == {
        "added": {"/size": 12, "/tabs/0": "x"},
        "modified": {"/theme": {"old": "dark", "new": "light"}},
        "removed": {"/gone": None, "/tabs/1": "b"},
    }


def test_a_patch_leads_from_one_version_to_the_other(changed: Cli) -> None:
    patch = changed.ok("diff", *PREFS, "1", "2", "--patch").json
    merge = changed.ok("diff", *PREFS, "1", "2", "--merge-patch").json
    assert merge == {"gone": None, "theme": "light", "tabs": ["x", "a"], "size": 12}
    for each in (patch, merge):
        with Store(":memory:") as store:
            store.states.set(*PREFS, OLD)
            assert store.states.patch(*PREFS, each).value == NEW
    assert "cannot take the whole value away" in changed.refused("diff", *PREFS, "--merge-patch")


def test_diff_between_points_is_of_what_stood_there(changed: Cli) -> None:
    at = ("--from", "2023-11-14T22:13:25Z", "--to", "2023-11-14T22:13:35Z")
    assert changed.ok("diff", *PREFS, *at, "--json").json == changed.ok("diff", *PREFS, "1", "2", "--json").json
    assert changed.ok("diff", *PREFS, "--at", "2", "--to", "3").text.splitlines()[0] == "a/persistent/prefs  2 → 3"
    assert changed.ok("diff", *PREFS, "--from", "3", "--json").json["removed"] == {"": NEW | {"n": 1.0}}
    assert "has no value at either point" in changed.refused("diff", "a", "local", "k", "--from", "1")


def test_diff_without_a_key_lists_what_changed_in_between(changed: Cli) -> None:
    assert changed.ok("diff", "--from", "1", "--to", "2").text.splitlines()[0] == "~ a/persistent/prefs"
    assert changed.ok("diff", "--from", "3", "--to", "4").text == "+ b/session/call: 1\n"
    assert changed.ok("diff", "--from", "4").text == (
        '- a/persistent/prefs: {"theme":"light","tabs":["x","a"],"size":12,"n":1.0}\n- b/session/call (expired): 1\n'
    )
    assert changed.ok("diff", "--from", "4", "--agent", "b").text == "- b/session/call (expired): 1\n"
    assert changed.ok("diff", "--from", "4", "--to", "4").text == ""
    [found] = changed.ok("diff", "--from", "4", "--agent", "b", "--json").json
    assert (found["change"], found["old_value"], found["key"]) == ("expire", 1, "call")


def test_bytes_are_told_by_their_length_and_in_json_in_base64(cli: Cli) -> None:
    cli.ok("set", "a", "local", "raw", "x", "--bytes")
    cli.ok("set", "a", "local", "raw", "yy", "--bytes")
    assert cli.ok("diff", "a", "local", "raw").text.splitlines()[1] == "~ (the value): 1 bytes → 2 bytes"
    found = cli.ok("diff", "a", "local", "raw", "--json").json
    assert found["modified"] == {"": {"old": {"bytes": "eA=="}, "new": {"bytes": "eXk="}}}
    assert "no JSON can hold" in cli.refused("diff", "a", "local", "raw", "--patch")


def test_what_a_diff_shows_is_escaped(cli: Cli) -> None:
    cli.ok("set", "a\x1b[2J", "local", "k\n", '{"\\u001b":"\\u009b\\n"}')
    cli.ok("set", "a\x1b[2J", "local", "k\n", '{"\\u001b":"\\u202e"}')
    shown = cli.ok("diff", "a\x1b[2J", "local", "k\n").text
    assert shown == 'a\\u001b[2J/local/k\\n  version 1 → 2\n~ /\\u001b: "\\u009b\\n" → "\\u202e"\n'


def test_a_terminal_shows_a_diff_in_colour(program: Program) -> None:
    program("set", *PREFS, '{"a":1,"b":1}')
    program("set", *PREFS, '{"b":2,"c":1}')
    terminal = program.on_a_terminal("diff", *PREFS)
    assert terminal.end() == 0
    for line in ("\x1b[31m- /a: 1\x1b[0m", "\x1b[33m~ /b: \x1b[0m\x1b[31m1\x1b[0m", "\x1b[32m+ /c: 1\x1b[0m"):
        assert line in terminal.shown


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("a",),
        ("a", "local"),
        ("--to", "1"),
        ("--agent", "a"),
        (*PREFS, "--to", "1"),
        (*PREFS, "1", "2", "--from", "1"),
        (*PREFS, "--agent", "a"),
        (*PREFS, "--patch", "--json"),
        (*PREFS, "--patch", "--merge-patch"),
        ("--from", "1", "--patch"),
        (*PREFS, "x"),
        (*PREFS, "--from", ""),
        (*PREFS, "1", "0"),
    ],
    ids=str,
)
def test_a_diff_of_something_else_is_wrong_usage(changed: Cli, args: tuple[str, ...]) -> None:
    assert changed.wrong("diff", *args)


def test_a_diff_of_what_is_not_there_is_refused(changed: Cli) -> None:
    assert "has no history" in changed.refused("diff", "a", "local", "nope")
    assert "has no version 9" in changed.refused("diff", *PREFS, "9")
    assert "there is no revision 99" in changed.refused("diff", "--from", "99")


def test_a_terminal_is_shown_nothing_that_it_would_obey(program: Program) -> None:
    program("set", "a\x1b[2J", "local", "k", '{"\\u001b]0;x":"\\u009b\\n"}')
    terminal = program.on_a_terminal("diff", "a\x1b[2J", "local", "k")
    assert terminal.end() == 0
    assert "\x1b[2J" not in terminal.shown
    assert "\\u001b[2J" in terminal.shown
    assert "\\u009b" in terminal.shown
    program("set", "a\x1b[2J", "local", "k", '{"\\u001b]0;x":1}')
    for args in (("log", "-p"), ("log", "--oneline"), ("blame", "a\x1b[2J", "local", "k"), ("diff", "--from", "1")):
        terminal = program.on_a_terminal(*args)
        assert terminal.end() == 0
        assert "\x1b[2J" not in terminal.shown
        assert "\x1b]" not in terminal.shown


def test_two_points_may_be_checkpoints_of_the_agent_and_lie_on_a_branch(changed: Cli) -> None:
    changed.ok("branch", "create", "lab", "--at", "2")
    lab = ("-b", "lab")
    changed("set", *PREFS, '{"theme":"blue"}', options=lab)
    changed("checkpoint", "create", "x", "--agent", "a", options=lab)
    changed.ok("checkpoint", "create", "x", "--agent", "a", "--at", "1")
    changed.ok("checkpoint", "create", "x", "--agent", "b", "--at", "3")
    assert changed.ok("diff", *PREFS, "--from", "x", "--to", "2", "--json").json == (
        changed.ok("diff", *PREFS, "1", "2", "--json").json
    )
    assert changed.ok("diff", "--from", "x", "--to", "4", "--agent", "b").text == "+ b/session/call: 1\n"
    assert changed("diff", *PREFS, "--from", "1", "--to", "x", "--json", options=lab).json["modified"] == {
        "/theme": {"old": "dark", "new": "blue"}
    }
    assert changed("diff", "--from", "2", "--agent", "a", options=lab).text.splitlines()[-1] == (
        '    ~ /theme: "light" → "blue"'
    )
    assert changed.ok("branch", "diff", "lab", "--at", "2").text.startswith("+ a/persistent/prefs: ")
