"""Branches: what they see, what they write, and that nobody else sees it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from statedb import (
    BranchExists,
    InvalidKey,
    InvalidValue,
    NoSuchBranch,
    ReadOnly,
    Store,
    TransactionAborted,
    VersionConflict,
)
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import only_postgres

SORTS = ("file", "postgres", "async postgres")

K = ("a", "persistent", "k")
J = ("a", "persistent", "j")


def held(shell: Any) -> dict[str, Any]:
    return dict(shell.states.items("a", "persistent"))


def test_a_branch_sees_the_trunk_as_it_was_and_writes_only_to_itself(store: Store) -> None:
    store.states.set(*K, 1)
    made = store.branches.create("lab", message="try it")
    assert (made.name, made.parent, made.base, made.head) == ("lab", "main", 2, 2)
    assert (store.history.commit(2).kind, store.history.commit(2).message) == ("branch", "try it")
    lab = store.branch("lab")
    store.states.set(*K, "later")
    lab.states.set(*J, "own")
    assert held(lab) == {"j": "own", "k": 1}
    assert held(store) == {"k": "later"}
    entry = lab.states.set(*K, 2)
    made_at = store.history.get(*K, version=1).created_at
    assert (entry.version, entry.parent_version, entry.created_at) == (2, 1, made_at)
    assert lab.states.delete(*J)
    assert (held(lab), lab.states.keys("a", "persistent"), lab.states.exists(*J)) == ({"k": 2}, ["k"], False)
    assert lab.states.get_many("a", [("persistent", "k"), ("persistent", "j")]) == {("persistent", "k"): 2}


def test_branches_nest_to_any_depth(store: Store) -> None:
    shell: Any = store
    for depth in range(6):
        shell.states.set("a", "persistent", f"k{depth}", depth)
        shell.states.set(*K, depth)
        shell.branches.create(f"b{depth}")
        shell = store.branch(f"b{depth}")
    assert held(shell) == {"k": 5} | {f"k{depth}": depth for depth in range(6)}
    assert [(each.version, each.branch) for each in shell.history.versions(*K)] == [
        (6, "b4"), (5, "b3"), (4, "b2"), (3, "b1"), (2, "b0"), (1, "main")
    ]  # fmt: skip
    assert [each.name for each in store.branches.list()] == ["main", *(f"b{depth}" for depth in range(6))]


def test_a_branch_of_the_past(store: Store) -> None:
    for value in (1, 2, 3):
        store.states.set(*K, value)
    store.branches.create("old", at=1)
    old = store.branch("old")
    assert (held(old), store.branches.get("old").base) == ({"k": 1}, 1)
    assert old.states.set(*K, "new").version == 2
    assert [each.value for each in (old.history.get(*K, version=n) for n in (1, 2))] == [1, "new"]
    assert old.at(1).states.get(*K) == 1
    assert old.at(4).states.get(*K) == 1
    assert old.at(5).states.get(*K) == "new"
    with pytest.raises(ReadOnly):
        old.at(4).states.set(*K, 1)


def test_names_may_be_used_again_and_ids_never(store: Store) -> None:
    first = store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, 1)
    with pytest.raises(BranchExists):
        store.branches.create("lab")
    assert store.branches.delete("lab")
    assert not store.branches.delete("lab")
    for call in (lambda: lab.states.get(*K), lambda: lab.states.set(*K, 2), lambda: store.branches.get("lab")):
        with pytest.raises(NoSuchBranch):
            call()
    second = store.branches.create("lab")
    assert second.id > first.id
    assert lab.states.get(*K) is None
    with pytest.raises(InvalidKey):
        store.branches.delete("main")
    with pytest.raises(InvalidKey):
        store.branches.create("")


def test_what_was_made_of_a_branch_outlives_it(store: Store) -> None:
    store.branches.create("lab")
    store.branch("lab").states.set(*K, 1)
    store.branch("lab").branches.create("sub")
    store.branches.delete("lab")
    sub = store.branch("sub")
    assert (held(sub), store.branches.get("sub").parent) == ({"k": 1}, "lab")
    assert sub.states.update(*K, lambda value: value + 1).value == 2


def test_main_is_a_branch_like_any_other(store: Store) -> None:
    store.branch("main").states.set(*K, 1)
    assert (held(store), store.branches.get("main").id) == ({"k": 1}, 1)
    with pytest.raises(BranchExists):
        store.branches.create("main")


def test_a_transaction_on_a_branch_makes_one_commit_of_it(store: Store) -> None:
    store.states.set(*K, 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    with lab.transaction(message="both") as tx:
        tx.states.update(*K, lambda value: value + 1)
        tx.states.set(*J, 1)
        assert tx.states.items("a", "persistent") == [("j", 1), ("k", 2)]
    commit = store.history.commit(tx.revision or 0)
    assert (commit.branch, commit.message) == ("lab", "both")
    assert [(each.key, each.change, each.old_value, each.new_value) for each in commit.changes] == [
        ("j", "create", None, 1), ("k", "update", 1, 2)
    ]  # fmt: skip
    assert lab.run(lambda tx: tx.states.get(*K)) == 2
    assert held(store) == {"k": 1}


def test_history_reaches_down_to_what_a_branch_was_made_from(store: Store) -> None:
    store.states.set(*K, {"x": 1, "y": 1})
    store.states.patch(*K, {"x": 2})
    store.branches.create("lab")
    lab = store.branch("lab")
    store.states.patch(*K, {"y": "trunk"})
    lab.states.patch(*K, {"y": 3})
    lab.states.patch(*K, {"z": 4})
    h: Any = lab.history
    assert [(each.version, each.parent_version, each.branch) for each in h.versions(*K)] == [
        (4, 3, "lab"), (3, 2, "lab"), (2, 1, "main"), (1, None, "main")
    ]  # fmt: skip
    assert [each.version for each in h.versions(*K, limit=2, before=4)] == [3, 2]
    assert [each.version for each in h.versions("a", "persistent", "*")] == [4, 3, 2, 1]
    assert [h.get(*K, version=each).value["y"] for each in (1, 2, 3, 4)] == [1, 1, 3, 3]
    assert {path: each.version for path, each in h.blame(*K).items()} == {"/x": 2, "/y": 3, "/z": 4}
    assert h.bisect(*K, lambda value: value["x"] == 2).version == 2
    assert h.diff(*K, 1, 4).merge_patch() == {"x": 2, "y": 3, "z": 4}
    assert [each.revision for each in h.commits()] == [6, 5, 3, 2, 1]
    assert [each.revision for each in h.commits(agent_id="a", limit=3)] == [6, 5, 2]
    assert [each.revision for each in lab.feed.changes(since=1)] == [2, 5, 6]
    assert [each.revision for each in lab.feed.changes(since=1, limit=2)] == [2, 5]
    assert [each.revision for each in lab.feed.changes(agent_id="a")] == [1, 2, 5, 6]
    assert [each.revision for each in store.feed.changes()] == [1, 2, 4]
    assert h.revert(*K, version=1).value == {"x": 1, "y": 1}
    whole = store.history.of(*K)
    assert (whole.current_version, [each.version for each in whole.versions]) == (3, [3, 2, 1])
    assert [(each.name, each.base_version, each.head_version) for each in whole.branches] == [("lab", 2, 5)]


def test_expected_versions_count_along_the_branch(store: Store) -> None:
    store.states.set(*K, 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, 2, expected_version=1)
    with pytest.raises(VersionConflict) as caught:
        lab.states.set(*K, 3, expected_version=1)
    assert (caught.value.base, caught.value.theirs, caught.value.version) == (1, 2, 2)
    assert store.states.set(*K, 3, expected_version=1).version == 2


def test_the_same_value_is_no_version_of_a_branch_either(store: Store) -> None:
    store.states.set(*K, {"x": 1})
    store.branches.create("lab")
    lab = store.branch("lab")
    assert lab.states.set(*K, {"x": 1}).version == 1
    assert store.transfer.head() == 2


def test_what_expires_by_itself_expires_on_a_branch(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=10)
    store.branches.create("lab")
    lab = store.branch("lab")
    clock.advance(5)
    assert lab.states.touch(*K, ttl=60)
    clock.advance(10)
    assert (held(store), held(lab)) == ({}, {"k": 1})
    clock.advance(60)
    assert held(lab) == {}
    assert lab.retention.sweep() == 1
    assert [each.change for each in lab.history.versions(*K)] == ["expire", "update", "create"]


def test_what_expired_unnoticed_before_a_branch_wrote_it_is_written_anew(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=10)
    store.agent("a").session("c", ttl=10).set("x", 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    clock.advance(20)
    assert lab.states.set(*K, 2).version == 3
    assert lab.agent("a").session("c").set("x", 2).version == 3
    assert lab.agent("a").session("c").items() == [("x", 2)]
    assert [each.change for each in lab.history.versions(*K)] == ["create", "expire", "create"]
    assert store.restore(2, dry_run=True, keys=K[2]).changes[0].version == 3, "on the trunk it has yet to expire"


def test_a_branch_has_the_clocks_of_its_sessions_to_itself(store: Store, clock: Clock) -> None:
    chat = store.agent("a").session("c", ttl=10)
    chat.set("x", 1)
    chat.set("y", 1)
    store.branches.create("lab")
    ours = store.branch("lab").agent("a").session("c")
    clock.advance(5)
    assert ours.set("x", 2).version == 2
    clock.advance(8)
    assert (chat.items(), ours.items()) == ([], [("x", 2), ("y", 1)])
    assert store.branches.diff("lab")[0].change == "create"
    found = store.branch("lab").query("select state_key, value from states order by state_key")
    assert found == [("c/x", "2"), ("c/y", "1")]
    assert ours.close()
    assert ours.items() == []
    clock.advance(1)
    assert ours.set("y", 3).version == 3


def test_a_branch_is_compared_with_where_one_stands(store: Store) -> None:
    store.states.set(*K, 1)
    store.states.set(*J, 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, 2)
    lab.states.set("b", "local", "new", b"x")
    store.states.delete(*J)
    found = [(each.key, each.change, each.old_value, each.new_value) for each in store.branches.diff("lab")]
    assert found == [("j", "create", None, 1), ("k", "update", 1, 2), ("new", "create", None, b"x")]
    assert [each.key for each in store.branches.diff("lab", agent_id="b")] == ["new"]
    assert store.branches.diff("lab", at=3)[0].key == "j"
    assert [each.change for each in lab.branches.diff("main")] == ["delete", "update", "delete"]
    store.states.set(*J, 1)
    assert [each.key for each in store.branches.diff("lab")] == ["k", "new"]


def test_differences_between_points_of_a_branch(store: Store) -> None:
    store.states.set(*K, 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    store.states.set(*J, "trunk")
    lab.states.set(*K, 2)
    assert [(each.key, each.old_value, each.new_value) for each in lab.history.changes(0, 4)] == [("k", None, 2)]
    assert [(each.key, each.old_value, each.new_value) for each in lab.history.changes(2, 4)] == [("k", 1, 2)]
    assert lab.history.changes(1, 3) == []


def test_a_query_runs_over_what_a_branch_sees(store: Store) -> None:
    store.states.set(*K, {"x": 1})
    store.states.set(*J, 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, {"x": 2})
    lab.states.delete(*J)
    store.states.set(*J, 2)
    sql = "select state_key, value ->> '$.x', version from states where agent_id = ?"
    assert lab.query(sql, ["a"]) == [("k", 2, 2)]
    assert sorted(lab.at(3).query(sql, ["a"])) == [("j", None, 1), ("k", 1, 1)]
    assert lab.query("select count(*) from history") == [(4,)]
    assert lab.query("select revision from commits order by 1") == [(1,), (2,), (3,), (4,), (5,)]
    assert store.query("select state_key, version from states order by 1") == [("j", 2), ("k", 1)]


def test_undo_is_of_what_a_branch_sees(store: Store) -> None:
    store.states.set(*K, 1)
    store.states.set(*K, 2)
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*J, 1)
    with pytest.raises(InvalidValue, match="another branch"):
        store.undo(revision=4)
    assert [(each.key, each.new_value) for each in lab.undo(revision=2).changes] == [("k", 1)]
    assert [each.key for each in lab.undo(revision=4).changes] == ["j"]
    assert (held(lab), held(store)) == ({"k": 1}, {"k": 2})


def test_checkpoints_and_restores_of_a_branch(store: Store) -> None:
    store.states.set(*K, 1)
    store.checkpoints.create("before")
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, 2)
    lab.checkpoints.create("own")
    lab.states.set(*K, 3)
    assert [each.name for each in lab.checkpoints.list()] == ["own", "before"]
    assert [each.name for each in store.checkpoints.list()] == ["before"]
    assert (lab.at("before").states.get(*K), lab.at("own").states.get(*K)) == (1, 2)
    assert [each.new_value for each in lab.restore("own").changes] == [2]
    assert [each.new_value for each in lab.checkpoints.restore("before").changes] == [1]
    with pytest.raises(InvalidValue):
        lab.checkpoints.delete("before")
    assert (held(store), held(lab)) == ({"k": 1}, {"k": 1})


def test_large_values_of_a_branch_do_not_come_from_the_trunks_memory(store: Store) -> None:
    large = {"words": ["a long story"] * 2000}
    store.states.set(*K, large)
    store.branches.create("lab")
    lab = store.branch("lab")
    assert store.states.get(*K) == lab.states.get(*K) == large
    lab.states.set(*K, large | {"more": 1})
    assert store.states.get(*K) == large
    assert lab.states.get(*K) == large | {"more": 1}
    assert [each.size > 20_000 for each in lab.history.versions(*K)] == [True, True]
    for number in range(20):  # more than a run, so that deltas build on deltas of the branch's own
        lab.states.patch(*K, {"more": number + 2})
    assert lab.history.get(*K, version=9).value == large | {"more": 8}


def test_writes_of_many_branches_share_a_batch(open_store: Opener) -> None:
    store = open_store(shell="async")
    store.states.set(*K, 0)
    for name in ("x", "y"):
        store.branches.create(name)
    shells = [store, store.branch("x"), store.branch("y")]

    async def all_at_once() -> None:
        updates = (each._target.states.update(*K, lambda value: value + 1) for each in shells for _ in range(20))
        await asyncio.gather(*updates)

    store._wait(all_at_once())
    assert [shell.states.get(*K) for shell in shells] == [20, 20, 20]


@only_postgres  # in a file the branch cannot end: the transaction has the turn to write
def test_a_branch_that_ends_under_a_transaction_ends_it(open_store: Opener) -> None:
    store = open_store()
    store.branches.create("lab")
    tx = store.branch("lab").transaction()
    tx.__enter__()
    tx.states.set(*K, 1)
    ending = threading.Thread(target=store.branches.delete, args=("lab",))
    ending.start()
    ending.join()
    with pytest.raises(TransactionAborted):
        tx.__exit__(None, None, None)
    assert store.transfer.head() == 2


def test_a_branch_made_and_ended_in_one_transaction_is_over(store: Store) -> None:
    store.branches.create("old")
    with store.transaction() as tx:
        tx.branches.delete("old")
        for name in ("old", "new"):
            tx.branches.create(name)
            tx.branches.delete(name)
    assert [branch.name for branch in store.branches.list()] == ["main"]
    store.branches.create("new")


def test_a_key_that_has_expired_beneath_is_written_on_a_branch(store: Store, clock: Clock) -> None:
    chat = store.agent("a").session("c", ttl=5)
    chat.set_many({"x": 1, "y": 1, "z": 1})
    for key in (K, J):
        store.states.set(*key, 1, ttl=5)
    store.branches.create("lab")
    lab = store.branch("lab")
    clock.advance(10)
    assert lab.states.set(*K, 2).version == 3
    assert not lab.states.delete(*J)
    assert not lab.states.delete("a", "session", "c/z")
    assert lab.agent("a").session("c").set("x", 2).version == 3
    assert lab.agent("a").session("c").items() == [("x", 2)]
    for key in (K, ("a", "session", "c/x")):
        assert [each.change for each in lab.history.versions(*key)] == ["create", "expire", "create"]
    for key in (("a", "session", "c/y"), ("a", "session", "c/z")):
        assert [each.change for each in lab.history.versions(*key)] == ["expire", "create"]
    assert [each.change for each in lab.history.versions(*J)] == ["create"]
    assert store.history.versions(*K, limit=1)[0].change == "create"


def test_in_a_batch_nothing_is_done_twice_and_nothing_written_to_what_has_ended(open_store: Opener) -> None:
    store = open_store(shell="async")
    store.branches.create("lab")

    async def together() -> list[Any]:
        trunk = store._target
        lab = await trunk.branch("lab")
        return await asyncio.gather(
            *(trunk.branches.create("twin") for _ in range(3)),
            *(trunk.checkpoints.create("twin") for _ in range(3)),
            lab.states.set(*K, 1),
            trunk.branches.delete("lab"),
            *(lab.states.set(*K, number) for number in range(3)),
            trunk.branches.delete("lab"),
            return_exceptions=True,
        )

    found = store._wait(together())
    names = [type(each).__name__ for each in found]
    assert sorted(names[:3]) == ["Branch", "BranchExists", "BranchExists"]
    assert sorted(names[3:6]) == ["Checkpoint", "CheckpointExists", "CheckpointExists"]
    assert sorted(each for each in found if isinstance(each, bool)) == [False, True]
    assert {each for each in names[6:] if each != "bool"} <= {"Entry", "NoSuchBranch"}
    assert store.health.check().problems == ()  # among which would be a commit of a branch that had ended


def test_the_commits_of_all_branches_stand_in_one_list_and_each_knows_what_it_was_made_on(store: Store) -> None:
    old: Any = None
    for each in ("main", "lab", "lab", "main", "sub", "lab", "main"):
        if each == "sub":
            store.branch("lab").branches.create("sub")
        if each == "lab" and old is None:
            store.branches.create("lab")
            old = store.branch("lab")
        store.branch(each).states.set("b" if each == "lab" else "a", "local", each, store.transfer.head())
    store.branches.merge("lab")
    store.branches.delete("lab")
    store.branches.create("lab", at=1)
    store.branch("lab").states.set(*K, "another of that name")

    h = store.history
    every = h.commits(branches=True, limit=None)
    assert [each.revision for each in every] == list(range(store.transfer.head(), 0, -1))
    assert [(each.revision, each.branch, each.parent) for each in reversed(every)] == [
        (1, "main", None), (2, "main", 1), (3, "lab", 2), (4, "lab", 3), (5, "main", 2), (6, "lab", 4), (7, "sub", 6),
        (8, "lab", 6), (9, "main", 5), (10, "main", 9), (11, "main", 10), (12, "main", 11), (13, "lab", 1),
    ]  # fmt: skip
    assert {each.revision: each.merged for each in every if each.merged} == {10: 8}
    for name in ("main", "lab", "sub"):
        line = store.branch(name).history.commits()
        assert [each.parent for each in line] == [*(each.revision for each in line[1:]), None]
        assert all(each in every for each in line)
    assert [h.commit(each.revision) for each in every] == every
    pages = [h.commits(branches=True, limit=5, before=before) for before in (None, 9, 4)]
    assert [each for page in pages for each in page] == every
    of_b = h.commits(branches=True, agent_id="b")
    assert [(each.revision, each.parent) for each in of_b] == [(10, 9), (8, 6), (4, 3), (3, 2)]
    assert [each.revision for each in h.commits(branches=True, since=2, until=8, by="nobody")] == []
    assert [each.revision for each in store.at(7).history.commits(branches=True, since=3)] == [7, 6, 5, 4]
