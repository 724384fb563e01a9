"""Checkpoints: what they are called, what they name, and who sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from statedb import (
    CheckpointExists,
    CheckpointType,
    InvalidKey,
    InvalidValue,
    Joined,
    NoSuchCheckpoint,
    NoSuchRevision,
    ReadOnly,
    Store,
)
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART

SORTS = ("file", "postgres", "async postgres")

K = ("a", "persistent", "k")


def named(store: Any, agent_id: str | None = None, **how: Any) -> list[str]:
    return [each.name for each in store.checkpoints.list(agent_id, **how)]


def test_a_checkpoint_names_the_commit_that_makes_it(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1)
    clock.advance(60)
    with store.transaction(actor="ann", message="safe") as tx:
        made = tx.checkpoints.create("before-deploy", agent_id="a", type="milestone", metadata={"by": "hand"})
        assert made.revision == made.created_revision == 0
    assert (made.revision, made.created_revision, made.created_by, made.at) == (2, 2, "ann", clock.moment)
    assert (made.type, made.branch, made.agent_id) == (CheckpointType.MILESTONE, "main", "a")
    assert made.metadata == {"by": "hand"}
    assert store.checkpoints.get("before-deploy", agent_id="a") == made
    commit = store.history.commit(2)
    assert (commit.kind, commit.by, commit.message, commit.changes) == ("checkpoint", "ann", "safe", ())
    store.states.set(*K, 2)
    assert store.at("before-deploy").states.get(*K) == 1


def test_a_checkpoint_in_a_transaction_covers_what_that_writes(store: Store) -> None:
    with store.transaction() as tx:
        tx.states.set(*K, 1)
        made = tx.checkpoints.create("with")
        tx.states.set(*K, 2)
    store.states.set(*K, 3)
    assert (made.revision, store.history.commit(1).kind) == (1, "write")
    assert store.at("with").states.get(*K) == 2


def test_a_transaction_sees_its_own_checkpoints(store: Store) -> None:
    store.states.set(*K, 1)
    store.checkpoints.create("old", agent_id="a")
    with store.transaction() as tx:
        made = tx.checkpoints.create("new", agent_id="a", at=1)
        tx.checkpoints.create("other", agent_id="b")
        assert named(tx, "a") == ["new", "old"]
        assert named(tx) == ["other", "new", "old"]
        assert named(tx, limit=1, before=made) == ["old"]
        assert tx.checkpoints.get("new", agent_id="a") is made
        assert tx.checkpoints.diff("new") == []
        with pytest.raises(CheckpointExists):
            tx.checkpoints.create("new", agent_id="a")
        assert tx.checkpoints.delete("new", agent_id="a")
        assert tx.checkpoints.delete("old", agent_id="a")
        assert not tx.checkpoints.delete("old", agent_id="a")
        assert named(tx) == ["other"]
        assert tx.checkpoints.create("old", agent_id="a").id > made.id
    assert named(store) == ["old", "other"]


def test_a_page_is_full_though_the_transaction_has_ended_some_of_it(store: Store) -> None:
    for name in "xyz":
        store.checkpoints.create(name)
    with store.transaction() as tx:
        tx.checkpoints.delete("z")
        assert [each.name for each in tx.checkpoints.list(limit=1)] == ["y"]


def test_the_commit_of_the_running_transaction_is_no_point_yet(store: Store) -> None:
    store.states.set(*K, 1)
    with store.transaction() as tx:
        tx.checkpoints.create("now")
        for ask in (tx.checkpoints.diff, tx.checkpoints.restore, tx.restore):
            with pytest.raises(NoSuchRevision, match="not made yet"):
                ask("now")


def test_a_transaction_taken_back_leaves_no_checkpoint(store: Store) -> None:
    def fail(tx: Joined) -> None:
        tx.checkpoints.create("never")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.run(fail)
    assert (named(store), store.transfer.head()) == ([], 0)
    store.checkpoints.create("never")


def test_any_point_can_be_named(store: Store, clock: Clock) -> None:
    for number in (1, 2, 3):
        store.states.set(*K, number)
        clock.advance(60)
    for at, value in ((0, None), (2, 2), (timedelta(seconds=61), 2), (clock.moment - timedelta(seconds=180), 1)):
        store.checkpoints.create(f"at {value} {at}", at=at)
        assert store.at(f"at {value} {at}").states.get(*K) == value
    store.checkpoints.create("again", at="at 2 2")
    assert store.checkpoints.get("again").revision == 2
    with pytest.raises(NoSuchRevision):
        store.checkpoints.create("later", at=99)


def test_an_instant_between_two_commits_is_kept(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=10)
    clock.advance(20)
    store.checkpoints.create("alive", at=timedelta(seconds=11))
    store.checkpoints.create("gone", at=timedelta(seconds=10))
    assert [store.at(each).states.get(*K) for each in ("alive", "gone")] == [1, None]


def test_names_are_unique_for_an_agent_and_for_the_store(store: Store) -> None:
    for agent in ("a", "b", None):
        store.checkpoints.create("x", agent_id=agent)
        with pytest.raises(CheckpointExists, match="already"):
            store.checkpoints.create("x", agent_id=agent)
    assert [each.agent_id for each in store.checkpoints.list()] == [None, "b", "a"]
    first = store.checkpoints.get("x", agent_id="a")
    assert store.checkpoints.delete("x", agent_id="a")
    assert not store.checkpoints.delete("x", agent_id="a")
    assert store.checkpoints.create("x", agent_id="a").id > first.id
    assert store.transfer.head() == 5


def test_a_name_alone_is_the_stores_or_the_only_agents(store: Store) -> None:
    store.states.set(*K, 1)
    store.checkpoints.create("x", agent_id="a")
    store.states.set(*K, 2)
    assert store.at("x").states.get(*K) == 1
    store.checkpoints.create("x", agent_id="b")
    store.states.set(*K, 3)
    for ask in (store.checkpoints.get, store.restore, lambda name: store.at(name).states.get(*K)):
        with pytest.raises(InvalidValue, match=r"several agents \(a, b\)"):
            ask("x")
    assert store.checkpoints.get("x", agent_id="b").revision == 4
    assert [each.old_value for each in store.history.changes("x", 5, agent_id="b")] == []
    assert [each.old_value for each in store.history.changes("x", 5, agent_id="a")] == [1]
    assert [each.version for each in store.history.versions(*K, since="x")] == [3, 2]
    store.checkpoints.create("x")
    store.states.set(*K, 4)
    assert store.at("x").states.get(*K) == 3
    assert store.checkpoints.get("x").agent_id is None
    assert [each.revision for each in store.history.commits(since="x")] == [7]
    assert store.checkpoints.diff("x", agent_id="c") == [], "the store's, where an agent has none"
    assert [each.old_value for each in store.checkpoints.diff("x", agent_id="a")] == [1], "an agent's own comes first"
    assert store.restore("x", agent_id="a", dry_run=True).changes[0].new_value == 1


def test_what_is_not_there_is_said(store: Store) -> None:
    store.checkpoints.create("x", agent_id="a")
    store.checkpoints.create("y")
    asks = (
        lambda: store.checkpoints.get("z"),
        lambda: store.checkpoints.get("x", agent_id="b"),
        lambda: store.checkpoints.get("y", agent_id="a"),
        lambda: store.checkpoints.diff("x", agent_id="b"),
        lambda: store.restore("z"),
        lambda: store.checkpoints.restore("x", agent_id="b"),
        lambda: store.at("z").states.get(*K),
        lambda: store.history.changes("x", "z"),
    )
    for ask in asks:
        with pytest.raises(NoSuchCheckpoint):
            ask()
    assert not store.checkpoints.delete("x")
    assert not store.checkpoints.delete("y", agent_id="a")


def test_names_that_could_not_be_asked_for_are_refused(store: Store) -> None:
    names: list[Any] = ["", "a\0", "x" * 1025, 5, None, "\ud800", "2026-11-20", "20261120", "2026-11-20T09:00Z"]
    for name in names:
        with pytest.raises(InvalidKey):
            store.checkpoints.create(name)
    wrongs: list[dict[str, Any]] = [
        {"type": "weekly"}, {"type": None}, {"metadata": [1]}, {"metadata": {"x": object()}}, {"at": 1.5}, {"at": ""},
        {"message": 5}, {"agent_id": ""},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises((InvalidKey, InvalidValue)):
            store.checkpoints.create("x", **wrong)
    listing: list[dict[str, Any]] = [{"limit": -1}, {"before": "x"}, {"before": 1}, {"type": "weekly"}]
    for wrong in listing:
        with pytest.raises(InvalidValue):
            store.checkpoints.list(**wrong)
    assert (named(store), store.transfer.head()) == ([], 0)
    for name in ("0", "'; drop table agents --", "%", "ä" * 512, "main", " "):
        store.checkpoints.create(name)
        assert store.checkpoints.get(name).name == name


def test_a_list_is_read_in_pages_and_by_type(store: Store) -> None:
    for number in range(7):
        store.checkpoints.create(f"c{number}", agent_id="ab"[number % 2], type="backup" if number > 4 else "manual")
    assert named(store) == [f"c{number}" for number in range(6, -1, -1)]
    assert named(store, "b") == ["c5", "c3", "c1"]
    assert named(store, "nobody") == []
    assert named(store, type="backup") == ["c6", "c5"]
    assert named(store, "a", type=CheckpointType.MANUAL, limit=2) == ["c4", "c2"]
    seen: list[str] = []
    last = None
    while page := store.checkpoints.list(limit=3, before=last):
        seen += [each.name for each in page]
        last = page[-1]
    assert seen == named(store)
    assert named(store, before=store.checkpoints.get("c1")) == ["c0"]


def test_the_past_shows_the_checkpoints_there_were(store: Store) -> None:
    store.checkpoints.create("x", agent_id="a")
    store.checkpoints.delete("x", agent_id="a")
    assert [named(store.at(revision)) for revision in (0, 1, 2)] == [[], ["x"], []]
    assert store.at(1).checkpoints.get("x").revision == 1
    with pytest.raises(NoSuchCheckpoint):
        store.at(2).checkpoints.get("x")
    with pytest.raises(ReadOnly):
        store.at(1).checkpoints.create("y")


def test_a_diff_is_of_the_checkpoints_agent_alone(store: Store) -> None:
    store.states.set(*K, 1)
    store.checkpoints.create("mine", agent_id="a")
    store.checkpoints.create("all")
    store.states.set(*K, 2)
    store.states.set("b", "local", "j", 1)
    store.states.set(*K, 3)

    def shown(*args: Any, **how: Any) -> list[tuple[str, Any, Any]]:
        return [(each.agent_id, each.old_value, each.new_value) for each in store.checkpoints.diff(*args, **how)]

    assert shown("mine") == [("a", 1, 3)]
    assert shown("mine", to=4) == [("a", 1, 2)]
    assert shown("all") == [("a", 1, 3), ("b", None, 1)]
    assert shown("all", agent_id="b") == [("b", None, 1)]
    assert shown("all", to="mine") == []


def test_a_checkpoint_deleted_twice_at_once_ends_once(open_store: Opener) -> None:
    one, other = open_store(), open_store()
    one.checkpoints.create("x")
    assert other.checkpoints.delete("x")
    assert not one.checkpoints.delete("x")
    with pytest.raises(NoSuchCheckpoint):
        one.at("x").states.get(*K)


def test_a_refused_checkpoint_says_nothing_in_its_transaction(open_store: Opener) -> None:
    store = open_store(APART)
    store.checkpoints.create("x")
    with store.transaction() as tx:
        with pytest.raises(CheckpointExists):
            tx.checkpoints.create("x", message="never")
        tx.states.set(*K, 1)
    assert store.history.commit(2).message is None
