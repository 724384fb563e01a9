"""The journal: what becomes a commit, and how commits are linked. How calls combine is the model test's."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from statedb import Store
from statedb.times import LATEST
from tests.conftest import Opener
from tests.helpers import Clock, pages

K = ("a", "local", "k")


def rows(store: Any, text: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = store._engine._pool.writer.raw.execute(text).fetchall()
    return found


def test_every_commit_is_linked_to_the_one_before(filed: Store) -> None:
    for number in range(5):
        filed.states.set(*K, number)
    hashes = [each for (each,) in rows(filed, "select hash from state_commits order by revision")]
    assert len(set(hashes)) == 5
    assert {len(each) for each in hashes} == {16}


def test_the_same_value_has_another_digest_under_every_key_of_every_store(open_store: Opener, clock: Clock) -> None:
    # Digests are keyed by a salt that each key of each store has for itself, so they tell nothing to an outsider.
    one, two = open_store(), open_store(":memory:")
    for store in (one, two):
        store.states.set(*K, "guess me")
        store.states.set("b", "local", "k", "guess me")
    digests = [digest for store in (one, two) for (digest,) in rows(store, "select digest from state_versions")]
    assert len(set(digests)) == 4


def test_a_commit_is_filed_under_every_agent_it_touches(filed: Store, clock: Clock) -> None:
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
    found = rows(filed, "select name, revision from commit_agents join agents on id = agent_id order by 2, 1")
    assert found == [("a", 1), ("b", 1), ("a", 2), ("b", 3), ("a", 4)]


def test_a_transaction_that_fails_leaves_no_row_in_any_table(filed: Store) -> None:
    tables = [name for (name,) in rows(filed, "select name from sqlite_master where type = 'table'")]
    before = {table: rows(filed, f"select count(*) from {table}") for table in tables}

    def fails() -> None:
        with filed.transaction() as tx:
            tx.states.set(*K, 1, ttl=5)
            tx.agent("b").session("s").set("k", 1)
            tx.retention.sweep()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert {table: rows(filed, f"select count(*) from {table}") for table in tables} == before


def test_a_head_is_the_newest_version_and_one_row(filed: Store) -> None:
    for number in range(3):
        filed.states.set(*K, number)
    filed.states.delete(*K)
    assert rows(filed, "select version, codec, value from agent_states") == [(4, None, None)]
    assert rows(filed, "select version, change from state_versions order by revision") == [
        (1, "create"), (2, "update"), (3, "update"), (4, "delete"),
    ]  # fmt: skip


def test_small_values_are_text_that_any_sqlite_tool_reads(filed: Store, path: Path) -> None:
    filed.states.set(*K, {"theme": "dark", "é": [1, 2.5, None]})
    filed.close()
    raw = sqlite3.connect(path)
    try:
        [[text]] = raw.execute("select value from states").fetchall()
        assert text == '{"theme":"dark","é":[1,2.5,null]}'
        assert raw.execute("select value ->> '$.theme' from history").fetchall() == [("dark",)]
    finally:
        raw.close()


def test_an_expiry_beyond_the_last_year_is_in_the_last_year(open_store: Opener) -> None:
    clock = Clock(LATEST // 1_000_000 - 100)
    store = open_store(":memory:", clock=clock)
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
