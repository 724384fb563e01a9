from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from statedb import Store
from tests.cli.helpers import Cli
from tests.places import only_sqlite

PREFS = ("a", "persistent", "prefs")


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -5, -5.5, -0.0, 1e300, 10**400, "", "ünï ☃", "a\nb", [], {}, {"theme": "dark", "n": [1, 1.0]}],
)
def test_what_is_set_is_what_get_prints(cli: Cli, value: Any) -> None:
    text = to_json(value).decode()
    cli.ok("set", *PREFS, text)
    assert cli.ok("get", *PREFS).text == f"{text}\n"
    assert cli.ok("get", *PREFS, "--json").text == f"{text}\n"


def test_set_says_which_version_and_revision_it_made(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1")
    assert cli.ok("set", *PREFS, "2").text == "prefs: version 2, revision 2\n"
    assert cli.ok("set", *PREFS, "2").text == "prefs: version 2, revision 2\n"


def test_set_takes_json_from_standard_input(cli: Cli) -> None:
    cli.ok("set", *PREFS, "-", stdin=b' {"theme":\n"dark"}\n')
    assert cli.ok("get", *PREFS).json == {"theme": "dark"}


def test_a_text_that_is_a_dash_can_be_set(cli: Cli) -> None:
    cli.ok("set", *PREFS, '"-"')
    assert cli.ok("get", *PREFS).text == '"-"\n'


@pytest.mark.parametrize("raw", [b"", b"\x00\xff\n", b"{not json", bytes(range(256)) * 100])
def test_bytes_from_standard_input_come_back_as_they_are(cli: Cli, raw: bytes) -> None:
    cli.ok("set", *PREFS, "-", "--bytes", stdin=raw)
    assert cli.ok("get", *PREFS).out == raw


def test_bytes_of_an_argument_are_kept_as_they_are(cli: Cli) -> None:
    cli.ok("set", *PREFS, "héllo", "--bytes")
    assert cli.ok("get", *PREFS).out == "héllo".encode()
    assert cli.ok("get", *PREFS, "--json").json == {"bytes": "aMOpbGxv"}


@pytest.mark.parametrize(
    "text", ["dark", "{theme:dark}", "", "NaN", '{"a": NaN}', "Infinity", "[1,", "1 2", '"\\ud800"']
)
def test_a_value_that_is_not_json_is_wrong_usage_with_a_hint_at_quoting(cli: Cli, text: str) -> None:
    said = cli.wrong("set", *PREFS, text)
    assert said.startswith("VALUE is not JSON (")
    assert "quotes of its own" in said
    assert cli.untouched


def test_standard_input_that_is_not_text_is_wrong_usage(cli: Cli) -> None:
    assert "VALUE is not JSON" in cli.wrong("set", *PREFS, "-", stdin=b'"\xff"')


def test_a_number_that_no_float_can_hold_is_refused_by_the_store(cli: Cli) -> None:
    assert "inf" in cli.refused("set", *PREFS, "1e999")


@pytest.mark.parametrize("value", ["-5", "-0.5e-3", "-1e5"])
def test_a_negative_number_is_no_option(cli: Cli, value: str) -> None:
    cli.ok("set", *PREFS, value, "--ttl", "5", "-m", "why")
    assert cli.ok("get", *PREFS).json == float(value)


def test_a_mistyped_option_is_wrong_usage_beside_a_negative_number_too(cli: Cli) -> None:
    assert "--tll" in cli.wrong("set", *PREFS, "-5", "--tll", "3")
    assert "--tll" in cli.wrong("set", *PREFS, "5", "--tll", "3")


@pytest.mark.parametrize(
    "key", ["with space", "a/b/c", "*", "[x]", "ünï ☃ 👩\u200d🚀", "--flag", "-1", "a\nb", "'\"\\"]
)
def test_any_key_can_be_named(cli: Cli, key: str) -> None:
    cli.ok("set", "--", "an agent", "local", key, "1")
    assert cli.ok("get", "--", "an agent", "local", key).text == "1\n"
    assert cli.ok("keys", "an agent", "local", "--json").json == [key]
    cli.ok("delete", "--", "an agent", "local", key)
    assert cli.ok("keys", "an agent", "local").text == ""


@pytest.mark.parametrize("key", ["", "x" * 1025])
def test_a_key_that_cannot_be_is_refused(cli: Cli, key: str) -> None:
    assert "key has" in cli.refused("set", "a", "local", key, "1")


def test_a_tier_that_is_none_is_wrong_usage(cli: Cli) -> None:
    said = cli.wrong("set", "a", "global", "k", "1")
    assert "'local', 'shared', 'session', 'persistent'" in said
    assert said.endswith("Try 'statedb set --help'")


def test_message_actor_and_metadata_go_with_the_version(cli: Cli) -> None:
    assert cli("set", *PREFS, "1", "-m", "first run", "--metadata", '{"src":"ui"}', options=("--actor", "me")).code == 0
    [version] = cli.ok("history", *PREFS, "--json").json
    assert (version["message"], version["by"], version["metadata"]) == ("first run", "me", {"src": "ui"})


@pytest.mark.parametrize("text", ["ui", "3", "[]", "null"])
def test_metadata_that_is_no_json_object_is_wrong_usage(cli: Cli, text: str) -> None:
    assert "--metadata is no" in cli.wrong("set", *PREFS, "1", "--metadata", text)


def test_ttl_is_in_seconds(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1", "--ttl", "3600")
    entry = cli.ok("show", *PREFS, "--json").json
    assert entry["expires_at"] > entry["updated_at"]
    cli.ok("set", "a", "session", "k", "1", "--ttl", "inf")
    assert cli.ok("show", "a", "session", "k", "--json").json["expires_at"] is None


def test_a_ttl_that_has_passed_hides_the_value(cli: Cli) -> None:
    with Store(cli.name, clock=lambda: 1_700_000_000) as store:
        store.states.set(*PREFS, 1, ttl=60)
    assert cli.refused("get", *PREFS) == "prefs (persistent of a) has no value"


@pytest.mark.parametrize(("ttl", "run"), [("0", "refused"), ("-1", "refused"), ("nan", "refused"), ("soon", "wrong")])
def test_a_ttl_that_cannot_be_is_an_error(cli: Cli, ttl: str, run: str) -> None:
    assert "ttl" in getattr(cli, run)("set", *PREFS, "1", "--ttl", ttl)


def test_expect_refuses_a_write_over_another_version(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1", "--expect", "0")
    cli.ok("set", *PREFS, "2", "--expect", "1")
    assert "is at version 2, and version 1 was expected" in cli.refused("set", *PREFS, "3", "--expect", "1")
    assert "is at version 2, and no value was expected" in cli.refused("set", *PREFS, "3", "--expect", "0")
    assert cli.ok("get", *PREFS).json == 2


@pytest.mark.parametrize(
    ("how", "left"), [("merge", {"a": 1, "b": 2, "c": 3}), ("ours", {"a": 1, "c": 3}), ("theirs", {"a": 1, "b": 2})]
)
def test_on_conflict_settles_what_expect_finds(cli: Cli, how: str, left: dict[str, int]) -> None:
    cli.ok("set", *PREFS, '{"a":1}')
    cli.ok("set", *PREFS, '{"a":1,"b":2}')
    cli.ok("set", *PREFS, '{"a":1,"c":3}', "--expect", "1", "--on-conflict", how)
    assert cli.ok("get", *PREFS).json == left


def test_a_merge_that_clashes_is_refused(cli: Cli) -> None:
    for each in ("1", "2"):
        cli.ok("set", *PREFS, f'{{"a":{each}}}')
    assert "Both sides changed /a" in cli.refused("set", *PREFS, '{"a":3}', "--expect", "1", "--on-conflict", "merge")


def test_on_conflict_without_expect_is_wrong_usage(cli: Cli) -> None:
    assert "--expect" in cli.wrong("set", *PREFS, "1", "--on-conflict", "merge")


def test_set_prints_the_entry_for_programs(cli: Cli) -> None:
    entry = cli.ok("set", *PREFS, '{"a":1}', "--json").json
    assert entry == cli.ok("show", *PREFS, "--json").json
    assert (entry["value"], entry["version"], entry["state_type"]) == ({"a": 1}, 1, "persistent")


def test_get_of_nothing_is_not_found(cli: Cli) -> None:
    cli.ok("init")
    assert cli.refused("get", *PREFS) == "prefs (persistent of a) has no value"
    assert cli.refused("get", *PREFS, "--json") == "prefs (persistent of a) has no value"


def test_null_is_a_value(cli: Cli) -> None:
    cli.ok("set", *PREFS, "null")
    assert cli.ok("get", *PREFS).text == "null\n"


def test_get_reads_the_past(cli: Cli) -> None:
    for each in ("1", "2", "3"):
        cli.ok("set", *PREFS, each)
    assert cli.ok("get", *PREFS, "--at", "2").json == 2
    assert cli.ok("get", *PREFS, "--at", "0s").json == 3
    assert cli.refused("get", *PREFS, "--at", "0") == "prefs (persistent of a) has no value at 0"
    assert "there is no revision 9" in cli.refused("get", *PREFS, "--at", "9")
    assert "there is no checkpoint" in cli.refused("get", *PREFS, "--at", "then")


def test_get_of_a_day_before_the_store_finds_nothing(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1")
    for point in ("1000w", "99999w", "1970-01-01", "0001-01-01"):
        assert "has no value" in cli.refused("get", *PREFS, "--at", point)


def test_delete_leaves_the_history(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1")
    assert cli.ok("delete", *PREFS, "-m", "done").text == "prefs: deleted, revision 2\n"
    assert [each["change"] for each in cli.ok("history", *PREFS, "--json").json] == ["delete", "create"]
    assert "has no value" in cli.refused("delete", *PREFS)


def test_delete_with_expect_refuses_another_version(cli: Cli) -> None:
    cli.ok("set", *PREFS, "1")
    assert "is at version 1, and version 7 was expected" in cli.refused("delete", *PREFS, "--expect", "7")
    assert cli.ok("delete", *PREFS, "--expect", "1", "--json").json == {"deleted": True, "revision": 2}


def test_keys_are_listed_in_order_and_by_glob(cli: Cli) -> None:
    with Store(cli.name) as store:
        store.states.set_many(
            "a", "local", {"plan/b": 1, "plan/a/x": 1, "other": 1, "[x]": 1, "e\u0301": 1, "two\nlines": 1}
        )
    assert cli.ok("keys", "a", "local").text == "[x]\ne\u0301\nother\nplan/a/x\nplan/b\ntwo\\nlines\n"
    assert cli.ok("keys", "a", "local", "plan/*").text == "plan/a/x\nplan/b\n"
    assert cli.ok("keys", "a", "local", "plan/?", "--json").json == ["plan/b"]
    assert cli.ok("keys", "a", "local", "[[]x]", "--json").json == ["[x]"]
    assert cli.ok("keys", "nobody", "local", "--json").json == []


@only_sqlite
@pytest.mark.parametrize(
    "args",
    [
        ("get", *PREFS),
        ("delete", *PREFS),
        ("keys", "a", "local"),
        ("history", *PREFS),
        ("show", *PREFS),
        ("show", "1"),
        ("at", "1", "a"),
        ("log",),
        ("export",),
    ],
    ids=lambda args: args[0],
)
@pytest.mark.parametrize("made", [False, True], ids=["no file", "an empty file"])
def test_what_does_not_make_stores_leaves_no_trace(cli: Cli, args: tuple[str, ...], made: bool) -> None:
    if made:
        cli.path.touch()
    assert cli.refused(*args).startswith(f"there is no store at {cli.path}")
    assert [(each.name, each.stat().st_size) for each in cli.path.parent.iterdir()] == [(cli.path.name, 0)] * made


@only_sqlite
def test_a_private_store_in_memory_is_there_for_one_command(cli: Cli) -> None:
    assert cli.bare("-f", ":memory:", "set", *PREFS, "1").text == "prefs: version 1, revision 1\n"
    assert cli.bare("-f", ":memory:", "keys", "a", "local").code == 0


def test_a_value_too_large_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEDB_MAX_VALUE_BYTES", "10")
    assert "more than 10 bytes" in cli.refused("set", *PREFS, '"0123456789"')


@only_sqlite
def test_a_store_is_named_by_a_url_too(cli: Cli, tmp_path: Path) -> None:
    cli.ok("set", *PREFS, "1")
    assert cli.bare("-f", f"sqlite:///{cli.path}", "get", *PREFS).text == "1\n"
    refused = cli.bare("-f", "mysql+pymysql://ann:s3cret@host/db", "get", *PREFS)
    assert (refused.code, "is not served" in refused.line) == (1, True)
