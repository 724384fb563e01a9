from __future__ import annotations

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli
from tests.cli.test_merge import now, on_lab, parted

__all__ = ["parted"]


@pytest.fixture
def waiting(parted: Cli) -> Cli:
    """A store with a conflict that a merge has left, and one that a write has."""
    parted.ok("merge", "lab", "-s", "manual")
    parted.ok("set", "b", "local", "k", "1")
    parted.ok("set", "b", "local", "k", "2")
    parted.ok("set", "b", "local", "k", "3", "--expect", "1", "--on-conflict", "manual")
    return parted


def second(cli: Cli) -> str:
    """Return the number of the conflict that the write has left, which on a server need not be 2."""
    return str(cli.ok("conflicts", "list", "--agent", "b", "--json").json[0]["id"])


def test_the_list_has_what_is_open(waiting: Cli) -> None:
    head, *rows = [line.split() for line in waiting.ok("conflicts", "list").text.splitlines()]
    assert head == ["id", "agent", "type", "key", "kind", "places", "merged", "revision", "at"]
    assert [row[:8] for row in rows] == [
        ["1", "a", "persistent", "prefs", "concurrent", "modification", "1", "lab"],
        [second(waiting), "b", "local", "k", "concurrent", "modification", "1", "9"],
    ]
    [found] = waiting.ok("conflicts", "list", "--agent", "b", "--type", "local", "--key", "k*", "--json").json
    assert (found["base"], found["ours"], found["theirs"], found["resolution"]) == (1, 3, 2, None)
    assert on_lab(waiting, "conflicts", "list", "--json").json == []


def test_one_is_shown_place_by_place(waiting: Cli) -> None:
    assert waiting.ok("conflicts", "show", "1").text == (
        "! conflict 1: a/persistent/prefs  changed on both sides\n    /size\n        base    12  (version 1)\n"
        "        ours    10  (main, version 2)\n        theirs  14  (lab, version 2)\n"
    )
    assert waiting.ok("conflicts", "show", second(waiting)).text.splitlines()[1:] == [
        "    (the value)", "        base    1  (version 1)", "        ours    3", "        theirs  2  (main, version 2)"
    ]  # fmt: skip
    assert waiting.ok("conflicts", "show", "1", "--json").json["clashes"][0]["path"] == "/size"


def test_a_side_settles_one(waiting: Cli) -> None:
    assert waiting.ok("conflicts", "resolve", "1", "-s", "theirs").text == (
        'revision 10 settles conflict 1: prefs holds {"theme":"light","size":14}\n1 more to settle\n'
    )
    assert now(waiting) == {"theme": "light", "size": 14}
    assert waiting.ok("conflicts", "show", "1").text.splitlines()[-1] == (
        'revision 10 settled it, by theirs: {"theme":"light","size":14}'
    )
    assert [line.split()[-1] for line in waiting.ok("conflicts", "list", "--all").text.splitlines()[:2]] == [
        "settled", "theirs"
    ]  # fmt: skip
    assert "was settled already" in waiting.refused("conflicts", "resolve", "1", "-s", "ours")


def test_a_value_settles_one_be_it_none(waiting: Cli) -> None:
    ran = waiting.ok("conflicts", "resolve", "1", "--value", "-", "-m", "agreed", "--json", stdin=b"-1")
    assert (ran.json["value"], ran.json["method"], ran.json["key"], now(waiting)) == (-1, "value", "prefs", -1)
    assert waiting.ok("log", "--oneline", "--limit", "1").text == "10 agreed\n"
    number = second(waiting)
    assert waiting.ok("conflicts", "resolve", number, "--delete").text.splitlines() == [
        f"revision 11 settles conflict {number}: k holds nothing", "no conflict is left"
    ]  # fmt: skip


def test_what_others_have_written_since_is_not_overwritten_unseen(waiting: Cli) -> None:
    waiting.ok("set", *PREFS, '{"size":1}')
    settle = ("conflicts", "resolve", "1", "--value", "0")
    assert "is at version 3" in waiting.refused(*settle)
    assert waiting.ok(*settle, "--expect", "3").code == 0


@pytest.mark.parametrize("args", [(), ("--value", "1", "-s", "ours"), ("--delete", "--value", "1"), ("--value", "x")])
def test_to_say_nothing_or_two_things_is_wrong_usage(waiting: Cli, args: tuple[str, ...]) -> None:
    assert "--value" in waiting.wrong("conflicts", "resolve", "1", *args)


def test_what_is_not_there_is_refused(waiting: Cli) -> None:
    assert "there is no conflict 9" in waiting.refused("conflicts", "show", "9")
    assert "a merge leaves open" in waiting.refused("conflicts", "resolve", "1", "-s", "merge")
