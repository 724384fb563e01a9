from __future__ import annotations

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli


@pytest.fixture
def named(told: Cli) -> Cli:
    """A store with a checkpoint of its own, one of agent a, and a write since."""
    told.ok("checkpoint", "create", "start", "--at", "1", "-m", "the first")
    told.ok("checkpoint", "create", "start", "--agent", "a", "--at", "2", "--type", "milestone")
    return told


def test_a_checkpoint_names_now_or_another_point(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1")
    assert cli.ok("checkpoint", "create", "one").text == "one names revision 2\n"
    assert cli.ok("checkpoint", "create", "first", "--at", "1").text == "first names revision 1\n"
    cli.ok("set", *PREFS, "2")
    assert cli.ok("get", *PREFS, "--at", "one").json == 1
    found = cli.ok("checkpoint", "create", "json", "--json").json
    assert (found["name"], found["revision"], found["type"], found["agent_id"]) == ("json", 5, "manual", None)


def test_the_list_is_newest_first_and_has_whose_they_are(named: Cli) -> None:
    lines = named.ok("checkpoint", "list").text.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["name", "agent", "type"], ["start", "a", "milestone"], ["start", "manual", "1"],
    ]  # fmt: skip
    of_agent = named.ok("checkpoint", "list", "--agent", "a", "--json").json
    assert [(each["agent_id"], each["revision"]) for each in of_agent] == [("a", 2)]
    assert [each["revision"] for each in named.ok("checkpoint", "list", "--type", "manual", "--json").json] == [1]
    assert len(named.ok("checkpoint", "list", "--limit", "1", "--json").json) == 1


def test_show_tells_all_of_one(named: Cli) -> None:
    shown = named.ok("checkpoint", "show", "start", "--agent", "a").text
    assert "type            milestone\n" in shown
    assert "revision        2\n" in shown
    assert named.ok("checkpoint", "show", "start", "--json").json["revision"] == 1


def test_diff_prints_what_has_changed_since(named: Cli) -> None:
    assert named.ok("checkpoint", "diff", "start", "--to", "2").text == (
        '~ a/persistent/prefs\n    ~ /theme: "dark" → "light"\n'
    )
    found = named.ok("checkpoint", "diff", "start", "--agent", "b", "--json").json
    assert [each["agent_id"] for each in found] == ["b"]


def test_a_deleted_one_is_gone_and_its_name_free(named: Cli) -> None:
    assert named.ok("checkpoint", "delete", "start").text == ""
    assert named.refused("checkpoint", "delete", "start") == "there is no checkpoint start of the whole store"
    named.ok("checkpoint", "create", "start")
    named.ok("checkpoint", "delete", "start", "--agent", "a")
    assert len(named.ok("checkpoint", "list", "--json").json) == 1


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("create", "start"), "there is a checkpoint 'start'"),
        (("create", "2026-11-20"), "is a time"),
        (("create", "late", "--at", "999"), "there is no revision 999"),
        (("show", "never"), "there is no checkpoint 'never'"),
        (("diff", "never"), "there is no checkpoint 'never'"),
    ],
)
def test_what_cannot_be_is_refused(named: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in named.refused("checkpoint", *args)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "Missing command"),
        (("creat",), "Did you mean 'create'"),
        (("create",), "Missing argument 'NAME'"),
        (("create", "x", "--type", "odd"), "'odd' is not one of"),
    ],
)
def test_what_is_no_command_is_wrong_usage(cli: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in cli.wrong("checkpoint", *args)
