from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli, Program, Ran

VIEW = """\
+ a/persistent/other: 1
! a/persistent/prefs  changed on both sides
    /size
        base    12  (version 1)
        ours    10  (main, version 2)
        theirs  14  (lab, version 2)
"""


@pytest.fixture
def parted(cli: Cli) -> Cli:
    """A store whose two branches changed one place of a key each to something else, and others."""
    cli.ok("set", *PREFS, '{"theme":"dark","size":12}')
    cli.ok("branch", "create", "lab")
    on_lab(cli, "set", *PREFS, '{"theme":"light","size":14}')
    on_lab(cli, "set", "a", "persistent", "other", "1")
    cli.ok("set", *PREFS, '{"theme":"dark","size":10}')
    return cli


def on_lab(cli: Cli, *args: str) -> Ran:
    ran = cli(*args, options=("-b", "lab"))
    assert (ran.code, ran.err) == (0, "")
    return ran


def now(cli: Cli) -> Any:
    return cli.ok("get", *PREFS).json


def test_what_both_sides_changed_is_shown_place_by_place_and_nothing_is_merged(parted: Cli) -> None:
    ran = parted("merge", "lab")
    assert (ran.code, ran.text) == (1, VIEW)
    assert ran.line == (
        "1 conflict, so nothing was merged; settle by --strategy ours, theirs or manual, or GLOB=RULE for some keys"
    )
    ran = parted("merge", "lab", "--json")
    assert (ran.code, ran.json["revision"], len(ran.json["changes"])) == (1, None, 1)
    [found] = ran.json["conflicts"]
    assert found["clashes"] == [
        {"path": "/size", "kind": "concurrent_modification", "base": 12, "ours": 10, "theirs": 14}
    ]
    assert (found["id"], found["base"], found["source"]) == (None, {"theme": "dark", "size": 12}, "lab")
    assert parted.ok("log", "--limit", "1", "--json").json[0]["revision"] == 5


def test_a_preview_shows_and_does_nothing(parted: Cli) -> None:
    assert parted.ok("merge", "lab", "--preview").text == f"{VIEW}lab would change 1 key of main, but for 1 conflict\n"
    assert parted.ok("merge", "lab", "--preview", "-s", "theirs").text.splitlines()[-1] == (
        "lab would change 2 keys of main"
    )
    assert now(parted) == {"theme": "dark", "size": 10}


@pytest.mark.parametrize(
    ("strategy", "size"),
    [
        (("theirs",), 14),
        (("last_writer_wins",), 14),
        (("ours",), 10),
        (("pre*=theirs",), 14),
        (("x*=theirs", "ours"), 10),
        (("pre*=ours", "*=theirs"), 10),
    ],
)
def test_a_strategy_settles_the_place_alone(parted: Cli, strategy: tuple[str, ...], size: int) -> None:
    ran = parted.ok("merge", "lab", *(word for each in strategy for word in ("-s", each)))
    assert ("! a/persistent/prefs  settled by ours\n" in ran.text) == (size == 10)
    assert ran.text.splitlines()[-1] == "revision 6 merges lab into main: 2 keys"
    assert now(parted) == {"theme": "light", "size": size}
    assert parted.ok("merge", "lab").text == "nothing to merge: main has all of lab\n"


def test_what_is_left_to_somebody_waits_with_its_number(parted: Cli) -> None:
    ran = parted.ok("merge", "lab", "--strategy", "manual", "-m", "as far as it goes")
    assert "! conflict 1: a/persistent/prefs  changed on both sides\n" in ran.text
    assert ran.text.splitlines()[-2:] == [
        "revision 6 merges lab into main: 1 key",
        "1 conflict is left: settle 1 with 'conflicts resolve'",
    ]
    assert parted.ok("log", "--oneline", "--limit", "1").text == "6 as far as it goes\n"


def test_a_merge_goes_where_it_is_told(parted: Cli) -> None:
    done = parted.ok("merge", "main", "--into", "lab", "-s", "ours", "--json").json
    assert (done["into"], done["revision"], [each["method"] for each in done["resolutions"]]) == ("lab", 6, ["ours"])
    assert (now(parted), on_lab(parted, "get", *PREFS).json["size"]) == ({"theme": "dark", "size": 10}, 14)
    assert on_lab(parted, "merge", "main").text == "nothing to merge: lab has all of main\n"


def test_a_side_without_a_value_is_told_and_in_json_left_out(parted: Cli) -> None:
    parted.ok("delete", *PREFS)
    ran = parted("merge", "lab")
    assert "! a/persistent/prefs  deleted on one side, changed on the other\n    (the value)\n" in ran.text
    assert "        ours    no value  (main" in ran.text
    [found] = parted("merge", "lab", "--json").json["conflicts"]
    assert "ours" not in found
    assert "ours" not in found["clashes"][0]


@pytest.mark.parametrize(
    "strategy",
    [("mine",), ("",), ("=ours",), ("a*=mine",), ("ours", "theirs"), ("a=ours", "a=theirs")],
    ids=str,
)
def test_what_is_no_strategy_is_wrong_usage(parted: Cli, strategy: tuple[str, ...]) -> None:
    assert "--strategy" in parted.wrong("merge", "lab", *(word for each in strategy for word in ("-s", each)))


def test_what_cannot_be_merged_is_refused(parted: Cli) -> None:
    assert "there is no branch 'never'" in parted.refused("merge", "never")
    assert "cannot be merged into itself" in parted.refused("merge", "main")
    assert "both branches changed prefs" in parted.refused("merge", "lab", "-s", "raise")


def test_a_terminal_shows_the_sides_in_colour_and_obeys_none(parted: Cli, program: Program) -> None:
    parted.ok("set", "a\x1b[2J", "local", "k", "1")
    on_lab(parted, "set", "a\x1b[2J", "local", "k", '"\\u009b"')
    terminal = program.on_a_terminal("merge", "lab")
    assert terminal.end() == 1
    for part in ("\x1b[1;31m! a/persistent/prefs", "\x1b[36m10\x1b[0m", "\x1b[35m14\x1b[0m", "\\u009b"):
        assert part in terminal.shown
    assert "\x1b[2J" not in terminal.shown
