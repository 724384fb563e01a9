"""Retention: what has expired becomes a change."""

from __future__ import annotations

import pytest

from statedb import Store
from tests.helpers import Clock


def test_a_sweep_records_what_has_expired_once_in_a_commit_of_its_own(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "short", 1, ttl=5)
    store.states.set("b", "session", "k", 2, ttl=6)
    store.agent("a").session("c", ttl=5).set_many({"x": 1, "y": 2})
    store.states.set("a", "local", "long", 1, ttl=7)
    clock.advance(4)
    assert store.retention.sweep() == 0
    clock.advance(2)
    assert store.retention.sweep() == 4
    assert store.retention.sweep() == 0
    commit = store.history.commits(limit=1)[0]
    assert (commit.kind, commit.by, commit.message) == ("expire", None, None)
    changes = {(change.agent_id, change.state_type.value, change.key): change.change for change in commit.changes}
    assert changes == dict.fromkeys(
        [("a", "local", "short"), ("b", "session", "k"), ("a", "session", "c/x"), ("a", "session", "c/y")], "expire"
    )
    assert store.states.keys("a", "local") == ["long"]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_sweep_takes_no_more_than_it_is_told_and_ends(store: Store, clock: Clock, limit: int) -> None:
    for number in range(7):
        store.states.set("a", "local", f"k{number}", 1, ttl=5)
    clock.advance(5)
    taken = []
    while found := store.retention.sweep(limit=limit):
        taken.append(found)
    assert sum(taken) == 7
    assert max(taken) <= limit
    assert len(store.feed.changes(limit=100)) == 14


def test_what_a_sweep_records_reads_the_same_before_and_after(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", 1, ttl=5)
    clock.advance(9)
    before = [store.at(1).states.items("a", "local"), store.states.items("a", "local")]
    store.retention.sweep()
    assert [store.at(1).states.items("a", "local"), store.states.items("a", "local")] == before
    assert store.at(2).states.items("a", "local") == []


def test_a_sweep_inside_a_transaction_spares_what_that_has_written(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "x", 1, ttl=5)
    store.states.set("a", "local", "y", 1, ttl=5)
    clock.advance(5)
    with store.transaction() as tx:
        tx.states.set("a", "local", "x", 2)
        assert tx.retention.sweep() == 1
    assert store.states.items("a", "local") == [("x", 2)]
    assert [commit.kind for commit in store.history.commits()] == ["write", "expire", "write", "write"]
