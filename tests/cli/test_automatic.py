from __future__ import annotations

import pytest

from statedb import Store
from tests.cli.helpers import Cli
from tests.helpers import Clock


def test_a_policy_is_said_and_shown(cli: Cli) -> None:
    cli.ok("init")
    nothing = "a: no checkpoint is made by itself\n"
    assert cli.ok("checkpoint", "configure", "a").text == nothing
    said = cli.ok("checkpoint", "configure", "a", "--every", "1.5h", "--changes", "100", "--keep", "3").text
    assert said == "a: a checkpoint every 90 minutes, after 100 changes; the newest 3 stay\n"
    assert cli.ok("checkpoint", "configure", "a").text == said
    said = cli.ok("checkpoint", "configure", "a", "--at-conversation-end", "--on-demand", "--key", "plan/*").text
    assert said == "a: a checkpoint when a conversation ends (of plan/*), on demand (of plan/*); the newest 10 stay\n"
    found = cli.ok("checkpoint", "configure", "a", "--json").json
    assert (found["max_checkpoints"], [each["type"] for each in found["triggers"]]) == (
        10, ["conversation_end", "manual"]
    )  # fmt: skip
    assert cli.ok("checkpoint", "configure", "a", "--off").text == nothing
    assert cli.ok("checkpoint", "configure", "a", "--json").json is None


def test_a_policy_is_kept_by_every_command(cli: Cli) -> None:
    cli.ok("init")
    cli.ok("checkpoint", "configure", "a", "--changes", "2", "--type", "local", "--keep", "1")
    for each in range(5):
        cli.ok("set", "a", "local", "k", str(each))
        cli.ok("set", "a", "shared", "k", str(each))
    [found] = cli.ok("checkpoint", "list", "--type", "automatic", "--json").json
    assert found["metadata"]["trigger"] == "state_change_count"


def test_a_signal_makes_one_where_the_policy_asks_for_it(cli: Cli) -> None:
    cli.ok("init")
    end = ("checkpoint", "signal", "a", "conversation_end")
    assert cli.ok(*end).text == "a: no checkpoint is made at conversation_end\n"
    assert cli.ok(*end, "--json").json is None
    cli.ok("checkpoint", "configure", "a", "--at-conversation-end")
    assert cli.ok(*end).text.endswith(" names revision 2\n")
    assert cli.ok(*end, "--json").json["type"] == "automatic"


def test_what_has_fallen_due_is_made_now(cli: Cli) -> None:
    old = Clock()
    with Store(cli.name, clock=old) as store:
        store.states.set("a", "local", "k", 1)
    cli.ok("checkpoint", "configure", "a", "--every", "1m")
    assert cli.ok("checkpoint", "run-due", "--json").json == []
    assert cli.ok("checkpoint", "run-due").text.split() == ["name", "agent", "type", "revision", "at", "by"]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("configure", "a", "--every", "soon"), "is no span of time"),
        (("configure", "a", "--every", "2h ago"), "is no span of time"),
        (("configure", "a", "--keep", "3"), "say when"),
        (("configure", "a", "--off", "--changes", "3"), "give one or the other"),
        (("signal", "a", "never"), "is not one of"),
    ],
)
def test_what_is_no_policy_is_wrong_usage(cli: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in cli.wrong("checkpoint", *args)


def test_what_the_library_takes_for_none_is_refused(cli: Cli) -> None:
    cli.ok("init")
    assert "the pattern" in cli.refused("checkpoint", "configure", "a", "--changes", "3", "--key", "*x")
    assert "an interval" in cli.refused("checkpoint", "configure", "a", "--every", "0s")
