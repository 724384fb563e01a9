from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from pydantic_core import from_json

from statedb import Store
from statedb.db.sqlite.bell import beside
from tests.cli.helpers import Cli, Program
from tests.helpers import HANG
from tests.places import only_sqlite

ALL = ("--since", "0", "--timeout", "0")


def test_each_change_is_a_line(told: Cli) -> None:
    assert told.ok("watch", *ALL).text.splitlines() == [
        '1  2023-11-14 22:13:20Z  ui  + a/persistent/prefs: {"theme":"dark"}',
        '2  2023-11-14 22:13:21Z  ui  ~ a/persistent/prefs: ~ /theme: "dark" → "light"',
        '3  2023-11-14 22:13:22Z  ui  ~ a/persistent/prefs: ~ /theme: "light" → "dark"',
        "4  2023-11-14 22:13:22Z  broker  + a/local/raw: 2 bytes",
        "4  2023-11-14 22:13:22Z  broker  + b/shared/x\\u001b[2J: null",
        "5  2023-11-14 22:13:23Z  ui  + a/session/call/1: 1",
        "6  2023-11-14 22:13:23Z  ui  - a/local/raw: 2 bytes",
        "7  2023-11-14 22:15:03Z  - a/session/call/1 (expired): 1",
    ]


def test_for_programs_it_is_a_line_of_json(told: Cli) -> None:
    lines = told.ok("watch", *ALL, "--json").out.splitlines()
    found = [from_json(line) for line in lines]
    assert [(each["revision"], each["change"]) for each in found][-2:] == [(6, "delete"), (7, "expire")]
    assert found[3]["new_bytes"] == "AP8="
    assert found[1]["old_value"] == {"theme": "dark"}
    assert len({each["event_id"] for each in found}) == 8


@only_sqlite
@pytest.mark.parametrize(
    ("args", "revisions"),
    [
        (("a", *ALL), [1, 2, 3, 4, 5, 6, 7]),
        (("b", *ALL), [4]),
        (("a", "pre*", *ALL), [1, 2, 3]),
        (("--type", "session", *ALL), [5, 7]),
        (("--kind", "delete", "--kind", "expire", *ALL), [6, 7]),
        (("--since", "5", "--timeout", "0"), [6, 7]),
        (("--since", "2023-11-14T22:13:22", "--timeout", "0"), [4, 4, 5, 6, 7]),
        (("--since", "36500d", "--limit", "2"), [1, 2]),
        (("--timeout", "0"), []),
    ],
)
def test_it_shows_what_was_asked_for(told: Cli, args: tuple[str, ...], revisions: list[int]) -> None:
    lines = told.ok("watch", *args, "--json").out.splitlines()
    assert [from_json(line)["revision"] for line in lines] == revisions


def test_it_begins_at_a_checkpoint(told: Cli) -> None:
    told.ok("checkpoint", "create", "mark", "--agent", "a", "--at", "6")
    told.ok("set", "a", "local", "k", "1")
    assert [line[:1] for line in told.ok("watch", "a", "--since", "mark", "--timeout", "0").text.split("\n")] == [
        "7", "9", "",
    ]  # fmt: skip


def test_many_places_that_changed_are_counted(cli: Cli) -> None:
    cli.ok("set", "a", "local", "k", "{}")
    cli.ok("set", "a", "local", "k", '{"a":1,"b":2,"c":3,"d":4,"e":5}')
    shown = cli.ok("watch", "--since", "1", "--timeout", "0").text
    assert shown.endswith("~ a/local/k: + /a: 1, + /b: 2, + /c: 3 and 2 more\n")


def test_it_follows_the_branch_that_is_named(told: Cli) -> None:
    told.ok("branch", "create", "lab")
    told("set", "a", "local", "k", "1", options=("-b", "lab"))
    assert told.ok("watch", "--since", "7", "--timeout", "0").out == b""
    found = told("watch", "--since", "7", "--timeout", "0", options=("-b", "lab"))
    assert found.text.endswith("+ a/local/k: 1\n")


def test_what_cannot_be_watched_is_refused(told: Cli) -> None:
    assert "there is no revision 99" in told.refused("watch", "--since", "99")
    assert "'renamed' is not one of" in told.wrong("watch", "--kind", "renamed")
    assert "leave --type out" in told.wrong("watch", "--locks", "--type", "local")
    assert "greater than or equal to 0" in told.wrong("watch", "--timeout", "-1")


def test_what_happens_to_locks_is_a_line_too(cli: Cli) -> None:
    cli.ok("lock", "acquire", "a", "plan", "--owner", "me")
    cli.ok("lock", "release", "1")
    cli.ok("lock", "acquire", "b", "plan", "--type", "read")
    cli.ok("set", "b", "local", "k", "1")
    found = [line.split("  ")[2] for line in cli.ok("watch", "--locks", *ALL).text.splitlines()]
    assert found == [
        "+ a/plan: exclusive lock 1 of me", "- a/plan: exclusive lock 1 of me", "+ b/plan: read lock 2",
    ]  # fmt: skip
    [taken] = cli.ok("watch", "--locks", "b", "plan", *ALL, "--json").out.splitlines()
    assert (from_json(taken)["change"], from_json(taken)["fence"]) == ("lock", 2)
    both = cli.ok("watch", "b", *ALL, "--kind", "create", "--kind", "lock").text.splitlines()
    assert [line.split("  ")[2] for line in both] == ["+ b/plan: read lock 2", "+ b/local/k: 1"]


# ---- as it happens


def test_it_shows_what_other_processes_do_as_they_do_it(program: Program) -> None:
    line = ("watch", "a", "--since", "0", "--limit", "3")
    with Store(program.name) as store, program.start(*line, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        for number in range(3):
            store.states.set("a", "local", "k", number)
            store.states.set("b", "local", "k", number)
            assert watching.stdout.readline().endswith(f"{number}\n".encode())
        assert watching.wait(HANG) == 0


@only_sqlite
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_asked_to_and_leaves_nothing_behind(program: Program, how: signal.Signals) -> None:
    bell, end = Path(beside(program.name)), time.monotonic() + HANG
    line, pipes = ("watch", "--since", "0"), {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Store(program.name) as store, program.start(*line, **pipes) as watching:
        while not bell.exists():  # it listens, and what comes now is read by one who does
            assert time.monotonic() < end, "it never listened"
            time.sleep(0.01)
        store.states.set("a", "local", "k", 1)
        assert watching.stdout is not None
        assert watching.stdout.readline()
        watching.send_signal(how)
        assert (watching.communicate(timeout=HANG), watching.returncode) == ((b"", b""), 128 + how)
    assert not bell.exists()
