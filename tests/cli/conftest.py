"""The command line, called in two ways: in this process, which is quick, and as a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from statedb import Store
from tests.cli.helpers import Cli, Program
from tests.helpers import Clock
from tests.places import Places

PREFS = ("a", "persistent", "prefs")


@pytest.fixture
def cli(path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run commands on the test's store, in this process."""
    monkeypatch.delenv("STATEDB_URL", raising=False)
    monkeypatch.setenv("STATEDB_DURABILITY", "normal")
    return Cli(path, where)


@pytest.fixture
def elsewhere(cli: Cli, places: Places, tmp_path: Path) -> Cli:
    """Run commands on another store."""
    return Cli(tmp_path / "store2.db", places.another())


@pytest.fixture
def program(path: Path, where: str) -> Program:
    """Run commands on the test's store, each in a process of its own."""
    return Program(path, where)


@pytest.fixture
def told(cli: Cli, clock: Clock) -> Cli:
    """A store with some of everything, made at 2023-11-14 22:13:20 and in the seconds after."""
    with Store(cli.name, clock=clock, actor="ui") as store:
        store.states.set(*PREFS, {"theme": "dark"}, message="first\nrun", metadata={"src": "ui"})
        clock.advance(1)
        store.states.set(*PREFS, {"theme": "light"})
        clock.advance(1)
        store.history.revert(*PREFS, 1)
        clock.advance(0.5)
        with store.transaction(message="both", actor="broker", context={"ticket": 7}) as tx:
            tx.states.set("a", "local", "raw", b"\x00\xff")
            tx.states.set("b", "shared", "x\x1b[2J", None)
        clock.advance(1)
        store.states.set("a", "session", "call/1", 1, ttl=60)
        store.states.delete("a", "local", "raw")
        clock.advance(100)
        store.retention.sweep()
    return cli
