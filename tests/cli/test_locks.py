from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from statedb import Store
from tests.cli.helpers import Cli, Program
from tests.helpers import HANG
from tests.places import only_sqlite

PLAN = ("a", "plan")
LET_GO = """
import os, signal
from statedb import Store
with Store(os.environ["STATEDB_URL"]) as store:
    assert store.locks.release(int(os.environ["STATEDB_FENCE"]))
signal.pause()
"""


def test_a_lock_is_taken_listed_renewed_and_given_back(cli: Cli) -> None:
    assert cli.ok("lock", "acquire", *PLAN, "--owner", "me", "--metadata", '{"why":"x"}').text == "1\n"
    [found] = cli.ok("lock", "list", "--json").json
    assert (found["key"], found["type"], found["fence"], found["owner"]) == ("plan", "exclusive", 1, "me")
    assert (found["ttl"], found["metadata"]) == (30.0, {"why": "x"})
    headings, line = cli.ok("lock", "list").text.splitlines()
    assert headings.split() == ["agent", "key", "type", "fence", "owner", "since", "until"]
    assert line.split()[:5] == ["a", "plan", "exclusive", "1", "me"]
    assert "exclusive lock 1 of me" in cli.refused("lock", "acquire", *PLAN)
    assert cli.ok("lock", "renew", "1", "--ttl", "60", "--json").json["ttl"] == 60.0
    assert cli.ok("lock", "renew", "1").text.startswith("plan: lock 1 until 20")
    assert cli.ok("lock", "release", "1").out == b""
    assert cli.refused("lock", "release", "1") == "the lease of fence 1 had ended before, or was given back"
    assert "Lock the key again" in cli.refused("lock", "renew", "1")
    assert cli.ok("lock", "list", "--json").json == []


def test_readers_share_a_key_and_are_listed_of_one_agent(cli: Cli) -> None:
    first = cli.ok("lock", "acquire", *PLAN, "--type", "read", "--json").json
    assert (first["type"], first["fence"], first["agent_id"]) == ("read", 1, "a")
    assert cli.ok("lock", "acquire", *PLAN, "--type", "read").text == "2\n"
    cli.ok("lock", "acquire", "b", "plan")
    assert [each["fence"] for each in cli.ok("lock", "list", "a", "--json").json] == [1, 2]


def test_a_locked_key_is_written_with_the_fence_alone(cli: Cli) -> None:
    cli.ok("lock", "acquire", *PLAN)
    at = ("a", "shared", "plan")
    assert "is locked" in cli.refused("set", *at, "1")
    cli.ok("set", *at, "1", "--fence", "1")
    assert "is locked" in cli.refused("delete", *at)
    cli.ok("lock", "release", "1")
    assert "the lease of fence 1 has ended" in cli.refused("delete", *at, "--fence", "1")
    cli.ok("lock", "acquire", *PLAN)
    cli.ok("delete", *at, "--fence", "2")


@only_sqlite
@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("acquire", "a", "k", "--type", "odd"), "'odd' is not one of"),
        (("acquire", "a"), "Missing argument 'KEY'"),
        (("acquire", "a", "k", "--metadata", "[]"), "--metadata is no JSON object"),
        (("release", "plan"), "should be a valid integer"),
        (("renew", "0"), "should be greater than or equal to 1"),
        (("run", "a", "k"), "Missing argument 'COMMAND…'"),
    ],
)
def test_what_is_no_lock_is_wrong_usage(cli: Cli, args: tuple[str, ...], why: str) -> None:
    assert why in cli.wrong("lock", *args)


@only_sqlite
@pytest.mark.parametrize(
    ("ttl", "why"), [("inf", "a lease ends by time"), ("0", "a ttl is seconds"), ("-1", "a ttl is seconds")]
)
def test_a_lease_that_cannot_be_is_refused(cli: Cli, ttl: str, why: str) -> None:
    assert why in cli.refused("lock", "acquire", *PLAN, "--ttl", ttl)


# ---- run: a command under a lock


def test_a_command_runs_under_a_lock_and_says_how_it_ends(cli: Cli, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f'echo "$STATEDB_FENCE $STATEDB_URL" > {said}; exit 7'
    ran = cli("lock", "run", *PLAN, "--ttl", "60", "--", "sh", "-c", script)
    assert (ran.code, ran.out, ran.err) == (7, b"", "")
    assert said.read_text() == f"1 {cli.name}\n"
    assert cli("lock", "run", *PLAN, "sh", "--", "-c", "kill -9 $$").code == 128 + signal.SIGKILL
    assert cli("lock", "run", *PLAN, "true").code == 0
    with Store(cli.name) as store:
        assert [each.change for each in store.feed.locks()] == ["lock", "unlock"] * 3


def test_what_cannot_be_run_holds_no_lock(cli: Cli, tmp_path: Path) -> None:
    assert str(tmp_path / "nope") in cli.refused("lock", "run", *PLAN, str(tmp_path / "nope"))
    assert cli.ok("lock", "list", "--json").json == []


def test_a_command_does_not_run_without_the_lock(cli: Cli, tmp_path: Path) -> None:
    cli.ok("lock", "acquire", *PLAN)
    assert "is locked" in cli.refused("lock", "run", *PLAN, "--wait", "0", "touch", str(tmp_path / "ran"))
    assert not (tmp_path / "ran").exists()


@only_sqlite
def test_a_command_whose_lease_is_lost_is_asked_to_end(cli: Cli) -> None:
    ran = cli("lock", "run", *PLAN, "--ttl", "0.6", "--", sys.executable, "-c", LET_GO)
    assert (ran.code, ran.out) == (1, b"")
    assert ran.line.startswith("the lease of lock 1 was lost while ")


@only_sqlite
def test_a_command_is_asked_to_end_by_whatever_asks_the_program(program: Program) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done"
    with program.start("lock", "run", *PLAN, "--", "sh", "-c", script, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 5
    with Store(program.name) as store:
        assert store.locks.list() == []


@only_sqlite
def test_an_interrupt_at_a_terminal_reaches_the_command_once(program: Program) -> None:
    script = "trap 'echo interrupted' INT; trap 'exit 5' USR1; echo ready $$; while :; do sleep 0.02; done"
    terminal = program.on_a_terminal("lock", "run", *PLAN, "--", "sh", "-c", script)
    terminal.until("ready ")
    terminal.until("\n")
    terminal.type("\x03")
    terminal.until("interrupted")
    os.kill(int(terminal.shown.split()[1]), signal.SIGUSR1)
    assert terminal.end() == 5
    assert terminal.shown.count("interrupted") == 1


@only_sqlite
def test_who_is_asked_to_end_in_line_leaves_it(program: Program) -> None:
    with Store(program.name) as store:
        held = store.locks.acquire(*PLAN)
        with program.start("lock", "run", *PLAN, "--", "true", stderr=subprocess.PIPE) as waiting:
            with store.hub.attended():
                seen = store.hub.rings
                while len(store.locks.list(waiting=True)) == 1:
                    seen = store.hub.wait(seen, 1.0)
            waiting.send_signal(signal.SIGTERM)
            assert waiting.wait(HANG) == 128 + signal.SIGTERM
            assert waiting.stderr is not None
            assert waiting.stderr.read() == b""
        assert [each.fence for each in store.locks.list(waiting=True)] == [held.fence]
