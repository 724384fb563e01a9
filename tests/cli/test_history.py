from __future__ import annotations

import pytest

from tests.cli.conftest import PREFS
from tests.cli.helpers import Cli

# ---- history


def test_history_lists_versions_newest_first(told: Cli) -> None:
    found = told.ok("history", *PREFS, "--json").json
    assert [(each["version"], each["revision"], each["change"], each["source_version"]) for each in found] == [
        (3, 3, "update", 1),
        (2, 2, "update", None),
        (1, 1, "create", None),
    ]
    assert found[-1]["at"] == "2023-11-14T22:13:20Z"
    assert found[-1]["message"] == "first\nrun"


def test_history_for_people_is_a_table_of_one_line_a_version(told: Cli) -> None:
    head, *rows = told.ok("history", *PREFS).text.splitlines()
    assert head.split() == ["version", "revision", "at", "by", "change", "size", "message"]
    assert len(rows) == 3
    assert "update (as 1)" in rows[0]
    assert rows[2].split() == ["1", "1", "2023-11-14", "22:13:20Z", "ui", "create", "16", "first\\nrun"]


def test_history_can_be_limited(told: Cli) -> None:
    assert [each["version"] for each in told.ok("history", *PREFS, "--limit", "2", "--json").json] == [3, 2]
    assert "--limit" in told.wrong("history", *PREFS, "--limit", "0")


def test_history_goes_beyond_a_deletion_and_an_expiry(told: Cli) -> None:
    assert [e["change"] for e in told.ok("history", "a", "local", "raw", "--json").json] == ["delete", "create"]
    assert [e["change"] for e in told.ok("history", "a", "session", "call/1", "--json").json] == ["expire", "create"]


def test_history_of_a_key_that_never_was_is_not_found(told: Cli) -> None:
    assert told.refused("history", "a", "local", "nope") == "nope (local of a) has no history"


def test_history_of_a_glob_is_of_all_keys_that_match(told: Cli) -> None:
    found = told.ok("history", "a", "session", "call/*", "--json").json
    assert [(each["key"], each["version"]) for each in found] == [("call/1", 2), ("call/1", 1)]
    head, *rows = told.ok("history", "a", "persistent", "*").text.splitlines()
    assert head.split()[0] == "key"
    assert [row.split()[:2] for row in rows] == [["prefs", "3"], ["prefs", "2"], ["prefs", "1"]]
    assert told.refused("history", "a", "local", "nope*") == "nope* (local of a) has no history"


@pytest.mark.parametrize(
    ("filters", "versions"),
    [
        (("--by", "ui"), [3, 2, 1]),
        (("--by", "nobody"), []),
        (("--since", "1"), [3, 2]),
        (("--until", "2"), [2, 1]),
        (("--since", "2023-11-14T22:13:20Z", "--until", "2023-11-14T22:13:21Z"), [2]),
        (("--since", "now"), []),
    ],
    ids=str,
)
def test_history_is_narrowed(told: Cli, filters: tuple[str, ...], versions: list[int]) -> None:
    assert [each["version"] for each in told.ok("history", *PREFS, *filters, "--json").json] == versions


# ---- show


def test_show_tells_all_of_an_entry(told: Cli) -> None:
    assert told.ok("show", *PREFS, "--json").json == {
        "agent_id": "a",
        "state_type": "persistent",
        "key": "prefs",
        "value": {"theme": "dark"},
        "version": 3,
        "parent_version": 2,
        "revision": 3,
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:13:22Z",
        "created_by": "ui",
        "expires_at": None,
        "metadata": {"src": "ui"},
        "deleted": False,
    }


def test_show_for_people_names_every_field_that_says_something(told: Cli) -> None:
    shown = told.ok("show", *PREFS, "--version", "1").text
    facts = dict(line.split(maxsplit=1) for line in shown.splitlines() if not line.startswith((" ", "}")))
    assert facts["version"] == "1"
    assert '  "theme": "dark"' in shown
    assert "created at      2023-11-14 22:13:20Z" in shown
    assert "expires" not in shown


def test_show_tells_text_from_null_and_from_no_value(cli: Cli) -> None:
    for value in ('"null"', "null"):
        cli.ok("set", *PREFS, value)
        assert f"value           {value}\n" in cli.ok("show", *PREFS).text
    cli.ok("delete", *PREFS)
    assert "\nvalue" not in cli.ok("show", *PREFS, "--version", "3").text


def test_show_names_bytes_as_bytes(told: Cli) -> None:
    entry = told.ok("show", "a", "local", "raw", "--version", "1", "--json").json
    assert entry["bytes"] == "AP8="
    assert "value" not in entry


def test_show_tells_a_commit_and_its_changes(told: Cli) -> None:
    commit = told.ok("show", "4", "--json").json
    assert (commit["revision"], commit["by"], commit["message"]) == (4, "broker", "both")
    assert (commit["at"], commit["context"]) == ("2023-11-14T22:13:22.500000Z", {"ticket": 7})
    raw, null = commit["changes"]
    assert (raw["key"], raw["new_bytes"], "new_value" in raw) == ("raw", "AP8=", False)
    assert (null["key"], null["new_value"], null["change"]) == ("x\x1b[2J", None, "create")


def test_show_of_a_commit_for_people_hides_nothing_and_obeys_nothing(told: Cli) -> None:
    shown = told.ok("show", "4").text
    assert "2 bytes" in shown
    assert "null" in shown
    assert "x\\u001b[2J" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "args", [("a", "persistent"), ("a", "b", "c", "d"), ("1", "--version", "2"), ("1", "--at", "1")]
)
def test_show_of_neither_an_entry_nor_a_commit_is_wrong_usage(told: Cli, args: tuple[str, ...]) -> None:
    assert "POINT" in told.wrong("show", *args)


def test_show_of_a_tier_that_is_none_is_wrong_usage(told: Cli) -> None:
    assert "it is one of local, shared" in told.wrong("show", "a", "global", "k")


def test_show_of_what_never_was_is_not_found(told: Cli) -> None:
    assert "there is no revision 99" in told.refused("show", "99")
    assert "has no version 9" in told.refused("show", *PREFS, "--version", "9")
    assert "has no value" in told.refused("show", "a", "local", "raw")


# ---- at


def test_at_reads_one_value_as_it_was(told: Cli) -> None:
    assert told.ok("at", "2", *PREFS).text == '{"theme":"light"}\n'
    assert told.ok("at", "2023-11-14T22:13:21Z", *PREFS, "--json").json == {"theme": "light"}
    assert told.ok("at", "4", "a", "local", "raw").out == b"\x00\xff"
    assert told.refused("at", "6", "a", "local", "raw") == "raw (local of a) has no value at 6"


def test_at_lists_an_agents_values_as_they_were(told: Cli) -> None:
    assert told.ok("at", "5", "a", "--json").json == [
        {"state_type": "local", "key": "raw", "bytes": "AP8="},
        {"state_type": "session", "key": "call/1", "value": 1},
        {"state_type": "persistent", "key": "prefs", "value": {"theme": "dark"}},
    ]
    assert told.ok("at", "5", "a", "persistent", "p*", "--json").json == [
        {"state_type": "persistent", "key": "prefs", "value": {"theme": "dark"}}
    ]
    assert told.ok("at", "5", "nobody", "--json").json == []
    assert [line.split() for line in told.ok("at", "5", "a", "session").text.splitlines()] == [
        ["type", "key", "value"],
        ["session", "call/1", "1"],
    ]


def test_at_sees_a_session_until_it_expired(told: Cli) -> None:
    assert told.ok("at", "2023-11-14T22:14:23Z", "a", "session", "call/1").text == "1\n"
    assert "has no value" in told.refused("at", "2023-11-14T22:14:24Z", "a", "session", "call/1")


def test_a_key_that_looks_like_a_glob_is_read_with_get(cli: Cli) -> None:
    cli.ok("set", "a", "local", "[x]", "1")
    assert cli.ok("at", "1", "a", "local", "[x]", "--json").json == []
    assert cli.ok("get", "a", "local", "[x]", "--at", "1").json == 1


def test_at_a_point_that_is_none_or_not_yet_is_an_error(told: Cli) -> None:
    assert "there is no checkpoint" in told.refused("at", "then", "a")
    assert "lies in the future" in told.refused("at", "9000-01-01", "a")
    assert "there is no revision 99" in told.refused("at", "99", "a")


def test_a_table_in_a_pipe_cuts_nothing_to_a_width(cli: Cli) -> None:
    cli.ok("set", "a", "local", "k" * 190, "1", "-m", "m" * 190)
    assert "m" * 190 in cli.ok("log").text
    assert "k" * 190 in cli.ok("log").text


def test_an_entry_and_a_commit_are_shown_as_of_a_checkpoint(told: Cli) -> None:
    told.ok("checkpoint", "create", "start", "--at", "2")
    told.ok("checkpoint", "create", "start", "--at", "1", "--agent", "a")
    told.ok("checkpoint", "create", "start", "--at", "4", "--agent", "b")
    shown = told.ok("show", *PREFS, "--at", "start", "--json").json
    assert (shown["version"], shown["value"]) == (1, {"theme": "dark"})
    assert told.ok("show", "start", "--json").json["revision"] == 2
    assert told.ok("show", "2023-11-14T22:13:21Z", "--json").json["revision"] == 2
    assert "no commit as old" in told.refused("show", "2001-01-01")
    assert "has no value at 1" in told.refused("show", "a", "local", "raw", "--at", "1")
    assert told.ok("get", *PREFS, "--at", "start").json == {"theme": "dark"}
    assert told.ok("at", "start", "b", "--json").json == [{"state_type": "shared", "key": "x\x1b[2J", "value": None}]


def test_a_commit_of_another_branch_is_shown_with_what_it_was_made_on(told: Cli) -> None:
    told.ok("branch", "create", "lab", "--at", "2")
    ran = told("set", *PREFS, "1", "--json", options=("-b", "lab"))
    shown = told.ok("show", str(ran.json["revision"]), "--json").json
    assert (shown["branch"], shown["parent"]) == ("lab", 2)
