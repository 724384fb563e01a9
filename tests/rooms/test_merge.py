"""Merges of branches: what they take, what they leave to somebody, and where the next one begins."""

from __future__ import annotations

from typing import Any

import pytest

from statedb import MISSING, InTransaction, InvalidValue, Joined, NoSuchBranch, Store, VersionConflict
from tests.helpers import Clock

SORTS = ("file", "postgres", "async postgres")

K = ("a", "persistent", "k")
J = ("a", "persistent", "j")


def held(shell: Any) -> dict[str, Any]:
    return dict(shell.states.items("a", "persistent"))


def parted(store: Any, base: Any, ours: Any, theirs: Any) -> Any:
    """Have main and lab make two values of one."""
    for shell, value in ((store, base), (store, ours), (None, theirs)):
        if shell is None:
            shell = store.branch("lab")
        if value is MISSING:
            shell.states.delete(*K)
        else:
            shell.states.set(*K, value)
        if value is base and store.branches.list()[-1].name == "main":
            store.branches.create("lab")
    return store.branch("lab")


def test_a_merge_takes_what_only_one_side_changed(store: Store) -> None:
    lab = parted(store, {"x": 1, "y": 1}, {"x": 1, "y": 2}, {"x": 3, "y": 1})
    lab.states.set(*J, "new")
    store.states.set("a", "persistent", "mine", 1)
    merged = store.branches.merge("lab", message="done")
    assert held(store) == {"j": "new", "k": {"x": 3, "y": 2}, "mine": 1}
    assert [(each.key, each.change, each.revision) for each in merged.changes] == [
        ("j", "create", 7), ("k", "update", 7)
    ]  # fmt: skip
    commit = store.history.commit(7)
    assert (commit.kind, commit.branch, commit.merged, commit.message) == ("merge", "main", 5, "done")
    assert (merged.revision, merged.source, merged.into, merged.base, merged.conflicts) == (7, "lab", "main", (2,), ())
    assert held(lab) == {"j": "new", "k": {"x": 3, "y": 1}}


def test_a_preview_is_what_is_then_done(store: Store) -> None:
    lab = parted(store, {"x": 1}, {"x": 1, "y": 2}, {"x": 2})
    lab.states.set(*J, 1)
    before = store.transfer.head()
    shown = store.branches.merge("lab", preview=True)
    assert (shown.revision, store.transfer.head()) == (None, before)
    done = store.branches.merge("lab")
    assert [(each.key, each.new_value, each.version) for each in shown.changes] == [
        (each.key, each.new_value, each.version) for each in done.changes
    ]


def test_what_both_changed_stops_a_merge(store: Store) -> None:
    lab = parted(store, {"x": 1}, {"x": 2}, {"x": 3})
    lab.states.set(*J, 1)
    before = store.transfer.head()
    merged = store.branches.merge("lab")
    assert (merged.revision, merged.recorded, store.transfer.head()) == (None, False, before)
    [conflict] = merged.conflicts
    assert (conflict.kind, conflict.base, conflict.ours, conflict.theirs) == (
        "concurrent_modification", {"x": 1}, {"x": 2}, {"x": 3}
    )  # fmt: skip
    assert (conflict.base_version, conflict.ours_version, conflict.theirs_version, conflict.id) == (1, 2, 2, None)
    assert [each.path for each in conflict.clashes] == ["/x"]
    assert [each.requires_manual_review for each in merged.resolutions] == [True]
    assert [each.key for each in merged.changes] == ["j"]
    assert store.conflicts.list() == []
    assert store.conflicts.detect("lab") == [conflict]
    assert store.conflicts.detect(key="j") == []
    with pytest.raises(VersionConflict) as caught:
        store.branches.merge("lab", strategy="raise")
    assert (caught.value.base, caught.value.ours, caught.value.theirs) == ({"x": 1}, {"x": 2}, {"x": 3})


@pytest.mark.parametrize(
    ("strategy", "x"),
    [
        ("ours", 2), ("theirs", 3), ("local_wins", 2), ("remote_wins", 3), ("first_writer_wins", 2),
        ("last_writer_wins", 3), (lambda base, ours, theirs: {"x": [base["x"], ours["x"], theirs["x"]]}, [1, 2, 3]),
        ({"j*": "ours", "k": "theirs", "*": "raise"}, 3), ({"k": "ours"}, 2),
    ],
)  # fmt: skip
def test_a_strategy_settles_the_places_that_both_changed(anywhere: str, strategy: Any, x: Any) -> None:
    with Store(anywhere, durability="normal") as store:
        parted(store, {"x": 1, "y": 1, "z": 1}, {"x": 2, "y": 2, "z": 1}, {"x": 3, "y": 1, "z": 3})
        merged = store.branches.merge("lab", strategy=strategy)
        whole = callable(strategy)
        assert held(store) == {"k": {"x": x} if whole else {"x": x, "y": 2, "z": 3}}
        assert [each.requires_manual_review for each in merged.resolutions] == [False]
        assert store.health.check().ok


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [({"x": 2}, MISSING, "deleted_modified"), (MISSING, {"x": 3}, "deleted_modified"), ("text", 7, "type_mismatch")],
)
def test_conflicts_are_of_three_kinds(store: Store, ours: Any, theirs: Any, kind: str) -> None:
    parted(store, {"x": 1}, ours, theirs)
    [conflict] = store.branches.merge("lab").conflicts
    assert (conflict.kind, conflict.ours, conflict.theirs) == (kind, ours, theirs)


def test_a_conflict_left_to_somebody_waits_while_the_rest_is_merged(store: Store) -> None:
    lab = parted(store, {"x": 1}, {"x": 2}, {"x": 3})
    lab.states.set(*J, 1)
    merged = store.branches.merge("lab", strategy="manual")
    assert (merged.recorded, held(store)) == (True, {"j": 1, "k": {"x": 2}})
    [waiting] = store.conflicts.list()
    assert [waiting] == [*merged.conflicts]
    assert (waiting.source, waiting.branch, waiting.revision) == ("lab", "main", merged.revision)
    assert store.branches.merge("lab").revision is None  # what lab did is taken in
    settled = store.conflicts.resolve(waiting.id or 0, strategy="theirs")
    assert (settled.method, held(store)["k"], store.conflicts.list()) == ("theirs", {"x": 3}, [])
    lab.states.patch(*K, {"more": 1})
    assert store.branches.merge("lab").changes[0].new_value == {"x": 3, "more": 1}


def test_the_base_moves_on_with_every_merge_either_way(store: Store) -> None:
    lab = parted(store, {"n": 0}, {"n": 0, "main": 0}, {"n": 0, "lab": 0})
    for turn in range(1, 4):
        store.branches.merge("lab")
        lab.branches.merge("main")
        assert held(store) == held(lab)
        store.states.patch(*K, {"main": turn})
        lab.states.patch(*K, {"lab": turn})
    store.branches.merge("lab")
    assert held(store)["k"] == {"n": 0, "main": 3, "lab": 3}
    lab.states.patch(*K, {"n": "lab"})
    store.states.patch(*K, {"n": "main"})
    [conflict] = lab.branches.merge("main").conflicts
    assert (conflict.base["n"], conflict.ours["n"], conflict.theirs["n"]) == (0, "lab", "main")


def test_what_was_settled_for_one_side_stays_settled(store: Store) -> None:
    lab = parted(store, 1, "main", "lab")
    assert store.branches.merge("lab", strategy="ours").changes == ()
    assert held(store) == {"k": "main"}
    merged = lab.branches.merge("main")
    assert (merged.conflicts, held(lab)) == ((), {"k": "main"})
    assert store.branches.merge("lab").conflicts == ()


def test_a_resolution_wins_on_the_branch_it_was_not_made_on(store: Store) -> None:
    """What a merge brought in and settled for its own side is a change of that side, though no version tells of it."""
    lab = parted(store, 1, "main", "lab")
    lab.branches.merge("main", strategy="ours")
    assert held(lab) == {"k": "lab"}
    assert [each.new_value for each in store.branches.merge("lab").changes] == ["lab"]


def test_siblings_meet_where_they_parted(store: Store) -> None:
    store.states.set(*K, {"x": 1, "y": 1})
    for name in ("one", "two"):
        store.branches.create(name)
    one, two = store.branch("one"), store.branch("two")
    one.states.patch(*K, {"x": 2})
    two.states.patch(*K, {"y": 2})
    store.states.patch(*K, {"z": 3})
    two.branches.merge("one")
    assert (held(two)["k"], held(one)["k"]) == ({"x": 2, "y": 2}, {"x": 2, "y": 1})
    assert store.branches.merge("two").changes[0].new_value == {"x": 2, "y": 2, "z": 3}
    assert store.branches.merge("one").revision is None  # two had brought it


def test_a_criss_cross_has_two_bases_and_their_merge_is_the_base(store: Store) -> None:
    store.states.set(*K, {"p": 0, "q": 0, "r": 0})
    for name in ("s", "t", "p", "q"):
        store.branches.create(name)
    shells: dict[str, Any] = {name: store.branch(name) for name in ("p", "q", "s", "t")}
    shells["p"].states.patch(*K, {"p": 1})
    shells["q"].states.patch(*K, {"q": 1})
    for name in ("s", "t"):
        shells[name].branches.merge("p")
        shells[name].branches.merge("q")
    shells["s"].states.patch(*K, {"p": 0})
    shells["t"].states.patch(*K, {"r": 2})
    merged = shells["s"].branches.merge("t")
    assert (len(merged.base), merged.conflicts, held(shells["s"])["k"]) == (2, (), {"p": 0, "q": 1, "r": 2})


def test_a_merge_into_another_branch(store: Store) -> None:
    store.states.set(*K, 1)
    store.branches.create("lab")
    store.states.set(*K, 2)
    merged = store.branches.merge("main", into="lab")
    assert (merged.into, held(store.branch("lab"))) == ("lab", {"k": 2})
    assert store.history.commit(merged.revision or 0).branch == "lab"
    assert store.states.get(*K) == 2
    store.states.set(*J, 1)
    with store.transaction() as tx:
        with pytest.raises(InTransaction):
            tx.branches.merge("main", into="lab")
        tx.states.set(*J, 2)
    with pytest.raises(InvalidValue):
        store.branches.merge("main")
    with pytest.raises(NoSuchBranch):
        store.branches.merge("none")


def test_a_merge_joins_a_transaction(store: Store) -> None:
    lab = parted(store, {"x": 1}, {"x": 1}, {"x": 2})

    def both(tx: Joined) -> Any:
        tx.states.patch(*K, {"y": 3})
        return tx.branches.merge("lab")

    merged = store.run(both)
    assert (held(store)["k"], merged.revision) == ({"x": 2, "y": 3}, store.transfer.head())
    assert held(lab)["k"] == {"x": 2}


def test_metadata_and_ttl_go_with_the_side_that_changed_them(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, metadata={"by": "base"})
    store.states.set(*J, 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, 1, metadata={"by": "lab"})
    lab.states.set(*J, 2, ttl=60)
    store.branches.merge("lab")
    entry = store.states.entry(*K)
    assert entry is not None
    assert (entry.value, entry.metadata) == (1, {"by": "lab"})
    clock.advance(61)
    assert store.states.keys("a", "persistent") == ["k"]


def test_what_expired_on_one_side_alone_is_no_deletion(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=10)
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*J, 1)
    store.states.touch(*K, ttl=100)
    clock.advance(20)
    lab.retention.sweep()
    store.branches.merge("lab")
    assert held(store) == {"j": 1, "k": 1}


def test_a_session_that_only_theirs_has_begun_begins_with_the_merge(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1)
    store.branches.create("lab")
    store.branch("lab").agent("a").session("c", ttl=50).set_many({"x": 1, "y": 2})
    store.branches.merge("lab")
    chat = store.agent("a").session("c")
    assert chat.items() == [("x", 1), ("y", 2)]
    clock.advance(40)
    chat.set("x", 3)
    clock.advance(40)
    assert chat.items() == [("x", 3), ("y", 2)]
    clock.advance(60)
    assert chat.items() == []


def test_a_merge_can_be_undone(store: Store) -> None:
    parted(store, {"x": 1}, {"x": 1, "y": 1}, {"x": 2})
    merged = store.branches.merge("lab")
    store.undo(revision=merged.revision or 0)
    assert held(store)["k"] == {"x": 1, "y": 1}


def test_a_transaction_merges_once_since_a_commit_knows_of_one_branch(store: Store) -> None:
    parted(store, 0, 0, 1)
    store.branches.create("other")
    with store.transaction() as tx:
        tx.branches.merge("lab", strategy="ours")
        with pytest.raises(InTransaction):
            tx.branches.merge("other")
    store.states.set(*K, 5)
    assert store.branches.merge("lab").conflicts == ()
    assert store.branches.merge("other").conflicts == ()


def test_what_was_taken_in_stays_so_when_a_branch_that_knows_less_of_it_is_merged(store: Store) -> None:
    store.states.set(*K, 0)
    store.branches.create("x")
    store.branches.create("lab")
    x, lab = store.branch("x"), store.branch("lab")
    x.states.set(*K, 1)
    lab.branches.merge("x")
    x.states.set(*K, 2)
    store.branches.merge("x")
    store.states.set(*K, 3)
    store.branches.merge("lab")
    x.states.set(*J, 1)
    assert store.branches.merge("x").conflicts == ()
    assert held(store) == {"j": 1, "k": 3}


def test_bases_that_contradict_each_other_take_nothing_for_granted(store: Store) -> None:
    lab = parted(store, 0, 1, 2)
    store.branches.create("x")
    lab.branches.create("y")
    store.branches.merge("y", strategy="theirs")
    lab.branches.merge("x", strategy="theirs")
    assert (held(store), held(lab)) == ({"k": 2}, {"k": 1})
    found = store.branches.merge("lab", preview=True)
    assert len(found.base) == 2
    assert [(each.base, each.ours, each.theirs) for each in found.conflicts] == [(MISSING, 2, 1)]
    assert len(lab.branches.merge("main", preview=True).conflicts) == 1


def test_a_ttl_that_only_theirs_changed_goes_with_a_value_of_both(store: Store, clock: Clock) -> None:
    store.states.set(*K, {"x": 1, "y": 1}, ttl=10)
    store.branches.create("lab")
    store.branch("lab").states.set(*K, {"x": 2, "y": 1}, ttl=99)
    store.states.set(*K, {"x": 1, "y": 2}, ttl=10)
    store.branches.merge("lab")
    clock.advance(50)
    assert store.states.get(*K) == {"x": 2, "y": 2}


def test_a_session_that_a_merge_begins_has_the_ttl_it_has_there(store: Store, clock: Clock) -> None:
    store.branches.create("lab")
    store.branch("lab").agent("a").session("s", ttl=50).set("x", 1)
    store.branches.merge("lab")
    store.agent("a").session("s").set("x", 2)
    clock.advance(60)
    assert store.agent("a").session("s").items() == []
