"""What a transaction relies on when it lands: whatever of it changed meanwhile, it is run again and sees that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from statedb import TransactionAborted, ValueTooLarge
from statedb.db.postgres import connection, landing
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import only_postgres, tamper

pytestmark = only_postgres

RELIED_ON: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a key": (lambda tx: tx.states.get("a", "shared", "x"), lambda other: other.states.set("a", "shared", "x", 2)),
    "an absent key": (
        lambda tx: tx.states.get("a", "shared", "no"),
        lambda other: other.states.set("a", "shared", "no", 1),
    ),
    "an absent agent": (
        lambda tx: tx.states.keys("nobody", "shared"),
        lambda other: other.states.set("nobody", "shared", "x", 1),
    ),
    "a range": (
        lambda tx: tx.states.keys("a", "shared", "p/*"),
        lambda other: other.states.set("a", "shared", "p/1", 1),
    ),
    "when a key ends": (
        lambda tx: tx.states.entry("a", "shared", "x").expires_at,
        lambda other: other.states.touch("a", "shared", "x", ttl=500),
    ),
    "when a session ends": (
        lambda tx: tx.states.entry("a", "session", "c/x").expires_at,
        lambda other: other.states.set("a", "session", "c/y", 1),
    ),
    "the log": (
        lambda tx: [commit.revision for commit in tx.history.commits(limit=1)],
        lambda other: other.states.set("b", "shared", "elsewhere", 1),
    ),
}


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize("what", RELIED_ON)
def test_what_was_read_stands_where_it_lands(open_store: Opener, clock: Clock, shell: str, what: str) -> None:
    read, change = RELIED_ON[what]
    store, other = open_store(shell=shell), open_store()
    store.states.set("a", "shared", "x", 1, ttl=100)
    store.run(lambda tx: tx.agent("a").session("c", ttl=100).set("x", 1))
    seen = []

    def fn(tx: Any) -> None:
        seen.append(read(tx))
        tx.states.set("a", "local", "made of it", 1)
        if len(seen) == 1:  # nothing is read after that: only landing can tell
            clock.advance(1)
            change(other)

    store.run(fn)
    assert len(seen) > 1
    assert seen[0] != seen[-1]


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_what_was_alive_is_alive_where_it_lands(open_store: Opener, clock: Clock, shell: str) -> None:
    store, other = open_store(shell=shell), open_store()
    store.states.set("a", "shared", "x", 1, ttl=5)
    seen = []

    def fn(tx: Any) -> None:
        seen.append(tx.states.get("a", "shared", "x"))
        tx.states.set("a", "local", "made of it", 1)
        if len(seen) == 1:
            clock.advance(10)
            other.states.set("b", "shared", "elsewhere", 1)  # the commit that lands cannot be of an earlier time

    store.run(fn)
    assert seen == [1, None]


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_what_lands_later_than_it_thought_tells_when(open_store: Opener, clock: Clock, shell: str) -> None:
    store, other = open_store(shell=shell), open_store()
    store.states.set("a", "shared", "x", 1)
    clock.advance(1)
    begun, calls = clock.moment, []

    def fn(tx: Any) -> Any:
        calls.append(1)
        made = [tx.states.set("a", "shared", "new", 1), tx.states.set("a", "shared", "x", 2)]
        clock.advance(10)
        other.states.set("b", "shared", "elsewhere", 1)
        return made

    new, x = store.run(fn)
    assert len(calls) == 1
    assert new.updated_at == new.created_at == x.updated_at == begun + timedelta(seconds=10)
    assert (new, x) == (store.states.entry("a", "shared", "new"), store.states.entry("a", "shared", "x"))


def test_a_log_that_became_shorter_refuses_what_saw_it_longer(open_store: Opener, where: str) -> None:
    store = open_store(check=False)
    store.states.set("a", "shared", "x", 1)
    store.states.set("b", "shared", "y", 1)

    def write_after_a_restore() -> None:
        with store.transaction() as tx:
            tx.states.set("a", "shared", "x", 2)
            lose_the_newest_commit(where)

    with pytest.raises(TransactionAborted, match="shorter"):
        write_after_a_restore()


def lose_the_newest_commit(where: str) -> None:
    """Have the log be as in a backup that was made before."""
    tables = ("state_versions", "commit_agents", "state_commits")
    tamper(where, *(f"delete from {table} where revision = 2" for table in tables))


def test_more_than_a_server_takes_at_once_is_refused_and_the_store_goes_on(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    monkeypatch.setattr(landing, "_LARGEST", 10_000)
    with pytest.raises(ValueTooLarge):
        store.states.set_many("a", "shared", {f"k{n}": "x" * 1000 for n in range(10)})
    assert store.states.set("a", "shared", "k", "x" * 1000).revision == 1


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_an_import_of_large_values_goes_in_parts(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    store = open_store(shell=shell)
    monkeypatch.setattr(connection, "_LADEN", 5_000)
    monkeypatch.setattr(landing, "_LARGEST", 100_000)
    versions = [(1_600_000_000 + n, "x" * 1000 + str(n)) for n in range(100)]
    assert store.transfer.load_versions("a", "shared", "k", versions) == 100
    assert store.states.get("a", "shared", "k") == versions[-1][1]
