from __future__ import annotations

import pytest

from statedb import Store
from tests.cli.helpers import Cli
from tests.helpers import Clock


def test_log_lists_commits_newest_first(told: Cli) -> None:
    found = told.ok("log", "--json").json
    assert [each["revision"] for each in found] == [7, 6, 5, 4, 3, 2, 1]
    assert [each["kind"] for each in found[:2]] == ["expire", "write"]
    assert found[3]["changes"] == [
        {"agent_id": "a", "state_type": "local", "key": "raw", "change": "create", "version": 1},
        {"agent_id": "b", "state_type": "shared", "key": "x\x1b[2J", "change": "create", "version": 1},
    ]


def test_log_of_one_agent_leaves_the_others_out(told: Cli) -> None:
    [commit] = told.ok("log", "--agent", "b", "--json").json
    assert [each["agent_id"] for each in commit["changes"]] == ["b"]
    assert told.ok("log", "--agent", "nobody", "--json").json == []


def test_log_can_be_limited(told: Cli) -> None:
    assert [each["revision"] for each in told.ok("log", "--limit", "2", "--json").json] == [7, 6]


@pytest.mark.parametrize("command", [("log",), ("history", "a", "persistent", "*")], ids=str)
def test_a_limit_beyond_all_there_can_be_is_none(told: Cli, command: tuple[str, ...]) -> None:
    assert told.ok(*command, "--limit", "9" * 20).text == told.ok(*command).text


def test_log_for_people_is_a_table_of_one_line_a_commit(told: Cli) -> None:
    head, *rows = told.ok("log").text.splitlines()
    assert head.split() == ["revision", "at", "by", "kind", "changes", "message"]
    assert len(rows) == 7
    assert "a/local/raw, b/shared/x\\u001b[2J" in rows[3]
    assert "\x1b" not in "".join(rows)


def test_log_names_the_first_changes_of_a_large_commit_and_counts_the_rest(cli: Cli) -> None:
    with Store(cli.name) as store:
        store.states.set_many("a", "local", {f"k{each}": each for each in range(1004)})
    assert "a/local/k0, a/local/k1, a/local/k10 and 1,001 more" in cli.ok("log").text


def test_the_log_of_an_empty_store_is_empty(cli: Cli) -> None:
    cli.ok("init")
    assert cli.ok("log", "--json").json == []


@pytest.mark.parametrize(
    ("filters", "revisions"),
    [
        (("--by", "broker"), [4]),
        (("--by", "nobody"), []),
        (("--since", "5"), [7, 6]),
        (("--until", "2"), [2, 1]),
        (("--since", "1", "--until", "2"), [2]),
        (("--since", "2023-11-14T22:13:21Z", "--until", "2023-11-14T22:13:22Z"), [3]),
        (("--type", "local"), [6, 4]),
        (("--key", "p*"), [3, 2, 1]),
        (("--key", "call/1", "--type", "session"), [7, 5]),
        (("--key", "call/1", "--type", "local"), []),
        (("--agent", "b", "--key", "raw"), []),
        (("--key", "prefs", "--limit", "2"), [3, 2]),
        (("--type", "local", "--limit", "1"), [6]),
    ],
    ids=str,
)
def test_log_is_narrowed(told: Cli, filters: tuple[str, ...], revisions: list[int]) -> None:
    assert [each["revision"] for each in told.ok("log", *filters, "--json").json] == revisions


def test_log_shows_only_the_changes_that_were_asked_for(told: Cli) -> None:
    [commit] = told.ok("log", "--key", "raw", "--until", "4", "--json").json
    assert [each["key"] for each in commit["changes"]] == ["raw"]


def test_log_of_keys_looks_further_than_one_page(cli: Cli) -> None:
    with Store(cli.name, durability="normal") as store:
        for each in range(450):
            store.states.set("a", "local", "wanted" if each % 149 == 0 else "other", each)
    found = cli.ok("log", "--key", "wanted", "--json", "--limit", "500").json
    assert [each["revision"] for each in found] == [448, 299, 150, 1]
    assert [each["revision"] for each in cli.ok("log", "--key", "wanted", "--json", "--limit", "2").json] == [448, 299]


def test_log_on_a_line_each_is_revision_and_message_or_what_changed(told: Cli) -> None:
    assert told.ok("log", "--oneline", "--until", "5").text.splitlines() == [
        "5 (a/session/call/1)",
        "4 both",
        "3 revert prefs to version 1",
        "2 (a/persistent/prefs)",
        "1 first\\nrun",
    ]


def test_log_as_a_graph_has_a_line_for_each_change(told: Cli) -> None:
    assert told.ok("log", "--graph", "--since", "3").text.splitlines() == [
        "* 7  2023-11-14 22:15:03Z  (expire)",
        "| - a/session/call/1 (expired)",
        "* 6  2023-11-14 22:13:23Z  ui",
        "| - a/local/raw",
        "* 5  2023-11-14 22:13:23Z  ui",
        "| + a/session/call/1",
        "* 4  2023-11-14 22:13:22Z  broker  both",
        "| + a/local/raw",
        "| + b/shared/x\\u001b[2J",
    ]


@pytest.fixture
def grown(cli: Cli, clock: Clock) -> Cli:
    """A store with a branch that was merged and went on, one that has nothing yet, and one that has ended."""
    with Store(cli.name, clock=clock) as store:
        store.states.set("a", "local", "k", {"x": 1})
        for name in ("lab", "old"):
            store.branches.create(name)
            store.branch(name).states.set("b", "local", name, 1)
        store.states.set("a", "local", "k", {"x": 2})
        store.branches.merge("lab")
        store.branches.delete("old")
        store.branch("lab").states.set("a", "local", "k", {"x": 3})
        store.branches.create("new")
    return cli


def test_a_graph_draws_every_branch_with_its_name_at_its_head(grown: Cli) -> None:
    assert grown.ok("log", "--graph", "--oneline").text.splitlines() == [
        "* 10 [main, new] (branch)",
        "| * 9 [lab] (a/local/k)",
        "* | 8 (branch)",
        "* | 7 merge lab",
        "|\\ \\",
        "| |/",
        "* | 6 (a/local/k)",
        "| | * 5 [old] (b/local/old)",
        "|_|/",
        "* | 4 (branch)",
        "| * 3 (b/local/lab)",
        "|/",
        "* 2 (branch)",
        "* 1 (a/local/k)",
    ]
    shown = grown.ok("log", "--graph", "--limit", "4").text.splitlines()
    assert shown[1:5] == [
        "| * 9 [lab]  2023-11-14 22:13:20Z",
        "| | ~ a/local/k",
        "* | 8  2023-11-14 22:13:20Z  (branch)",
        "* | 7  2023-11-14 22:13:20Z  (merge)  merge lab",
    ]
    patched = grown.ok("log", "--graph", "--patch", "--limit", "2").text.splitlines()
    assert patched[2:] == ["| | ~ a/local/k", "| |     ~ /x: 1 → 3"]


def test_a_graph_of_some_commits_passes_by_the_others(grown: Cli) -> None:
    expected = [
        "* 9 [lab] (a/local/k)",
        "| * 6 [main] (a/local/k)",
        "|/",
        "* 1 (a/local/k)",
    ]
    assert grown.ok("log", "--graph", "--oneline", "--agent", "a").text.splitlines() == expected
    assert grown.ok("log", "--graph", "--oneline", "--key", "k").text.splitlines() == expected


def test_a_graph_of_a_branch_is_of_its_line(grown: Cli) -> None:
    ran = grown("log", "--graph", "--oneline", options=("-b", "lab"))
    assert ran.text.splitlines() == ["* 9 [lab] (a/local/k)", "* 3 (b/local/lab)", "* 2 (branch)", "* 1 (a/local/k)"]


def test_a_graph_as_json_has_the_commits_of_every_branch(grown: Cli) -> None:
    found = grown.ok("log", "--graph", "--json").json
    assert [(each["revision"], each["branch"], each["parent"], each["merged"]) for each in found[:4]] == [
        (10, "main", 8, None), (9, "lab", 3, None), (8, "main", 7, None), (7, "main", 6, 3)
    ]  # fmt: skip
    assert len(found) == 10
    assert {each["branch"] for each in grown.ok("log", "--json").json} == {"main"}


def test_log_with_patches_has_a_line_for_each_place(told: Cli) -> None:
    assert told.ok("log", "-p", "--until", "4").text.splitlines() == [
        "* 4  2023-11-14 22:13:22Z  broker  both",
        "  + a/local/raw: 2 bytes",
        "  + b/shared/x\\u001b[2J: null",
        "* 3  2023-11-14 22:13:22Z  ui  revert prefs to version 1",
        "  ~ a/persistent/prefs",
        '      ~ /theme: "light" → "dark"',
        "* 2  2023-11-14 22:13:21Z  ui",
        "  ~ a/persistent/prefs",
        '      ~ /theme: "dark" → "light"',
        "* 1  2023-11-14 22:13:20Z  ui  first\\nrun",
        '  + a/persistent/prefs: {"theme":"dark"}',
    ]


def test_log_with_patches_as_json_has_the_values(told: Cli) -> None:
    [commit] = told.ok("log", "-p", "--json", "--since", "1", "--until", "2").json
    assert commit["changes"][0]["old_value"] == {"theme": "dark"}
    assert commit["changes"][0]["new_value"] == {"theme": "light"}
    [commit] = told.ok("log", "--json", "--since", "1", "--until", "2").json
    assert "new_value" not in commit["changes"][0]


def test_log_of_two_forms_is_wrong_usage(told: Cli) -> None:
    assert "--oneline has no place" in told.wrong("log", "--oneline", "-p")
    assert "there is no checkpoint" in told.refused("log", "--since", "soon")
    assert told.refused("log", "--since", "99") == "there is no revision 99: the store is at 7"


def test_log_names_what_retention_has_cut(told: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from statedb.models import Address

    missing = [Address("a", "local", f"k{each}") for each in range(5)]
    monkeypatch.setattr("statedb.db.cuts.settle", lambda *_, **__: missing)
    ran = told("log", "--json")
    assert (ran.code, len(ran.json)) == (0, 7)
    assert ran.line == (
        "retention has cut versions this old of k0 (local of a), k1 (local of a), k2 (local of a) and 2 more; "
        "what is left is shown"
    )
