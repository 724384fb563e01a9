from __future__ import annotations

from tests.cli.helpers import Cli


def test_stats_count_what_the_store_holds(told: Cli) -> None:
    found = told.ok("stats", "--json").json
    assert found["revision"] == 7
    assert found["keys"] == {"local": 0, "shared": 1, "session": 0, "persistent": 1}
    assert found["versions"] == {"local": 2, "shared": 1, "session": 2, "persistent": 3}
    assert (found["oldest"], found["newest"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:15:03.500000Z")
    assert found["size"] > 0


def test_stats_count_what_is_live(told: Cli) -> None:
    told.ok("lock", "acquire", "a", "plan")
    for data in "12":
        told.ok("stream", "append", "order-7", "placed", data)
    found = told.ok("stats", "--json").json
    assert {name: found[name] for name in ("locks", "streams", "events", "consumers")} == {
        "locks": 1, "streams": 1, "events": 2, "consumers": 0,
    }  # fmt: skip
    assert "events          2\n" in told.ok("stats").text


def test_stats_for_people_have_a_line_for_each_tier(told: Cli) -> None:
    shown = told.ok("stats").text
    assert f"store           {told.name}\n" in shown
    assert "oldest commit   2023-11-14 22:13:20Z\n" in shown
    assert [line.split() for line in shown.splitlines()[-6:]] == [
        ["type", "keys", "versions"],
        ["local", "0", "2"],
        ["shared", "1", "1"],
        ["session", "0", "2"],
        ["persistent", "1", "3"],
        ["all", "2", "8"],
    ]


def test_stats_of_an_empty_store_are_zero(cli: Cli) -> None:
    cli.ok("init")
    found = cli.ok("stats", "--json").json
    assert (found["revision"], found["oldest"], sum(found["versions"].values())) == (0, None, 0)
    assert "oldest" not in cli.ok("stats").text
