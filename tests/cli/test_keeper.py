from __future__ import annotations

import logging
import signal
import subprocess

import pytest

from statedb import Store, StoreBusy
from statedb.cli.keeper import _noted
from tests.cli.helpers import Cli, Program
from tests.helpers import HANG, Clock
from tests.places import only_sqlite


def test_once_it_does_what_is_due_on_every_branch_and_says_so(cli: Cli, clock: Clock) -> None:
    with Store(cli.name, clock=clock) as store:
        for key in "xy":
            store.states.set("a", "session", key, 1, ttl=10)
        store.locks.acquire("a", "plan", ttl=10)
        store.branches.create("lab")
        store.branch("lab").states.set("a", "session", "x", 2, ttl=10)
    first, second = cli.ok("keeper", "--once").text.splitlines()
    assert first.endswith("Z  main: 2 keys expired, 1 lease ended")
    assert second.endswith("Z  lab: 1 key expired")
    assert cli.ok("keeper", "--once").out == b""
    assert [each["kind"] for each in cli.ok("log", "--limit", "1", "--json").json] == ["expire"]


def test_quiet_it_does_the_same_and_says_nothing(cli: Cli, clock: Clock) -> None:
    with Store(cli.name, clock=clock) as store:
        store.states.set("a", "session", "x", 1, ttl=10)
    assert cli.ok("keeper", "--once", "--quiet").out == b""
    assert cli.ok("show", "2", "--json").json["kind"] == "expire"


def test_it_keeps_the_whole_store(cli: Cli) -> None:
    cli.ok("init")
    assert cli.wrong("keeper", "--branch", "x").startswith("No such option: --branch")
    assert "leave -b out" in cli("keeper", options=("-b", "lab")).line


@only_sqlite
def test_it_keeps_a_store_until_it_is_asked_to_end(program: Program, clock: Clock) -> None:
    with Store(program.name, clock=clock) as store:
        store.states.set("a", "session", "x", 1, ttl=10)
    with program.start("keeper", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as keeping:
        assert keeping.stdout is not None
        assert keeping.stdout.readline().endswith(b"Z  main: 1 key expired\n")
        with Store(program.name) as store:
            assert [each.agent_id for each in store.locks.list()] == ["statedb"]
            store.states.set("a", "session", "y", 1, ttl=0.01)
        assert keeping.stdout.readline().endswith(b"Z  main: 1 key expired\n")
        keeping.send_signal(signal.SIGTERM)
        out, err = keeping.communicate(timeout=HANG)
    assert (keeping.returncode, out, err) == (0, b"", b"")
    with Store(program.name) as store:
        assert store.locks.list() == []


def test_what_the_library_logs_meanwhile_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("statedb.keeper")
    with _noted("statedb"):
        log.error("it could not", exc_info=StoreBusy("somebody\nelse writes"))
        log.info("it could")
    log.handle(logging.makeLogRecord({"name": log.name, "levelno": logging.DEBUG, "msg": "later"}))
    assert capsys.readouterr() == ("", "statedb: it could not: somebody\\nelse writes\n")
