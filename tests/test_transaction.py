"""Transactions: one commit, all or nothing. Who waits for whom is in test_concurrency.py."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from statedb import AsyncStore, InTransaction, InvalidValue, Store, TransactionAborted, VersionConflict
from tests.conftest import Opener
from tests.helpers import HANG, Clock, calls, run
from tests.places import APART

GOLD = ("shared", "gold")


def test_a_block_makes_one_commit_with_one_revision(store: Store) -> None:
    store.states.set("alice", *GOLD, 10)
    with store.transaction(message="trade", actor="broker", context={"desk": 7}) as tx:
        before: int | None = tx.revision
        tx.states.update("alice", *GOLD, lambda value: value - 5)
        tx.states.update("bob", *GOLD, lambda value: value + 5, default=0)
    assert (before, tx.revision) == (None, 2)
    assert [store.states.get(name, *GOLD) for name in ("alice", "bob")] == [5, 5]
    commit = store.history.commit(2)
    assert (commit.message, commit.by, commit.context, len(commit.changes)) == ("trade", "broker", {"desk": 7}, 2)
    assert store.at(1).states.get("bob", *GOLD) is None


def test_an_error_takes_everything_back(store: Store) -> None:
    store.states.set("alice", *GOLD, 10)

    def fails() -> None:
        with store.transaction() as tx:
            tx.states.set("alice", *GOLD, 0)
            tx.states.set("new", "local", "k", 1)
            tx.agent("alice").session("c").set("k", 1)
            transactions.append(tx)
            raise KeyError("mine")

    transactions: list[Any] = []
    with pytest.raises(KeyError, match="mine"):
        fails()
    assert transactions[0].revision is None
    assert store.transfer.head() == 1
    assert store.states.get("alice", *GOLD) == 10
    assert not store.agent("alice").session("c").close()


def test_a_block_that_changes_nothing_makes_no_revision(store: Store) -> None:
    store.states.set("a", "local", "k", 1)
    for idle in (
        lambda tx: None,
        lambda tx: tx.states.get("a", "local", "k"),
        lambda tx: tx.states.set("a", "local", "k", 1),
        lambda tx: (tx.states.set("a", "local", "k", 2), tx.states.set("a", "local", "k", 1)),
        lambda tx: (tx.states.set("a", "local", "new", 2), tx.states.delete("a", "local", "new")),
        lambda tx: (tx.states.delete("a", "local", "k"), tx.states.set("a", "local", "k", 1)),
    ):
        with store.transaction(message="nothing", context={}) as tx:
            idle(tx)
        assert tx.revision is None
    assert store.transfer.head() == 1


def test_reads_inside_see_what_was_written_and_readers_outside_do_not(store: Store) -> None:
    store.states.set_many("a", "local", {"x": 1, "y": 2})
    with store.transaction() as tx:
        tx.states.set("a", "local", "x", 9)
        tx.states.delete("a", "local", "y")
        tx.states.set("a", "local", "z", 3)
        assert tx.states.items("a", "local") == [("x", 9), ("z", 3)]
        assert tx.states.get("a", "local", "x") == 9
        assert not tx.states.exists("a", "local", "y")
        assert store.states.items("a", "local") == [("x", 1), ("y", 2)]
        assert tx.states.entry("a", "local", "x").version == 2  # type: ignore[union-attr]
    assert store.states.items("a", "local") == [("x", 9), ("z", 3)]


def test_time_stands_still_inside(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", 1, ttl=5)
    start = clock.moment
    with store.transaction() as tx:
        clock.advance(10)
        assert tx.states.get("a", "local", "k") == 1
        first = tx.states.set("a", "local", "x", 1)
        clock.advance(10)
        second = tx.states.set("a", "local", "y", 1)
    assert first.updated_at == second.updated_at == start
    assert store.history.commit(2).at == start


def test_versions_are_expected_against_what_the_block_itself_has_written(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.states.set("a", "local", "k", "one", expected_version=0).version == 1
        assert tx.states.set("a", "local", "k", "two", expected_version=1).version == 1
        with pytest.raises(VersionConflict) as caught:
            tx.states.set("a", "local", "k", "three", expected_version=5)
        assert (caught.value.theirs, caught.value.version) == ("two", 1)
    assert store.states.get("a", "local", "k") == "two"
    assert len(store.history.versions("a", "local", "k")) == 1


def test_a_conflict_inside_a_block_knows_the_value_the_caller_started_from(store: Store) -> None:
    for value in ({"a": 1}, {"a": 2}):
        store.states.set("a", "local", "k", value)
    with store.transaction() as tx:
        tx.states.set("a", "local", "k", {"a": 3})
        with pytest.raises(VersionConflict) as caught:
            tx.states.set("a", "local", "k", {"a": 4}, expected_version=1)
        assert caught.value.base == {"a": 1}
        merged = tx.states.set("a", "local", "k", {"a": 1, "b": 5}, expected_version=1, on_conflict="merge")
        assert merged.value == {"a": 3, "b": 5}


def test_a_call_that_fails_inside_leaves_the_rest_of_the_block(store: Store) -> None:
    with store.transaction() as tx:
        tx.states.set("a", "local", "x", 1)
        with pytest.raises(ValueError, match="not JSON"):
            tx.states.set_many("a", "local", {"y": 1, "z": {1}})
        with pytest.raises(VersionConflict):
            tx.states.set("a", "local", "x", 2, expected_version=7)
        tx.states.set("a", "local", "w", 1)
    assert store.states.keys("a", "local") == ["w", "x"]


def test_a_transaction_is_entered_once_and_used_inside_only(store: Store) -> None:
    tx: Any = store.transaction()
    with pytest.raises(TransactionAborted, match="inside"):
        tx.states.set("a", "local", "k", 1)
    with tx:
        tx.states.set("a", "local", "k", 1)
        with pytest.raises(InTransaction):
            tx.__enter__()
    handle = tx.agent("a").local
    for use in calls(
        lambda: tx.states.set("a", "local", "k", 2),
        lambda: tx.states.get("a", "local", "k"),
        lambda: handle.set("k", 2),
        lambda: tx.__exit__(None, None, None),
    ):
        with pytest.raises(TransactionAborted):
            use()
    with pytest.raises(InTransaction):
        tx.__enter__()
    assert tx.revision == 1
    assert store.states.set("a", "local", "k", 3).revision == 2


def test_run_returns_what_its_function_returns_and_takes_back_what_it_raises(store: Store) -> None:
    def move(tx: Any, amount: int, *, to: str) -> str:
        tx.states.update(to, *GOLD, lambda value: value + amount, default=0)
        if amount > 100:
            raise KeyError("too much")
        return f"{amount} to {to}"

    assert store.run(move, 5, to="bob") == "5 to bob"
    with pytest.raises(KeyError, match="too much"):
        store.run(move, 500, to="bob")
    assert store.states.get("bob", *GOLD) == 5
    assert store.transfer.head() == 1


def test_what_run_hands_to_its_function_is_of_no_use_afterwards(store: Store) -> None:
    kept: list[Any] = []
    store.run(kept.append)
    for use in calls(
        lambda: kept[0].states.set("a", "local", "lost", 1),
        lambda: kept[0].states.get("a", "local", "lost"),
        lambda: kept[0].agent("a").local.set("lost", 1),
    ):
        with pytest.raises(TransactionAborted):
            use()
    assert not store.states.exists("a", "local", "lost")


def test_the_store_says_who_writes_unless_the_transaction_does(open_store: Opener) -> None:
    for shell in ("sync", "async"):
        store = open_store(APART, shell=shell, actor="svc-a")
        assert store.states.set("a", "local", "k", 1).created_by == "svc-a"
        with store.transaction() as tx:
            tx.states.set("a", "local", "k", 2)
        with store.transaction(actor="broker") as tx:
            tx.states.set("a", "local", "k", 3)
        store.run(lambda tx: tx.states.set("a", "local", "k", 4))
        assert [version.by for version in store.history.versions("a", "local", "k")] == [
            "svc-a", "broker", "svc-a", "svc-a",
        ]  # fmt: skip


def test_a_block_may_be_used_by_several_threads_in_turn(filed: Store) -> None:
    with filed.transaction() as tx:

        def work() -> None:
            for _ in range(20):
                tx.states.update("a", *GOLD, lambda value: value + 1, default=0)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
    assert filed.states.get("a", *GOLD) == 80
    assert filed.transfer.head() == 1


def test_an_error_at_the_end_takes_everything_back_and_lets_the_next_one_write(store: Store) -> None:
    def ends_badly() -> None:
        with store.transaction(context={"no": {1}}) as tx:
            tx.states.set("a", "local", "k", 1)

    with pytest.raises(ValueError, match="not JSON"):
        ends_badly()
    assert store.transfer.head() == 0
    assert store.states.set("a", "local", "k", 1).revision == 1


def test_an_async_transaction_reads_and_writes_as_a_synchronous_one(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            async with store.transaction(message="trade") as tx:
                entry = await tx.states.set("a", *GOLD, 1)
                assert (entry.revision, await tx.states.get("a", *GOLD)) == (0, 1)
                assert await store.states.get("a", *GOLD) is None
                session = tx.agent("a").session("c")
                await session.set("k", 1)
            assert (tx.revision, entry.revision) == (1, 1)
            assert await store.run(lambda inner: inner.states.get("a", *GOLD)) == 1
            failing = store.transaction()

            async def fails() -> None:
                async with failing:
                    await failing.states.set("a", *GOLD, 2)
                    raise KeyError

            with pytest.raises(KeyError):
                await fails()
            assert (failing.revision, await store.states.get("a", *GOLD)) == (None, 1)
            assert (await asyncio.gather(*(store.states.get("a", *GOLD) for _ in range(20)))) == [1] * 20

    run(main())


def test_a_function_that_could_only_be_awaited_is_refused(store: Store) -> None:
    async def wrong(*_: object) -> int:
        return 1

    for call in (lambda: store.run(wrong), lambda: store.states.update("a", "local", "k", wrong)):
        with pytest.raises(InvalidValue, match="plain function"):
            call()
    assert store.transfer.head() == 0
