"""What a transaction relies on when it lands: whatever of it changed meanwhile, it is run again and sees that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import only_postgres

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
