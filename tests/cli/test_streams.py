from __future__ import annotations

import pytest

from tests.cli.helpers import Cli
from tests.places import only_sqlite


@pytest.fixture
def placed(cli: Cli) -> Cli:
    """A store with two streams, of three events and of one."""
    cli.ok("stream", "append", "order-7", "placed", '{"item":"tea"}', "--agent", "a", "--metadata", '{"src":"ui"}')
    cli.ok("stream", "append", "order-8", "placed", "-", "--bytes", stdin=b"\x00\xff")
    cli.ok("stream", "append", "order-7", "paid", "-5", "--expect", "1")
    cli.ok("stream", "append", "order-7", "sent", "-", "--expect", "exists", stdin=b'"by post"')
    return cli


def test_an_event_is_appended_where_it_is_expected(placed: Cli) -> None:
    line = placed.ok("stream", "append", "order-7", "back", "null", "--expect", "3", "-m", "no tea").text
    assert line == "order-7: version 4, position 5, revision 5\n"
    assert "is at version 4" in placed.refused("stream", "append", "order-7", "back", "1", "--expect", "3")
    assert "none was expected" in placed.refused("stream", "append", "order-7", "x", "1", "--expect", "no_stream")
    assert "does not exist" in placed.refused("stream", "append", "order-9", "x", "1", "--expect", "exists")
    assert placed.ok("log", "--limit", "1", "--json").json[0]["message"] == "no tea"


def test_an_event_appended_again_by_its_id_stays_one(placed: Cli) -> None:
    once, twice = (placed.ok("stream", "append", "order-7", "paid", "1", "--id", "e1", "--json").json for _ in range(2))
    assert once == twice
    assert (once["id"], once["version"], once["data"]) == ("e1", 4, 1)


def test_a_stream_is_read_forward_and_backward(placed: Cli) -> None:
    found = placed.ok("stream", "read", "order-7", "--json").json
    assert [(each["version"], each["type"], each["data"]) for each in found] == [
        (1, "placed", {"item": "tea"}), (2, "paid", -5), (3, "sent", "by post"),
    ]  # fmt: skip
    assert found[0]["metadata"] == {"src": "ui"}
    assert placed.ok("stream", "read", "order-7", "--from", "2", "--limit", "1", "--json").json == [found[1]]
    assert placed.ok("stream", "read", "order-7", "--backward", "--json").json == found[::-1]
    headings, line, *_ = placed.ok("stream", "read", "order-7").text.splitlines()
    assert headings.split() == ["version", "type", "at", "by", "data"]
    assert line.split()[:2] == ["1", "placed"]
    assert line.endswith('{"item":"tea"}')
    assert placed.refused("stream", "read", "order-9") == "there is no stream order-9"
    assert placed.ok("stream", "read", "order-7", "--from", "9", "--json").json == []


def test_all_streams_are_read_in_the_order_of_positions(placed: Cli) -> None:
    found = placed.ok("stream", "read", "--json").json
    assert [(each["position"], each["stream_id"]) for each in found] == [
        (1, "order-7"), (2, "order-8"), (3, "order-7"), (4, "order-7"),
    ]  # fmt: skip
    assert found[1]["bytes"] == "AP8="
    assert "data" not in found[1]
    assert placed.ok("stream", "read", "--type", "paid", "--type", "sent", "--json").json == found[2:]
    assert placed.ok("stream", "read", "--agent", "a", "--backward", "--limit", "1", "--json").json == found[3:]
    assert [line.split()[:3] for line in placed.ok("stream", "read", "--from", "4").text.splitlines()] == [
        ["position", "stream", "version"], ["4", "order-7", "3"],
    ]  # fmt: skip
    assert "2 bytes" in placed.ok("stream", "read").text


def test_the_list_has_whose_they_are_and_how_many_events(placed: Cli) -> None:
    lines = [line.split() for line in placed.ok("stream", "list").text.splitlines()]
    assert lines[0] == ["stream", "agent", "version", "since", "at"]
    assert [line[:3] for line in lines[1:]] == [["order-7", "a", "3"], ["order-8", "1", lines[2][2]]]
    found = placed.ok("stream", "list", "*-8", "--json").json
    assert [(each["stream_id"], each["agent_id"], each["version"]) for each in found] == [("order-8", None, 1)]
    assert placed.ok("stream", "list", "--agent", "b", "--json").json == []


def test_a_snapshot_is_kept_and_shown(placed: Cli) -> None:
    assert placed.refused("stream", "snapshot", "show", "order-7") == "order-7 has no snapshot"
    saved = placed.ok("stream", "snapshot", "save", "order-7", "2", "-7", "--metadata", '{"by":"hand"}').text
    assert saved == "order-7: snapshot of version 2, revision 5\n"
    shown = placed.ok("stream", "snapshot", "show", "order-7", "--json").json
    assert (shown["version"], shown["state"], shown["metadata"]) == (2, -7, {"by": "hand"})
    assert "value           -7\n" in placed.ok("stream", "snapshot", "show", "order-7").text
    missing = placed.refused("stream", "snapshot", "show", "order-7", "--version", "1")
    assert missing == "order-7 has no snapshot as old as version 1"
    raw = placed.ok("stream", "snapshot", "save", "order-7", "3", "-", "--bytes", "--json", stdin=b"\xff").json
    assert raw["bytes"] == "/w=="
    assert "at version 3" in placed.refused("stream", "snapshot", "save", "order-7", "4", "1")


@only_sqlite
@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("append", "s", "t", "dark"), "DATA is not JSON"),
        (("append", "s", "t"), "Missing argument 'DATA'"),
        (("append", "s", "t", "1", "--expect", "-1"), "--expect is '-1'; it is a version, or one of any"),
        (("append", "s", "t", "1", "--expect", "²"), "--expect is '²'"),
        (("snapshot", "save", "s", "1", "dark"), "STATE is not JSON"),
        (("snapshot", "save", "s", "0", "1"), "should be greater than or equal to 1"),
        (("snapshot",), "Missing command"),
    ],
)
def test_what_is_no_event_is_wrong_usage(cli: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in cli.wrong("stream", *args)


def test_of_one_stream_nothing_is_picked(placed: Cli) -> None:
    assert "leave them or the stream out" in placed.wrong("stream", "read", "order-7", "--type", "paid")


def test_events_are_watched_from_a_place_on(placed: Cli) -> None:
    def shown(*args: str) -> list[str]:
        lines = placed.ok("stream", "watch", *args, "--timeout", "0").text.splitlines()
        return [line.split("  ")[2] for line in lines]

    assert shown("order-7", "--from", "2") == ["order-7/2 paid: -5", 'order-7/3 sent: "by post"']
    assert shown("--from", "2", "--limit", "2") == ["order-8/1 placed: 2 bytes", "order-7/2 paid: -5"]
    assert shown("--from", "1", "--type", "placed", "--agent", "a") == ['order-7/1 placed: {"item":"tea"}']
    assert shown("order-7", "--from", "4") == shown() == []
    found = placed.ok("stream", "watch", "--from", "4", "--timeout", "0", "--json").json
    assert (found["stream_id"], found["version"], found["data"]) == ("order-7", 3, "by post")
    assert placed.refused("stream", "watch", "order-7", "--from", "5") == "order-7 is at version 3, and --from is 5"
    assert "there is no position 9" in placed.refused("stream", "watch", "--from", "10")
