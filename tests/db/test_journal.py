"""The journal: what becomes a commit, and how commits are linked. How calls combine is the model test's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from statedb import Store
from statedb.db.tables import metadata
from statedb.db.views import VIEWS
from statedb.times import LATEST
from tests.conftest import Opener
from tests.helpers import Clock, pages
from tests.places import APART, Places, is_url, raw

K = ("a", "local", "k")


def test_every_commit_is_linked_to_the_one_before(where: str, filed: Store) -> None:
    for number in range(5):
        filed.states.set(*K, number)
    hashes = [each for (each,) in raw(where, "select hash from state_commits order by revision", by=filed)]
    assert len(set(hashes)) == 5
    assert {len(each) for each in hashes} == {16}


def test_the_same_value_has_another_digest_under_every_key_of_every_store(places: Places) -> None:
    # Digests are keyed by a salt that each key of each store has for itself, so they tell nothing to an outsider.
    both = [places.another(), places.another()]
    for where in both:
        with Store(where) as store:
            store.states.set(*K, "guess me")
            store.states.set("b", "local", "k", "guess me")
    digests = [digest for where in both for (digest,) in raw(where, "select digest from state_versions")]
    assert len(set(digests)) == 4


def test_a_commit_is_filed_under_every_agent_it_touches(where: str, filed: Store, clock: Clock) -> None:
    with filed.transaction() as tx:
        tx.states.set(*K, 1, ttl=5)
        tx.agent("b").session("s").set("k", 1)
        tx.states.set("idle", "local", "k", 1)
        tx.states.delete("idle", "local", "k")
    clock.advance(1)
    filed.states.touch(*K)
    filed.agent("b").session("s").touch("k")
    clock.advance(10)
    filed.retention.sweep()
    found = raw(where, "select name, revision from commit_agents join agents on id = agent_id order by 2, 1", by=filed)
    assert found == [("a", 1), ("b", 1), ("a", 2), ("b", 3), ("a", 4)]


def test_a_transaction_that_fails_leaves_no_row_in_any_table(where: str, filed: Store) -> None:
    tables = ["store_info", *(table.name for table in metadata.sorted_tables if table.name not in VIEWS)]
    before = {table: raw(where, f"select count(*) from {table}", by=filed) for table in tables}

    def fails() -> None:
        with filed.transaction() as tx:
            tx.states.set(*K, 1, ttl=5)
            tx.agent("b").session("s").set("k", 1)
            tx.retention.sweep()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert {table: raw(where, f"select count(*) from {table}", by=filed) for table in tables} == before


def test_a_head_is_the_newest_version_and_one_row(where: str, filed: Store) -> None:
    for number in range(3):
        filed.states.set(*K, number)
    filed.states.delete(*K)
    assert raw(where, "select version, codec, value from agent_states", by=filed) == [(4, None, None)]
    assert raw(where, "select version, change from state_versions order by revision", by=filed) == [
        (1, "create"), (2, "update"), (3, "update"), (4, "delete"),
    ]  # fmt: skip


def test_small_values_are_text_that_any_tool_reads(filed: Store, where: str) -> None:
    filed.states.set(*K, {"theme": "dark", "é": [1, 2.5, None]})
    filed.close()
    assert raw(where, "select value from states") == [('{"theme":"dark","é":[1,2.5,null]}',)]
    if not is_url(where):
        assert raw(where, "select value ->> '$.theme' from history") == [("dark",)]


def test_an_expiry_beyond_the_last_year_is_in_the_last_year(open_store: Opener) -> None:
    clock = Clock(LATEST // 1_000_000 - 100)
    store = open_store(APART, clock=clock)
    entry = store.states.set(*K, 1, ttl=1e6)
    assert entry.expires_at.year == 9999
    records = list(pages(store))
    with Store(":memory:", clock=clock) as other:
        other.transfer.load(records)
        assert other.states.entry(*K).expires_at == entry.expires_at  # type: ignore[union-attr]


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_writes_that_share_a_transaction_are_commits_of_their_own(open_store: Opener, batch: int) -> None:
    store = open_store(shell="async", max_batch=batch)

    async def many() -> list[Any]:
        target = store._target
        return await asyncio.gather(*(target.states.set("a", "local", f"k{n}", n) for n in range(50)))

    entries = store._wait(many())
    assert sorted(entry.revision for entry in entries) == list(range(1, 51))
    assert [len(commit.changes) for commit in store.history.commits(limit=None)] == [1] * 50
